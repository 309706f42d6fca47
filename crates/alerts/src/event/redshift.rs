//! Redshift's own events. Source: "Monitoring events for the Amazon Redshift Data API in Amazon EventBridge" and "Zero-ETL integration event
//! notifications with Amazon EventBridge" of the management guide; the detail of the latter from an event that was published elsewhere.

use serde::Deserialize;

/// How a statement ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum StatementState {
    /// It was stopped.
    Aborted,
    /// It failed.
    Failed,
    /// It is done.
    Finished,
}

/// A statement that ended.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Statement {
    /// How.
    pub state: StatementState,
    /// Its id, which DescribeStatement takes.
    pub statement_id: String,
    /// Its name, if it was given one.
    #[serde(default)]
    pub statement_name: Option<String>,
    /// Who ran it.
    #[serde(default)]
    pub principal: Option<String>,
}

/// Something about an integration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Integration {
    /// `Info`, `Warning` or `Error`, in any letter case.
    pub severity: String,
    /// What happened, in Redshift's words.
    #[serde(default)]
    pub event_description: Option<String>,
    /// Such as `ACTIVE`, `SYNCING`, `FAILED`, `NEEDS_ATTENTION`.
    #[serde(default)]
    pub integration_status: Option<String>,
    /// Where the data comes from.
    #[serde(default)]
    pub source_arn: Option<String>,
    /// Where it goes.
    #[serde(default)]
    pub destination_arn: Option<String>,
}
