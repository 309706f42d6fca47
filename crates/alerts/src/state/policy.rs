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
    /// Of what a check finds again and again: told once more after a day, four days, and then weekly.
    const LASTING: (Duration, Duration) = (Duration::from_secs(86_400), Duration::from_secs(7 * 86_400));

    /// The time until the next announcement, after so many about the same incident of this kind.
    pub fn pause(&self, kind: Kind, told: u32) -> Duration {
        let growth = Self::GROWTH.checked_pow(told.saturating_sub(1)).unwrap_or(u32::MAX);
        let (first, longest) =
            if kind.lasts() { Self::LASTING } else { (self.first_pause, self.longest_pause) };
        first.saturating_mul(growth).min(longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pauses_between_two_announcements_grow_up_to_a_day_or_a_week() {
        let policy = Policy::default();
        let pause = |kind, told| policy.pause(kind, told).as_secs() / 60;
        assert_eq!(
            [1, 2, 3, 4, 5, 400].map(|told| pause(Kind::RotationFailed, told)),
            [15, 60, 240, 960, 1440, 1440]
        );
        assert_eq!([1, 2, 3, 400].map(|told| pause(Kind::RotationOff, told) / 1440), [1, 4, 7, 7]);
    }
}
