//! Conversion of a field's text to the text that PostgreSQL accepts, by the type of its column.
//!
//! The numbers and most sentences of errors are those of [D: Load error reference]; the exact
//! wording that Redshift prints beyond that page is known from the field only [K].

use tokio_postgres::types::Type;

use crate::sql::CopyStatement;

use super::columns::{Column, TableColumns};
use super::decode::INVALID;
use super::recognize::{Kind, Recognized};
use super::{Row, RowError, dates};

/// Converts the fields of a row.
pub(super) fn row(
    row: Row,
    table: &TableColumns,
    copy: &CopyStatement,
    known: &Recognized,
) -> Result<Row, RowError> {
    let Row { line, raw, fields } = row;
    let mut converted = Vec::with_capacity(fields.len());
    for (number, (field, column)) in fields.into_iter().zip(&table.columns).enumerate() {
        let value = field.clone().unwrap_or_default();
        match one(field, column, copy, known) {
            Ok(done) => converted.push(done),
            Err((code, message)) => {
                let position = message.split_once(", Pos ").map_or(0, |(_, rest)| leading_number(rest));
                return Err(RowError { line, raw, column: Some(number), value, position, code, message });
            }
        }
    }
    Ok(Row { line, raw, fields: converted })
}

fn leading_number(text: &str) -> i32 {
    text.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap_or(0)
}

/// The number and the sentence of an error.
pub(super) type Failure = (i32, String);

/// Returns the text of a field as its type is read: without blanks around it.
pub(super) fn trimmed<'a>(value: &'a str, copy: &CopyStatement) -> &'a str {
    if copy.format.has_fields() { value.trim() } else { value.trim_matches(' ') }
}

/// Returns true if the option NULL AS names a NUL byte [D: NULL AS, `'\0'` or `'\000'`].
fn null_is_nul(null_as: &str) -> bool {
    matches!(null_as, "\0" | "\\0" | "\\000")
}

fn one(
    field: Option<String>,
    column: &Column,
    copy: &CopyStatement,
    known: &Recognized,
) -> Result<Option<String>, Failure> {
    let options = &copy.options;
    let null = || {
        if column.not_null { Err((1213, "Missing data for not-null field".to_owned())) } else { Ok(None) }
    };
    let mut value = match field {
        Some(value) => value,
        // [D: FILLRECORD] a VARCHAR that is missing at the end of a line is an empty string, which
        // EMPTYASNULL makes NULL; every other type is NULL.
        None if !copy.format.has_fields() && column.is_varchar() => String::new(),
        None => return null(),
    };
    if null_is_nul(&options.null_as) && value.contains('\0') {
        if value.len() > 1 {
            return Err((1218, "With NULL AS '\\0' a field holds a NUL byte and more".to_owned()));
        }
        return null();
    }
    if value == options.null_as {
        return null();
    }
    value = valid(value, column, copy)?;
    if column.is_text() {
        // [D: TRIMBLANKS] trailing white space of VARCHAR only.
        if options.has("TRIMBLANKS") && column.is_varchar() {
            value.truncate(value.trim_end().len());
        }
        let empty = value.is_empty() && options.has("EMPTYASNULL");
        let blank = !value.is_empty() && value.trim().is_empty() && options.has("BLANKSASNULL");
        if empty || blank {
            return null();
        }
        return text(value, column, copy).map(Some);
    }
    // [D: EMPTYASNULL] empty fields for other types, such as INT, are always loaded as NULL.
    if value.trim().is_empty() {
        return null();
    }
    let trimmed = trimmed(&value, copy);
    if let Some(kind) = Kind::of(column) {
        let style = kind.style(copy);
        let converted = match kind {
            Kind::Date => dates::date(trimmed, style, known),
            Kind::Timestamp | Kind::TimestampTz => dates::timestamp(trimmed, kind, style, known),
        };
        // [D: ACCEPTANYDATE] for DATE and TIMESTAMP columns: an invalid date is loaded as NULL.
        return match converted {
            Err((1205..=1207, _)) if options.has("ACCEPTANYDATE") && kind != Kind::TimestampTz => null(),
            other => other.map(Some),
        };
    }
    match column.ty {
        Type::INT2 => integer(trimmed, "Short", i64::from(i16::MIN), i64::from(i16::MAX)),
        Type::INT4 => integer(trimmed, "Integer", i64::from(i32::MIN), i64::from(i32::MAX)),
        Type::INT8 => integer(trimmed, "Long", i64::MIN, i64::MAX),
        Type::NUMERIC => decimal(trimmed, column.scale.filter(|_| !options.has("ROUNDEC"))),
        Type::FLOAT4 | Type::FLOAT8 => match trimmed.parse::<f64>() {
            Ok(_) => Ok(trimmed.to_owned()),
            Err(_) => Err((1208, "FLOAT data type format error".to_owned())),
        },
        Type::BOOL => boolean(trimmed),
        Type::JSON => semistructured(trimmed),
        _ => Ok(trimmed.to_owned()),
    }
    .map(Some)
}

