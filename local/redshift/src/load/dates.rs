//! DATEFORMAT and TIMEFORMAT [D: DATEFORMAT and TIMEFORMAT strings].

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};

use crate::sql::TimeStyle;

type Failure = (i32, String);

/// A date; without DATEFORMAT it is `YYYY-MM-DD`.
pub(super) fn date(value: &str, style: &TimeStyle) -> Result<String, Failure> {
    match style {
        TimeStyle::Standard => {
            if value.len() < 10 {
                return Err((1205, "Invalid Date Format - length must be 10 or more".to_owned()));
            }
            value
                .get(..10)
                .filter(|_| value.len() == 10)
                .and_then(|date| date.parse::<Date>().ok())
                .map(|date| date.to_string())
                .ok_or_else(|| (1205, "Invalid Date Format".to_owned()))
        }
        // PostgreSQL recognises the documented forms.
        TimeStyle::Auto => Ok(value.to_owned()),
        TimeStyle::EpochSeconds | TimeStyle::EpochMilliseconds => {
            Err((1205, "Invalid Date Format: DATEFORMAT takes no epoch".to_owned()))
        }
        TimeStyle::Pattern(pattern) => parse(value, pattern)
            .map(|time| time.date().to_string())
            .ok_or_else(|| (1205, format!("Invalid Date Format [{pattern}]"))),
    }
}

/// A timestamp; without TIMEFORMAT it is `YYYY-MM-DD HH:MI:SS`, with fractions or without a time.
pub(super) fn timestamp(value: &str, style: &TimeStyle) -> Result<String, Failure> {
    let invalid = |format: &str| (1206, format!("Invalid timestamp format or value [{format}]"));
    let epoch = |divisor: f64| {
        let number: f64 =
            value.parse().map_err(|_| (1207, format!("Invalid digit, Value '{value}', Type: Epoch")))?;
        #[expect(clippy::cast_possible_truncation)]
        let microseconds = (number * 1_000_000.0 / divisor).round() as i64;
        Timestamp::from_microsecond(microseconds).map(|time| time.to_string()).map_err(|_| invalid("epoch"))
    };
    match style {
        TimeStyle::Standard => {
            let plain = !value.contains(['T', 't', 'Z', 'z', '+', '[']);
            let parsed = value.parse::<DateTime>().ok().filter(|_| plain && value.len() >= 10);
            parsed.map(|time| time.to_string()).ok_or_else(|| invalid("YYYY-MM-DD HH24:MI:SS"))
        }
        TimeStyle::Auto => Ok(value.to_owned()),
        TimeStyle::EpochSeconds => epoch(1.0),
        TimeStyle::EpochMilliseconds => epoch(1000.0),
        TimeStyle::Pattern(pattern) => {
            parse(value, pattern).map(|time| time.to_string()).ok_or_else(|| invalid(pattern))
        }
    }
}

/// Redshift's pattern as one of strptime.
const PARTS: &[(&str, &str)] = &[
    ("YYYY", "%Y"),
    ("MONTH", "%B"),
    ("MON", "%b"),
    ("HH24", "%H"),
    ("HH12", "%I"),
    ("YY", "%y"),
    ("MM", "%m"),
    ("DD", "%d"),
    ("HH", "%H"),
    ("MI", "%M"),
    ("SS", "%S"),
    ("AM", "%p"),
    ("PM", "%p"),
];

fn parse(value: &str, pattern: &str) -> Option<DateTime> {
    let upper = pattern.to_ascii_uppercase();
    // A marker such as PM means a twelve-hour clock.
    let twelve = upper.contains("AM") || upper.contains("PM");
    let mut format = String::new();
    let mut at = 0;
    while at < upper.len() {
        if let Some((name, code)) = PARTS.iter().find(|(name, _)| upper[at..].starts_with(name)) {
            format.push_str(if *name == "HH" && twelve { "%I" } else { code });
            at += name.len();
        } else {
            let c = pattern.get(at..)?.chars().next()?;
            if c == '%' {
                format.push('%');
            }
            format.push(c);
            at += c.len_utf8();
        }
    }
    let broken_down = jiff::fmt::strtime::parse(&format, value).ok()?;
    match broken_down.to_datetime() {
        Ok(time) => Some(time),
        Err(_) => broken_down.to_date().ok().map(|date| date.at(0, 0, 0, 0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> TimeStyle {
        TimeStyle::Pattern(text.into())
    }

    #[test]
    fn the_standard_form_takes_no_t_and_no_zone() {
        assert_eq!(
            timestamp("2026-01-02 03:04:05", &TimeStyle::Standard).expect("valid"),
            "2026-01-02T03:04:05"
        );
        let (code, message) =
            timestamp("2026-01-02T03:04:05Z", &TimeStyle::Standard).expect_err("needs 'auto'");
        assert_eq!(
            (code, message.as_str()),
            (1206, "Invalid timestamp format or value [YYYY-MM-DD HH24:MI:SS]")
        );
        assert!(timestamp("2026-01-02T03:04:05Z", &TimeStyle::Auto).is_ok());
        assert_eq!(date("2026-1-2", &TimeStyle::Standard).expect_err("short").0, 1205);
    }

    #[test]
    fn patterns_and_epochs_are_understood() {
        assert_eq!(date("31/12/2025", &pattern("DD/MM/YYYY")).expect("valid"), "2025-12-31");
        assert_eq!(
            timestamp("12/31/2025 11:59:58 PM", &pattern("MM/DD/YYYY HH:MI:SS AM")).expect("valid"),
            "2025-12-31T23:59:58"
        );
        assert_eq!(timestamp("1700000000", &TimeStyle::EpochSeconds).expect("valid"), "2023-11-14T22:13:20Z");
        assert_eq!(
            timestamp("1700000000500", &TimeStyle::EpochMilliseconds).expect("valid"),
            "2023-11-14T22:13:20.5Z"
        );
    }
}
