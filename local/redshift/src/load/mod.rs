//! COPY from S3: reads files, writes rows to PostgreSQL and records the outcome in the system
//! views.

mod columns;
mod convert;
mod dates;
mod decode;
mod json;
mod lines;
mod record;
mod s3;

use jiff::Timestamp;

use crate::data_api::{Outcome, Session, sql_error};
use crate::sql::{CopyStatement, Format, JsonSource, SqlError};

use columns::TableColumns;
pub(crate) use columns::demand_insert;
use record::{FileLoaded, Record};
pub(crate) use s3::Object;

/// A row of a file, its fields as they were read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    /// Line in the file, from 1; a record over several lines has the number of its first.
    line: u64,
    /// The text of the record.
    raw: String,
    /// Values, in the order of the columns of the COPY.
    fields: Vec<Option<String>>,
}

/// The error of a row that cannot be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RowError {
    line: u64,
    raw: String,
    /// Position in the list of columns, if the error is in one column.
    column: Option<usize>,
    value: String,
    /// Position of the error in the field, from 0.
    position: i32,
    /// Number of the load error reference [D: Load error reference].
    code: i32,
    message: String,
}

/// `COPY … FROM 's3://…'`: every object below the prefix.
pub(crate) async fn copy(session: &Session, copy: &CopyStatement) -> Result<Outcome, SqlError> {
    let reader = s3::Reader::new(session, copy).await?;
    if copy.options.has("MANIFEST") {
        let objects = reader.manifest().await?;
        return load(session, copy, &reader, &objects, 0).await;
    }
    let objects = reader.list().await?;
    if objects.is_empty() {
        // [K] the message of Redshift for a prefix without objects.
        return Err(SqlError::new(format!("The specified S3 prefix '{}' does not exist", copy.prefix)));
    }
    load(session, copy, &reader, &objects, 0).await
}

/// One object, as a job loads it.
pub(crate) async fn one_object(
    session: &Session,
    copy: &CopyStatement,
    object: &Object,
    job_id: i64,
) -> Result<Outcome, SqlError> {
    let reader = s3::Reader::new(session, copy).await?;
    load(session, copy, &reader, std::slice::from_ref(object), job_id).await
}

struct Source<'a> {
    object: &'a Object,
    rows: Vec<Result<Row, RowError>>,
}

async fn load(
    session: &Session,
    copy: &CopyStatement,
    reader: &s3::Reader<'_>,
    objects: &[Object],
    job_id: i64,
) -> Result<Outcome, SqlError> {
    if let Format::NotLoaded(format) = copy.format {
        return Err(SqlError::not_imitated(format!("COPY of files in the format {}", format.to_uppercase())));
    }
    demand_insert(session, copy).await?;
    let table = TableColumns::read(session, copy).await?;
    let mut record = Record::begin(session, copy, job_id, &table).await?;
    let paths = match &copy.format {
        Format::Json(JsonSource::Paths(path)) => Some(reader.get_path(path).await?),
        _ => None,
    };
    let mut sources = Vec::new();
    for object in objects {
        let bytes = match reader.get(object).await {
            Ok(bytes) => bytes,
            Err(error) => {
                record.finish("aborted", objects, 0, 0, &[]).await?;
                return Err(error);
            }
        };
        let text = decode::text(&bytes, &copy.options)?;
        let rows = match &copy.format {
            Format::Json(source) => json::rows(&text, source, paths.as_deref(), &table)?,
            _ => lines::rows(&text, copy, table.columns.len()),
        };
        sources.push(Source { object, rows });
    }
    // Every row that can be converted, in the order of the files; the rest are errors.
    let mut good: Vec<(usize, Row)> = Vec::new();
    let mut errors: Vec<(usize, RowError)> = Vec::new();
    for (number, source) in sources.iter().enumerate() {
        for row in &source.rows {
            match row.clone().and_then(|row| convert::row(row, &table, copy)) {
                Ok(row) => good.push((number, row)),
                Err(error) => errors.push((number, error)),
            }
        }
    }
    let limit = if copy.options.has("IGNOREALLERRORS") { u64::MAX } else { copy.options.max_error };
    let too_many = |errors: &[(usize, RowError)]| errors.len() as u64 > limit;
    if !copy.options.has("NOLOAD") {
        // PostgreSQL may still reject a value, which is an error of that row.
        while !too_many(&errors) {
            match send(session, &table, &good).await {
                Ok(()) => break,
                Err(Refused::Row(index, error)) => {
                    let (number, row) = good.remove(index.min(good.len().saturating_sub(1)));
                    errors.push((number, RowError { line: row.line, raw: row.raw, ..error }));
                }
                Err(Refused::Whole(error)) => {
                    record.finish("aborted", objects, 0, 0, &[]).await?;
                    return Err(sql_error(&error));
                }
            }
        }
    }
    for (number, error) in &errors {
        record.error(&sources[*number].object.name(), error, &table).await?;
    }
    if too_many(&errors) {
        record.finish("aborted", objects, 0, errors.len(), &[]).await?;
        // [K] the message of Redshift, with the view that all kinds of warehouse have.
        return Err(SqlError::new(format!(
            "Load into table '{}' failed.  Check 'sys_load_error_detail' system table for details.",
            copy.table
        )));
    }
    if copy.options.has("NOLOAD") {
        record.finish("completed", objects, 0, errors.len(), &[]).await?;
        return Ok(Outcome { result: None, rows: 0, query_id: record.query_id() });
    }
    let files: Vec<FileLoaded> = sources
        .iter()
        .enumerate()
        .map(|(number, source)| FileLoaded {
            name: source.object.name(),
            lines: source.rows.len(),
            errors: errors.iter().filter(|(of, _)| *of == number).count(),
        })
        .collect();
    record.finish("completed", objects, good.len(), errors.len(), &files).await?;
    Ok(Outcome { result: None, rows: i64::try_from(good.len()).unwrap_or(-1), query_id: record.query_id() })
}

