//! Times, as milliseconds since 1970: what events, states and messages compare and print.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A moment, in whole milliseconds, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Moment(i64);

impl Moment {
    /// From milliseconds since 1970; what no calendar holds becomes the nearest that one does.
    pub fn from_millis(millis: i64) -> Self {
        Self(millis.clamp(Timestamp::MIN.as_millisecond(), Timestamp::MAX.as_millisecond()))
    }

    /// From the form that events carry (RFC 3339, also with another offset than `Z`).
    pub fn parse(text: &str) -> Option<Self> {
        text.parse::<Timestamp>().ok().map(|at| Self(at.as_millisecond()))
    }

    /// From the system's clock.
    pub fn from_system(at: SystemTime) -> Self {
        let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    /// Milliseconds since 1970.
    pub fn millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since 1970, rounded up: what DynamoDB's time to live is given in.
    pub fn seconds_up(self) -> i64 {
        self.0.div_euclid(1000) + i64::from(self.0.rem_euclid(1000) > 0)
    }

    /// Later by this much.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self::from_millis(self.0.saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    }

    /// The time from an earlier moment to this one; zero if that is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    fn timestamp(self) -> Timestamp {
        // from_millis and parse keep to what jiff can hold; a state that somebody edited by hand may not.
        Timestamp::from_millisecond(self.0).unwrap_or_default()
    }

    /// As programs read it: `2026-03-01T02:58:07Z`.
    pub fn rfc3339(self) -> String {
        self.timestamp().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }
}

/// As people read it: `2026-03-01 02:58:07 UTC`.
impl fmt::Display for Moment {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.timestamp().strftime("%Y-%m-%d %H:%M:%S UTC"))
    }
}

/// A time as people say it: `45 s`, `12 min`, `3 h 20 min`, `2 d 4 h`.
pub fn said(time: Duration) -> String {
    let seconds = time.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match () {
        () if seconds < 120 => format!("{seconds} s"),
        () if minutes < 120 => format!("{minutes} min"),
        () if hours < 48 && minutes % 60 == 0 => format!("{hours} h"),
        () if hours < 48 => format!("{hours} h {} min", minutes % 60),
        () if hours % 24 == 0 => format!("{days} d"),
        () => format!("{days} d {} h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_with_any_offset_and_printed_in_utc() {
        let at = Moment::parse("2026-03-01T03:58:07.250+01:00").unwrap();
        assert_eq!(
            (at.to_string(), at.rfc3339()),
            ("2026-03-01 02:58:07 UTC".into(), "2026-03-01T02:58:07Z".into())
        );
        assert_eq!((at.millis() % 1000, at.seconds_up() * 1000 - at.millis()), (250, 750));
        assert_eq!(Moment::parse("yesterday"), None);
        assert_eq!(Moment::from_millis(i64::MAX).rfc3339().len(), "9999-12-30T22:00:00Z".len());
    }

    #[test]
    fn times_are_said_in_the_two_units_that_matter() {
        for (seconds, text) in [
            (7, "7 s"),
            (119, "119 s"),
            (720, "12 min"),
            (12_000, "3 h 20 min"),
            (7200, "2 h"),
            (187_200, "2 d 4 h"),
            (172_800, "2 d"),
        ] {
            assert_eq!(said(Duration::from_secs(seconds)), text);
        }
    }
}