/// Replaces the bytes of a text that are not valid UTF-8.
pub(super) fn valid(value: String, column: &Column, copy: &CopyStatement) -> Result<String, Failure> {
    if !value.contains(INVALID) {
        return Ok(value);
    }
    // [D: ACCEPTINVCHARS] valid for VARCHAR only; the replacement is as long as what it replaces.
    match copy.options.accept_inv_chars.filter(|_| column.is_varchar()) {
        Some(replacement) => Ok(value.replace(INVALID, &replacement.to_string())),
        None => Err((1220, "String contains invalid or unsupported UTF8 codepoints".to_owned())),
    }
}

/// A value of a SUPER column: JSON text [D: Using COPY to load data into SUPER columns], without
/// white space around its parts, as Redshift prints it.
fn semistructured(value: &str) -> Result<String, Failure> {
    let _valid: &serde_json::value::RawValue =
        serde_json::from_str(value).map_err(|error| (1224, format!("Invalid JSON for SUPER: {error}")))?;
    let mut compact = String::with_capacity(value.len());
    let (mut quoted, mut escaped) = (false, false);
    for c in value.chars() {
        if quoted || !c.is_ascii_whitespace() {
            compact.push(c);
        }
        match c {
            '"' if !escaped => quoted = !quoted,
            _ => {}
        }
        escaped = quoted && c == '\\' && !escaped;
    }
    Ok(compact)
}

/// Lengths count bytes on Redshift [D: Character types]; PostgreSQL counts characters.
pub(super) fn text(mut value: String, column: &Column, copy: &CopyStatement) -> Result<String, Failure> {
    if value.contains('\0') {
        return Err((1216, "Invalid input line: a field holds a NUL byte".to_owned()));
    }
    if column.ty == Type::BPCHAR && !value.is_ascii() {
        return Err((1215, "CHAR field error: only single-byte characters are allowed".to_owned()));
    }
    let Some(length) = column.length.filter(|length| value.len() > *length) else { return Ok(value) };
    if copy.options.has("TRUNCATECOLUMNS") {
        let end = (0..=length).rev().find(|at| value.is_char_boundary(*at)).unwrap_or(0);
        value.truncate(end);
        return Ok(value);
    }
    Err((1204, "String length exceeds DDL length".to_owned()))
}

fn integer(value: &str, ty: &str, low: i64, high: i64) -> Result<String, Failure> {
    let digits = value.strip_prefix(['-', '+']).unwrap_or(value);
    if let Some(at) = digits.find(|c: char| !c.is_ascii_digit()) {
        let position = at + value.len() - digits.len();
        return Err((
            1207,
            format!(
                "Invalid digit, Value '{}', Pos {position}, Type: {ty}",
                &digits[at..=at + digits[at..].chars().next().map_or(0, |c| c.len_utf8() - 1)]
            ),
        ));
    }
    match value.parse::<i64>() {
        Ok(number) if (low..=high).contains(&number) => Ok(number.to_string()),
        _ => Err((1204, format!("Overflow, Value '{value}', Type: {ty}"))),
    }
}

/// A decimal. Digits beyond `scale` are cut off [D: ROUNDEC: "by default, COPY truncates values"];
/// without a scale PostgreSQL rounds them to that of the column, as ROUNDEC does.
fn decimal(value: &str, scale: Option<usize>) -> Result<String, Failure> {
    let digits = value.strip_prefix(['-', '+']).unwrap_or(value);
    let (mantissa, exponent) = digits.split_once(['e', 'E']).unwrap_or((digits, "0"));
    let exponent_digits = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
    let well_formed = mantissa.chars().all(|c| c.is_ascii_digit() || c == '.')
        && mantissa.matches('.').count() <= 1
        && mantissa.contains(|c: char| c.is_ascii_digit())
        && !exponent_digits.is_empty()
        && exponent_digits.bytes().all(|byte| byte.is_ascii_digit());
    if well_formed {
        let Some(scale) = scale else { return Ok(value.to_owned()) };
        let overflow = || (1204, format!("Overflow, Value '{value}', Type: Decimal"));
        let shift: i64 = exponent.parse().map_err(|_| overflow())?;
        let cut = truncated(mantissa, shift, scale).ok_or_else(overflow)?;
        return Ok(if value.starts_with('-') { format!("-{cut}") } else { cut });
    }
    let at = digits.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(0);
    let bad = digits[at..].chars().next().unwrap_or(' ');
    Err((
        1207,
        format!("Invalid digit, Value '{bad}', Pos {}, Type: Decimal", at + value.len() - digits.len()),
    ))
}

