//! Conditions and the dedup keys of their incidents.

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
    pub(super) const ALL: [Self; 9] = [
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
    pub(super) fn key(self, job: Option<i64>) -> String {
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
