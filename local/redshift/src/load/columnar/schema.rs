//! The schema of a file beside the columns of the table.

use parquet::basic::{ConvertedType, LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::schema::types::Type;
use tokio_postgres::types::Type as Target;

use super::super::columns::{Column, TableColumns};
use super::{Checked, Failure, Field, Source};

/// The way to read the values of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reader {
    /// Values without structure, as text.
    Flat(Conversion),
    /// Any value, as JSON.
    Json,
}

/// The text that a stored value becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Conversion {
    /// As Rust prints the number.
    Plain,
    /// A truth value.
    Truth,
    /// UTF-8.
    Text,
    /// Days since 1970.
    Days,
    /// Microseconds since 1970, or as many thousand of them.
    Time { micros: i64 },
    /// Days and nanoseconds, as Hive and older Spark write times.
    Int96,
    /// An unscaled number.
    Decimal { scale: usize },
}

/// Compares the fields of a file with the columns that the COPY fills.
pub(super) fn check(
    fields: &[Field],
    source: &Source,
    table: &TableColumns,
    serialize: bool,
    fill: bool,
) -> Checked<Vec<Reader>> {
    // [K] without the option a SUPER column is refused, whatever the file has in it.
    if !serialize && table.columns.iter().any(Column::is_super) {
        return Err(Failure::Refused(
            "SUPER column in COPY query requires SERIALIZETOJSON option".to_owned(),
        ));
    }
    let fewer = fill && fields.len() < table.columns.len();
    if fields.len() != table.columns.len() && !fewer {
        // [K]
        return Err(Failure::Refused(format!(
            "Unmatched number of columns between table and file. Table columns: {}, Data columns: {}, File name: {}",
            table.columns.len(),
            fields.len(),
            source.url
        )));
    }
    fields.iter().enumerate().zip(&table.columns).map(|((number, field), column)| {
        reader(field, column).and_then(|reader| {
            reader.ok_or_else(|| {
                // [D: Troubleshooting queries in Redshift Spectrum, incompatible data formats]
                Failure::Refused(format!(
                    "File '{}' has an incompatible Parquet schema for column '{}.{}'. Column type: {}, Parquet schema:\\n{}",
                    source.url,
                    source.uri,
                    column.name,
                    column_type(column),
                    described(field, number)
                ))
            })
        })
    }).collect()
}

/// Returns how a field is read, or `None` if it does not fit its column.
fn reader(field: &Type, column: &Column) -> Checked<Option<Reader>> {
    if column.is_super() {
        // [D: Using COPY to load data into SUPER columns] "any column type in the file".
        return Ok(Some(Reader::Json));
    }
    if is_nested(field) {
        return Ok(None);
    }
    let info = field.get_basic_info();
    let decimal = match info.logical_type_ref() {
        Some(LogicalType::Decimal(decimal)) => Some((decimal.precision, decimal.scale)),
        _ if info.converted_type() == ConvertedType::DECIMAL => {
            Some((field.get_precision(), field.get_scale()))
        }
        _ => None,
    };
    if let Some((precision, scale)) = decimal {
        return Ok(decimal_reader(field, column, precision, scale));
    }
    if matches!(column.ty, Target::TIMESTAMPTZ | Target::TIME | Target::TIMETZ) {
        let ty = column.type_name();
        return Err(Failure::of(field.name(), column, format!("values for columns of the type {ty}")));
    }
    let conversion = match (field.get_physical_type(), logical(field)) {
        (Physical::BOOLEAN, Logical::None) => (column.ty == Target::BOOL).then_some(Conversion::Truth),
        // [K] only equal widths fit.
        (Physical::INT32, Logical::Integer(8 | 16)) => {
            (column.ty == Target::INT2).then_some(Conversion::Plain)
        }
        (Physical::INT32, Logical::None | Logical::Integer(32)) => {
            (column.ty == Target::INT4).then_some(Conversion::Plain)
        }
        (Physical::INT64, Logical::None | Logical::Integer(64)) => {
            (column.ty == Target::INT8).then_some(Conversion::Plain)
        }
        (Physical::INT32, Logical::Date) => (column.ty == Target::DATE).then_some(Conversion::Days),
        (Physical::INT64, Logical::Time { micros }) => {
            (column.ty == Target::TIMESTAMP).then_some(Conversion::Time { micros })
        }
        (Physical::INT64, Logical::Nanoseconds) if column.ty == Target::TIMESTAMP => {
            return Err(Failure::of(field.name(), column, "times in nanoseconds (write microseconds)"));
        }
        (Physical::INT96, Logical::None) => (column.ty == Target::TIMESTAMP).then_some(Conversion::Int96),
        (Physical::FLOAT, Logical::None) => (column.ty == Target::FLOAT4).then_some(Conversion::Plain),
        (Physical::DOUBLE, Logical::None) => (column.ty == Target::FLOAT8).then_some(Conversion::Plain),
        (Physical::BYTE_ARRAY, Logical::Text) => column.is_text().then_some(Conversion::Text),
        (Physical::BYTE_ARRAY, Logical::None) if column.is_text() => {
            return Err(Failure::of(field.name(), column, "bytes without the annotation STRING"));
        }
        _ => None,
    };
    Ok(conversion.map(Reader::Flat))
}

