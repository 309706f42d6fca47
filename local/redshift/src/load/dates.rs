//! DATEFORMAT and TIMEFORMAT [D: DATEFORMAT and TIMEFORMAT strings].

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};

use crate::sql::{SqlError, TimeStyle};

use super::recognize::{Kind, Recognized};

type Failure = (i32, String);

/// The number of an error that is not Redshift's: "unknown parse error". ACCEPTANYDATE does not make
/// it NULL.
const NOT_IMITATED: i32 = 1200;

/// A date; without DATEFORMAT it is `YYYY-MM-DD`.
pub(super) fn date(value: &str, style: &TimeStyle, known: &Recognized) -> Result<String, Failure> {
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
        // [D: Using automatic recognition] the time of a date is cut off.
        TimeStyle::Auto => automatic(value, Kind::Date, known)
            .unwrap_or_else(|| Err((1205, "Invalid Date Format".to_owned()))),
        TimeStyle::EpochSeconds | TimeStyle::EpochMilliseconds => {
            Err((1205, "Invalid Date Format: DATEFORMAT takes no epoch".to_owned()))
        }
        TimeStyle::Pattern(pattern) => parse(value, pattern)
            .map(|time| time.date().to_string())
            .ok_or_else(|| (1205, format!("Invalid Date Format [{pattern}]"))),
    }
}

/// A timestamp of a column with or without time zone. Without TIMEFORMAT it is `YYYY-MM-DD
/// HH:MI:SS` or `YYYY-MM-DD HH:MI:SSOF`, with fractions, without a time, or without the offset.
pub(super) fn timestamp(
    value: &str,
    kind: Kind,
    style: &TimeStyle,
    known: &Recognized,
) -> Result<String, Failure> {
    let zoned = kind == Kind::TimestampTz;
    let invalid = |format: &str| (1206, format!("Invalid timestamp format or value [{format}]"));
    let standard = if zoned { "YYYY-MM-DD HH24:MI:SSOF" } else { "YYYY-MM-DD HH24:MI:SS" };
    // What has no offset is UTC.
    let utc = |time: DateTime| if zoned { format!("{time}+00") } else { time.to_string() };
    let epoch = |divisor: f64| {
        let number: f64 =
            value.parse().map_err(|_| (1207, format!("Invalid digit, Value '{value}', Type: Epoch")))?;
        #[expect(clippy::cast_possible_truncation)]
        let microseconds = (number * 1_000_000.0 / divisor).round() as i64;
        Timestamp::from_microsecond(microseconds).map(|time| time.to_string()).map_err(|_| invalid("epoch"))
    };
    match style {
        TimeStyle::Standard => {
            let parsed = iso(value).filter(|parsed| !parsed.has_t && (zoned || parsed.offset.is_none()));
            match parsed {
                Some(Iso { time, offset: Some(Offset::Minutes(minutes)), .. }) => {
                    Ok(with_offset(time, minutes))
                }
                Some(Iso { time, offset: None, .. }) => Ok(utc(time)),
                _ => Err(invalid(standard)),
            }
        }
        TimeStyle::Auto => automatic(value, kind, known).unwrap_or_else(|| Err(invalid(standard))),
        TimeStyle::EpochSeconds => epoch(1.0),
        TimeStyle::EpochMilliseconds => epoch(1000.0),
        TimeStyle::Pattern(pattern) => parse(value, pattern).map(utc).ok_or_else(|| invalid(pattern)),
    }
}

