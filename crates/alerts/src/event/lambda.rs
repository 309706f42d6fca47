//! Records of failed asynchronous invocations. Source: "Capturing records of Lambda asynchronous invocations" of the Lambda developer guide.

use serde::Deserialize;
use serde_json::Value;

use super::{Detail, Event, arn_part, typed};
use crate::incident::AccountRegion;
use crate::moment::Moment;
use crate::state::EventId;

/// An invocation that failed for good. Its event is not read: it may hold anything, a response URL among them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FunctionFailure {
    /// Which.
    pub request_context: RequestContext,
    /// What it answered, if it got that far.
    #[serde(default)]
    pub response_payload: Option<Answer>,
    /// When Lambda gave up.
    pub timestamp: String,
}

/// Which invocation.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestContext {
    /// Its id, the same in the function's log.
    pub request_id: String,
    /// The function with its version or alias.
    pub function_arn: String,
    /// Such as `RetriesExhausted`, `EventAgeExceeded`.
    pub condition: String,
    /// How often it was tried.
    #[serde(default)]
    pub approximate_invoke_count: u32,
}

/// What a function answers when it fails.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// The name of the error.
    pub kind: Option<String>,
    /// What it says.
    pub message: Option<String>,
}

impl<'de> Deserialize<'de> for Answer {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // A function may answer with anything; only these two are meant for people.
        let value = Value::deserialize(deserializer)?;
        let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        Ok(Self { kind: text("errorType"), message: text("errorMessage") })
    }
}

impl RequestContext {
    /// The function without version or alias: `arn:aws:lambda:REGION:ACCOUNT:function:NAME`.
    pub fn function(&self) -> &str {
        match self.function_arn.match_indices(':').nth(6) {
            Some((end, _)) => &self.function_arn[..end],
            None => &self.function_arn,
        }
    }
}

/// A record that came to a queue, a topic or a function, without an envelope.
pub(super) fn record(value: &Value) -> Result<Event, String> {
    let failure: FunctionFailure = typed(value, "the record of an invocation")?;
    let time = Moment::parse(&failure.timestamp)
        .ok_or("not the record of an invocation: `timestamp` is not RFC 3339")?;
    let arn = &failure.request_context.function_arn;
    Ok(Event {
        id: EventId::of(&["lambda", &failure.request_context.request_id]),
        location: AccountRegion::new(arn_part(arn, 4), arn_part(arn, 3)),
        time,
        resources: vec![arn.clone()],
        detail: Detail::FunctionFailure(failure),
    })
}
