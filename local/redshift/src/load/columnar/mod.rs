//! Parquet files [D: COPY from columnar data formats]: columns by their position, types as they are
//! stored, any value into SUPER columns with SERIALIZETOJSON.
//!
//! The pages say that the types must match, and not how. The rules are those of Impala, whose
//! sentences Redshift Spectrum prints, narrowed to what the field reports [K]; anything else is
//! refused.

mod nested;
mod schema;
mod values;

use std::sync::Arc;

use crate::sql::{Compression, CopyStatement, SqlError};
use bytes::Bytes;
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};

use super::columns::{Column, TableColumns};
use super::{Row, RowError, convert, decode};

/// The number of every error of Redshift Spectrum that the user can correct. Source: [K], a public
/// test of AWS for `SYS_LOAD_ERROR_DETAIL`.
pub(super) const SPECTRUM: i32 = 15007;

/// Maximum of a file's values: dictionaries and runs let a small file have more than memory holds.
/// Redshift has no such limit.
const MAX_VALUES: i64 = 50_000_000;

/// An object as Spectrum's sentences name it.
#[derive(Debug, Clone)]
pub(super) struct Source {
    /// `s3://bucket/key`.
    pub(super) uri: String,
    /// `https://s3.REGION.amazonaws.com/bucket/key`.
    pub(super) url: String,
}

/// The result of one value or one file. The error is the sentence of `SYS_LOAD_ERROR_DETAIL`.
type Checked<T> = Result<T, Failure>;

/// The reason why a file is not loaded.
#[derive(Debug)]
enum Failure {
    /// Redshift refuses the file, too.
    Refused(String),
    /// The stand-in cannot tell what Redshift does.
    NotImitated(String),
}

impl Failure {
    /// Adds the field and the column to a sentence about a value.
    fn of(field: &str, column: &Column, what: impl std::fmt::Display) -> Self {
        Self::NotImitated(format!("{what}, field {field} for column {}", column.name))
    }
}

/// Reads the rows of a file. Redshift's errors about a whole file are in the rows, because
/// `SYS_LOAD_ERROR_DETAIL` shows them.
pub(super) fn rows(
    bytes: &Bytes,
    source: &Source,
    copy: &CopyStatement,
    table: &TableColumns,
) -> Result<Vec<Result<Row, RowError>>, SqlError> {
    match read(bytes, source, copy, table) {
        Ok(rows) => Ok(rows.into_iter().map(Ok).collect()),
        Err(Failure::Refused(message)) => Ok(vec![Err(error(message))]),
        Err(Failure::NotImitated(what)) => {
            Err(SqlError::not_imitated(format!("Parquet files with {what} ({})", source.uri)))
        }
    }
}

/// An error of Spectrum. It names file and column in its text only: whether the view's columns do is
/// not documented, so that they are empty here.
fn error(message: String) -> RowError {
    RowError {
        line: 0,
        raw: String::new(),
        column: None,
        value: String::new(),
        position: 0,
        code: SPECTRUM,
        message: format!("Spectrum Scan Error. {message}"),
    }
}

/// The error of the statement, in the form of the Data API [K].
pub(super) fn statement_error(error: &RowError, query_id: i64) -> SqlError {
    let line = "-".repeat(47);
    let context = error.message.trim_start_matches("Spectrum Scan Error. ");
    SqlError::new(format!(
        "Spectrum Scan Error\n  Detail: \n  {line}\n  error:  Spectrum Scan Error\n  code:      {}\n  context:   {context}\n  \
         query:     {query_id}\n  location:  dory_util.cpp:1450\n  process:   worker_thread [pid=1]\n  {line}\n",
        error.code
    ))
}

