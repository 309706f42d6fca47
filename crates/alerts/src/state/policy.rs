//! How often to tell.

use std::time::Duration;

/// How often to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// After the first announcement, the time until the next one about the same incident; then four times as long, and so on.
    pub first_pause: Duration,
    /// The longest of those times.
    pub longest_pause: Duration,
    /// Announcements about one subject within [`Policy::window`]; what is more is held back and told as one.
    pub most_per_subject: u32,
    /// See [`Policy::most_per_subject`].
    pub window: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            first_pause: Duration::from_secs(15 * 60),
            longest_pause: Duration::from_secs(24 * 3600),
            most_per_subject: 12,
            window: Duration::from_secs(3600),
        }
    }
}

impl Policy {
    /// For what a check finds again and again as long as it lasts: told once more after a day, four days, and then weekly.
    pub fn of_lasting() -> Self {
        let day = Duration::from_secs(86_400);
        Self { first_pause: day, longest_pause: day * 7, ..Self::default() }
    }

    /// How many times longer each pause is than the one before.
    const GROWTH: u32 = 4;

    /// The time until the next announcement, after so many about the same incident.
    pub fn pause(&self, told: u32) -> Duration {
        let growth = Self::GROWTH.checked_pow(told.saturating_sub(1)).unwrap_or(u32::MAX);
        self.first_pause.saturating_mul(growth).min(self.longest_pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pauses_between_two_announcements_grow_up_to_a_day() {
        let policy = Policy::default();
        let minutes: Vec<u64> = [1, 2, 3, 4, 5, 400].map(|told| policy.pause(told).as_secs() / 60).into();
        assert_eq!(minutes, [15, 60, 240, 960, 1440, 1440]);
        let policy = Policy::of_lasting();
        let days: Vec<u64> = [1, 2, 3, 400].map(|told| policy.pause(told).as_secs() / 86_400).into();
        assert_eq!(days, [1, 4, 7, 7]);
    }
}
