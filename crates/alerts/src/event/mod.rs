//! Events, parsed once at the door into closed types.
//!
//! What does not parse is not lost: it becomes an [`Unknown`], of which one incident is made. The types are our own: `aws_lambda_events` has the
//! envelope with a free `detail`, and none of the details below.

mod backup;
mod cloudformation;
mod cloudtrail;
mod cloudwatch;
mod database;
mod delivery;
mod lambda;
mod redshift;
mod secret;
mod states;

pub use backup::{Backup, BackupCopy, JobState};
pub(crate) use cloudformation::stack_name;
pub use cloudformation::{Stack, StackResource, StatusDetails};
pub use cloudtrail::{Issuer, Principal, Session, CloudTrailRecord};
pub use cloudwatch::{Alarm, AlarmState, Configuration, State};
pub use database::{Database, Engine};
pub use delivery::{Delivery, Item, deliveries};
pub use lambda::{Answer, FunctionFailure, RequestContext};
pub use redshift::{Integration, Statement, StatementState};
pub use secret::{Rotation, RotationOutcome, SecretLabel};
pub use states::{Execution, ExecutionStatus};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::incident::AccountRegion;
use crate::moment::Moment;
use crate::state::EventId;
use crate::text::sanitize;

/// Most characters of an event that nobody understood which are kept.
const MOST_RAW: usize = 4000;

/// An event that is understood.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its id, of the envelope and its source.
    pub id: EventId,
    /// Where it happened.
    pub location: AccountRegion,
    /// When it happened.
    pub time: Moment,
    /// ARNs that the envelope names.
    pub resources: Vec<String>,
    /// What happened.
    pub detail: Detail,
}

/// What happened. One variant a row of the table in docs/alerts.md.
#[derive(Debug, Clone, PartialEq)]
pub enum Detail {
    /// A step in the life of a rotation.
    Rotation(Rotation),
    /// A label of a secret moved.
    SecretLabel(SecretLabel),
    /// A call to Secrets Manager.
    SecretCall(CloudTrailRecord),
    /// A statement of the Data API ended.
    Statement(Statement),
    /// Something about an integration.
    Integration(Integration),
    /// A call to Redshift.
    WarehouseCall(CloudTrailRecord),
    /// An alarm changed its state.
    Alarm(Alarm),
    /// A stack changed its status.
    Stack(Stack),
    /// A resource of a stack changed its status.
    StackResource(StackResource),
    /// An execution changed its status.
    Execution(Execution),
    /// A call to EC2 about security groups.
    NetworkCall(CloudTrailRecord),
    /// A backup job.
    Backup(Backup),
    /// A copy of a backup.
    BackupCopy(BackupCopy),
    /// What RDS or Redshift say about a database.
    Database(Database),
    /// A function failed for good.
    FunctionFailure(FunctionFailure),
    /// Nothing happened: a schedule asks to look after what is due.
    Schedule,
}

/// An event that is not understood.
#[derive(Debug, Clone, PartialEq)]
pub struct Unrecognized {
    /// The envelope's id, or one made of the content.
    pub id: EventId,
    /// Where it came from, as far as it says.
    pub from: String,
    /// What is wrong with it: what was expected, and where.
    pub problem: String,
    /// Its beginning, without credentials.
    pub raw: String,
    /// When it happened, if it says.
    pub time: Option<Moment>,
}

/// An event, or what is known of it.
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
    #[serde(default)]
    resources: Vec<String>,
    detail: Value,
}

/// Parses one event: EventBridge's envelope, the record of a failed invocation, or the message of an event subscription.
pub fn parse(value: &Value) -> Parsed {
    event(value).map_err(|problem| unrecognized(&value.to_string(), Some(value), &problem))
}

/// What is kept of something that is not understood.
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
        from: sanitize(&from, 200),
        problem: sanitize(problem, 300),
        raw: sanitize(text, MOST_RAW),
        time: Moment::parse(member("time")),
    }
}

fn event(value: &Value) -> Result<Event, String> {
    if value.get("requestContext").is_some_and(|context| context.get("functionArn").is_some()) {
        return lambda::record(value);
    }
    if value.get("Event Source").is_some() || value.get("Event Message").is_some() {
        return database::subscription(value);
    }
    let envelope: Envelope = typed(value, "an EventBridge event")?;
    let detail = detail(&envelope)?;
    let time = Moment::parse(&envelope.time)
        .ok_or_else(|| format!("`time` is \"{}\", expected RFC 3339", sanitize(&envelope.time, 60)))?;
    Ok(Event {
        id: EventId::of(&[&envelope.source, &envelope.id]),
        location: AccountRegion::new(&envelope.account, &envelope.region),
        // A CloudTrail event says itself when the call was made; an alarm, to the millisecond, when it changed.
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
        ("aws.secretsmanager", "Secret Label Updated") => Detail::SecretLabel(typed(detail, "a moved label")?),
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
            Detail::FunctionFailure(typed(detail, "the record of an invocation")?)
        }
        ("aws.events" | "aws.scheduler", "Scheduled Event") => Detail::Schedule,
        _ => return Err("no such source and detail-type is known here".to_owned()),
    })
}

impl Detail {
    /// The time that the detail itself states.
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

/// A value as a type, or a sentence that says what was expected and where.
pub(crate) fn typed<T: DeserializeOwned>(value: &Value, expected: &str) -> Result<T, String> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let location = error.path().to_string();
        format!("not {expected}: at `{location}`: {}", unquoted(&error.into_inner().to_string()))
    })
}

/// What a parser says, without the values that it quotes: they may be anything.
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

/// Part of an ARN by its number: 3 is the Region, 4 the account.
pub fn arn_part(arn: &str, number: usize) -> &str {
    if arn.starts_with("arn:") { arn.splitn(6, ':').nth(number).unwrap_or_default() } else { "" }
}

#[cfg(test)]
mod tests;
