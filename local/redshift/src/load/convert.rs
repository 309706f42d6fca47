//! Conversion of a field's text to the text that PostgreSQL accepts, by the type of its column.
//!
//! The numbers and most sentences of errors are those of [D: Load error reference]; the exact
//! wording that Redshift prints beyond that page is known from the field only [K].

use tokio_postgres::types::Type;

use crate::sql::{CopyStatement, Format};

use super::columns::{Column, TableColumns};
use super::{Row, RowError, dates};

/// Converts the fields of a row.
pub(super) fn row(row: Row, table: &TableColumns, copy: &CopyStatement) -> Result<Row, RowError> {
    let Row { line, raw, fields } = row;
    let mut converted = Vec::with_capacity(fields.len());
    for (number, (field, column)) in fields.into_iter().zip(&table.columns).enumerate() {
        let value = field.clone().unwrap_or_default();
        match one(field, column, copy) {
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

type Failure = (i32, String);

fn one(field: Option<String>, column: &Column, copy: &CopyStatement) -> Result<Option<String>, Failure> {
    let options = &copy.options;
    let missing = || (1213, "Missing data for not-null field".to_owned());
    let Some(mut value) = field.filter(|value| *value != options.null_as) else {
        return if column.not_null { Err(missing()) } else { Ok(None) };
    };
    let json = matches!(copy.format, Format::Json(_));
    if value.contains('\u{fffd}') {
        match options.accept_inv_chars {
            Some(replacement) => value = value.replace('\u{fffd}', &replacement.to_string()),
            None => return Err((1220, "String contains invalid or unsupported UTF8 codepoints".to_owned())),
        }
    }
    if column.is_text() {
        if options.has("TRIMBLANKS") {
            value.truncate(value.trim_end_matches(' ').len());
        }
        let empty = value.is_empty() && options.has("EMPTYASNULL");
        let blank = !value.is_empty() && value.trim().is_empty() && options.has("BLANKSASNULL");
        if empty || blank {
            return if column.not_null { Err(missing()) } else { Ok(None) };
        }
        return text(value, column, copy).map(Some);
    }
    // [D: EMPTYASNULL] empty fields for other types, such as INT, are always loaded as NULL.
    let trimmed = value.trim();
    if trimmed.is_empty() {
        return if column.not_null { Err(missing()) } else { Ok(None) };
    }
    let trimmed = if json { trimmed } else { value.trim_matches(' ') };
    match column.ty {
        Type::INT2 => integer(trimmed, "Short", i64::from(i16::MIN), i64::from(i16::MAX)),
        Type::INT4 => integer(trimmed, "Integer", i64::from(i32::MIN), i64::from(i32::MAX)),
        Type::INT8 => integer(trimmed, "Long", i64::MIN, i64::MAX),
        Type::NUMERIC => decimal(trimmed),
        Type::FLOAT4 | Type::FLOAT8 => match trimmed.parse::<f64>() {
            Ok(_) => Ok(trimmed.to_owned()),
            Err(_) => Err((1208, "FLOAT data type format error".to_owned())),
        },
        Type::BOOL => boolean(trimmed),
        Type::DATE => dates::date(trimmed, &options.date_format),
        Type::TIMESTAMP | Type::TIMESTAMPTZ => dates::timestamp(trimmed, &options.time_format),
        _ => Ok(trimmed.to_owned()),
    }
    .map(Some)
    .or_else(|failure| match column.ty {
        // [D: ACCEPTANYDATE] an invalid date is loaded as NULL.
        Type::DATE | Type::TIMESTAMP | Type::TIMESTAMPTZ
            if options.has("ACCEPTANYDATE") && !column.not_null =>
        {
            Ok(None)
        }
        _ => Err(failure),
    })
}

/// Lengths count bytes on Redshift [D: Character types]; PostgreSQL counts characters.
fn text(mut value: String, column: &Column, copy: &CopyStatement) -> Result<String, Failure> {
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

fn decimal(value: &str) -> Result<String, Failure> {
    let digits = value.strip_prefix(['-', '+']).unwrap_or(value);
    let (mantissa, exponent) = digits.split_once(['e', 'E']).unwrap_or((digits, "0"));
    let exponent_digits = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
    let well_formed = mantissa.chars().all(|c| c.is_ascii_digit() || c == '.')
        && mantissa.matches('.').count() <= 1
        && mantissa.contains(|c: char| c.is_ascii_digit())
        && !exponent_digits.is_empty()
        && exponent_digits.bytes().all(|byte| byte.is_ascii_digit());
    if well_formed {
        return Ok(value.to_owned());
    }
    let at = digits.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(0);
    let bad = digits[at..].chars().next().unwrap_or(' ');
    Err((
        1207,
        format!("Invalid digit, Value '{bad}', Pos {}, Type: Decimal", at + value.len() - digits.len()),
    ))
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
        let column = Column { name: "c".into(), ty, length, not_null: false };
        one(Some(value.to_owned()), &column, &copy).map_err(|(code, _)| code)
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
        assert_eq!(convert(Type::VARCHAR, Some(9), "", "a\u{fffd}"), Err(1220));
        assert_eq!(convert(Type::VARCHAR, Some(9), "ACCEPTINVCHARS '^'", "a\u{fffd}"), some("a^"));
    }
}