fn with_offset(time: DateTime, minutes: i32) -> String {
    let sign = if minutes < 0 { '-' } else { '+' };
    format!("{time}{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60)
}

/// Returns true if the standard forms cover a value, so that PostgreSQL need not recognise it.
pub(super) fn is_standard(value: &str) -> bool {
    iso(value).is_some()
}

/// Returns a value under `'auto'`, or `None` if it is no date.
///
/// A time zone other than UTC in a column without one is refused: which of the two Redshift does,
/// convert or ignore, is not documented.
fn automatic(value: &str, kind: Kind, known: &Recognized) -> Option<Result<String, Failure>> {
    let refused = || {
        let what = format!("a time zone other than UTC in a column without one, {value:?}");
        Err((NOT_IMITATED, SqlError::not_imitated(what).message))
    };
    let Some(Iso { time, offset, .. }) = iso(value) else {
        return Some(match known.get(kind, value)?.as_str() {
            "zone" => refused(),
            form => Ok(form.to_owned()),
        });
    };
    let minutes = match offset {
        Some(Offset::Minutes(minutes)) => minutes,
        Some(Offset::Zulu) | None => 0,
    };
    Some(match kind {
        Kind::TimestampTz => Ok(with_offset(time, minutes)),
        Kind::Date | Kind::Timestamp if minutes != 0 => refused(),
        Kind::Date => Ok(time.date().to_string()),
        Kind::Timestamp => Ok(time.to_string()),
    })
}

enum Offset {
    Zulu,
    Minutes(i32),
}

/// `YYYY-MM-DD[( |T)HH:MI[:SS[.F]][Z|±HH[[:]MI]]]`.
struct Iso {
    time: DateTime,
    has_t: bool,
    offset: Option<Offset>,
}

fn iso(value: &str) -> Option<Iso> {
    let day = value.get(..10)?;
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let is_day = digits(&day[..4]) && digits(&day[5..7]) && digits(&day[8..]);
    let date: Date =
        (is_day && &day[4..5] == "-" && &day[7..8] == "-").then(|| day.parse().ok()).flatten()?;
    let rest = &value[10..];
    if rest.is_empty() {
        return Some(Iso { time: date.at(0, 0, 0, 0), has_t: false, offset: None });
    }
    let has_t = rest.starts_with(['T', 't']);
    let rest = if has_t { &rest[1..] } else { rest.strip_prefix(' ')? };
    let end = rest.find(['Z', 'z', '+', '-']).unwrap_or(rest.len());
    let (clock, zone) = rest.split_at(end);
    let clock = clock.trim_end_matches(' ');
    let plain = clock.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b':' | b'.'));
    let time: Time = (plain && clock.contains(':')).then(|| clock.parse().ok()).flatten()?;
    let offset = match zone {
        "" => None,
        "Z" | "z" => Some(Offset::Zulu),
        _ => Some(Offset::Minutes(offset_minutes(zone)?)),
    };
    Some(Iso { time: date.to_datetime(time), has_t, offset })
}

