//! The body of a response: at most 4096 bytes of JSON for every result.

use serde::Serialize;
use serde_json::{Map, Value};

/// The longest body that CloudFormation accepts, in bytes.
/// Source: "Custom resource request and response reference" of the CloudFormation user guide.
pub const MAX_BODY_BYTES: usize = 4096;

/// The fields that a response copies from its request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RequestIds {
    pub(crate) request_id: String,
    pub(crate) stack_id: String,
    pub(crate) logical_resource_id: String,
}

/// The result of a request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Status {
    Success { data: Map<String, Value>, no_echo: bool },
    Failed { reason: String },
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Body<'a> {
    status: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    physical_resource_id: &'a str,
    stack_id: &'a str,
    request_id: &'a str,
    logical_resource_id: &'a str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    no_echo: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a Map<String, Value>>,
}

/// A finished body.
#[derive(Debug)]
pub(crate) struct Encoded {
    pub(crate) body: String,
    /// False if `Data` did not fit and the response became a failure.
    pub(crate) data_fits: bool,
    pub(crate) succeeded: bool,
}

/// Renders a body that fits. A long `Reason` is cut between characters. `Data` is never cut: data
/// that does not fit turns a success into a failure.
pub(crate) fn encode(to: &RequestIds, physical_id: &str, status: &Status) -> Encoded {
    match status {
        Status::Success { data, no_echo } => {
            let body = render(to, physical_id, "SUCCESS", None, *no_echo, Some(data));
            if body.len() <= MAX_BODY_BYTES {
                return Encoded { body, data_fits: true, succeeded: true };
            }
            let reason = format!(
                "the attributes of this resource need a response of {} bytes, and CloudFormation \
                 accepts at most {MAX_BODY_BYTES}; return fewer or shorter attributes",
                body.len()
            );
            Encoded { body: render_failed(to, physical_id, &reason), data_fits: false, succeeded: false }
        }
        Status::Failed { reason } => {
            Encoded { body: render_failed(to, physical_id, reason), data_fits: true, succeeded: false }
        }
    }
}

fn render_failed(to: &RequestIds, physical_id: &str, reason: &str) -> String {
    // CloudFormation rejects a FAILED response without a reason.
    let reason = if reason.is_empty() { "the provider gave no reason" } else { reason };
    let whole = render(to, physical_id, "FAILED", Some(reason), false, None);
    let Some(excess) = whole.len().checked_sub(MAX_BODY_BYTES).filter(|excess| *excess > 0) else {
        return whole;
    };
    // Escapes make a character longer in JSON than in memory: count escaped bytes.
    const MARK: &str = " … (cut)";
    let budget = json_len(reason).saturating_sub(excess + json_len(MARK));
    let mut kept = 0;
    let mut used = 0;
    for (at, character) in reason.char_indices() {
        used += json_len(character.encode_utf8(&mut [0; 4]));
        if used > budget {
            break;
        }
        kept = at + character.len_utf8();
    }
    let cut = format!("{}{MARK}", &reason[..kept]);
    render(to, physical_id, "FAILED", Some(&cut), false, None)
}

/// Returns the length of a text inside JSON quotes, in bytes.
pub(crate) fn json_len(text: &str) -> usize {
    // A string always serializes.
    serde_json::to_string(text).map_or(0, |quoted| quoted.len() - 2)
}

fn render(
    to: &RequestIds,
    physical_id: &str,
    status: &str,
    reason: Option<&str>,
    no_echo: bool,
    data: Option<&Map<String, Value>>,
) -> String {
    let body = Body {
        status,
        reason,
        physical_resource_id: physical_id,
        stack_id: &to.stack_id,
        request_id: &to.request_id,
        logical_resource_id: &to.logical_resource_id,
        no_echo,
        data: data.filter(|data| !data.is_empty()),
    };
    // The body holds strings, booleans and JSON values only, all of which serialize.
    serde_json::to_string(&body).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to() -> RequestIds {
        RequestIds { request_id: "r".into(), stack_id: "s".into(), logical_resource_id: "l".into() }
    }

    fn failed(reason: &str) -> Value {
        let encoded = encode(&to(), "id", &Status::Failed { reason: reason.into() });
        assert!(encoded.body.len() <= MAX_BODY_BYTES, "{} bytes", encoded.body.len());
        serde_json::from_str(&encoded.body).unwrap()
    }

    #[test]
    fn long_reason_is_cut_between_characters() {
        for unit in ["a", "é", "漢", "🦀", "\"", "\\", "\n", "\u{1}", "a🦀\""] {
            let body = failed(&unit.repeat(100_000 / unit.len()));
            let reason = body["Reason"].as_str().unwrap();
            assert!(reason.ends_with(" … (cut)"), "{unit:?}");
            let kept = reason.strip_suffix(" … (cut)").unwrap();
            assert!(unit.repeat(kept.len()).starts_with(kept), "{unit:?}");
            let size = serde_json::to_string(&body).unwrap().len();
            assert!(size > MAX_BODY_BYTES - 32, "{unit:?} wastes room: {size}");
        }
    }

    #[test]
    fn short_reason_is_unchanged() {
        assert_eq!(failed("no such table")["Reason"], "no such table");
    }

    #[test]
    fn failure_without_a_reason_gets_one() {
        assert_eq!(failed("")["Reason"], "the provider gave no reason");
    }

    #[test]
    fn data_that_does_not_fit_makes_a_failure() {
        let data = Map::from_iter([("Big".to_owned(), Value::from("x".repeat(5000)))]);
        let encoded = encode(&to(), "id", &Status::Success { data, no_echo: true });
        let body: Value = serde_json::from_str(&encoded.body).unwrap();
        assert!(!encoded.data_fits);
        assert_eq!(body["Status"], "FAILED");
        assert!(body["Reason"].as_str().unwrap().contains("at most 4096"), "{body}");
        assert!(!encoded.body.contains("xxx"));
    }

    #[test]
    fn no_echo_is_in_the_body_only_if_set() {
        let data = Map::from_iter([("A".to_owned(), Value::from("1"))]);
        let loud = encode(&to(), "id", &Status::Success { data: data.clone(), no_echo: false });
        let quiet = encode(&to(), "id", &Status::Success { data, no_echo: true });
        assert!(!loud.body.contains("NoEcho"));
        assert!(quiet.body.contains("\"NoEcho\":true"));
    }
}
