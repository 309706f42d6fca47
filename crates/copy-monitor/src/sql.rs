//! The statements of a run: always the same number, whatever the number of jobs and files.
//!
//! They run in this order in one batch. The order matters: what still waits is counted before the files in error are read, so that a file which fails between
//! the two is either read now or counted as waiting, and then read by the next run. No statement selects the content of a row (`raw_line` and its like are columns
//! of other views), and none names a job.
//! Sources: the pages of the views in the Redshift database developer guide. Times are printed by `TO_CHAR` to the microsecond.

use std::time::Duration;

use warehouse::sql::Literal;
use warehouse::value::InvalidValue;

use crate::moment::Moment;
use crate::state::{Cursor, TargetState};

/// Numbers of the statements in the batch.
pub(crate) const SIGHT: usize = 1;
pub(crate) const JOBS: usize = 2;
pub(crate) const INTEGRATIONS: usize = 3;
pub(crate) const MESSAGES: usize = 4;
pub(crate) const COUNTS: usize = 5;
pub(crate) const ERRORS: usize = 6;
pub(crate) const FILES: usize = 7;
pub(crate) const LOADS: usize = 8;
pub(crate) const RELOADS: usize = 9;

/// How many statements a run has.
pub const STATEMENTS_PER_RUN: usize = 9;

fn time(column: &str) -> String {
    format!("TO_CHAR({column}, 'YYYY-MM-DD HH24:MI:SS.US')")
}

fn at(moment: Moment) -> Result<Literal, InvalidValue> {
    Literal::new("time", &moment.sql())
}

/// Rows after the cursor.
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

/// The statements of a run that starts now.
///
/// # Errors
/// A key in the cursor that no literal holds; there is none in S3.
pub(crate) fn statements(
    state: &TargetState,
    now: Moment,
    overlap: Duration,
    rows: u32,
) -> Result<Vec<String>, InvalidValue> {
    let behind = format!("NOT ({})", after(&state.cursor)?);
    let (errors_from, settled, now) = (at(state.errors_from)?, at(now.minus(overlap))?, at(now)?);
    let (enqueued, modified) = (time("d.enqueue_time"), time("d.modification_time"));
    Ok(vec![
        // SIGHT: "RESTRICTED means that users that are not superusers can see their own records" (SVV_USER_INFO).
        "SELECT user_id, user_name, superuser, syslog_access FROM svv_user_info WHERE user_name = current_user".to_owned(),
        // JOBS
        "SELECT job_id, RTRIM(job_name) AS job_name, job_text, is_auto FROM sys_copy_job ORDER BY job_id".to_owned(),
        // INTEGRATIONS: all columns, because the name of one is documented with a space in it.
        "SELECT * FROM svv_copy_job_integrations".to_owned(),
        // MESSAGES
        format!(
            "SELECT job_id, message FROM (SELECT job_id, message, ROW_NUMBER() OVER (PARTITION BY job_id ORDER BY record_time DESC) AS n \
             FROM sys_copy_job_info WHERE record_time >= {errors_from}) m WHERE n = 1"
        ),
        // COUNTS
        format!(
            "SELECT job_id, SUM(CASE WHEN LEFT(status, 1) IN ('P', 'U') THEN 1 ELSE 0 END) AS waiting, \
             SUM(CASE WHEN LEFT(status, 1) IN ('P', 'U') AND {behind} THEN 1 ELSE 0 END) AS waiting_behind, \
             {} AS oldest_waiting, {} AS newest_seen, {} AS newest_loaded FROM sys_copy_job_detail GROUP BY job_id ORDER BY job_id",
            time("MIN(CASE WHEN LEFT(status, 1) IN ('P', 'U') THEN enqueue_time END)"),
            time("MAX(modification_time)"),
            time("MAX(CASE WHEN LEFT(status, 1) = 'I' THEN modification_time END)"),
        ),
        // ERRORS, each with the first row at fault of its newest load. The view has 256 characters of a file's URL.
        format!(
            "SELECT d.job_id, d.file_location, d.file_name, d.file_etag, {modified} AS modified, {enqueued} AS enqueued, \
             e.line_number, RTRIM(e.column_name) AS column_name, e.error_code, RTRIM(e.error_message) AS error_message, e.query_id \
             FROM sys_copy_job_detail d LEFT JOIN (SELECT h.copy_job_id, RTRIM(x.file_name) AS url, x.line_number, x.column_name, x.error_code, x.error_message, \
             x.query_id, ROW_NUMBER() OVER (PARTITION BY h.copy_job_id, RTRIM(x.file_name) ORDER BY x.start_time DESC, x.query_id DESC, x.line_number) AS n \
             FROM sys_load_error_detail x JOIN sys_load_history h ON h.query_id = x.query_id WHERE h.copy_job_id <> 0 AND x.start_time >= {errors_from}) e \
             ON e.n = 1 AND e.copy_job_id = d.job_id AND e.url = RTRIM(LEFT('s3://' || RTRIM(d.file_location) || '/' || RTRIM(d.file_name), 256)) \
             WHERE LEFT(d.status, 1) = 'E' AND d.enqueue_time >= {errors_from} ORDER BY d.enqueue_time, d.job_id, d.file_name"
        ),
        // FILES, up to what no late row can come before any more: so each row is read once. A file in error does not wait for that.
        format!(
            "SELECT d.job_id, d.file_name, d.file_etag, {modified} AS modified, {enqueued} AS enqueued, LEFT(d.status, 1) AS status \
             FROM sys_copy_job_detail d WHERE {} AND enqueue_time < {settled} ORDER BY d.enqueue_time, d.job_id, d.file_name LIMIT {rows}",
            after(&state.cursor)?
        ),
        // LOADS
        format!(
            "SELECT copy_job_id, SUM(loaded_rows) AS loaded_rows, SUM(source_file_count) AS files FROM sys_load_history \
             WHERE copy_job_id <> 0 AND RTRIM(status) = 'completed' AND end_time >= {} AND end_time < {now} GROUP BY copy_job_id ORDER BY copy_job_id",
            at(state.loads_until)?
        ),
        // RELOADS: what was loaded by hand, without any job.
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
        let state = TargetState { cursor, ..TargetState::default() };
        statements(&state, Moment::from_secs(1_000), Duration::from_secs(500), 100).unwrap()
    }

    #[test]
    fn a_run_has_nine_statements_that_only_read_and_none_selects_a_row() {
        let statements = all(Cursor { time: Moment::from_secs(9), row: Some((7, "it's\\".to_owned())) });
        assert_eq!(statements.len(), STATEMENTS_PER_RUN);
        for statement in &statements {
            assert!(statement.starts_with("SELECT "), "{statement}");
            assert!(!statement.contains(';') && !statement.to_lowercase().contains("raw"), "{statement}");
        }
        assert!(statements[FILES - 1].contains("file_name > 'it''s\\\\'"), "{}", statements[FILES - 1]);
    }

    #[test]
    fn what_is_behind_the_cursor_is_exactly_what_is_not_read_again() {
        let cursor = Cursor { time: Moment::from_secs(9), row: Some((7, "k".to_owned())) };
        let (read, statements) = (after(&cursor).unwrap(), all(cursor));
        assert!(
            statements[FILES - 1]
                .contains(&format!("WHERE {read} AND enqueue_time < '1970-01-01 00:08:20.000000' ORDER BY"))
        );
        assert!(statements[COUNTS - 1].contains(&format!("NOT ({read})")));
    }
}