/// `+05:30`, `+0530`, `-08` or `-8:00` in minutes.
fn offset_minutes(zone: &str) -> Option<i32> {
    let (sign, digits) = match zone.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    let (hours, minutes) = match digits.split_once(':') {
        Some((hours, minutes)) if minutes.len() == 2 => (hours, minutes),
        None if digits.len() == 4 => digits.split_at_checked(2)?,
        None => (digits, "0"),
        Some(_) => return None,
    };
    let number = |text: &str| {
        let valid = (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        valid.then(|| text.parse::<i32>().ok()).flatten()
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    (hours <= 15 && minutes < 60).then_some(sign * (hours * 60 + minutes))
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
            // [D: DATEFORMAT and TIMEFORMAT strings] SS also takes fractions.
            if *name == "SS" {
                format.push_str("%.f");
            }
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

    fn plain(value: &str, style: &TimeStyle) -> Result<String, Failure> {
        timestamp(value, Kind::Timestamp, style, &Recognized::default())
    }

    fn zoned(value: &str, style: &TimeStyle) -> Result<String, Failure> {
        timestamp(value, Kind::TimestampTz, style, &Recognized::default())
    }

    fn day(value: &str, style: &TimeStyle) -> Result<String, Failure> {
        date(value, style, &Recognized::default())
    }

    #[test]
    fn the_standard_form_takes_no_t_and_no_zone() {
        assert_eq!(plain("2026-01-02 03:04:05", &TimeStyle::Standard).expect("valid"), "2026-01-02T03:04:05");
        for refused in ["2026-01-02T03:04:05Z", "2026-01-02 03:04:05-08", "2026-01-02 03:04:05+00"] {
            let (code, message) = plain(refused, &TimeStyle::Standard).expect_err(refused);
            assert_eq!(
                (code, message.as_str()),
                (1206, "Invalid timestamp format or value [YYYY-MM-DD HH24:MI:SS]")
            );
        }
        assert!(plain("2026-01-02T03:04:05Z", &TimeStyle::Auto).is_ok());
        assert_eq!(day("2026-1-2", &TimeStyle::Standard).expect_err("short").0, 1205);
    }

    #[test]
    fn the_standard_form_of_timestamptz_has_an_offset() {
        for (value, loaded) in [
            ("2026-01-02 03:04:05+00", "2026-01-02T03:04:05+00:00"),
            ("2026-01-02 03:04:05+05:30", "2026-01-02T03:04:05+05:30"),
            ("2026-01-02 03:04:05.25-0330", "2026-01-02T03:04:05.25-03:30"),
            ("2026-01-02 03:04:05-8:00", "2026-01-02T03:04:05-08:00"),
            ("2026-01-02 03:04:05", "2026-01-02T03:04:05+00"),
        ] {
            assert_eq!(zoned(value, &TimeStyle::Standard).expect(value), loaded);
        }
        for refused in ["2026-01-02T03:04:05Z", "2026-01-02T03:04:05+00", "2026-01-02 03:04:05+99"] {
            let (code, message) = zoned(refused, &TimeStyle::Standard).expect_err(refused);
            assert_eq!(
                (code, message.as_str()),
                (1206, "Invalid timestamp format or value [YYYY-MM-DD HH24:MI:SSOF]")
            );
        }
    }

    #[test]
    fn auto_takes_zones_and_refuses_invalid_days() {
        let auto = &TimeStyle::Auto;
        assert_eq!(zoned("2019-02-11T05:09:12.195Z", auto).expect("valid"), "2019-02-11T05:09:12.195+00:00");
        assert_eq!(zoned("1997-12-17 07:37:16-08", auto).expect("valid"), "1997-12-17T07:37:16-08:00");
        assert_eq!(plain("2019-02-11T05:09:12Z", auto).expect("valid"), "2019-02-11T05:09:12");
        assert_eq!(day("2024-02-29 10:00:00", auto).expect("valid"), "2024-02-29");
        for invalid in ["0000-00-00 00:00:00", "2022-11-00 20:59:22"] {
            assert_eq!(plain(invalid, auto).expect_err(invalid).0, 1206);
        }
        assert_eq!(day("0000-00-00", auto).expect_err("no such day").0, 1205);
        // What a column without a zone makes of an offset is not documented.
        let (code, message) = plain("2019-02-11 05:09:12-08", auto).expect_err("an offset");
        assert!(code == 1200 && message.contains("does not imitate"), "{message}");
    }

    #[test]
    fn auto_uses_the_forms_that_postgresql_recognized() {
        let known = |form| Recognized::with(Kind::Timestamp, "17 Dec 07:37:16 1997", form);
        let load =
            |known: &Recognized| timestamp("17 Dec 07:37:16 1997", Kind::Timestamp, &TimeStyle::Auto, known);
        assert_eq!(load(&known("1997-12-17 07:37:16")).expect("known"), "1997-12-17 07:37:16");
        assert_eq!(load(&known("zone")).expect_err("a zone").0, 1200);
        assert_eq!(load(&Recognized::default()).expect_err("unknown").0, 1206);
    }

    #[test]
    fn patterns_and_epochs_are_understood() {
        assert_eq!(day("31/12/2025", &pattern("DD/MM/YYYY")).expect("valid"), "2025-12-31");
        assert_eq!(
            plain("12/31/2025 11:59:58 PM", &pattern("MM/DD/YYYY HH:MI:SS AM")).expect("valid"),
            "2025-12-31T23:59:58"
        );
        assert_eq!(
            zoned("2025-12-31 23:59:58.5", &pattern("YYYY-MM-DD HH24:MI:SS")).expect("valid"),
            "2025-12-31T23:59:58.5+00"
        );
        assert_eq!(plain("1700000000", &TimeStyle::EpochSeconds).expect("valid"), "2023-11-14T22:13:20Z");
        assert_eq!(
            plain("1700000000500", &TimeStyle::EpochMilliseconds).expect("valid"),
            "2023-11-14T22:13:20.5Z"
        );
    }
}
