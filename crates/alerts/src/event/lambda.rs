//! Records of failed asynchronous invocations. Source: "Capturing records of Lambda asynchronous
//! invocations" of the Lambda developer guide.

use serde::Deserialize;
use serde_json::Value;

use super::{Detail, Event, typed};
use crate::arn::Arn;
use crate::incident::AccountRegion;
use crate::moment::Moment;
use crate::state::EventId;

/// The record of an invocation that is not retried any more. Its payload is not read: it may contain
/// secrets, such as a response URL.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FunctionFailure {
    /// The invocation.
    pub request_context: RequestContext,
    /// The function's response, if there was one.
    #[serde(default)]
    pub response_payload: Option<Answer>,
    /// The time at which Lambda discarded the event.
    pub timestamp: String,
}

/// An invocation.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestContext {
    /// The request id, as in the function's log.
    pub request_id: String,
    /// The function with its version or alias.
    pub function_arn: String,
    /// The condition, such as `RetriesExhausted`, `EventAgeExceeded`.
    pub condition: String,
    /// The number of attempts.
    #[serde(default)]
    pub approximate_invoke_count: u32,
}

/// The response of a function that failed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// The error's name.
    pub kind: Option<String>,
    /// The error message.
    pub message: Option<String>,
}

impl<'de> Deserialize<'de> for Answer {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The response may be any value; only these two members are for people.
        let value = Value::deserialize(deserializer)?;
        let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        Ok(Self { kind: text("errorType"), message: text("errorMessage") })
    }
}

impl RequestContext {
    /// Returns the function without version or alias: `arn:aws:lambda:REGION:ACCOUNT:function:NAME`.
    pub fn function(&self) -> &str {
        match self.function_arn.match_indices(':').nth(6) {
            Some((end, _)) => &self.function_arn[..end],
            None => &self.function_arn,
        }
    }
}

/// Reads the record in an event. Any principal may put an event with the source `lambda` on a bus of
/// its account, so the record must be about a function of the account and Region that EventBridge
/// states.
pub(super) fn failure(detail: &Value, account: &str, region: &str) -> Result<FunctionFailure, String> {
    let failure: FunctionFailure = typed(detail, "the record of an invocation")?;
    let function = function(&failure)?;
    if (function.account.as_str(), function.region.as_str()) != (account, region) {
        return Err("not the record of an invocation: `functionArn` is not a function of the event's \
                    account and Region"
            .to_owned());
    }
    Ok(failure)
}

/// Reads a record that was sent to a queue or a function of this account, without an envelope.
pub(super) fn record(value: &Value, account: &str) -> Result<Event, String> {
    let failure: FunctionFailure = typed(value, "the record of an invocation")?;
    let function = function(&failure)?;
    if function.account != account {
        return Err("not the record of an invocation: without EventBridge's envelope, `functionArn` \
                    must be a function of this account"
            .to_owned());
    }
    let time = Moment::parse(&failure.timestamp)
        .ok_or("not the record of an invocation: `timestamp` is not RFC 3339")?;
    Ok(Event {
        id: EventId::of(&["lambda", &failure.request_context.request_id]),
        location: AccountRegion::new(&function.account, &function.region),
        time,
        resources: vec![failure.request_context.function_arn.clone()],
        detail: Detail::FunctionFailure(failure),
    })
}

/// Returns the function of a record.
fn function(failure: &FunctionFailure) -> Result<Arn, String> {
    let arn: Option<Arn> = failure.request_context.function_arn.parse().ok();
    arn.filter(|arn| arn.service == "lambda" && arn.resource_id("function").is_some()).ok_or_else(|| {
        "not the record of an invocation: `functionArn` is not the ARN of a function".to_owned()
    })
}