fn read(bytes: &Bytes, source: &Source, copy: &CopyStatement, table: &TableColumns) -> Checked<Vec<Row>> {
    let bytes = unpack(bytes, source)?;
    // [D: Troubleshooting queries in Redshift Spectrum] a corrupt file.
    let broken = |error: ParquetError| {
        Failure::Refused(format!("File '{}' has an invalid version number: {error}", source.url))
    };
    let reader = SerializedFileReader::new(bytes).map_err(broken)?;
    let metadata = reader.metadata();
    let file = metadata.file_metadata();
    let root = file.schema_descr().root_schema_ptr();
    let serialize = copy.options.has("SERIALIZETOJSON");
    let fill = copy.options.has("FILLRECORD");
    let readers = schema::check(root.get_fields(), source, table, serialize, fill)?;
    let count = i64::try_from(readers.len()).unwrap_or(i64::MAX);
    if !(0..=MAX_VALUES).contains(&file.num_rows().saturating_mul(count.max(1))) {
        return Err(Failure::NotImitated(format!("more than {MAX_VALUES} values")));
    }
    let mut rows = Vec::new();
    for group in 0..metadata.num_row_groups() {
        let group = reader.get_row_group(group).map_err(broken)?;
        let length = usize::try_from(group.metadata().num_rows()).unwrap_or(0);
        let mut columns = Vec::with_capacity(table.columns.len());
        for ((how, field), column) in readers.iter().zip(root.get_fields()).zip(&table.columns) {
            let found = match how {
                schema::Reader::Flat(conversion) => {
                    values::column(&*group, (file.schema_descr(), field), column, *conversion, length)
                }
                schema::Reader::Json => nested::column(&*group, &root, field, column),
            };
            let found = found.map_err(|error| error.or(broken))?;
            if found.len() != length {
                let rows = found.len();
                return Err(Failure::Refused(format!(
                    "File '{}' has an invalid version number: {rows} of {length} rows in column {}",
                    source.url,
                    field.name()
                )));
            }
            columns.push(found);
        }
        let first = rows.len() as u64;
        let mut columns: Vec<_> = columns.into_iter().map(Vec::into_iter).collect();
        for number in 0..length as u64 {
            // [K] with FILLRECORD the columns at the end are NULL, VARCHAR too.
            let mut fields: Vec<_> = columns.iter_mut().map(|values| values.next().flatten()).collect();
            fields.resize(table.columns.len(), None);
            rows.push(Row { line: first + number + 1, raw: String::new(), fields });
        }
    }
    if i64::try_from(rows.len()).ok() != Some(file.num_rows()) {
        let found = rows.len();
        return Err(Failure::Refused(format!(
            "File '{}' has an invalid version number: {found} of {} rows",
            source.url,
            file.num_rows()
        )));
    }
    Ok(rows)
}

/// Decompresses a file that is compressed as a whole, by its extension [D: COPY from columnar data
/// formats]. Parquet's own compression is inside of the file.
fn unpack(bytes: &Bytes, source: &Source) -> Checked<Bytes> {
    let compression = match source.uri.rsplit('.').next() {
        Some("gz") => Compression::Gzip,
        Some("bz2") => Compression::Bzip2,
        Some("snappy") => return Err(Failure::NotImitated("Snappy around the whole file".to_owned())),
        _ => return Ok(bytes.clone()),
    };
    decode::unpack(bytes, compression).map(Bytes::from).map_err(|error| Failure::Refused(error.message))
}

/// Checks the values of a row, which have the text of their type already.
pub(super) fn check(
    row: Row,
    table: &TableColumns,
    copy: &CopyStatement,
    url: &str,
) -> Result<Row, RowError> {
    let Row { line, raw, mut fields } = row;
    for (number, (field, column)) in fields.iter_mut().zip(&table.columns).enumerate() {
        let Some(value) = field else {
            if column.not_null {
                let (column, value) = (Some(number), String::new());
                let message = "Missing data for not-null field".to_owned();
                return Err(RowError { line, raw, column, value, position: 0, code: 1213, message });
            }
            continue;
        };
        let refused = |(code, message)| RowError {
            line,
            raw: String::new(),
            column: Some(number),
            value: String::new(),
            position: 0,
            code,
            message,
        };
        *value = convert::valid(std::mem::take(value), column, copy).map_err(refused)?;
        // [K] one string has at most 65535 bytes in SUPER.
        if column.is_super() && value.starts_with('"') && value.len() > 65_535 + 2 {
            return Err(refused((1224, "String value exceeds the max size of 65535 bytes".to_owned())));
        }
        if let Some(length) = column.length.filter(|length| value.len() > *length) {
            // [K] and a public test of AWS.
            return Err(error(format!(
                "The length of the data column {} is longer than the length defined in the table. Table: {length}, \
                 Data: {}, File name: {url}",
                column.name,
                value.len()
            )));
        }
        if column.is_text() {
            *value = convert::text(std::mem::take(value), column, copy).map_err(refused)?;
        }
    }
    Ok(Row { line, raw, fields })
}

