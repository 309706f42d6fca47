//! The subjects of incidents: a file, a job, or all jobs of a warehouse.

use alerts::incident::{AccountRegion, Incident};
use alerts::kind::{Kind, Severity};
use lambda_kit::moment::Moment;

use crate::settings::Watched;

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
