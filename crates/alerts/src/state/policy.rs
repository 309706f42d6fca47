//! How often to tell.

use std::time::Duration;

use crate::kind::Kind;

/// How often to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// After the first announcement, the time until the next one about the same incident; then four times as long, and so on.
    pub first_pause: Duration,
    /// The longest of those times.
    pub longest_pause: Duration,
    /// The same for what every check finds again as long as it lasts ([`Kind::lasts`]).
    pub first_pause_of_lasting: Duration,
    /// The longest of those.
    pub longest_pause_of_lasting: Duration,
    /// Announcements about one subject within [`Policy::window`]; what is more is held back and told as one.
    pub most_per_subject: u32,
    /// See [`Policy::most_per_subject`].
    pub window: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        let day = Duration::from_secs(86_400);
        Self {
            first_pause: Duration::from_secs(15 * 60),
            longest_pause: day,
            first_pause_of_lasting: day,
            longest_pause_of_lasting: day * 7,
            most_per_subject: 12,
            window: Duration::from_secs(3600),
        }
    }
}

impl Policy {
    /// How many times longer each pause is than the one before.
    const GROWTH: u32 = 4;

    /// The time until the next announcement, after so many about the same incident. It depends on the kind alone: whoever looks after the incident, its own
    /// check or the schedule that looks after all, comes to the same.
    pub fn pause(&self, kind: Kind, told: u32) -> Duration {
        let (first, longest) = if kind.lasts() {
            (self.first_pause_of_lasting, self.longest_pause_of_lasting)
        } else {
            (self.first_pause, self.longest_pause)
        };
        let growth = Self::GROWTH.checked_pow(told.saturating_sub(1)).unwrap_or(u32::MAX);
        first.saturating_mul(growth).min(longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pauses_between_two_announcements_grow_up_to_a_day_and_up_to_a_week_for_what_every_check_finds_again()
     {
        let policy = Policy::default();
        let seconds = |kind, told| policy.pause(kind, told).as_secs();
        let minutes = [1, 2, 3, 4, 5, 400].map(|told| seconds(Kind::RotationFailed, told) / 60);
        assert_eq!(minutes, [15, 60, 240, 960, 1440, 1440]);
        let days = [1, 2, 3, 400].map(|told| seconds(Kind::RotationOverdue, told) / 86_400);
        assert_eq!(days, [1, 4, 7, 7]);
    }
}
