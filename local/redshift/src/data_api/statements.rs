//! Statements and their outcomes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio_postgres::CancelToken;

use super::fields::ResultSet;

/// Every statement since the start, with the tokens that name them.
#[derive(Debug, Default)]
pub struct Statements {
    pub(super) by_id: HashMap<String, Statement>,
    pub(super) tokens: HashMap<(String, String), (Value, String)>,
}

/// Status of a statement [M: redshift-data].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Submitted,
    Started,
    Finished,
    Failed,
    Aborted,
}

impl Status {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Submitted => "SUBMITTED",
            Self::Started => "STARTED",
            Self::Finished => "FINISHED",
            Self::Failed => "FAILED",
            Self::Aborted => "ABORTED",
        }
    }

    pub(super) fn is_final(self) -> bool {
        matches!(self, Self::Finished | Self::Failed | Self::Aborted)
    }
}

/// One SQL text: a statement of its own or a part of a batch.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) sql: String,
    pub(super) status: Status,
    pub(super) error: Option<String>,
    pub(super) result: Option<Arc<ResultSet>>,
    pub(super) rows: i64,
    pub(super) query_id: i64,
    pub(super) duration: Duration,
    pub(super) updated: Timestamp,
}

impl Part {
    pub(super) fn new(sql: String) -> Self {
        Self {
            sql,
            status: Status::Submitted,
            error: None,
            result: None,
            rows: -1,
            query_id: 0,
            duration: Duration::ZERO,
            updated: Timestamp::now(),
        }
    }
}

/// A statement or a batch.
pub(super) struct Statement {
    pub(super) id: String,
    /// Role, user or root that owns it.
    pub(super) owner: String,
    /// ARN of the session that ran it.
    pub(super) principal: String,
    pub(super) account: String,
    pub(super) region: String,
    /// The request, for the fields that responses repeat.
    pub(super) input: Value,
    pub(super) db_user: String,
    pub(super) is_batch: bool,
    pub(super) parts: Vec<Part>,
    pub(super) status: Status,
    pub(super) error: Option<String>,
    pub(super) created: Timestamp,
    pub(super) updated: Timestamp,
    pub(super) started: Instant,
    pub(super) duration: Duration,
    pub(super) pid: i32,
    pub(super) cancel: Option<CancelToken>,
    pub(super) cancelled: bool,
    /// Wakes the waiters when the statement ends.
    pub(super) ended: Arc<tokio::sync::Notify>,
    /// ARN of the cluster or workgroup, for the event.
    pub(super) resource: String,
}

impl std::fmt::Debug for Statement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // SQL may hold secrets.
        f.debug_struct("Statement")
            .field("id", &self.id)
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

pub(super) fn seconds(time: Timestamp) -> f64 {
    // Milliseconds fit a double's mantissa for the next 285,000 years.
    #[expect(clippy::cast_precision_loss)]
    let milliseconds = time.as_millisecond() as f64;
    milliseconds / 1000.0
}

fn nanoseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

impl Statement {
    /// The fields of a request that every response repeats.
    pub(super) fn repeated(&self) -> serde_json::Map<String, Value> {
        let mut map = serde_json::Map::new();
        for name in ["ClusterIdentifier", "WorkgroupName", "Database", "SecretArn"] {
            if let Some(value) = self.input.get(name) {
                map.insert(name.to_owned(), value.clone());
            }
        }
        map.insert("Id".to_owned(), json!(self.id));
        map.insert("CreatedAt".to_owned(), json!(seconds(self.created)));
        map.insert("DbUser".to_owned(), json!(self.db_user));
        map
    }

    pub(super) fn describe(&self) -> Value {
        let mut map = self.repeated();
        map.insert("Status".into(), json!(self.status.as_str()));
        map.insert("UpdatedAt".into(), json!(seconds(self.updated)));
        map.insert("Duration".into(), json!(nanoseconds(self.duration)));
        map.insert("RedshiftPid".into(), json!(self.pid));
        map.insert("ResultFormat".into(), json!("JSON"));
        if let Some(error) = &self.error {
            map.insert("Error".into(), json!(error));
        }
        if let Some(parameters) = self.input.get("Parameters") {
            map.insert("QueryParameters".into(), parameters.clone());
        }
        if self.is_batch {
            map.insert("HasResultSet".into(), json!(self.parts.iter().any(|part| part.result.is_some())));
            map.insert("RedshiftQueryId".into(), json!(0));
            map.insert("ResultRows".into(), json!(-1));
            map.insert("ResultSize".into(), json!(-1));
            let parts = self.parts.iter().enumerate();
            let parts: Vec<Value> =
                parts.map(|(number, part)| self.describe_part(number + 1, part)).collect();
            map.insert("SubStatements".into(), json!(parts));
        } else if let Some(part) = self.parts.first() {
            map.extend(outcome(part));
        }
        Value::Object(map)
    }

    pub(super) fn describe_part(&self, number: usize, part: &Part) -> Value {
        let mut map = outcome(part);
        map.insert("Id".into(), json!(format!("{}:{number}", self.id)));
        map.insert("Status".into(), json!(part.status.as_str()));
        map.insert("CreatedAt".into(), json!(seconds(self.created)));
        map.insert("UpdatedAt".into(), json!(seconds(part.updated)));
        map.insert("Duration".into(), json!(nanoseconds(part.duration)));
        if let Some(error) = &part.error {
            map.insert("Error".into(), json!(error));
        }
        Value::Object(map)
    }
}

fn outcome(part: &Part) -> serde_json::Map<String, Value> {
    let size = part.result.as_ref().map_or(-1, |result| result.size);
    let Value::Object(map) = json!({
        "QueryString": part.sql, "HasResultSet": part.result.is_some(), "ResultRows": part.rows,
        "ResultSize": size, "RedshiftQueryId": part.query_id,
    }) else {
        return serde_json::Map::new();
    };
    map
}
