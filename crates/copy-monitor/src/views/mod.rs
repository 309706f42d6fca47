//! The views reader: the statements on Redshift's system views, and their results as typed rows.

mod rows;
mod snapshot;
pub(crate) mod sql;

use lambda_kit::call::CallError;
use lambda_kit::moment::Moment;

use crate::ports::{FileEntry, FileState, Statements};
use rows::Row;
pub(crate) use snapshot::{Counts, JobMessage, JobSnapshot, Snapshot};

/// A file that COPY rejected, from `SYS_COPY_JOB_DETAIL` and `SYS_LOAD_ERROR_DETAIL`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RejectedFile {
    /// The job's id.
    pub(crate) job: i64,
    pub(crate) bucket: String,
    pub(crate) key: String,
    pub(crate) etag: String,
    /// The time at which Redshift put the file into its queue.
    pub(crate) enqueued: Moment,
    /// The first bad line, from 1; 0 where Redshift shows none.
    pub(crate) line: i64,
    /// The column; empty where Redshift shows none.
    pub(crate) column: String,
    /// Redshift's text, with the numbers of the error and of the query. It may quote a few
    /// characters of the field, never the row. Absent if the views show no error for the file
    /// (yet).
    pub(crate) error: Option<String>,
}

/// A file that was loaded by a COPY without a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ManualLoad {
    pub(crate) bucket: String,
    pub(crate) key: String,
    pub(crate) ended: Moment,
}

/// The loads of a job since the last run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct JobLoads {
    pub(crate) job: i64,
    pub(crate) rows: u64,
    pub(crate) files: u64,
}

/// A page of typed rows.
#[derive(Debug)]
pub(crate) struct Rows<T> {
    pub(crate) items: Vec<T>,
    /// The number of rows in the page, readable or not.
    pub(crate) count: u64,
    pub(crate) next: Option<String>,
}

/// The results of one batch.
pub(crate) struct Views<'a> {
    statements: &'a dyn Statements,
    batch: &'a str,
    /// The number of pages that were read.
    pub(crate) pages: u32,
}

impl<'a> Views<'a> {
    /// Reads the results of the batch with this id.
    pub(crate) fn new(statements: &'a dyn Statements, batch: &'a str) -> Self {
        Self { statements, batch, pages: 0 }
    }

    async fn page<T>(
        &mut self,
        statement: usize,
        next: Option<String>,
        read: impl Fn(Row<'_>) -> Option<T>,
    ) -> Result<Rows<T>, CallError> {
        let page = self.statements.page(self.batch, statement, next).await?;
        self.pages += 1;
        let items = rows::rows(&page).filter_map(read).collect();
        Ok(Rows { items, count: page.rows.len() as u64, next: page.next })
    }

    /// Reads the statements with a row for each job.
    pub(crate) async fn snapshot(&mut self) -> Result<Snapshot, CallError> {
        let mut snapshot = Snapshot::default();
        for statement in [sql::READER, sql::JOBS, sql::INTEGRATIONS, sql::MESSAGES, sql::COUNTS] {
            let mut next = None;
            loop {
                let page = self.statements.page(self.batch, statement, next).await?;
                self.pages += 1;
                for row in rows::rows(&page) {
                    match statement {
                        sql::READER => snapshot.add_reader(row),
                        sql::JOBS => snapshot.add_job(row),
                        sql::INTEGRATIONS => snapshot.add_integration(row),
                        sql::MESSAGES => snapshot.add_message(row),
                        _ => snapshot.add_counts(row),
                    }
                }
                next = page.next;
                if next.is_none() {
                    break;
                }
            }
        }
        Ok(snapshot)
    }

    /// Reads a page of the rejected files.
    pub(crate) async fn rejected(&mut self, next: Option<String>) -> Result<Rows<RejectedFile>, CallError> {
        self.page(sql::ERRORS, next, rejected_file).await
    }

    /// Reads a page of the files whose load status goes to the ledger.
    pub(crate) async fn files(&mut self, next: Option<String>) -> Result<Rows<FileEntry>, CallError> {
        self.page(sql::FILES, next, file_entry).await
    }

    /// Reads a page of the jobs' loads.
    pub(crate) async fn loads(&mut self, next: Option<String>) -> Result<Rows<JobLoads>, CallError> {
        let read = |row: Row<'_>| {
            let job = row.integer("copy_job_id").unwrap_or(0);
            Some(JobLoads { job, rows: row.count("loaded_rows"), files: row.count("files") })
        };
        self.page(sql::LOADS, next, read).await
    }

    /// Reads a page of the loads without a job.
    pub(crate) async fn manual_loads(&mut self, next: Option<String>) -> Result<Rows<ManualLoad>, CallError> {
        let read = |row: Row<'_>| {
            let (bucket, key) = row.text("data_source")?.strip_prefix("s3://")?.split_once('/')?;
            let ended = row.time("ended")?;
            Some(ManualLoad { bucket: bucket.to_owned(), key: key.to_owned(), ended })
        };
        self.page(sql::MANUAL_LOADS, next, read).await
    }
}

fn etag(row: Row<'_>) -> String {
    row.text("file_etag").unwrap_or_default().trim_matches('"').to_owned()
}

fn rejected_file(row: Row<'_>) -> Option<RejectedFile> {
    let text = |column| row.text(column).unwrap_or_default().trim().to_owned();
    let error = row.integer("query_id").map(|query| {
        let code = row.integer("error_code").unwrap_or(0);
        format!("{} (error {code}, query {query})", text("error_message"))
    });
    Some(RejectedFile {
        job: row.integer("job_id")?,
        bucket: row.text("file_location").unwrap_or_default().to_owned(),
        key: row.text("file_name")?.to_owned(),
        etag: etag(row),
        enqueued: row.time("enqueued")?,
        line: row.integer("line_number").unwrap_or(0),
        column: text("column_name"),
        error,
    })
}

fn file_entry(row: Row<'_>) -> Option<FileEntry> {
    let enqueued = row.time("enqueued")?;
    // The documentation's table has one letter, its example the word "Ingested". The statement
    // takes the first letter.
    let state = match row.text("status") {
        Some("I") => FileState::Loaded,
        Some("E") => FileState::Rejected,
        _ => FileState::Waiting,
    };
    Some(FileEntry {
        job: row.integer("job_id")?,
        key: row.text("file_name")?.to_owned(),
        etag: etag(row),
        size: row.integer("file_size").and_then(|size| u64::try_from(size).ok()),
        modified: row.time("modified").unwrap_or(enqueued),
        enqueued,
        state,
    })
}
