//! The answer: at most 4096 bytes of JSON, whatever the provider said.

use serde::Serialize;
use serde_json::{Map, Value};

/// Longest body CloudFormation accepts, in bytes.
/// Source: "Custom resource request and response reference" of the CloudFormation user guide.
pub const LONGEST_BODY: usize = 4096;

/// What every answer copies from its request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Addressee {
    pub(crate) request_id: String,
    pub(crate) stack_id: String,
    pub(crate) logical_resource_id: String,
}

/// How a request ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Verdict {
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

/// A finished body, and whether it still says what the verdict said.
#[derive(Debug)]
pub(crate) struct Encoded {
    pub(crate) body: String,
    /// False if `Data` did not fit and the answer became a failure.
    pub(crate) kept: bool,
    pub(crate) succeeded: bool,
}

/// Renders an answer that fits. `Reason` is cut on a character boundary; `Data` is never cut: data that does not fit
/// turns a success into a failure that says so.
pub(crate) fn encode(to: &Addressee, physical_id: &str, verdict: &Verdict) -> Encoded {
    match verdict {
        Verdict::Success { data, no_echo } => {
            let body = render(to, physical_id, "SUCCESS", None, *no_echo, Some(data));
            if body.len() <= LONGEST_BODY {
                return Encoded { body, kept: true, succeeded: true };
            }
            let reason = format!(
                "The attributes of this resource need an answer of {} bytes, and CloudFormation takes at most {LONGEST_BODY}. \
                 Return fewer or shorter attributes.",
                body.len()
            );
            Encoded { body: render_failed(to, physical_id, &reason), kept: false, succeeded: false }
        }
        Verdict::Failed { reason } => {
            Encoded { body: render_failed(to, physical_id, reason), kept: true, succeeded: false }
        }
    }
}

fn render_failed(to: &Addressee, physical_id: &str, reason: &str) -> String {
    // CloudFormation refuses a FAILED answer without a reason.
    let reason = if reason.is_empty() { "The provider gave no reason." } else { reason };
    let whole = render(to, physical_id, "FAILED", Some(reason), false, None);
    let Some(excess) = whole.len().checked_sub(LONGEST_BODY).filter(|excess| *excess > 0) else {
        return whole;
    };
    // Escapes make a character longer in JSON than in memory, so the cut is counted in escaped bytes.
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

/// Length of a text inside JSON quotes, in bytes.
pub(crate) fn json_len(text: &str) -> usize {
    // A string always serialises.
    serde_json::to_string(text).map_or(0, |quoted| quoted.len() - 2)
}

fn render(
    to: &Addressee,
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
    // The body holds strings, booleans and JSON values only, all of which serialise.
    serde_json::to_string(&body).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to() -> Addressee {
        Addressee { request_id: "r".into(), stack_id: "s".into(), logical_resource_id: "l".into() }
    }

    fn failed(reason: &str) -> Value {
        let encoded = encode(&to(), "id", &Verdict::Failed { reason: reason.into() });
        assert!(encoded.body.len() <= LONGEST_BODY, "{} bytes", encoded.body.len());
        serde_json::from_str(&encoded.body).unwrap()
    }

    #[test]
    fn a_reason_of_any_length_and_alphabet_fits_and_is_cut_on_a_character_boundary() {
        for unit in ["a", "é", "漢", "🦀", "\"", "\\", "\n", "\u{1}", "a🦀\""] {
            let body = failed(&unit.repeat(100_000 / unit.len()));
            let reason = body["Reason"].as_str().unwrap();
            assert!(reason.ends_with(" … (cut)"), "{unit:?}");
            let kept = reason.strip_suffix(" … (cut)").unwrap();
            assert!(unit.repeat(kept.len()).starts_with(kept), "{unit:?}");
            let size = serde_json::to_string(&body).unwrap().len();
            assert!(size > LONGEST_BODY - 32, "{unit:?} wastes room: {size}");
        }
    }

    #[test]
    fn a_short_reason_is_not_touched() {
        assert_eq!(failed("no such table")["Reason"], "no such table");
    }

    #[test]
    fn a_failure_without_a_reason_gets_one() {
        assert_eq!(failed("")["Reason"], "The provider gave no reason.");
    }

    #[test]
    fn data_that_does_not_fit_turns_success_into_a_failure_that_says_so() {
        let data = Map::from_iter([("Big".to_owned(), Value::from("x".repeat(5000)))]);
        let encoded = encode(&to(), "id", &Verdict::Success { data, no_echo: true });
        let body: Value = serde_json::from_str(&encoded.body).unwrap();
        assert!(!encoded.kept);
        assert_eq!(body["Status"], "FAILED");
        assert!(body["Reason"].as_str().unwrap().contains("at most 4096"), "{body}");
        assert!(!encoded.body.contains("xxx"));
    }

    #[test]
    fn no_echo_is_said_only_where_it_holds() {
        let data = Map::from_iter([("A".to_owned(), Value::from("1"))]);
        let loud = encode(&to(), "id", &Verdict::Success { data: data.clone(), no_echo: false });
        let quiet = encode(&to(), "id", &Verdict::Success { data, no_echo: true });
        assert!(!loud.body.contains("NoEcho"));
        assert!(quiet.body.contains("\"NoEcho\":true"));
    }
}
