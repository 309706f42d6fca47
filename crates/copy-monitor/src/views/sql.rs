//! The statements of a run. Their number does not depend on the number of jobs and files.
//!
//! They run in this order in one batch. The order matters: waiting files are counted before the
//! rejected files are read. A file that is rejected between the two is either read now, or counted
//! as waiting and read by the next run. No statement selects the content of a row (`raw_line` and
//! its like are columns of other views), and none names a job.
//!
//! Sources: the pages of the views in the Redshift database developer guide. `TO_CHAR` prints times
//! to the microsecond.

use std::time::Duration;

use lambda_kit::moment::Moment;
use warehouse::sql::Literal;
use warehouse::value::InvalidValue;

use crate::state::{Cursor, ViewsState};

/// The numbers of the statements in the batch.
pub(crate) const READER: usize = 1;
pub(crate) const JOBS: usize = 2;
pub(crate) const INTEGRATIONS: usize = 3;
pub(crate) const MESSAGES: usize = 4;
pub(crate) const COUNTS: usize = 5;
pub(crate) const ERRORS: usize = 6;
pub(crate) const FILES: usize = 7;
pub(crate) const LOADS: usize = 8;
pub(crate) const MANUAL_LOADS: usize = 9;

/// The number of messages that are read of each job: as many as rejected files can wait for their
/// error.
const MESSAGES_OF_A_JOB: u32 = 200;

/// The number of statements in a run.
pub const STATEMENTS_PER_RUN: usize = 9;

fn time(column: &str) -> String {
    format!("TO_CHAR({column}, 'YYYY-MM-DD HH24:MI:SS.US')")
}

fn at(moment: Moment) -> Result<Literal, InvalidValue> {
    Literal::new("time", &moment.sql())
}

/// Returns the condition for rows after the cursor.
fn after(cursor: &Cursor) -> Result<String, InvalidValue> {
    let time = at(cursor.time)?;
    Ok(match &cursor.row {
        None => format!("enqueue_time >= {time}"),
        Some((job, key)) => {
            let key = Literal::new("key", key)?;
            format!(
                "(enqueue_time > {time} OR (enqueue_time = {time} AND (job_id > {job} OR (job_id = {job} AND file_name > {key}))))"
            )
        }
    })
}

