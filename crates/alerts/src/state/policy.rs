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
    }
}
