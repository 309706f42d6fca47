//! Backups. Source: "Monitoring AWS Backup events using EventBridge" of the AWS Backup developer guide.

use serde::Deserialize;

/// The state of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum JobState {
    /// It was made.
    Created,
    /// It waits.
    Pending,
    /// It runs.
    Running,
    /// It is being stopped.
    Aborting,
    /// It was stopped.
    Aborted,
    /// It is done. With a message it is what the console calls completed with issues.
    Completed,
    /// It failed.
    Failed,
    /// It did not begin within its window, or did not end within its time.
    Expired,
    /// Parts of it failed.
    Partial,
}

/// A backup job.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Backup {
    /// Its id.
    pub backup_job_id: String,
    /// The vault.
    pub backup_vault_name: String,
    /// What is backed up.
    pub resource_arn: String,
    /// Its type, such as `RDS`.
    #[serde(default)]
    pub resource_type: Option<String>,
    /// Its state: some events call it status.
    #[serde(alias = "status")]
    pub state: JobState,
    /// What there is to say about it.
    #[serde(default)]
    pub status_message: Option<String>,
}

/// A copy of a backup to another vault.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackupCopy {
    /// Its id.
    pub copy_job_id: String,
    /// From here.
    pub source_backup_vault_arn: String,
    /// To there.
    pub destination_backup_vault_arn: String,
    /// What is backed up.
    #[serde(default)]
    pub resource_arn: Option<String>,
    /// Its state: some events call it status.
    #[serde(alias = "status")]
    pub state: JobState,
    /// What there is to say about it.
    #[serde(default)]
    pub status_message: Option<String>,
}