/// Returns the statements of a run that starts now.
///
/// # Errors
/// No literal holds the key in the cursor. S3 has no such key.
pub(crate) fn statements(
    state: &ViewsState,
    now: Moment,
    overlap: Duration,
    rows: u32,
) -> Result<Vec<String>, InvalidValue> {
    let behind = format!("NOT ({})", after(&state.cursor)?);
    let (errors_from, complete_until, now) = (at(state.errors_from)?, at(now.minus(overlap))?, at(now)?);
    let (enqueued, modified) = (time("d.enqueue_time"), time("d.modification_time"));
    Ok(vec![
        // READER: "RESTRICTED means that users that are not superusers can see their own records"
        // (SVV_USER_INFO).
        "SELECT user_id, user_name, superuser, syslog_access FROM svv_user_info WHERE user_name = current_user".to_owned(),
        // JOBS
        "SELECT job_id, RTRIM(job_name) AS job_name, job_text, is_auto FROM sys_copy_job ORDER BY job_id".to_owned(),
        // INTEGRATIONS: all columns, because one is documented with a space in its name.
        "SELECT * FROM svv_copy_job_integrations".to_owned(),
        // MESSAGES: the last ones of each job, the newest first. Most of them name their file.
        format!(
            "SELECT job_id, message FROM (SELECT job_id, message, ROW_NUMBER() OVER (PARTITION BY job_id ORDER BY record_time DESC) AS n \
             FROM sys_copy_job_info WHERE record_time >= {errors_from}) m WHERE n <= {MESSAGES_OF_A_JOB} ORDER BY job_id, n"
        ),
        // COUNTS
        format!(
            "SELECT job_id, SUM(CASE WHEN LEFT(status, 1) IN ('P', 'U') THEN 1 ELSE 0 END) AS waiting, \
             SUM(CASE WHEN LEFT(status, 1) IN ('P', 'U') AND {behind} THEN 1 ELSE 0 END) AS waiting_behind, \
             {} AS oldest_waiting, {} AS newest_seen, {} AS newest_loaded, {} AS newest_rejected FROM sys_copy_job_detail GROUP BY job_id ORDER BY job_id",
            time("MIN(CASE WHEN LEFT(status, 1) IN ('P', 'U') THEN enqueue_time END)"),
            time("MAX(modification_time)"),
            time("MAX(CASE WHEN LEFT(status, 1) = 'I' THEN modification_time END)"),
            time("MAX(CASE WHEN LEFT(status, 1) = 'E' THEN modification_time END)"),
        ),
        // ERRORS: each file with the first bad row of its newest load. The view has 256 characters
        // of a file's URL.
        format!(
            "SELECT d.job_id, d.file_location, d.file_name, d.file_etag, {modified} AS modified, {enqueued} AS enqueued, \
             e.line_number, RTRIM(e.column_name) AS column_name, e.error_code, RTRIM(e.error_message) AS error_message, e.query_id \
             FROM sys_copy_job_detail d LEFT JOIN (SELECT h.copy_job_id, RTRIM(x.file_name) AS url, x.line_number, x.column_name, x.error_code, x.error_message, \
             x.query_id, ROW_NUMBER() OVER (PARTITION BY h.copy_job_id, RTRIM(x.file_name) ORDER BY x.start_time DESC, x.query_id DESC, x.line_number) AS n \
             FROM sys_load_error_detail x JOIN sys_load_history h ON h.query_id = x.query_id WHERE h.copy_job_id <> 0 AND x.start_time >= {errors_from}) e \
             ON e.n = 1 AND e.copy_job_id = d.job_id AND e.url = RTRIM(LEFT('s3://' || RTRIM(d.file_location) || '/' || RTRIM(d.file_name), 256)) \
             WHERE LEFT(d.status, 1) = 'E' AND d.enqueue_time >= {errors_from} ORDER BY d.enqueue_time, d.job_id, d.file_name"
        ),
        // FILES: up to the time before which no late row can appear any more, so that each row is
        // read once. Rejected files do not wait for that: ERRORS reads them at once.
        format!(
            "SELECT d.job_id, d.file_name, d.file_etag, d.file_size, {modified} AS modified, {enqueued} AS enqueued, LEFT(d.status, 1) AS status \
             FROM sys_copy_job_detail d WHERE {} AND enqueue_time < {complete_until} ORDER BY d.enqueue_time, d.job_id, d.file_name LIMIT {rows}",
            after(&state.cursor)?
        ),
        // LOADS
        format!(
            "SELECT copy_job_id, SUM(loaded_rows) AS loaded_rows, SUM(source_file_count) AS files FROM sys_load_history \
             WHERE copy_job_id <> 0 AND RTRIM(status) = 'completed' AND end_time >= {} AND end_time < {now} GROUP BY copy_job_id ORDER BY copy_job_id",
            at(state.loads_until)?
        ),
        // MANUAL_LOADS: loads without a job.
        format!(
            "SELECT RTRIM(data_source) AS data_source, {} AS ended FROM sys_load_history WHERE copy_job_id = 0 AND RTRIM(status) = 'completed' \
             AND end_time >= {} GROUP BY RTRIM(data_source) ORDER BY 1",
            time("MAX(end_time)"),
            at(state.loads_until.minus(overlap))?
        ),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(cursor: Cursor) -> Vec<String> {
        let state = ViewsState { cursor, ..ViewsState::default() };
        statements(&state, Moment::from_secs(1_000), Duration::from_secs(500), 100).unwrap()
    }

    #[test]
    fn run_has_nine_select_statements_without_row_content() {
        let statements = all(Cursor { time: Moment::from_secs(9), row: Some((7, "it's\\".to_owned())) });
        assert_eq!(statements.len(), STATEMENTS_PER_RUN);
        for statement in &statements {
            assert!(statement.starts_with("SELECT "), "{statement}");
            assert!(!statement.contains(';') && !statement.to_lowercase().contains("raw"), "{statement}");
        }
        assert!(statements[FILES - 1].contains("file_name > 'it''s\\\\'"), "{}", statements[FILES - 1]);
    }

    #[test]
    fn rows_behind_cursor_are_exactly_those_not_read_again() {
        let cursor = Cursor { time: Moment::from_secs(9), row: Some((7, "k".to_owned())) };
        let (read, statements) = (after(&cursor).unwrap(), all(cursor));
        assert!(
            statements[FILES - 1]
                .contains(&format!("WHERE {read} AND enqueue_time < '1970-01-01 00:08:20.000000' ORDER BY"))
        );
        assert!(statements[COUNTS - 1].contains(&format!("NOT ({read})")));
    }
}
