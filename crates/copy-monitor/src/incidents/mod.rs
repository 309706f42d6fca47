//! The incidents that the monitor finds, one function for each, with the alert's whole text.
//!
//! An incident is about one file, about one job, or about the monitor. All files of a job share one
//! rate limit: the first rejected files of ten thousand have an alert each, with line and command,
//! and the rest is one summary. The job itself has its own limit, so that many rejected files never
//! hide that the job is inactive.
//!
//! The dedup key distinguishes incidents of one kind about one subject. Conditions, which every run
//! finds again until they are over, have keys that begin with their name; [`Condition::resolution`]
//! says what ended them.

mod file;
mod job;
mod monitor;

use alerts::incident::{AccountRegion, Incident};
use alerts::kind::{Kind, Severity};
use lambda_kit::moment::Moment;
use sha2::{Digest, Sha256};

use crate::settings::Watched;

pub(crate) use file::{
    LOADED_MANUALLY, never_loaded, overwritten, rejected, rejected_id, rejected_key, unknown,
};
pub(crate) use job::{
    JOB_GONE, auto_off, files_waiting, gone, integration_inactive, integration_missing, location_unknown, stale,
};
pub(crate) use monitor::{access_restricted, history_unknown, listing_denied, views_unreadable};

/// A condition: a problem that every run finds again until it is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Condition {
    IntegrationInactive,
    IntegrationMissing,
    AutoOff,
    LocationUnknown,
    FilesWaiting,
    Stale,
    AccessRestricted,
    ViewsUnreadable,
    ListingDenied,
}

impl Condition {
    const ALL: [Self; 9] = [
        Self::IntegrationInactive,
        Self::IntegrationMissing,
        Self::AutoOff,
        Self::LocationUnknown,
        Self::FilesWaiting,
        Self::Stale,
        Self::AccessRestricted,
        Self::ViewsUnreadable,
        Self::ListingDenied,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::IntegrationInactive => "integration-inactive",
            Self::IntegrationMissing => "integration-missing",
            Self::AutoOff => "auto-off",
            Self::LocationUnknown => "location-unknown",
            Self::FilesWaiting => "files-waiting",
            Self::Stale => "stale",
            Self::AccessRestricted => "access-restricted",
            Self::ViewsUnreadable => "views-unreadable",
            Self::ListingDenied => "listing-denied",
        }
    }

    /// Returns the dedup key of the condition, of one job or of the monitor.
    fn key(self, job: Option<i64>) -> String {
        match job {
            Some(job) => format!("{}:{job}", self.name()),
            None => self.name().to_owned(),
        }
    }

    /// Reads a dedup key: the condition and the job.
    pub(crate) fn parse(key: &str) -> Option<(Self, Option<i64>)> {
        let (name, job) = match key.split_once(':') {
            Some((name, job)) => (name, Some(job.parse().ok()?)),
            None => (key, None),
        };
        Some((Self::ALL.into_iter().find(|condition| condition.name() == name)?, job))
    }

    /// Returns the resolution: the text that says what ended the condition.
    pub(crate) fn resolution(self) -> &'static str {
        match self {
            Self::IntegrationInactive | Self::IntegrationMissing => "the integration is established again",
            Self::AutoOff => "AUTO is on again, or the job is set to Manual",
            Self::LocationUnknown => "the job's bucket and prefix are known",
            Self::FilesWaiting => "no file has waited for longer than the grace period",
            Self::Stale => "the newest objects are loaded",
            Self::AccessRestricted => "the monitor's user sees the rows of all users again",
            Self::ViewsUnreadable => "the system views can be read again",
            Self::ListingDenied => "the bucket can be listed again",
        }
    }
}

/// Returns the identifier of something that has these parts: 32 hexadecimal digits.
pub(crate) fn digest(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        // The length keeps ("ab", "c") and ("a", "bc") apart.
        hash.update(part.len().to_be_bytes());
        hash.update(part.as_bytes());
    }
    hex::encode(&hash.finalize()[..16])
}

/// Returns the name of a job in an alert.
fn job_name(watched: &Watched, job: &str) -> String {
    let job = if job.is_empty() { "(unknown)" } else { job };
    format!("copy job {job} on {}", watched.target)
}

/// Returns the name of all jobs in an alert.
fn all_jobs(watched: &Watched) -> String {
    format!("all copy jobs on {}", watched.target)
}

fn account_region(watched: &Watched) -> AccountRegion {
    AccountRegion::new(&watched.account, &watched.region)
}

/// Begins an incident about a job or about all of them.
fn about(
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

#[cfg(test)]
mod tests;
