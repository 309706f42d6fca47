//! COPY from S3: reads files, writes rows to PostgreSQL and records the outcome in the system
//! views.

mod avro;
mod columnar;
mod columns;
mod convert;
mod dates;
mod decode;
mod json;
mod lines;
mod recognize;
mod record;
mod s3;
mod send;

use std::sync::Arc;

use jiff::Timestamp;

use crate::data_api::{Outcome, Session, sql_error};
use crate::sql::{CopyOptions, CopyStatement, FieldMapping, Format, SqlError};

use columns::TableColumns;
pub(crate) use columns::demand_insert;
use recognize::Recognized;
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

/// The errors of a load, in the order of the files.
#[derive(Debug)]
pub(crate) struct Errors {
    /// The number that the load tolerates.
    tolerated: u64,
    /// Their number.
    count: u64,
    /// The first of them, with the number of their file.
    shown: Vec<(usize, RowError)>,
    /// The number of each file's errors.
    by_file: std::collections::BTreeMap<usize, usize>,
}

/// Maximum of errors that a load shows: the limit of MAXERROR [D: COPY, MAXERROR]. Beyond it,
/// IGNOREALLERRORS only counts them.
const MAX_SHOWN: usize = 100_000;

impl Errors {
    fn new(options: &CopyOptions) -> Self {
        // [D: COPY, MAXERROR] the load fails at this number of errors; 0 and 1 mean at the first.
        let tolerated =
            if options.has("IGNOREALLERRORS") { u64::MAX } else { options.max_error.saturating_sub(1) };
        Self { tolerated, count: 0, shown: Vec::new(), by_file: std::collections::BTreeMap::new() }
    }

    fn push(&mut self, file: usize, error: RowError) {
        self.count += 1;
        *self.by_file.entry(file).or_default() += 1;
        if self.shown.len() < MAX_SHOWN {
            self.shown.push((file, error));
        }
    }

    /// Returns true if the load has failed.
    fn too_many(&self) -> bool {
        self.count > self.tolerated
    }
}

/// Refuses a format that Redshift loads and the stand-in does not.
pub(crate) fn demand_format(format: &Format) -> Result<(), SqlError> {
    match format {
        Format::NotLoaded("orc") => Err(SqlError::not_imitated(
            "COPY of ORC files, for which it has no reader (test the job with PARQUET, which takes the same options, and \
             load an ORC file on AWS)",
        )),
        Format::NotLoaded(format) => {
            Err(SqlError::not_imitated(format!("COPY of files in the format {}", format.to_uppercase())))
        }
        _ => Ok(()),
    }
}

async fn load(
    session: &Session,
    copy: &CopyStatement,
    reader: &s3::Reader<'_>,
    objects: &[Object],
    job_id: i64,
) -> Result<Outcome, SqlError> {
    demand_format(&copy.format)?;
    demand_insert(session, copy).await?;
    let table = TableColumns::read(session, copy).await?;
    let mut record = Record::begin(session, copy, job_id, &table).await?;
    let mut errors = Errors::new(&copy.options);
    let read = read(session, copy, reader, objects, &table, &mut errors).await;
    let Read { good, lines } = match read {
        Ok(read) => read,
        Err(error) => {
            record.finish("aborted", objects, 0, 0, &[]).await?;
            return Err(error);
        }
    };
    let mut loaded = 0;
    if !copy.options.has("NOLOAD") && !errors.too_many() {
        match send::rows(session, &table, &good, &mut errors).await {
            Ok(sent) => loaded = sent,
            Err(error) => {
                record.finish("aborted", objects, 0, 0, &[]).await?;
                return Err(sql_error(&error));
            }
        }
    }
    record.errors(&errors.shown, objects, &table).await?;
    let count = usize::try_from(errors.count).unwrap_or(usize::MAX);
    if errors.too_many() {
        record.finish("aborted", objects, 0, count, &[]).await?;
        if let Some((_, error)) = errors.shown.iter().find(|(_, error)| error.code == columnar::SPECTRUM) {
            return Err(columnar::statement_error(error, record.query_id()));
        }
        // [K] the message of Redshift, with the view that all kinds of warehouse have.
        return Err(SqlError::new(format!(
            "Load into table '{}' failed.  Check 'sys_load_error_detail' system table for details.",
            copy.table
        )));
    }
    if copy.options.has("NOLOAD") {
        record.finish("completed", objects, 0, count, &[]).await?;
        return Ok(Outcome { result: None, rows: 0, query_id: record.query_id() });
    }
    let files: Vec<FileLoaded> = objects
        .iter()
        .zip(lines)
        .enumerate()
        .map(|(number, (object, lines))| FileLoaded {
            name: object.name(),
            lines,
            errors: errors.by_file.get(&number).copied().unwrap_or(0),
        })
        .collect();
    record.finish("completed", objects, loaded, count, &files).await?;
    Ok(Outcome { result: None, rows: i64::try_from(loaded).unwrap_or(-1), query_id: record.query_id() })
}