/// Returns the digits of `mantissa` × 10^`shift` with at most `scale` decimals, or `None` if they
/// are more than a column can have: 38 [D: DECIMAL or NUMERIC type].
fn truncated(mantissa: &str, shift: i64, scale: usize) -> Option<String> {
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let leading = digits.len() - digits.trim_start_matches('0').len();
    if leading == digits.len() {
        return Some("0".to_owned());
    }
    let point = i64::try_from(whole.len()).ok()?.checked_add(shift)?;
    if point - i64::try_from(leading).ok()? > 38 {
        return None;
    }
    let before = usize::try_from(point.max(0)).ok()?;
    let zeros = usize::try_from(point.min(0).checked_neg()?).ok()?;
    let zero = || std::iter::repeat('0');
    let whole: String = digits.chars().chain(zero()).take(before).collect();
    let whole = if whole.is_empty() { "0" } else { &whole };
    let fraction: String = zero().take(zeros).chain(digits.chars().skip(before)).take(scale).collect();
    Some(if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") })
}

fn boolean(value: &str) -> Result<String, Failure> {
    match value.to_ascii_lowercase().as_str() {
        "t" | "true" | "y" | "yes" | "1" => Ok("t".to_owned()),
        "f" | "false" | "n" | "no" | "0" => Ok("f".to_owned()),
        _ => Err((1210, "BOOLEAN data type format error".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::{Statement, read};

    fn convert(ty: Type, length: Option<usize>, options: &str, value: &str) -> Result<Option<String>, i32> {
        let Ok(Statement::Copy(copy)) = read(&format!("COPY t FROM 's3://b/' IAM_ROLE 'r' CSV {options}"))
        else {
            panic!("{options}")
        };
        let scale = if ty == Type::NUMERIC { length } else { None };
        let column = Column { name: "c".into(), ty, length, precision: None, scale, not_null: false };
        one(Some(value.to_owned()), &column, &copy, &Recognized::default()).map_err(|(code, _)| code)
    }

    /// The value of a field that FILLRECORD adds.
    fn filled(ty: Type, options: &str, not_null: bool) -> Result<Option<String>, i32> {
        let Ok(Statement::Copy(copy)) = read(&format!("COPY t FROM 's3://b/' IAM_ROLE 'r' {options}")) else {
            panic!("{options}")
        };
        let column = Column { name: "c".into(), ty, length: Some(9), precision: None, scale: None, not_null };
        one(None, &column, &copy, &Recognized::default()).map_err(|(code, _)| code)
    }

    fn some(value: &str) -> Result<Option<String>, i32> {
        Ok(Some(value.to_owned()))
    }

    #[test]
    fn each_type_takes_its_form_and_refuses_others_with_its_number() {
        assert_eq!(convert(Type::INT4, None, "", "12"), some("12"));
        assert_eq!(convert(Type::INT4, None, "", "1x"), Err(1207));
        assert_eq!(convert(Type::INT4, None, "", "3000000000"), Err(1204));
        assert_eq!(convert(Type::NUMERIC, None, "", "1.5"), some("1.5"));
        assert_eq!(convert(Type::NUMERIC, None, "", "abc"), Err(1207));
        assert_eq!(convert(Type::BOOL, None, "", "Yes"), some("t"));
        assert_eq!(convert(Type::BOOL, None, "", "maybe"), Err(1210));
        assert_eq!(convert(Type::FLOAT8, None, "", "x"), Err(1208));
    }

    #[test]
    fn an_invalid_digit_is_named_with_its_position() {
        assert_eq!(
            integer("12é", "Integer", 0, 99).expect_err("é").1,
            "Invalid digit, Value 'é', Pos 2, Type: Integer"
        );
    }

    #[test]
    fn text_longer_than_its_column_is_rejected_or_truncated() {
        assert_eq!(convert(Type::VARCHAR, Some(3), "", "éé"), Err(1204));
        assert_eq!(convert(Type::VARCHAR, Some(3), "TRUNCATECOLUMNS", "éé"), some("é"));
        assert_eq!(convert(Type::BPCHAR, Some(3), "", "é"), Err(1215));
    }

    #[test]
    fn empty_and_blank_fields_are_null_as_documented() {
        assert_eq!(convert(Type::INT4, None, "", ""), Ok(None));
        assert_eq!(convert(Type::VARCHAR, Some(9), "", ""), some(""));
        assert_eq!(convert(Type::VARCHAR, Some(9), "EMPTYASNULL", ""), Ok(None));
        assert_eq!(convert(Type::VARCHAR, Some(9), "BLANKSASNULL", "  "), Ok(None));
        assert_eq!(convert(Type::VARCHAR, Some(9), "NULL AS 'NA'", "NA"), Ok(None));
        assert_eq!(convert(Type::VARCHAR, Some(9), "TRIMBLANKS", "a  "), some("a"));
    }

    #[test]
    fn bytes_that_are_not_utf8_need_acceptinvchars() {
        let two = format!("a{INVALID}{INVALID}");
        assert_eq!(convert(Type::VARCHAR, Some(9), "", &two), Err(1220));
        assert_eq!(convert(Type::VARCHAR, Some(9), "ACCEPTINVCHARS '^'", &two), some("a^^"));
        assert_eq!(convert(Type::BPCHAR, Some(9), "ACCEPTINVCHARS '^'", &two), Err(1220));
        assert_eq!(convert(Type::VARCHAR, Some(9), "", "a\u{fffd}"), some("a\u{fffd}"));
    }

    #[test]
    fn decimals_are_cut_off_unless_roundec_is_set() {
        let numeric = |scale, options: &str, value: &str| convert(Type::NUMERIC, Some(scale), options, value);
        for (scale, value, loaded) in [
            (2, "20.259", "20.25"),
            (2, "-0.999", "-0.99"),
            (0, "12.75", "12"),
            (0, ".5", "0"),
            (2, "1.5", "1.5"),
            (2, "1234.5e-3", "1.23"),
            (2, "1.2345e3", "1234.5"),
            (3, "12e-4", "0.001"),
            (2, "5e-99", "0.00"),
            (2, "000", "0"),
        ] {
            assert_eq!(numeric(scale, "", value), some(loaded), "{value}");
        }
        // PostgreSQL rounds what it receives whole.
        assert_eq!(numeric(2, "ROUNDEC", "20.259"), some("20.259"));
        assert_eq!(numeric(2, "", "1e999999"), Err(1204));
    }

    #[test]
    fn missing_varchar_is_empty_and_every_other_type_null() {
        assert_eq!(filled(Type::VARCHAR, "CSV FILLRECORD", true), some(""));
        assert_eq!(filled(Type::VARCHAR, "CSV FILLRECORD EMPTYASNULL", false), Ok(None));
        assert_eq!(filled(Type::VARCHAR, "CSV FILLRECORD EMPTYASNULL", true), Err(1213));
        assert_eq!(filled(Type::BPCHAR, "CSV FILLRECORD", false), Ok(None));
        assert_eq!(filled(Type::INT4, "FILLRECORD", false), Ok(None));
        assert_eq!(filled(Type::INT4, "FILLRECORD", true), Err(1213));
        // In JSON a missing field is NULL.
        assert_eq!(filled(Type::VARCHAR, "JSON 'auto'", false), Ok(None));
    }

    #[test]
    fn acceptanydate_makes_invalid_dates_null() {
        for options in ["ACCEPTANYDATE", "ACCEPTANYDATE DATEFORMAT 'auto' TIMEFORMAT 'auto'"] {
            assert_eq!(convert(Type::DATE, None, options, "0000-00-00"), Ok(None), "{options}");
            assert_eq!(convert(Type::TIMESTAMP, None, options, "2022-11-00 20:59:22"), Ok(None), "{options}");
            assert_eq!(
                convert(Type::TIMESTAMPTZ, None, options, "2022-11-00 20:59:22"),
                Err(1206),
                "{options}"
            );
        }
        assert_eq!(convert(Type::DATE, None, "DATEFORMAT 'auto'", "0000-00-00"), Err(1205));
        assert_eq!(
            convert(Type::DATE, None, "ACCEPTANYDATE DATEFORMAT 'auto'", "2024-02-29"),
            some("2024-02-29")
        );
    }

    #[test]
    fn super_values_are_json_without_blanks() {
        assert_eq!(
            convert(Type::JSON, None, "", "{\"a b\": [1, \"c \\\" d\"]}"),
            some("{\"a b\":[1,\"c \\\" d\"]}")
        );
        assert_eq!(convert(Type::JSON, None, "", "{a: 1}"), Err(1224));
    }

    #[test]
    fn nul_bytes_are_null_or_refused() {
        assert_eq!(convert(Type::VARCHAR, Some(9), "NULL AS '\\0'", "\0"), Ok(None));
        assert_eq!(convert(Type::VARCHAR, Some(9), "NULL AS '\\\\0'", "a\0"), Err(1218));
        assert_eq!(convert(Type::VARCHAR, Some(9), "", "a\0b"), Err(1216));
    }
}
