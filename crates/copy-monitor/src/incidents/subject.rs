//! The subjects of incidents: a file, a job, or all jobs of a warehouse.

use alerts::incident::{AccountRegion, Incident};
use alerts::kind::{Kind, Severity};
use lambda_kit::moment::Moment;

use crate::settings::Watched;
use crate::state::JobState;

/// Returns the name of a job in an alert.
pub(super) fn job_name(watched: &Watched, job: &str) -> String {
    let job = if job.is_empty() { "(unknown)" } else { job };
    format!("copy job {job} on {}", watched.target)
}

/// Returns the name of all jobs in an alert.
pub(super) fn all_jobs(watched: &Watched) -> String {
    format!("all copy jobs on {}", watched.target)
}

pub(super) fn account_region(watched: &Watched) -> AccountRegion {
    AccountRegion::new(&watched.account, &watched.region)
}

/// Returns the credentials that a command on the job's bucket needs, in words. The bucket is usually
/// in another account than the warehouse, which the alert names.
pub(super) fn bucket_owner(job: &JobState) -> String {
    match &job.bucket_account {
        Some(account) => format!("with credentials of the bucket's account ({account})"),
        None => "with credentials of the bucket's account".to_owned(),
    }
}

/// Returns the owner of a job that is not the kit's own, in words, before the command that shows it.
pub(super) fn of_owner(job: &JobState) -> String {
    match job.owner {
        Some(owner) => {
            format!("the job belongs to the database user with the id {owner}, whose name is shown by")
        }
        None => "the views do not show whose job it is; the jobs are shown by".to_owned(),
    }
}

/// Begins an incident about a job or about all of them.
pub(super) fn about(
    watched: &Watched,
    kind: Kind,
    severity: Severity,
    subject: &str,
    dedup_key: &str,
    since: Moment,
) -> Incident {
    let at = account_region(watched);
    Incident::new(kind, severity, at, subject, subject, since).dedup_key(dedup_key)
}
