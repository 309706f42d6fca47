//! The intervals and limits of notifications.

use std::time::Duration;

use super::LimitScope;
use crate::kind::Kind;

/// The intervals and limits of notifications.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The time between the first notification about an incident and its first repetition. Each
    /// further interval is four times as long.
    pub first_interval: Duration,
    /// The longest of these intervals.
    pub max_interval: Duration,
    /// The number of notifications of one kind about one subject or group within
    /// [`Policy::window`]. Further ones are suppressed and summarized.
    pub max_per_subject: u32,
    /// The number of notifications of one kind about one account within [`Policy::window`].
    pub max_per_account: u32,
    /// The length of the rate limit's window.
    pub window: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            first_interval: Duration::from_secs(15 * 60),
            max_interval: Duration::from_secs(24 * 3600),
            max_per_subject: 12,
            max_per_account: 60,
            window: Duration::from_secs(3600),
        }
    }
}

impl Policy {
    /// The factor between one interval and the next.
    const GROWTH: u32 = 4;
    /// The first and the longest interval of a condition: it is repeated after a day, after four more
    /// days, and then weekly.
    const CONDITION: (Duration, Duration) = (Duration::from_secs(86_400), Duration::from_secs(7 * 86_400));

    /// Returns the number of notifications within [`Policy::window`] after which a rate limit
    /// suppresses others.
    pub fn max_per_window(&self, scope: LimitScope) -> u32 {
        match scope {
            LimitScope::Subject => self.max_per_subject,
            LimitScope::Account => self.max_per_account,
        }
    }

    /// Returns the time until the next notification, after so many about the same incident.
    pub fn interval(&self, kind: Kind, notifications: u32) -> Duration {
        let growth = Self::GROWTH.checked_pow(notifications.saturating_sub(1)).unwrap_or(u32::MAX);
        let (first, max) =
            if kind.is_condition() { Self::CONDITION } else { (self.first_interval, self.max_interval) };
        first.saturating_mul(growth).min(max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interval_grows_up_to_a_day_or_a_week() {
        let policy = Policy::default();
        let minutes = |kind, notifications| policy.interval(kind, notifications).as_secs() / 60;
        assert_eq!(
            [1, 2, 3, 4, 5, 400].map(|notifications| minutes(Kind::RotationFailed, notifications)),
            [15, 60, 240, 960, 1440, 1440]
        );
        assert_eq!(
            [1, 2, 3, 400].map(|notifications| minutes(Kind::RotationDisabled, notifications) / 1440),
            [1, 4, 7, 7]
        );
    }
}
