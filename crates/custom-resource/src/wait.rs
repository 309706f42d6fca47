//! The port for waits: a state machine waits, and the function responds at the end.
//!
//! The response URL enters the state machine's history only sealed.

use std::error::Error;
use std::future::Future;
use std::pin::Pin;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::request::{Owner, RequestType};

/// A boxed future, so that the port is usable behind `dyn`.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Any error of a port.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// Seals response URLs and starts waits.
pub trait Waiter: Send + Sync {
    /// Encrypts `secret`, bound to the request and to everything else in its ticket: it opens only
    /// with the same two.
    fn seal<'a>(&'a self, secret: &'a str, bound: &'a Binding) -> BoxFuture<'a, Result<String, BoxError>>;

    /// Decrypts a result of [`seal`](Waiter::seal).
    fn open<'a>(&'a self, sealed: &'a str, bound: &'a Binding) -> BoxFuture<'a, Result<String, BoxError>>;

    /// Starts a wait under a name. If one runs under this name, that is success.
    fn start<'a>(&'a self, name: &'a str, input: &'a Value) -> BoxFuture<'a, Result<(), BoxError>>;
}

/// The context that a sealed URL is bound to. Whoever may invoke the function can send it a ticket, so a ticket
/// is believed only if its URL opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// The id of the request.
    pub request_id: String,
    /// The SHA-256 of all other fields of the ticket, as 64 hexadecimal digits.
    pub ticket: String,
}

/// The data that the state machine carries. It holds no secret in clear.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Ticket {
    pub(crate) sealed_url: String,
    pub(crate) request_id: String,
    pub(crate) request_type: RequestType,
    pub(crate) stack_id: String,
    pub(crate) logical_resource_id: String,
    /// The id of the waiting resource.
    pub(crate) physical_resource_id: String,
    /// The id in the response if the wait fails: another one in a replacement.
    pub(crate) id_on_failure: String,
    /// The end of the wait, in seconds since 1970.
    pub(crate) deadline: u64,
    pub(crate) progress: Value,
}

impl Ticket {
    /// Returns what the URL of this ticket is bound to.
    pub(crate) fn binding(&self) -> Binding {
        let mut fields = serde_json::to_value(self).unwrap_or_default();
        if let Some(fields) = fields.as_object_mut() {
            fields.remove("SealedUrl");
        }
        let mut hash = Sha256::new();
        write_canonical(&fields, &mut hash);
        Binding { request_id: self.request_id.clone(), ticket: hex::encode(hash.finalize()) }
    }

    pub(crate) fn owner(&self) -> Owner {
        Owner::new(&self.stack_id, &self.logical_resource_id)
    }
}

/// Hashes a value so that the order of names, and a name without a value, make no difference: the
/// value passes through a state machine. Lengths precede texts, so that no two values hash alike.
fn write_canonical(value: &Value, hash: &mut Sha256) {
    let text = |kind: &str, text: &str, hash: &mut Sha256| {
        hash.update(format!("{kind}{}:", text.len()));
        hash.update(text.as_bytes());
    };
    match value {
        Value::Object(map) => {
            let mut members: Vec<_> = map.iter().filter(|(_, value)| !value.is_null()).collect();
            members.sort_by_key(|(name, _)| name.as_str());
            hash.update(format!("map{}:", members.len()));
            for (name, value) in members {
                text("name", name, hash);
                write_canonical(value, hash);
            }
        }
        Value::Array(items) => {
            hash.update(format!("list{}:", items.len()));
            items.iter().for_each(|item| write_canonical(item, hash));
        }
        Value::String(string) => text("text", string, hash),
        other => text("other", &other.to_string(), hash),
    }
}

/// A call of the state machine.
#[derive(Debug, Deserialize)]
#[serde(tag = "Wait", rename_all = "kebab-case")]
pub(crate) enum WaitCall {
    /// Checks the resource.
    #[serde(rename_all = "PascalCase")]
    Check { ticket: Ticket },
    /// Ends the wait: the state machine failed, and the response is FAILED.
    #[serde(rename_all = "PascalCase")]
    GiveUp {
        ticket: Ticket,
        #[serde(default)]
        error: Option<String>,
        #[serde(default)]
        cause: Option<String>,
    },
}

/// The function's reply to the state machine.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Reply {
    pub(crate) done: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ticket: Option<Ticket>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) wait_seconds: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn hash(value: &Value) -> String {
        let mut hash = Sha256::new();
        write_canonical(value, &mut hash);
        hex::encode(hash.finalize())
    }

    #[test]
    fn hash_ignores_order_and_absent_values_only() {
        let first: Value = serde_json::from_str(r#"{"a": 1, "b": {"c": [1, "x"], "d": null}}"#).unwrap();
        let same: Value = serde_json::from_str(r#"{"b": {"c": [1, "x"]}, "a": 1}"#).unwrap();
        assert_eq!(hash(&first), hash(&same));
        for other in [
            json!({"a": 2, "b": {"c": [1, "x"]}}),
            json!({"a": 1, "b": {"c": ["x", 1]}}),
            json!({"a": "1", "b": {"c": [1, "x"]}}),
            json!({"a": 1, "c": [1, "x"], "b": {}}),
            json!({"a": 1, "b": {"c": [1], "x": ""}}),
        ] {
            assert_ne!(hash(&first), hash(&other), "{other}");
        }
    }
}
