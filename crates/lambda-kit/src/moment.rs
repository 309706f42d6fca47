//! Points in time. Events, statements, stored states and messages use this one type.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

/// Microseconds since 1970, UTC: as fine as Redshift's timestamps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Moment(i64);

impl Moment {
    /// 1970.
    pub const BEGINNING: Self = Self(0);

    /// Creates a moment from microseconds since 1970, clamped to the range of the calendar.
    pub fn from_micros(micros: i64) -> Self {
        Self(micros.clamp(Timestamp::MIN.as_microsecond(), Timestamp::MAX.as_microsecond()))
    }

    /// Creates a moment from milliseconds since 1970.
    pub fn from_millis(millis: i64) -> Self {
        Self::from_micros(millis.saturating_mul(1000))
    }

    /// Creates a moment from seconds since 1970.
    pub fn from_secs(secs: i64) -> Self {
        Self::from_micros(secs.saturating_mul(1_000_000))
    }

    /// Parses RFC 3339, with any offset, as events carry it.
    pub fn parse(text: &str) -> Option<Self> {
        text.parse::<Timestamp>().ok().map(|at| Self(at.as_microsecond()))
    }

    /// Parses `YYYY-MM-DD HH:MM:SS` with or without fractions, as `TO_CHAR` and Redshift print it.
    pub fn parse_sql(text: &str) -> Option<Self> {
        let time = DateTime::strptime("%Y-%m-%d %H:%M:%S%.f", text.trim()).ok()?;
        let at = time.to_zoned(TimeZone::UTC).ok()?.timestamp();
        Some(Self(at.as_microsecond()))
    }

    /// Converts from the type of the system's clock and of the SDK.
    pub fn from_system(at: SystemTime) -> Self {
        let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }

    /// Returns microseconds since 1970.
    pub fn micros(self) -> i64 {
        self.0
    }

    /// Returns whole milliseconds since 1970.
    pub fn millis(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Returns whole seconds since 1970.
    pub fn secs(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// Returns seconds since 1970, rounded up, as DynamoDB's time to live needs them.
    pub fn seconds_up(self) -> i64 {
        self.secs() + i64::from(self.0.rem_euclid(1_000_000) > 0)
    }

    /// Returns the moment later by this much.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self::from_micros(self.0.saturating_add(i64::try_from(by.as_micros()).unwrap_or(i64::MAX)))
    }

    /// Returns the moment earlier by this much, but not before 1970.
    #[must_use]
    pub fn minus(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(by.as_micros()).unwrap_or(i64::MAX)).max(0))
    }

    /// Returns the duration from an earlier moment to this one; zero if that one is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    fn timestamp(self) -> Timestamp {
        // Constructors clamp to the range of jiff; a deserialized value may be out of it.
        Timestamp::from_microsecond(self.0).unwrap_or_default()
    }

    /// Returns the form for programs: `2026-03-01T02:58:07Z`.
    pub fn rfc3339(self) -> String {
        self.timestamp().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }

    /// Returns the content of an SQL timestamp literal: `YYYY-MM-DD HH:MM:SS.ffffff`.
    pub fn sql(self) -> String {
        self.timestamp().strftime("%Y-%m-%d %H:%M:%S.%6f").to_string()
    }
}

/// Prints the form for people: `2026-03-01 02:58:07 UTC`.
impl fmt::Display for Moment {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.timestamp().strftime("%Y-%m-%d %H:%M:%S UTC"))
    }
}

impl From<SystemTime> for Moment {
    fn from(at: SystemTime) -> Self {
        Self::from_system(at)
    }
}

impl From<Moment> for SystemTime {
    fn from(moment: Moment) -> Self {
        UNIX_EPOCH + Duration::from_micros(u64::try_from(moment.0).unwrap_or(0))
    }
}

/// Formats a duration in the one or two units that matter: `45 s`, `12 min`, `3 h 20 min`, `2 d 4
/// h`.
pub fn format_duration(time: Duration) -> String {
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
    fn moment_is_read_with_any_offset_and_printed_in_utc() {
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
    fn duration_is_printed_in_one_or_two_units() {
        for (seconds, text) in [
            (7, "7 s"),
            (119, "119 s"),
            (720, "12 min"),
            (12_000, "3 h 20 min"),
            (7200, "2 h"),
            (187_200, "2 d 4 h"),
            (172_800, "2 d"),
        ] {
            assert_eq!(format_duration(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn sql_timestamp_reads_back_to_the_microsecond() {
        for text in ["2026-11-25 18:08:28.000001", "2026-02-28 23:59:59.999999", "1970-01-01 00:00:00.000000"]
        {
            assert_eq!(Moment::parse_sql(text).unwrap().sql(), text);
        }
        assert_eq!(Moment::parse_sql(" 2026-11-25 18:08:28 ").unwrap().rfc3339(), "2026-11-25T18:08:28Z");
        for wrong in ["", "2026-11-25", "yesterday noon", "2026-13-01 00:00:00"] {
            assert_eq!(Moment::parse_sql(wrong), None, "{wrong}");
        }
    }
}
