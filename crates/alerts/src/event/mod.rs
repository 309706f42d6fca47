//! Events, parsed once into closed types.
//!
//! An event that cannot be parsed is not lost: it becomes an [`Unrecognized`] event, and all of these are
//! one incident. The types are our own: `aws_lambda_events` has the envelope, but none of the details
//! below, and rejects an envelope as a whole where one unrecognized event must still be reported.

mod backup;
mod cloudformation;
mod cloudtrail;
mod cloudwatch;
mod database;
mod delivery;
mod lambda;
mod redshift;
mod secret;
mod security_group;
mod states;

pub use backup::{Backup, BackupCopy, JobState};
pub use cloudformation::{Stack, StackResource, StatusDetails};
pub use cloudtrail::{CloudTrailRecord, Issuer, Principal, Session};
pub use cloudwatch::{Alarm, AlarmState, Configuration, State};
pub use database::{Database, Engine};
pub use delivery::{Delivery, Item, Receiver};
pub use lambda::{Answer, FunctionFailure, RequestContext};
pub use redshift::{Integration, Statement, StatementState};
pub use secret::{Rotation, RotationOutcome, SecretLabel};
pub use security_group::{GroupRule, SecurityGroup};
pub use states::{Execution, ExecutionStatus};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::incident::AccountRegion;
use crate::moment::Moment;
use crate::state::EventId;
use crate::text::sanitize;

/// The largest number of characters that are kept of an unrecognized event.
const MAX_RAW: usize = 4000;

/// A recognized event.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The id: that of the envelope, with its source.
    pub id: EventId,
    /// The account and Region.
    pub location: AccountRegion,
    /// The time.
    pub time: Moment,
    /// The ARNs in the envelope.
    pub resources: Vec<String>,
    /// The detail.
    pub detail: Detail,
}

/// The detail of an event. There is one variant for each row of the table in docs/alerts.md.
#[derive(Debug, Clone, PartialEq)]
pub enum Detail {
    /// The outcome of a rotation.
    Rotation(Rotation),
    /// A staging label of a secret moved.
    SecretLabel(SecretLabel),
    /// A call to Secrets Manager.
    SecretCall(CloudTrailRecord),
    /// The end of a statement of the Data API.
    Statement(Statement),
    /// An event about an integration.
    Integration(Integration),
    /// A call to Redshift.
    WarehouseCall(CloudTrailRecord),
    /// A state change of an alarm.
    Alarm(Alarm),
    /// A status change of a stack.
    Stack(Stack),
    /// A status change of a resource of a stack.
    StackResource(StackResource),
    /// A status change of an execution.
    Execution(Execution),
    /// A call to EC2 about security groups.
    NetworkCall(CloudTrailRecord),
    /// A backup job.
    Backup(Backup),
    /// A copy of a backup.
    BackupCopy(BackupCopy),
    /// An event of RDS or Redshift about a database.
    Database(Database),
    /// A failed asynchronous invocation.
    FunctionFailure(FunctionFailure),
    /// A schedule.
    Schedule,
}

/// An event that is not recognized.
#[derive(Debug, Clone, PartialEq)]
pub struct Unrecognized {
    /// The envelope's id, or a hash of the content.
    pub id: EventId,
    /// The account that sent it, if EventBridge or a topic says so.
    pub account: Option<Box<str>>,
    /// The source, as far as it is known.
    pub from: Box<str>,
    /// The problem: what was expected, and where.
    pub problem: String,
    /// The start of the event, without credentials.
    pub raw: String,
    /// The time, if it is known.
    pub time: Option<Moment>,
}

/// A recognized or an unrecognized event.
pub type Parsed = Result<Event, Unrecognized>;

/// EventBridge's envelope. Source: "Amazon EventBridge event structure".
#[derive(Deserialize)]
struct Envelope {
    id: String,
    source: String,
    #[serde(rename = "detail-type")]
    detail_type: String,
    account: String,
    region: String,
    time: String,
    #[serde(default, deserialize_with = "cloudtrail::or_default")]
    resources: Vec<String>,
    detail: Value,
}

/// Parses one event: EventBridge's envelope, or the record of a failed invocation of a function in
/// this account.
pub fn parse(value: &Value, account: &str) -> Parsed {
    event(value, account).map_err(|problem| Unrecognized {
        account: value.get("account").and_then(Value::as_str).and_then(account_id),
        ..unrecognized(&value.to_string(), Some(value), &problem)
    })
}

/// Returns an unrecognized event.
pub(crate) fn unrecognized(text: &str, value: Option<&Value>, problem: &str) -> Unrecognized {
    let member =
        |name: &str| value.and_then(|value| value.get(name)).and_then(Value::as_str).unwrap_or_default();
    let from = match (member("source"), member("detail-type")) {
        ("", _) => "no source".to_owned(),
        (source, kind) => format!("{source} \"{kind}\""),
    };
    let id = match member("id") {
        "" => EventId::of(&["content", text]),
        id => EventId::of(&[member("source"), id]),
    };
    Unrecognized {
        id,
        account: None,
        from: sanitize(&from, 200).into(),
        problem: sanitize(problem, 300),
        raw: sanitize(value.map(without_payloads).as_deref().unwrap_or(text), MAX_RAW),
        time: Moment::parse(member("time")),
    }
}

