//! Backups. Source: "Monitoring AWS Backup events using EventBridge" of the AWS Backup developer guide.

use serde::Deserialize;

/// The state of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum JobState {
    /// Created.
    Created,
    /// Waiting.
    Pending,
    /// Running.
    Running,
    /// Being stopped.
    Aborting,
    /// Stopped.
    Aborted,
    /// Completed. With a message, the console shows it as completed with issues.
    Completed,
    /// Failed.
    Failed,
    /// It did not start within its window, or did not end in time.
    Expired,
    /// Some parts failed.
    Partial,
}

/// A backup job.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Backup {
    /// The job's id.
    pub backup_job_id: String,
    /// The vault's name.
    pub backup_vault_name: String,
    /// The ARN of the resource.
    pub resource_arn: String,
    /// The resource type, such as `RDS`.
    #[serde(default)]
    pub resource_type: Option<String>,
    /// The state, which some events name status.
    #[serde(alias = "status")]
    pub state: JobState,
    /// The status message.
    #[serde(default)]
    pub status_message: Option<String>,
}

/// A copy of a backup to another vault.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackupCopy {
    /// The job's id.
    pub copy_job_id: String,
    /// The source vault.
    pub source_backup_vault_arn: String,
    /// The destination vault.
    pub destination_backup_vault_arn: String,
    /// The ARN of the resource.
    #[serde(default)]
    pub resource_arn: Option<String>,
    /// The state, which some events name status.
    #[serde(alias = "status")]
    pub state: JobState,
    /// The status message.
    #[serde(default)]
    pub status_message: Option<String>,
}
