//! Incidents about a job.

use std::time::Duration;

use alerts::incident::Incident;
use alerts::kind::{Kind, Severity};
use lambda_kit::moment::{Moment, format_duration};

use super::condition::Condition;
use super::subject::{about, job_name, of_owner};
use crate::commands;
use crate::settings::Watched;
use crate::state::JobState;
use crate::views::Counts;

fn inactive(watched: &Watched, job: &JobState, dedup_key: &str, since: Moment) -> Incident {
    let subject = job_name(watched, &job.name);
    about(watched, Kind::CopyJobInactive, Severity::Error, &subject, dedup_key, since)
}

/// Redshift shows the job's integration as inactive.
pub(crate) fn integration_inactive(
    watched: &Watched,
    id: i64,
    job: &JobState,
    state: &str,
    since: Moment,
) -> Incident {
    inactive(watched, job, &Condition::IntegrationInactive.key(Some(id)), since)
        .what(&format!("Redshift shows the integration of {} as {state}.", job_name(watched, &job.name)))
        .impact("New files in the bucket are not loaded.")
        .action(
            "Read the errors of the integration and fix their cause:",
            commands::show_integrations(watched),
        )
}

/// No established integration delivers events to the job. A new integration is pending for a while,
/// so this has a grace period.
pub(crate) fn integration_missing(
    watched: &Watched,
    id: i64,
    job: &JobState,
    grace: Duration,
    since: Moment,
) -> Incident {
    inactive(watched, job, &Condition::IntegrationMissing.key(Some(id)), since)
        .grace(grace)
        .what(&format!("No established integration delivers events to {}.", job_name(watched, &job.name)))
        .impact("Redshift does not notice new files in the bucket, so they are not loaded.")
        .action(
            "Find the integration. If it is gone, deploy the source stack again:",
            commands::show_integrations(watched),
        )
}

/// Returns an action whose command runs as the owner of the job, or shows who that is.
fn by_owner(job: &JobState, action: &str) -> String {
    match job.login {
        Some(_) => format!("{action}:"),
        None => format!("{action}, as its owner; {}:", of_owner(job)),
    }
}

/// AUTO is off, and the job is not set to Manual.
pub(crate) fn auto_off(watched: &Watched, id: i64, job: &JobState, since: Moment) -> Incident {
    inactive(watched, job, &Condition::AutoOff.key(Some(id)), since)
        .what(&format!("AUTO is off for {}.", job_name(watched, &job.name)))
        .impact("New files in the bucket wait until somebody runs the job.")
        .action(
            &by_owner(job, "Turn AUTO on, or set Manual for this job in the monitor's JOB_SETTINGS"),
            commands::turn_auto_on(watched, job),
        )
}

/// The resolution of the conditions of a job that no longer exists.
pub(crate) const JOB_GONE: &str = "the job no longer exists";

/// The job no longer exists: somebody dropped it, usually by deleting its stack, so this is no error.
/// It is an event, not a condition: nothing says that it is over.
pub(crate) fn gone(watched: &Watched, id: i64, job: &JobState, since: Moment) -> Incident {
    let (subject, key) = (job_name(watched, &job.name), format!("gone:{id}"));
    about(watched, Kind::CopyJobGone, Severity::Warning, &subject, &key, since)
        .what(&format!("Redshift no longer shows {subject}."))
        .impact("New files in the bucket are not loaded. Rows that the job has loaded stay in the table.")
        .action(
            "If its stack was deleted on purpose, do nothing. Otherwise list the jobs and deploy the stack again:",
            commands::show_jobs(watched),
        )
}

/// Files have waited for the job for longer than the grace period.
pub(crate) fn files_waiting(
    watched: &Watched,
    id: i64,
    job: &JobState,
    counts: &Counts,
    oldest: Moment,
    since: Moment,
) -> Incident {
    let subject = job_name(watched, &job.name);
    let files = match counts.waiting {
        1 => "1 file waits".to_owned(),
        files => format!("{files} files wait"),
    };
    let key = Condition::FilesWaiting.key(Some(id));
    about(watched, Kind::CopyDelayed, Severity::Warning, &subject, &key, since)
        .what(&format!("{files} for {subject}, the oldest since {oldest}."))
        .impact("The rows of these files are not in the table yet.")
        .action(
            &by_owner(job, "Check that the warehouse runs and that its queue is not full. To load the files now, run the job"),
            commands::run_job(watched, job),
        )
}

/// The newest objects have waited for longer than the job's freshness limit.
pub(crate) fn stale(watched: &Watched, id: i64, job: &JobState, limit: Duration, since: Moment) -> Incident {
    let subject = job_name(watched, &job.name);
    let loaded = match job.newest_loaded {
        Some(loaded) => format!("The newest loaded object was written at {loaded}."),
        None => "No object has ever been loaded.".to_owned(),
    };
    let key = Condition::Stale.key(Some(id));
    about(watched, Kind::CopyDelayed, Severity::Error, &subject, &key, since)
        .what(&format!(
            "Objects for {subject} have waited for longer than the limit of {}. The newest object was written at {}. {loaded}",
            format_duration(limit),
            job.newest_seen.unwrap_or(since),
        ))
        .impact("Readers of the table see old data.")
        .action("Show the load status of the job's newest files:", commands::show_files(watched, id))
}

/// The job's text does not show its bucket and prefix.
pub(crate) fn location_unknown(watched: &Watched, id: i64, job: &JobState, since: Moment) -> Incident {
    let subject = job_name(watched, &job.name);
    let key = Condition::LocationUnknown.key(Some(id));
    about(watched, Kind::CopyMonitorFailed, Severity::Warning, &subject, &key, since)
        .what(&format!("The parameters of {subject} do not show which bucket and prefix it reads."))
        .impact(super::monitor::OBJECTS_NOT_CHECKED)
        .action(
            "Set Bucket and Prefix of this job in the monitor's JOB_SETTINGS. The job's parameters:",
            commands::show_job_texts(watched),
        )
}