/// Returns an event's text without a function's input and response, which may be secret.
fn without_payloads(value: &Value) -> String {
    let mut value = value.clone();
    for pointer in ["", "/detail"] {
        if let Some(Value::Object(members)) = value.pointer_mut(pointer) {
            members.retain(|name, _| !matches!(name.as_str(), "requestPayload" | "responsePayload"));
        }
    }
    value.to_string()
}

/// Returns true if the value is the message of an event subscription, or resembles one.
fn is_subscription(value: &Value) -> bool {
    value.get("Event Source").is_some() || value.get("Event Message").is_some()
}

fn event(value: &Value, account: &str) -> Result<Event, String> {
    if value.get("requestContext").is_some_and(|context| context.get("functionArn").is_some()) {
        return lambda::record(value, account);
    }
    if is_subscription(value) {
        return Err("the message of an event subscription without its topic".to_owned());
    }
    let envelope: Envelope = typed(value, "an EventBridge event")?;
    let detail = detail(&envelope)?;
    let time = Moment::parse(&envelope.time)
        .ok_or_else(|| format!("`time` is \"{}\", expected RFC 3339", sanitize(&envelope.time, 60)))?;
    Ok(Event {
        id: EventId::of(&[&envelope.source, &envelope.id]),
        location: AccountRegion::new(&envelope.account, &envelope.region),
        // A CloudTrail event has the time of the call, an alarm its own time in milliseconds.
        time: detail.time().unwrap_or(time),
        resources: envelope.resources,
        detail,
    })
}

fn detail(envelope: &Envelope) -> Result<Detail, String> {
    const CALL: &str = "AWS API Call via CloudTrail";
    let detail = &envelope.detail;
    Ok(match (envelope.source.as_str(), envelope.detail_type.as_str()) {
        ("aws.secretsmanager", "AWS Service Event via CloudTrail") => {
            Detail::Rotation(secret::rotation(detail)?)
        }
        ("aws.secretsmanager", "Secret Label Updated") => {
            Detail::SecretLabel(typed(detail, "a moved label")?)
        }
        ("aws.secretsmanager", CALL) => Detail::SecretCall(typed(detail, "a call")?),
        ("aws.redshift-data", "Redshift Data Statement Status Change") => {
            Detail::Statement(typed(detail, "a statement")?)
        }
        (
            "aws.redshift",
            "Redshift Integration Monitoring"
            | "Redshift Integration Configuration"
            | "Redshift Integration Operation",
        ) => Detail::Integration(typed(detail, "an integration")?),
        ("aws.redshift", CALL) => Detail::WarehouseCall(typed(detail, "a call")?),
        ("aws.cloudwatch", "CloudWatch Alarm State Change") => Detail::Alarm(typed(detail, "an alarm")?),
        ("aws.cloudformation", "CloudFormation Stack Status Change") => {
            Detail::Stack(typed(detail, "a stack")?)
        }
        ("aws.cloudformation", "CloudFormation Resource Status Change") => {
            Detail::StackResource(typed(detail, "a resource of a stack")?)
        }
        ("aws.states", "Step Functions Execution Status Change") => {
            Detail::Execution(typed(detail, "an execution")?)
        }
        ("aws.ec2", CALL) => Detail::NetworkCall(typed(detail, "a call")?),
        ("aws.backup", "Backup Job State Change") => Detail::Backup(typed(detail, "a backup job")?),
        ("aws.backup", "Copy Job State Change") => Detail::BackupCopy(typed(detail, "a copy job")?),
        ("aws.rds", kind) if kind.starts_with("RDS ") && kind.ends_with(" Event") => {
            Detail::Database(database::rds(detail)?)
        }
        ("lambda", kind) if kind.starts_with("Lambda Function Invocation Result") => {
            Detail::FunctionFailure(lambda::failure(detail, &envelope.account, &envelope.region)?)
        }
        ("aws.events" | "aws.scheduler", "Scheduled Event") => Detail::Schedule,
        _ => return Err("the source and detail-type are not known".to_owned()),
    })
}

impl Detail {
    /// Returns the time in the detail itself.
    fn time(&self) -> Option<Moment> {
        let text = match self {
            Self::Rotation(rotation) => rotation.event_time.as_deref(),
            Self::SecretCall(record) | Self::WarehouseCall(record) | Self::NetworkCall(record) => {
                record.event_time.as_deref()
            }
            Self::Alarm(alarm) => return alarm.state.timestamp.as_deref().and_then(cloudwatch::time),
            _ => None,
        };
        text.and_then(Moment::parse)
    }
}

/// Reads a value. The error is a sentence that says what was expected and where.
pub(crate) fn typed<T: DeserializeOwned>(value: &Value, expected: &str) -> Result<T, String> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let location = error.path().to_string();
        format!("not {expected}: at `{location}`: {}", unquoted(&error.into_inner().to_string()))
    })
}

/// Removes the values that a parser quotes: they may be secrets.
fn unquoted(text: &str) -> String {
    let parts: Vec<&str> = text.split('"').collect();
    let text: Vec<&str> =
        parts.iter().enumerate().map(|(at, part)| if at % 2 == 1 { "…" } else { part }).collect();
    match text
        .join("\"")
        .strip_prefix("unknown variant `")
        .and_then(|rest| rest.split_once('`').map(|(_, rest)| rest.to_owned()))
    {
        Some(rest) => format!("unknown variant{rest}"),
        None => text.join("\""),
    }
}

/// Returns an account id: twelve digits.
fn account_id(text: &str) -> Option<Box<str>> {
    (text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.into())
}

#[cfg(test)]
mod tests;
