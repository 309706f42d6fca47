//! Executions of state machines. Source: "Step Functions Execution Status Change" of the Step Functions
//! developer guide.

use serde::Deserialize;

/// The status of an execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ExecutionStatus {
    /// Started, or restarted.
    Running,
    /// Succeeded.
    Succeeded,
    /// Failed.
    Failed,
    /// Timed out.
    TimedOut,
    /// Aborted.
    Aborted,
    /// Waiting to be redriven from the failed state.
    PendingRedrive,
}

/// A status change of an execution. Input and output are not read: they may contain secrets.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Execution {
    /// The execution's ARN.
    pub execution_arn: String,
    /// The state machine's ARN.
    pub state_machine_arn: String,
    /// The status.
    pub status: ExecutionStatus,
    /// The time of its end, in milliseconds since 1970.
    #[serde(default)]
    pub stop_date: Option<i64>,
    /// The error's name.
    #[serde(default)]
    pub error: Option<String>,
    /// The cause that the failed state reports.
    #[serde(default)]
    pub cause: Option<String>,
}