enum Refused {
    /// The row of this index.
    Row(usize, RowError),
    /// An error that is not of one row.
    Whole(tokio_postgres::Error),
}

/// Sends all rows in PostgreSQL's text format, or none.
async fn send(session: &Session, table: &TableColumns, rows: &[(usize, Row)]) -> Result<(), Refused> {
    use bytes::Bytes;
    use futures_util::SinkExt;
    let attempt = async {
        // Inside a batch's transaction a rejected row must not end the transaction before the next
        // attempt.
        if session.in_block {
            session.client.batch_execute("SAVEPOINT sluice_copy").await?;
        }
        let sink = session.client.copy_in(&table.copy_in()).await?;
        let mut sink = std::pin::pin!(sink);
        for chunk in rows.chunks(1000) {
            let text: String = chunk.iter().map(|(_, row)| copy_line(row)).collect();
            sink.send(Bytes::from(text)).await?;
        }
        sink.finish().await
    };
    let result: Result<u64, tokio_postgres::Error> = attempt.await;
    let Err(error) = result else { return Ok(()) };
    if session.in_block {
        session.client.batch_execute("ROLLBACK TO SAVEPOINT sluice_copy").await.map_err(Refused::Whole)?;
    }
    match blame(&error, table, rows) {
        Some((index, row_error)) => Err(Refused::Row(index, row_error)),
        None => Err(Refused::Whole(error)),
    }
}

fn copy_line(row: &Row) -> String {
    let mut line = String::new();
    for (number, field) in row.fields.iter().enumerate() {
        if number > 0 {
            line.push('\t');
        }
        match field {
            None => line.push_str("\\N"),
            Some(value) => {
                for c in value.chars() {
                    match c {
                        '\\' => line.push_str("\\\\"),
                        '\t' => line.push_str("\\t"),
                        '\n' => line.push_str("\\n"),
                        '\r' => line.push_str("\\r"),
                        other => line.push(other),
                    }
                }
            }
        }
    }
    line.push('\n');
    line
}

/// The row of a PostgreSQL error, from its context `COPY t, line 3, column a: "x"`.
fn blame(
    error: &tokio_postgres::Error,
    table: &TableColumns,
    rows: &[(usize, Row)],
) -> Option<(usize, RowError)> {
    let db = error.as_db_error()?;
    let context = db.where_()?.lines().find(|line| line.starts_with("COPY "))?.to_owned();
    let rest = &context[context.find(", line ")? + 7..];
    let line: usize = rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok()?;
    let index = line.checked_sub(1)?;
    let column = rest
        .find(", column ")
        .map(|at| &rest[at + 9..])
        .and_then(|rest| {
            table.columns.iter().position(|column| rest.starts_with(&format!("{}:", column.name)))
        })
        .or_else(|| db.column().and_then(|name| table.columns.iter().position(|column| column.name == name)));
    let row = &rows.get(index)?.1;
    let value = column.and_then(|number| row.fields.get(number).cloned().flatten()).unwrap_or_default();
    // [D: Load error reference]
    let (code, message) = match db.code().code() {
        "23502" => (1213, "Missing data for not-null field".to_owned()),
        "22001" => (1204, "String length exceeds DDL length".to_owned()),
        "22003" => (1204, "Input data exceeded the acceptable range for the data type".to_owned()),
        _ => (1200, db.message().to_owned()),
    };
    Some((
        index,
        RowError { line: row.line, raw: row.raw.clone(), column, value, position: 0, code, message },
    ))
}

/// The current time in the format of the system views.
fn now() -> String {
    Timestamp::now().to_string()
}
