//! Backups and their copies.

use super::last_part;
use crate::command::Command;
use crate::event::{Backup, BackupCopy, JobState, Known};
use crate::incident::{Incident, Key};
use crate::kind::{Kind, Severity};
use crate::state::Signal;

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

pub(super) fn job(known: &Known, job: &Backup) -> Vec<Signal> {
    let message = job.status_message.as_deref();
    let (severity, happened) = match end(job.state, message) {
        None => return Vec::new(),
        Some(Ok(())) => {
            let key = Key::new(Kind::BackupFailed, &known.place, &job.resource_arn, None);
            return vec![Signal::cleared(key, "a later backup is complete", known.id.clone(), known.time)];
        }
        Some(Err(problem)) => problem,
    };
    let kind = job.resource_type.as_deref().unwrap_or("resource");
    let name = format!("{kind} {}", last_part(&job.resource_arn));
    let incident =
        Incident::new(Kind::BackupFailed, severity, known.place.clone(), &job.resource_arn, &name, known.time)
            .what(&format!("The backup job {} to the vault {} {happened}.", job.backup_job_id, job.backup_vault_name))
            .impact("The newest usable recovery point is the one before. A restore would lose everything since then.")
            .cause(message)
            .remedy(
                "Mend the cause, then back up now instead of waiting for the next window (the runbook has the command). The job:",
                Command::aws("backup", "describe-backup-job")
                    .option("backup-job-id", &job.backup_job_id)
                    .option("region", &known.place.region),
            );
    vec![Signal::raised(incident, known.id.clone())]
}

pub(super) fn copy(known: &Known, copy: &BackupCopy) -> Vec<Signal> {
    let message = copy.status_message.as_deref();
    let (source, destination) =
        (copy.source_backup_vault_arn.as_str(), copy.destination_backup_vault_arn.as_str());
    let subject = copy.resource_arn.as_deref().unwrap_or(source);
    let (severity, happened) = match end(copy.state, message) {
        None => return Vec::new(),
        Some(Ok(())) => {
            let key = Key::new(Kind::BackupCopyFailed, &known.place, subject, Some(destination));
            return vec![Signal::cleared(key, "a later copy is complete", known.id.clone(), known.time)];
        }
        Some(Err(problem)) => problem,
    };
    let name = format!("{} to {}", last_part(subject), last_part(destination));
    let incident = Incident::new(Kind::BackupCopyFailed, severity, known.place.clone(), subject, &name, known.time)
        .what(&format!("The copy job {} from {source} to {destination} {happened}.", copy.copy_job_id))
        .impact("The other vault has no copy of the newest recovery point. If this account or Region is lost, so is that point.")
        .cause(message)
        .remedy(
            "Mend the cause, often a key or vault policy of the other account, then copy again (runbook). The job:",
            Command::aws("backup", "describe-copy-job")
                .option("copy-job-id", &copy.copy_job_id)
                .option("region", &known.place.region),
        )
        .told_apart_by(destination);
    vec![Signal::raised(incident, known.id.clone())]
}
