//! Redshift's events. Source: "Monitoring events for the Amazon Redshift Data API in Amazon EventBridge"
//! and "Zero-ETL integration event notifications with Amazon EventBridge" of the management guide; the
//! detail of the latter is from a published example.

use serde::Deserialize;

/// The final state of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum StatementState {
    /// Aborted.
    Aborted,
    /// Failed.
    Failed,
    /// Finished.
    Finished,
}

/// The end of a statement.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Statement {
    /// The final state.
    pub state: StatementState,
    /// The id for DescribeStatement.
    pub statement_id: String,
    /// The statement's name, if it has one.
    #[serde(default)]
    pub statement_name: Option<String>,
    /// The principal that ran it.
    #[serde(default)]
    pub principal: Option<String>,
}

/// An event about an integration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Integration {
    /// The severity: `Info`, `Warning` or `Error`, in any letter case.
    pub severity: String,
    /// Redshift's description.
    #[serde(default)]
    pub event_description: Option<String>,
    /// The status, such as `ACTIVE`, `SYNCING`, `FAILED`, `NEEDS_ATTENTION`.
    #[serde(default)]
    pub integration_status: Option<String>,
    /// The source.
    #[serde(default)]
    pub source_arn: Option<String>,
    /// The target.
    #[serde(default)]
    pub destination_arn: Option<String>,
}
