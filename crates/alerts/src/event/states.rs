//! Executions. Source: "Step Functions Execution Status Change" of the Step Functions developer guide.

use serde::Deserialize;

/// The status of an execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ExecutionStatus {
    /// It began, or began again.
    Running,
    /// It ended well.
    Succeeded,
    /// It failed.
    Failed,
    /// It took longer than it may.
    TimedOut,
    /// Somebody stopped it.
    Aborted,
    /// It is about to begin again where it failed.
    PendingRedrive,
}

/// An execution that changed its status. Input and output are not read: they may hold anything.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Execution {
    /// Its ARN.
    pub execution_arn: String,
    /// ARN of the state machine.
    pub state_machine_arn: String,
    /// The status.
    pub status: ExecutionStatus,
    /// When it ended, in milliseconds since 1970.
    #[serde(default)]
    pub stop_date: Option<i64>,
    /// The name of the error.
    #[serde(default)]
    pub error: Option<String>,
    /// What the failing state says.
    #[serde(default)]
    pub cause: Option<String>,
}