/// The rows of all files.
struct Read {
    /// The rows that can be sent, in the order of the files.
    good: Vec<send::Numbered>,
    /// The number of lines of each file.
    lines: Vec<usize>,
}

/// Reads, splits and converts the files, until there are more errors than the load tolerates.
async fn read(
    session: &Session,
    copy: &CopyStatement,
    reader: &s3::Reader<'_>,
    objects: &[Object],
    table: &TableColumns,
    errors: &mut Errors,
) -> Result<Read, SqlError> {
    let paths = match &copy.format {
        Format::Json(FieldMapping::Paths(path)) | Format::Avro(FieldMapping::Paths(path)) => {
            Some(reader.get_path(path).await?)
        }
        _ => None,
    };
    let (copy, table) = (Arc::new(copy.clone()), Arc::new(table.clone()));
    let mut read = Read { good: Vec::new(), lines: Vec::new() };
    for (number, object) in objects.iter().enumerate() {
        let bytes = reader.get(object).await?;
        let source = Arc::new(reader.source(object));
        let tolerated = errors.tolerated.saturating_sub(errors.count);
        let (for_split, columns, paths) = (Arc::clone(&copy), Arc::clone(&table), paths.clone());
        let for_rows = Arc::clone(&source);
        let (rows, unknown) = in_background(move || {
            let rows = rows(&bytes, &for_rows, &for_split, paths.as_deref(), &columns, tolerated)?;
            let unknown = recognize::unknown(&rows, &columns, &for_split);
            Ok::<_, SqlError>((rows, unknown))
        })
        .await??;
        read.lines.push(rows.len());
        let known = Recognized::ask(&session.client, unknown).await?;
        let (for_convert, columns) = (Arc::clone(&copy), Arc::clone(&table));
        let (good, bad) = in_background(move || {
            let (mut good, mut bad) = (Vec::new(), Vec::new());
            for row in rows {
                let converted = row.and_then(|row| match for_convert.format {
                    Format::Parquet => columnar::check(row, &columns, &for_convert, &source.url),
                    _ => convert::row(row, &columns, &for_convert, &known),
                });
                match converted {
                    Ok(row) => good.push((number, row)),
                    Err(error) => bad.push(error),
                }
                if bad.len() as u64 > tolerated {
                    break;
                }
            }
            (good, bad)
        })
        .await?;
        read.good.extend(good);
        for error in bad {
            errors.push(number, error);
        }
        if errors.too_many() {
            break;
        }
    }
    Ok(read)
}

/// Splits a file into rows, by its format.
fn rows(
    bytes: &bytes::Bytes,
    source: &columnar::Source,
    copy: &CopyStatement,
    paths: Option<&[u8]>,
    table: &TableColumns,
    tolerated: u64,
) -> Result<Vec<Result<Row, RowError>>, SqlError> {
    match &copy.format {
        Format::Parquet => columnar::rows(bytes, source, copy, table),
        Format::Avro(mapping) => {
            let unpacked = decode::unpack(bytes, copy.options.compression)?;
            avro::rows(&unpacked, mapping, paths, table, tolerated)
        }
        Format::Json(mapping) => {
            json::rows(&decode::text(bytes, &copy.options)?, mapping, paths, table, tolerated)
        }
        _ => {
            let text = decode::text(bytes, &copy.options)?;
            Ok(lines::rows(&text, copy, table.columns.len(), tolerated))
        }
    }
}

/// Runs work that takes as long as the file is large on a thread of its own: the threads that serve
/// requests are few, and a panic there would end the worker of the warehouse.
async fn in_background<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, SqlError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| SqlError::new(format!("the stand-in could not read the file: {error}")))
}

/// The current time in the format of the system views.
fn now() -> String {
    Timestamp::now().to_string()
}