/// [K] precision and scale are those of the column, and bytes have no more than the precision needs.
fn decimal_reader(field: &Type, column: &Column, precision: i32, scale: i32) -> Option<Reader> {
    let is = |size: Option<usize>, value: i32| size.and_then(|size| i32::try_from(size).ok()) == Some(value);
    let fits = column.ty == Target::NUMERIC && is(column.precision, precision) && is(column.scale, scale);
    let length = match field {
        Type::PrimitiveType { physical_type: Physical::FIXED_LEN_BYTE_ARRAY, type_length, .. } => {
            usize::try_from(*type_length).ok() == least_bytes(precision)
        }
        Type::PrimitiveType {
            physical_type: Physical::INT32 | Physical::INT64 | Physical::BYTE_ARRAY,
            ..
        } => true,
        _ => false,
    };
    (fits && length)
        .then_some(Reader::Flat(Conversion::Decimal { scale: usize::try_from(scale).unwrap_or(0) }))
}

/// The bytes of the largest number with so many digits.
pub(super) fn least_bytes(precision: i32) -> Option<usize> {
    let largest = 10_i128.checked_pow(u32::try_from(precision).ok()?)? - 1;
    // One bit for the sign.
    Some((128 - largest.leading_zeros() as usize) / 8 + 1)
}

/// The annotation of a field, of either kind that writers use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Logical {
    None,
    Integer(i8),
    Unsigned,
    Date,
    /// A time whose unit has so many microseconds.
    Time {
        micros: i64,
    },
    Nanoseconds,
    Text,
    Json,
    Other,
}

pub(super) fn logical(field: &Type) -> Logical {
    let info = field.get_basic_info();
    if let Some(logical) = info.logical_type_ref() {
        return match logical {
            LogicalType::String | LogicalType::Enum => Logical::Text,
            LogicalType::Json => Logical::Json,
            LogicalType::Date => Logical::Date,
            LogicalType::Integer(integer) if integer.is_signed => Logical::Integer(integer.bit_width),
            LogicalType::Integer(_) => Logical::Unsigned,
            LogicalType::Timestamp(time) => match time.unit {
                TimeUnit::MILLIS => Logical::Time { micros: 1000 },
                TimeUnit::MICROS => Logical::Time { micros: 1 },
                TimeUnit::NANOS => Logical::Nanoseconds,
            },
            _ => Logical::Other,
        };
    }
    match info.converted_type() {
        ConvertedType::NONE => Logical::None,
        ConvertedType::UTF8 | ConvertedType::ENUM => Logical::Text,
        ConvertedType::JSON => Logical::Json,
        ConvertedType::DATE => Logical::Date,
        ConvertedType::INT_8 => Logical::Integer(8),
        ConvertedType::INT_16 => Logical::Integer(16),
        ConvertedType::INT_32 => Logical::Integer(32),
        ConvertedType::INT_64 => Logical::Integer(64),
        ConvertedType::UINT_8 | ConvertedType::UINT_16 | ConvertedType::UINT_32 | ConvertedType::UINT_64 => {
            Logical::Unsigned
        }
        ConvertedType::TIMESTAMP_MILLIS => Logical::Time { micros: 1000 },
        ConvertedType::TIMESTAMP_MICROS => Logical::Time { micros: 1 },
        _ => Logical::Other,
    }
}

pub(super) fn is_nested(field: &Type) -> bool {
    let info = field.get_basic_info();
    field.is_group() || (info.has_repetition() && info.repetition() == Repetition::REPEATED)
}

/// A column's type as Spectrum writes it: [K] `INT`, `SMALLINT`, `VARCHAR`.
fn column_type(column: &Column) -> String {
    match column.ty {
        Target::INT2 => "SMALLINT".to_owned(),
        Target::INT4 => "INT".to_owned(),
        Target::INT8 => "BIGINT".to_owned(),
        Target::FLOAT4 => "FLOAT".to_owned(),
        Target::FLOAT8 => "DOUBLE".to_owned(),
        Target::BOOL => "BOOLEAN".to_owned(),
        Target::NUMERIC => {
            format!("DECIMAL({}, {})", column.precision.unwrap_or(18), column.scale.unwrap_or(0))
        }
        _ => column.type_name().to_uppercase(),
    }
}

/// A field as in the page's example: `optional int64 l_orderkey [i:0 d:1 r:0]`.
fn described(field: &Type, number: usize) -> String {
    let repetition = if is_nested(field) && !field.is_group() {
        "repeated"
    } else if field.is_optional() {
        "optional"
    } else {
        "required"
    };
    let ty = if field.is_group() {
        "group".to_owned()
    } else {
        match field.get_physical_type() {
            Physical::FIXED_LEN_BYTE_ARRAY => "fixed_len_byte_array".to_owned(),
            other => other.to_string().to_lowercase(),
        }
    };
    let definition = u8::from(repetition != "required");
    let repeated = u8::from(repetition == "repeated");
    format!("{repetition} {ty} {} [i:{number} d:{definition} r:{repeated}]\\n", field.name())
}

