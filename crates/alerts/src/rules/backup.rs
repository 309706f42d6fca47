//! Backups and their copies.

use super::last_part;
use crate::command::Command;
use crate::event::{Backup, BackupCopy, JobState, Event};
use crate::incident::{Incident, IncidentKey};
use crate::kind::{Kind, Severity};
use crate::state::Observation;

/// What a job's end means: nothing, good, or a severity and words for it.
fn end(state: JobState, message: Option<&str>) -> Option<Result<(), (Severity, &'static str)>> {
    match state {
        JobState::Failed => Some(Err((Severity::Error, "failed"))),
        JobState::Aborted => Some(Err((Severity::Warning, "was stopped"))),
        JobState::Expired => {
            Some(Err((Severity::Error, "expired: it did not begin, or did not end, within its window")))
        }
        JobState::Partial => Some(Err((Severity::Error, "was only partly done"))),
        JobState::Completed if message.is_some_and(|message| !message.is_empty()) => {
            Some(Err((Severity::Warning, "was completed with issues")))
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
            return vec![Observation::resolved(key, "a later backup is complete", event.id.clone(), event.time)];
        }
        Some(Err(problem)) => problem,
    };
    let kind = job.resource_type.as_deref().unwrap_or("resource");
    let name = format!("{kind} {}", last_part(&job.resource_arn));
    let incident =
        Incident::new(Kind::BackupFailed, severity, event.location.clone(), &job.resource_arn, &name, event.time)
            .what(&format!("The backup job {} to the vault {} {happened}.", job.backup_job_id, job.backup_vault_name))
            .impact("The newest usable recovery point is the one before. A restore would lose everything since then.")
            .cause(message)
            .action(
                "Mend the cause, then back up now instead of waiting for the next window (the runbook has the command). The job:",
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
            return vec![Observation::resolved(key, "a later copy is complete", event.id.clone(), event.time)];
        }
        Some(Err(problem)) => problem,
    };
    let name = format!("{} to {}", last_part(subject), last_part(destination));
    let incident = Incident::new(Kind::BackupCopyFailed, severity, event.location.clone(), subject, &name, event.time)
        .what(&format!("The copy job {} from {source} to {destination} {happened}.", copy.copy_job_id))
        .impact("The other vault has no copy of the newest recovery point. If this account or Region is lost, so is that point.")
        .cause(message)
        .action(
            "Mend the cause, often a key or vault policy of the other account, then copy again (runbook). The job:",
            Command::aws("backup", "describe-copy-job")
                .option("copy-job-id", &copy.copy_job_id)
                .option("region", &event.location.region),
        )
        .dedup_key(destination);
    vec![Observation::firing(incident, event.id.clone())]
}
