//! Backups and their copies.

use super::last_part;
use crate::command::Command;
use crate::event::{Backup, BackupCopy, Event, JobState};
use crate::incident::{Incident, IncidentKey};
use crate::kind::{Kind, Severity};
use crate::state::Observation;

/// Returns the result of a job that ended: success, or a severity and a phrase.
fn end(state: JobState, message: Option<&str>) -> Option<Result<(), (Severity, &'static str)>> {
    match state {
        JobState::Failed => Some(Err((Severity::Error, "failed"))),
        JobState::Aborted => Some(Err((Severity::Warning, "was stopped"))),
        JobState::Expired => {
            Some(Err((Severity::Error, "expired: it did not start, or did not end, within its window")))
        }
        JobState::Partial => Some(Err((Severity::Error, "is incomplete"))),
        JobState::Completed if message.is_some_and(|message| !message.is_empty()) => {
            Some(Err((Severity::Warning, "completed with issues")))
        }
        JobState::Completed => Some(Ok(())),
        JobState::Created | JobState::Pending | JobState::Running | JobState::Aborting => None,
    }
}

pub(super) fn job(event: &Event, job: &Backup) -> Vec<Observation> {
    let message = job.status_message.as_deref();
    let (severity, happened) = match end(job.state, message) {
        None => return Vec::new(),
        Some(Ok(())) => {
            let key = IncidentKey::new(Kind::BackupFailed, &event.location, &job.resource_arn, None);
            return vec![Observation::resolved(
                key,
                "a later backup completed",
                event.id.clone(),
                event.time,
            )];
        }
        Some(Err(problem)) => problem,
    };
    let kind = job.resource_type.as_deref().unwrap_or("resource");
    let name = format!("{kind} {}", last_part(&job.resource_arn));
    let incident =
        Incident::new(Kind::BackupFailed, severity, event.location.clone(), &job.resource_arn, &name, event.time)
            .what(&format!("The backup job {} to the vault {} {happened}.", job.backup_job_id, job.backup_vault_name))
            .impact("The latest usable recovery point is the previous one. A restore would lose all changes since then.")
            .cause(message)
            .action(
                "Fix the cause, then start a backup now instead of waiting for the next window (see the runbook). Details of the job:",
                Command::aws("backup", "describe-backup-job")
                    .option("backup-job-id", &job.backup_job_id)
                    .option("region", &event.location.region),
            );
    vec![Observation::firing(incident, event.id.clone())]
}

pub(super) fn copy(event: &Event, copy: &BackupCopy) -> Vec<Observation> {
    let message = copy.status_message.as_deref();
    let (source, destination) =
        (copy.source_backup_vault_arn.as_str(), copy.destination_backup_vault_arn.as_str());
    let subject = copy.resource_arn.as_deref().unwrap_or(source);
    let (severity, happened) = match end(copy.state, message) {
        None => return Vec::new(),
        Some(Ok(())) => {
            let key = IncidentKey::new(Kind::BackupCopyFailed, &event.location, subject, Some(destination));
            return vec![Observation::resolved(key, "a later copy completed", event.id.clone(), event.time)];
        }
        Some(Err(problem)) => problem,
    };
    let name = format!("{} to {}", last_part(subject), last_part(destination));
    let incident = Incident::new(Kind::BackupCopyFailed, severity, event.location.clone(), subject, &name, event.time)
        .what(&format!("The copy job {} from {source} to {destination} {happened}.", copy.copy_job_id))
        .impact("The other vault has no copy of the latest recovery point. If this account or Region is lost, the recovery point is lost, too.")
        .cause(message)
        .action(
            "Fix the cause, often a key policy or vault policy of the other account, then copy again (see the runbook). Details of the job:",
            Command::aws("backup", "describe-copy-job")
                .option("copy-job-id", &copy.copy_job_id)
                .option("region", &event.location.region),
        )
        .dedup_key(destination);
    vec![Observation::firing(incident, event.id.clone())]
}