/// An error while values are read: of the file, or of one value.
enum ReadError {
    File(ParquetError),
    Value(Failure),
}

impl ReadError {
    fn or(self, broken: impl FnOnce(ParquetError) -> Failure) -> Failure {
        match self {
            Self::File(error) => broken(error),
            Self::Value(failure) => failure,
        }
    }
}

impl From<ParquetError> for ReadError {
    fn from(error: ParquetError) -> Self {
        Self::File(error)
    }
}

impl From<Failure> for ReadError {
    fn from(failure: Failure) -> Self {
        Self::Value(failure)
    }
}

/// A field of the file's schema.
type Field = Arc<parquet::schema::types::Type>;

#[cfg(test)]
mod tests {
    use parquet::data_type::{ByteArray, ByteArrayType, Int32Type};
    use parquet::file::properties::WriterProperties;
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;
    use proptest::prelude::*;
    use tokio_postgres::types::Type;

    use super::*;
    use crate::sql::{Statement, read as parse};

    const ROWS: i32 = 40;

    fn file() -> Vec<u8> {
        let schema =
            parse_message_type("message m { required int32 a; optional binary b (UTF8); }").expect("valid");
        let mut writer =
            SerializedFileWriter::new(Vec::new(), schema.into(), Arc::new(WriterProperties::default()))
                .expect("memory");
        for part in 0..2 {
            let mut group = writer.next_row_group().expect("memory");
            let numbers: Vec<i32> = (0..ROWS / 2).map(|row| row + part * ROWS / 2).collect();
            let mut column = group.next_column().expect("memory").expect("two columns");
            column.typed::<Int32Type>().write_batch(&numbers, None, None).expect("values");
            column.close().expect("memory");
            let texts: Vec<ByteArray> = numbers
                .iter()
                .filter(|row| *row % 2 == 0)
                .map(|row| row.to_string().into_bytes().into())
                .collect();
            let levels: Vec<i16> = numbers.iter().map(|row| i16::from(row % 2 == 0)).collect();
            let mut column = group.next_column().expect("memory").expect("two columns");
            column.typed::<ByteArrayType>().write_batch(&texts, Some(&levels), None).expect("values");
            column.close().expect("memory");
            group.close().expect("memory");
        }
        writer.into_inner().expect("memory")
    }

    /// The rows of a file; `None` if it is refused, or if the reader panics, which ends no more than
    /// the load.
    fn load(bytes: Vec<u8>) -> Option<Vec<Row>> {
        let Ok(Statement::Copy(copy)) = parse("COPY t FROM 's3://b/' IAM_ROLE 'r' PARQUET") else {
            panic!("a COPY")
        };
        let column = |name: &str, ty| Column {
            name: name.to_owned(),
            ty,
            length: None,
            precision: None,
            scale: None,
            not_null: false,
        };
        let columns = vec![column("a", Type::INT4), column("b", Type::VARCHAR)];
        let table = TableColumns { relation: "t".into(), oid: 1, columns };
        let source = Source { uri: "s3://b/k".into(), url: "https://b/k".into() };
        let rows = std::panic::catch_unwind(|| rows(&Bytes::from(bytes), &source, &copy, &table));
        rows.ok()?.ok()?.into_iter().collect::<Result<_, _>>().ok()
    }

    #[test]
    fn rows_of_all_row_groups_keep_their_order() {
        let rows = load(file()).expect("a valid file");
        let expected = (0..ROWS).map(|row| Row {
            line: row.unsigned_abs().into(),
            raw: String::new(),
            fields: vec![Some(row.to_string()), (row % 2 == 0).then(|| row.to_string())],
        });
        let expected: Vec<_> = expected.map(|row| Row { line: row.line + 1, ..row }).collect();
        assert_eq!(rows, expected);
    }

    proptest! {
        #[test]
        fn damaged_parquet_never_loads_in_part(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
            let mut bytes = file();
            let at = at.index(bytes.len());
            if cut {
                bytes.truncate(at);
            } else {
                bytes[at] = byte;
            }
            if let Some(rows) = load(bytes) {
                prop_assert_eq!(rows.len(), 40);
            }
        }
    }
}
