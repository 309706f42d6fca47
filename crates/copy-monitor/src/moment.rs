//! Points in time as Redshift's timestamps have them: UTC, microseconds.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use serde::{Deserialize, Serialize};

/// Microseconds since 1970, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Moment(i64);

impl Moment {
    /// 1970: before anything that a view can hold.
    pub const BEGINNING: Self = Self(0);

    /// From microseconds since 1970.
    pub fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// From seconds since 1970.
    pub fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1_000_000))
    }

    /// Microseconds since 1970.
    pub fn micros(self) -> i64 {
        self.0
    }

    /// Whole seconds since 1970.
    pub fn secs(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// This much later.
    pub fn plus(self, time: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(time.as_micros()).unwrap_or(i64::MAX)))
    }

    /// This much earlier, at most back to 1970.
    pub fn minus(self, time: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(time.as_micros()).unwrap_or(i64::MAX)).max(0))
    }

    /// The time from an earlier moment to this one; zero if it is not earlier.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Reads `YYYY-MM-DD HH:MM:SS` with or without fractions, as `TO_CHAR` and Redshift print timestamps.
    pub fn parse(text: &str) -> Option<Self> {
        let (date, time) = text.trim().split_once(' ')?;
        let parsed = DateTime::from_str(&format!("{date}T{time}Z"), Format::DateTime).ok()?;
        i64::try_from(parsed.as_nanos().div_euclid(1000)).ok().map(Self)
    }

    /// `YYYY-MM-DD HH:MM:SS.ffffff`, as a timestamp literal of SQL holds it.
    pub fn sql(self) -> String {
        let whole = self.text_of(self.secs());
        let text = whole.trim_end_matches('Z').replace('T', " ");
        format!("{text}.{:06}", self.0.rem_euclid(1_000_000))
    }

    fn text_of(self, secs: i64) -> String {
        // Every i64 of microseconds is within the years that the format takes.
        DateTime::from_secs(secs).fmt(Format::DateTime).unwrap_or_default()
    }
}

impl fmt::Display for Moment {
    /// RFC 3339, whole seconds: for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text_of(self.secs()))
    }
}

impl From<SystemTime> for Moment {
    fn from(time: SystemTime) -> Self {
        let micros = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
        Self(i64::try_from(micros).unwrap_or(i64::MAX))
    }
}

impl From<Moment> for SystemTime {
    fn from(moment: Moment) -> Self {
        UNIX_EPOCH + Duration::from_micros(u64::try_from(moment.0).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_of_sql_reads_back_to_the_microsecond() {
        for text in ["2026-11-25 18:08:28.000001", "2026-02-28 23:59:59.999999", "1970-01-01 00:00:00.000000"]
        {
            assert_eq!(Moment::parse(text).unwrap().sql(), text);
        }
        assert_eq!(Moment::parse(" 2026-11-25 18:08:28 ").unwrap().to_string(), "2026-11-25T18:08:28Z");
        for wrong in ["", "2026-11-25", "yesterday noon", "2026-13-01 00:00:00"] {
            assert_eq!(Moment::parse(wrong), None, "{wrong}");
        }
    }
}
