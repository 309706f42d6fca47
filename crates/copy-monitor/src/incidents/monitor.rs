//! Incidents about the monitor: it cannot see something, so silence proves nothing.

use std::time::Duration;

use alerts::incident::Incident;
use alerts::kind::{Kind, Severity};
use lambda_kit::moment::Moment;
use warehouse::target::Target;

use super::condition::Condition;
use super::subject::{about, all_jobs, bucket_owner, job_name};
use crate::commands;
use crate::settings::Watched;
use crate::state::JobState;

/// A grace period that is over in the next run.
const SECOND_RUN: Duration = Duration::from_secs(1);

pub(super) const OBJECTS_NOT_CHECKED: &str = "The monitor does not find objects of this job that are never loaded or that are overwritten after their load.";

/// The reader may not see the rows of other users.
pub(crate) fn access_restricted(
    watched: &Watched,
    user: Option<&str>,
    access: &str,
    since: Moment,
) -> Incident {
    let access = if access.is_empty() { "not shown" } else { access };
    let key = Condition::AccessRestricted.key(None);
    about(watched, Kind::CopyMonitorFailed, Severity::Error, &all_jobs(watched), &key, since)
        .what(&format!(
            "The monitor's user may not see the rows of other users in Redshift's views (SYSLOG ACCESS: {access})."
        ))
        .impact(
            "The monitor does not find rejected files. Until this is resolved, the absence of alerts does not mean that the jobs are healthy.",
        )
        .action("As a superuser, give the user access:", commands::allow_reading(watched, user))
}

/// A run could not read the views. An alert is sent if the next run cannot read them either,
/// because a single failure may be a throttled call.
pub(crate) fn views_unreadable(
    watched: &Watched,
    message: &str,
    batch: Option<&str>,
    since: Moment,
) -> Incident {
    let key = Condition::ViewsUnreadable.key(None);
    // The Data API has no error code of its own for a paused cluster.
    let is_paused = message.to_lowercase().contains("paused");
    let action = match (&watched.target, is_paused) {
        (Target::Cluster(_), true) => "A paused cluster loads nothing. Resume it:",
        _ => "Read Redshift's error and fix its cause:",
    };
    about(watched, Kind::CopyMonitorFailed, Severity::Error, &all_jobs(watched), &key, since)
        .grace(SECOND_RUN)
        .what(&format!(
            "The monitor could not read the system views of {} in at least two runs in a row.",
            watched.target
        ))
        .impact("The monitor does not find rejected files. It finds them when it can read the views again.")
        .cause(Some(message))
        .action(action, commands::repair_views(watched, batch, is_paused))
}

/// The monitor may not list a job's prefix. An alert is sent if the next run may not list it
/// either, because the bucket's policy may be changing.
pub(crate) fn listing_denied(
    watched: &Watched,
    id: i64,
    job: &JobState,
    message: &str,
    since: Moment,
) -> Incident {
    let subject = job_name(watched, &job.name);
    let bucket = job.bucket.as_deref().unwrap_or_default();
    let key = Condition::ListingDenied.key(Some(id));
    about(watched, Kind::CopyMonitorFailed, Severity::Error, &subject, &key, since)
        .grace(SECOND_RUN)
        .what(&format!("The monitor may not list the bucket {bucket} for {subject}."))
        .impact(OBJECTS_NOT_CHECKED)
        .cause(Some(message))
        .action(
            &format!(
                "Allow s3:ListBucket in the bucket's policy and in the function's role. To show the policy, {}:",
                bucket_owner(job)
            ),
            commands::show_policy(bucket),
        )
}

/// The monitor did not run for longer than the views keep their rows.
pub(crate) fn history_unknown(watched: &Watched, from: Moment, to: Moment) -> Incident {
    let subject = all_jobs(watched);
    let key = format!("gap:{}", from.micros());
    about(watched, Kind::CopyHistoryUnknown, Severity::Warning, &subject, &key, from)
        .what(&format!(
            "The monitor of {subject} did not run for longer than Redshift's views keep their rows. The load status of files from {from} to {to} is unknown."
        ))
        .impact("Files of that period may have been rejected without an alert.")
        .action(
            "List the files of that period that Redshift still shows, then compare them with the bucket:",
            commands::show_period(watched, from, to),
        )
}
