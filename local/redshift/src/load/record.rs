//! The rows of a load in the system views, written in a separate session so that they outlive a
//! rolled-back COPY.

use tokio_postgres::Client;

use crate::data_api::{Session, sql_error};
use crate::sql::{CopyStatement, SqlError};
use local_servers::postgres::Login;

use super::columns::{Column, TableColumns};
use super::decode::INVALID;
use super::{Object, RowError, now};

/// Longest text of a line or value that the views show, in characters.
const MAX_TEXT: usize = 1024;

/// Text for the views: without bytes that PostgreSQL cannot keep, and no longer than they show.
fn shown(text: &str) -> String {
    text.chars().filter(|c| *c != '\0').map(|c| if c == INVALID { '?' } else { c }).take(MAX_TEXT).collect()
}

impl RowError {
    fn column_of<'a>(&self, table: &'a TableColumns) -> Option<&'a Column> {
        table.columns.get(self.column?)
    }
}

/// The record of one load.
pub(super) struct Record<'a> {
    client: Client,
    copy: &'a CopyStatement,
    job_id: i64,
    query_id: i64,
    transaction_id: i64,
    session_id: i32,
    user_id: i32,
    table_oid: u32,
    start: String,
}

/// A file that was loaded.
pub(super) struct FileLoaded {
    pub(super) name: String,
    pub(super) lines: usize,
    pub(super) errors: usize,
}

impl<'a> Record<'a> {
    pub(super) async fn begin(
        session: &Session,
        copy: &'a CopyStatement,
        job_id: i64,
        table: &TableColumns,
    ) -> Result<Self, SqlError> {
        let row = session
            .client
            .query_one(
                "SELECT pg_backend_pid(), txid_current(), usesysid::int FROM pg_catalog.pg_user WHERE usename = current_user",
                &[],
            )
            .await
            .map_err(|error| sql_error(&error))?;
        let client = session
            .server
            .connect(&session.database, &Login::system())
            .await
            .map_err(|error| sql_error(&error))?;
        let query_id: i64 = client
            .query_one("SELECT nextval('sluice_sys.query_id')", &[])
            .await
            .map_err(|error| sql_error(&error))?
            .get(0);
        Ok(Self {
            client,
            copy,
            job_id,
            query_id,
            session_id: row.get(0),
            transaction_id: row.get(1),
            user_id: row.get(2),
            table_oid: table.oid,
            start: now(),
        })
    }

    pub(super) fn query_id(&self) -> i64 {
        self.query_id
    }

    /// The rows that were not loaded, each with the number of its file.
    pub(super) async fn errors(
        &self,
        errors: &[(usize, RowError)],
        objects: &[Object],
        table: &TableColumns,
    ) -> Result<(), SqlError> {
        for errors in errors.chunks(1000) {
            let files: Vec<String> = errors
                .iter()
                .map(|(file, _)| objects.get(*file).map(Object::name).unwrap_or_default())
                .collect();
            let each = |text: fn(&RowError, &TableColumns) -> String| -> Vec<String> {
                errors.iter().map(|(_, error)| text(error, table)).collect()
            };
            let lines: Vec<i64> =
                errors.iter().map(|(_, error)| i64::try_from(error.line).unwrap_or(0)).collect();
            let positions: Vec<i32> = errors.iter().map(|(_, error)| error.position).collect();
            let codes: Vec<i32> = errors.iter().map(|(_, error)| error.code).collect();
            self.client
                .execute(
                    "INSERT INTO sluice_sys.load_error SELECT $1,$2,$3,$4,$5,$6::text::timestamptz,\
                     e.f,e.l,e.n,e.t,e.s,e.p,e.c,e.m,e.r,e.v,$7 FROM unnest($8::text[],$9::bigint[],$10::text[],\
                     $11::text[],$12::text[],$13::int[],$14::int[],$15::text[],$16::text[],$17::text[]) \
                     AS e(f,l,n,t,s,p,c,m,r,v)",
                    &[
                        &self.user_id,
                        &self.query_id,
                        &self.transaction_id,
                        &self.session_id,
                        &i32::try_from(self.table_oid).unwrap_or(0),
                        &self.start,
                        &self.job_id,
                        &files,
                        &lines,
                        &each(|error, table| error.column_of(table).map_or("", |column| column.name.as_str()).to_owned()),
                        &each(|error, table| error.column_of(table).map_or("", Column::type_name).to_owned()),
                        &each(|error, table| {
                            error.column_of(table).and_then(|column| column.length).unwrap_or(0).to_string()
                        }),
                        &positions,
                        &codes,
                        &each(|error, _| shown(&error.message)),
                        &each(|error, _| shown(&error.raw)),
                        &each(|error, _| shown(&error.value)),
                    ],
                )
                .await
                .map_err(|error| sql_error(&error))?;
        }
        Ok(())
    }

    /// The end of the load.
    pub(super) async fn finish(
        &mut self,
        status: &str,
        objects: &[Object],
        rows: usize,
        errors: usize,
        files: &[FileLoaded],
    ) -> Result<(), SqlError> {
        let count = i32::try_from(objects.len()).unwrap_or(i32::MAX);
        let bytes: i64 = objects.iter().map(|object| object.size).sum();
        let loaded = if status == "completed" { bytes } else { 0 };
        let source = format!("s3://{}/{}", self.copy.bucket, self.copy.prefix);
        let format = self.copy.format.name();
        let transaction = self.client.transaction().await.map_err(|error| sql_error(&error))?;
        let history = transaction
            .execute(
                "INSERT INTO sluice_sys.load_history VALUES \
                 ($1,$2,$3,$4,$5,$6,$7::text::timestamptz,clock_timestamp(),$8,$9,$10,$11,$12,$13,$12,$13,$14,$15)",
                &[
                    &self.user_id,
                    &self.query_id,
                    &self.transaction_id,
                    &self.session_id,
                    &status,
                    &self.copy.table,
                    &self.start,
                    &source,
                    &format,
                    &i64::try_from(rows).unwrap_or(0),
                    &loaded,
                    &count,
                    &bytes,
                    &i64::try_from(errors).unwrap_or(0),
                    &self.job_id,
                ],
            )
            .await;
        history.map_err(|error| sql_error(&error))?;
        for file in files {
            transaction
                .execute(
                    "INSERT INTO sluice_sys.load_commit \
                     (user_id, query_id, name, file_name, lines_scanned, errors, file_format, copy_job_id) \
                     VALUES ($1,$2,$3,$4,$5,$6,$7,$8)",
                    &[
                        &self.user_id,
                        &self.query_id,
                        &file.name,
                        &file.name,
                        &i32::try_from(file.lines).unwrap_or(i32::MAX),
                        &i32::try_from(file.errors).unwrap_or(i32::MAX),
                        &format,
                        &self.job_id,
                    ],
                )
                .await
                .map_err(|error| sql_error(&error))?;
        }
        transaction.commit().await.map_err(|error| sql_error(&error))
    }
}
