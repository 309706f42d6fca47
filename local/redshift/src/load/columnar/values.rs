//! Values without structure.

use jiff::Timestamp;
use jiff::civil::date;
use jiff::tz::TimeZone;
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{DataType, Int96};
use parquet::file::reader::RowGroupReader;
use parquet::schema::types::SchemaDescriptor;

use super::super::columns::Column;
use super::super::decode;
use super::schema::Conversion;
use super::{Failure, Field, ReadError};

/// Reads a column of a row group as text.
pub(super) fn column(
    group: &dyn RowGroupReader,
    (schema, field): (&SchemaDescriptor, &Field),
    column: &Column,
    conversion: Conversion,
    length: usize,
) -> Result<Vec<Option<String>>, ReadError> {
    let Some(leaf) = (0..schema.num_columns())
        .find(|leaf| std::ptr::eq(schema.get_column_root(*leaf), std::sync::Arc::as_ptr(field)))
    else {
        return Err(ReadError::Value(Failure::of(field.name(), column, "an unknown field")));
    };
    let nullable = schema.column(leaf).max_def_level() > 0;
    let unfit = |what: &str| Failure::of(field.name(), column, what);
    let number =
        |value: i64| number(value, conversion).ok_or_else(|| unfit("times outside of the years 1 to 9999"));
    let bytes =
        |value: &[u8]| bytes(value, conversion).ok_or_else(|| unfit("decimals of more than 16 bytes"));
    match group.get_column_reader(leaf)? {
        ColumnReader::BoolColumnReader(reader) => {
            read(reader, length, nullable, |value| Ok(if *value { "t" } else { "f" }.to_owned()))
        }
        ColumnReader::Int32ColumnReader(reader) => {
            read(reader, length, nullable, |value| number(i64::from(*value)))
        }
        ColumnReader::Int64ColumnReader(reader) => read(reader, length, nullable, |value| number(*value)),
        ColumnReader::Int96ColumnReader(reader) => read(reader, length, nullable, |value| {
            int96(value).ok_or_else(|| unfit("times outside of the years 1 to 9999"))
        }),
        ColumnReader::FloatColumnReader(reader) => {
            read(reader, length, nullable, |value| Ok(value.to_string()))
        }
        ColumnReader::DoubleColumnReader(reader) => {
            read(reader, length, nullable, |value| Ok(value.to_string()))
        }
        ColumnReader::ByteArrayColumnReader(reader) => {
            read(reader, length, nullable, |value| bytes(value.data()))
        }
        ColumnReader::FixedLenByteArrayColumnReader(reader) => {
            read(reader, length, nullable, |value| bytes(value.data()))
        }
    }
}

fn read<T: DataType>(
    mut reader: ColumnReaderImpl<T>,
    length: usize,
    nullable: bool,
    text: impl Fn(&T::T) -> Result<String, Failure>,
) -> Result<Vec<Option<String>>, ReadError> {
    let (mut values, mut levels) = (Vec::new(), Vec::new());
    let mut count = 0;
    while count < length {
        let (records, ..) =
            reader.read_records(length - count, nullable.then_some(&mut levels), None, &mut values)?;
        if records == 0 {
            break;
        }
        count += records;
    }
    if !nullable {
        return values.iter().map(|value| text(value).map(Some).map_err(ReadError::Value)).collect();
    }
    let mut values = values.iter();
    let next = |level: &i16| match (*level > 0).then(|| values.next()).flatten() {
        Some(value) => text(value).map(Some).map_err(ReadError::Value),
        None => Ok(None),
    };
    levels.iter().map(next).collect()
}

/// A number, a date or a time.
pub(super) fn number(value: i64, conversion: Conversion) -> Option<String> {
    match conversion {
        Conversion::Days => days(value),
        Conversion::Time { micros } => time(value.checked_mul(micros)?),
        Conversion::Decimal { scale } => Some(decimal(i128::from(value), scale)),
        _ => Some(value.to_string()),
    }
}

fn days(days: i64) -> Option<String> {
    let span = jiff::Span::new().try_days(days).ok()?;
    let day = date(1970, 1, 1).checked_add(span).ok()?;
    (day.year() > 0).then(|| day.to_string())
}

/// A point in time as its date and time of UTC: a TIMESTAMP has no time zone.
fn time(micros: i64) -> Option<String> {
    let time = Timestamp::from_microsecond(micros).ok()?.to_zoned(TimeZone::UTC).datetime();
    (time.year() > 0).then(|| time.to_string())
}

fn int96(value: &Int96) -> Option<String> {
    /// The Julian day of 1970-01-01.
    const EPOCH: i64 = 2_440_588;
    let [low, high, day] = value.data() else { return None };
    let nanoseconds = (i64::from(*high) << 32) | i64::from(*low);
    let micros = (i64::from(*day) - EPOCH).checked_mul(86_400_000_000)?.checked_add(nanoseconds / 1000)?;
    time(micros)
}

fn bytes(value: &[u8], conversion: Conversion) -> Option<String> {
    match conversion {
        Conversion::Decimal { scale } => unscaled(value).map(|value| decimal(value, scale)),
        _ => Some(decode::utf8(value)),
    }
}

/// A number of two's complement, its highest byte first.
pub(super) fn unscaled(bytes: &[u8]) -> Option<i128> {
    if bytes.len() > 16 {
        return None;
    }
    let sign = bytes.first().map_or(0, |byte| if byte & 0x80 == 0 { 0 } else { -1 });
    Some(bytes.iter().fold(sign, |value: i128, byte| (value << 8) | i128::from(*byte)))
}

pub(super) fn decimal(value: i128, scale: usize) -> String {
    let sign = if value < 0 { "-" } else { "" };
    let digits = format!("{:0>width$}", value.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_decimals_have_the_columns_scale() {
        for (value, scale, text) in [(12345, 2, "123.45"), (-5, 2, "-0.05"), (0, 3, "0.000"), (7, 0, "7")] {
            assert_eq!(decimal(value, scale), text);
        }
        assert_eq!(decimal(i128::MIN, 38), "-1.70141183460469231731687303715884105728");
        assert_eq!(unscaled(&[0xff, 0x38]), Some(-200));
        assert_eq!(unscaled(&[0x00, 0xc8]), Some(200));
        assert_eq!(unscaled(&[]), Some(0));
        assert_eq!(unscaled(&[1; 17]), None);
    }

    #[test]
    fn dates_and_times_are_utc_and_end_with_the_calendar() {
        assert_eq!(number(-1, Conversion::Days).as_deref(), Some("1969-12-31"));
        assert_eq!(number(i64::MAX, Conversion::Days), None);
        let micros = Conversion::Time { micros: 1 };
        assert_eq!(number(1_357_034_400_000_001, micros).as_deref(), Some("2013-01-01T10:00:00.000001"));
        let millis = Conversion::Time { micros: 1000 };
        assert_eq!(number(-1, millis).as_deref(), Some("1969-12-31T23:59:59.999"));
        assert_eq!(number(i64::MAX, millis), None);
        let mut stored = Int96::new();
        stored.set_data(1_000_001_000, 0, 2_440_589);
        assert_eq!(int96(&stored).as_deref(), Some("1970-01-02T00:00:01.000001"));
    }
}
