//! Rows on their way to PostgreSQL, which may still reject one.

use std::collections::VecDeque;

use bytes::Bytes;
use futures_util::SinkExt;

use crate::data_api::Session;

use super::columns::TableColumns;
use super::{Errors, Row, RowError};

/// A row with the number of its file.
pub(super) type Numbered = (usize, Row);

/// Rows of one COPY of PostgreSQL. A rejected row costs another attempt for these rows only.
const CHUNK: usize = 1000;

/// Sends rows in PostgreSQL's text format: all but those that it rejects, or none if those are more
/// errors than the load tolerates. Returns the number of rows.
pub(super) async fn rows(
    session: &Session,
    table: &TableColumns,
    rows: &[Numbered],
    errors: &mut Errors,
) -> Result<usize, tokio_postgres::Error> {
    // A batch has a transaction already; its failure ends it.
    if session.in_block {
        return chunks(session, table, rows, errors).await;
    }
    session.client.batch_execute("BEGIN").await?;
    let sent = chunks(session, table, rows, errors).await;
    let end = if sent.is_ok() && !errors.too_many() { "COMMIT" } else { "ROLLBACK" };
    let ended = session.client.batch_execute(end).await;
    // The first error is the cause.
    sent.and_then(|sent| ended.map(|()| sent))
}

async fn chunks(
    session: &Session,
    table: &TableColumns,
    rows: &[Numbered],
    errors: &mut Errors,
) -> Result<usize, tokio_postgres::Error> {
    let copy = table.copy_in();
    let mut sent = 0;
    let mut waiting: VecDeque<&[Numbered]> = rows.chunks(CHUNK).collect();
    while let Some(chunk) = waiting.pop_front() {
        if chunk.is_empty() {
            continue;
        }
        session.client.batch_execute("SAVEPOINT sluice_copy").await?;
        let Err(error) = copy_in(session, &copy, chunk).await else {
            session.client.batch_execute("RELEASE SAVEPOINT sluice_copy").await?;
            sent += chunk.len();
            continue;
        };
        let Some((index, file, row_error)) = blame(&error, table, chunk) else { return Err(error) };
        session.client.batch_execute("ROLLBACK TO SAVEPOINT sluice_copy").await?;
        errors.push(file, row_error);
        if errors.too_many() {
            return Ok(0);
        }
        waiting.push_front(&chunk[index + 1..]);
        waiting.push_front(&chunk[..index]);
    }
    Ok(sent)
}

async fn copy_in(session: &Session, copy: &str, rows: &[Numbered]) -> Result<(), tokio_postgres::Error> {
    let sink = session.client.copy_in(copy).await?;
    let mut sink = std::pin::pin!(sink);
    let text: String = rows.iter().map(|(_, row)| copy_line(row)).collect();
    sink.send(Bytes::from(text)).await?;
    sink.finish().await.map(|_| ())
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

/// Returns the row that PostgreSQL rejected, by its context `COPY t, line 3, column a: "x"`, its
/// file and its error. Only bad data and violated constraints are errors of a row.
fn blame(
    error: &tokio_postgres::Error,
    table: &TableColumns,
    rows: &[Numbered],
) -> Option<(usize, usize, RowError)> {
    let db = error.as_db_error()?;
    let state = db.code().code();
    if !(state.starts_with("22") || state.starts_with("23")) {
        return None;
    }
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
    let (file, row) = rows.get(index)?;
    let value = column.and_then(|number| row.fields.get(number).cloned().flatten()).unwrap_or_default();
    // [D: Load error reference]
    let (code, message) = match state {
        "23502" => (1213, "Missing data for not-null field".to_owned()),
        "22001" => (1204, "String length exceeds DDL length".to_owned()),
        "22003" => (1204, "Input data exceeded the acceptable range for the data type".to_owned()),
        _ => (1200, db.message().to_owned()),
    };
    let error = RowError { line: row.line, raw: row.raw.clone(), column, value, position: 0, code, message };
    Some((index, *file, error))
}