#[cfg(test)]
mod tests {
    use parquet::schema::parser::parse_message_type;

    use super::*;

    fn column(ty: Target, precision: usize, scale: usize) -> Column {
        let (precision, scale) = (Some(precision), Some(scale));
        Column { name: "c".into(), ty, length: None, precision, scale, not_null: false }
    }

    #[test]
    fn parquet_types_must_match_their_columns() {
        let numeric = || column(Target::NUMERIC, 18, 2);
        let of = |ty| column(ty, 0, 0);
        // The field, the column that takes it, and one that does not.
        for (field, fits, refuses) in [
            ("boolean f", of(Target::BOOL), of(Target::INT2)),
            ("int32 f", of(Target::INT4), of(Target::INT8)),
            ("int32 f", of(Target::INT4), of(Target::INT2)),
            ("int32 f (INT_8)", of(Target::INT2), of(Target::INT4)),
            ("int32 f (INTEGER(16,true))", of(Target::INT2), of(Target::INT4)),
            ("int32 f (INT_32)", of(Target::INT4), of(Target::NUMERIC)),
            ("int64 f", of(Target::INT8), of(Target::INT4)),
            ("int64 f (INT_64)", of(Target::INT8), of(Target::TIMESTAMP)),
            ("int32 f (DATE)", of(Target::DATE), of(Target::TIMESTAMP)),
            ("int64 f (TIMESTAMP(MICROS,false))", of(Target::TIMESTAMP), of(Target::INT8)),
            ("int64 f (TIMESTAMP_MILLIS)", of(Target::TIMESTAMP), of(Target::DATE)),
            ("int96 f", of(Target::TIMESTAMP), of(Target::DATE)),
            ("float f", of(Target::FLOAT4), of(Target::FLOAT8)),
            ("double f", of(Target::FLOAT8), numeric()),
            ("binary f (UTF8)", of(Target::VARCHAR), of(Target::INT4)),
            ("binary f (ENUM)", of(Target::BPCHAR), of(Target::DATE)),
            ("int64 f (DECIMAL(18,2))", numeric(), column(Target::NUMERIC, 18, 3)),
            ("int32 f (DECIMAL(9,0))", column(Target::NUMERIC, 9, 0), numeric()),
            ("fixed_len_byte_array(8) f (DECIMAL(18,2))", numeric(), of(Target::FLOAT8)),
            ("binary f (DECIMAL(18,2))", numeric(), column(Target::NUMERIC, 19, 2)),
        ] {
            let message = parse_message_type(&format!("message m {{ optional {field}; }}"));
            let message = message.unwrap_or_else(|error| panic!("{field}: {error}"));
            let read = |column: &Column| {
                reader(&message.get_fields()[0], column).map_err(|failure| format!("{failure:?}"))
            };
            assert!(matches!(read(&fits), Ok(Some(Reader::Flat(_)))), "{field} and {fits:?}");
            assert_eq!(read(&refuses), Ok(None), "{field} and {refuses:?}");
        }
        // A length that Spectrum refuses [K], and unsigned numbers, which no column takes.
        for (field, column) in [
            ("fixed_len_byte_array(13) f (DECIMAL(18,2))", numeric()),
            ("int32 f (UINT_32)", of(Target::INT8)),
        ] {
            let message = parse_message_type(&format!("message m {{ optional {field}; }}")).expect("valid");
            assert!(matches!(reader(&message.get_fields()[0], &column), Ok(None)), "{field}");
        }
        // What nobody has reported is refused by name.
        for (field, column, words) in [
            ("int64 f (TIMESTAMP_MICROS)", of(Target::TIMESTAMPTZ), "columns of the type timestamptz"),
            ("int64 f (TIMESTAMP(NANOS,true))", of(Target::TIMESTAMP), "times in nanoseconds"),
            ("binary f", of(Target::VARCHAR), "bytes without the annotation STRING"),
        ] {
            let message = parse_message_type(&format!("message m {{ optional {field}; }}")).expect("valid");
            match reader(&message.get_fields()[0], &column) {
                Err(Failure::NotImitated(what)) => assert!(what.contains(words), "{what}"),
                other => panic!("{field}: {other:?}"),
            }
        }
    }

    #[test]
    fn decimals_need_the_bytes_of_their_precision() {
        // The sizes of the format's page for a fixed length, DECIMAL.
        for (precision, bytes) in
            [(1, 1), (2, 1), (3, 2), (9, 4), (10, 5), (18, 8), (19, 9), (29, 13), (38, 16)]
        {
            assert_eq!(least_bytes(precision), Some(bytes), "{precision}");
        }
        assert_eq!(least_bytes(39), None);
        assert_eq!(least_bytes(-1), None);
    }
}
