//! The system views: the results of the monitor's statements.

use std::collections::HashMap;

use warehouse::batch::Page;
use warehouse::data_api::Cell;

use crate::world::{BUCKET, Detail, LoadError, OWNER, READER, World};
use lambda_kit::moment::Moment;

fn text(value: &str) -> Cell {
    Cell::Text(value.to_owned())
}

fn time(moment: Option<Moment>) -> Cell {
    moment.map_or(Cell::Null, |moment| Cell::Text(moment.sql()))
}

fn number(value: usize) -> Cell {
    Cell::Integer(i64::try_from(value).unwrap())
}

/// The literal after these words.
fn literal<'a>(sql: &'a str, before: &str) -> Option<&'a str> {
    let begin = sql.find(before)? + before.len();
    sql[begin..].split('\'').next()
}

fn literal_time(sql: &str, before: &str) -> Moment {
    Moment::parse_sql(literal(sql, before).unwrap()).unwrap()
}

/// Rows after the cursor of a statement, as its condition says.
fn after(sql: &str) -> impl Fn(&Detail) -> bool {
    let row = literal(sql, "(enqueue_time > '").map(|time| {
        let begin = sql.find("(job_id = ").unwrap() + "(job_id = ".len();
        let job: i64 = sql[begin..].split(' ').next().unwrap().parse().unwrap();
        (Moment::parse_sql(time).unwrap(), job, literal(sql, "file_name > '").unwrap().to_owned())
    });
    let from = row.is_none().then(|| literal_time(sql, "enqueue_time >= '"));
    move |detail| match (&row, from) {
        (Some((time, job, key)), _) => (detail.enqueued, detail.job, &detail.key) > (*time, *job, key),
        (None, from) => from.is_none_or(|from| detail.enqueued >= from),
    }
}

impl World {
    pub(crate) fn evaluate(&mut self, sql: &str) -> Vec<Page> {
        let (columns, rows): (&[&str], Vec<Vec<Cell>>) = if sql.contains("svv_user_info") {
            let access = if self.sees_all { "UNRESTRICTED" } else { "RESTRICTED" };
            let row = vec![Cell::Integer(READER), text("reader"), Cell::Boolean(false), text(access)];
            (&["user_id", "user_name", "superuser", "syslog_access"], vec![row])
        } else if sql.contains("FROM sys_copy_job ") {
            (&["job_id", "job_name", "job_text", "is_auto"], self.job_rows())
        } else if sql.contains("svv_copy_job_integrations") {
            (
                &["job_owner", "channel_arn", "bucket", "channel state", "db_name", "job_name", "job_state"],
                self.channels(),
            )
        } else if sql.contains("sys_copy_job_info") {
            (&["job_id", "message"], self.messages())
        } else if sql.contains("waiting_behind") {
            (
                &[
                    "job_id",
                    "waiting",
                    "waiting_behind",
                    "oldest_waiting",
                    "newest_seen",
                    "newest_loaded",
                    "newest_rejected",
                ],
                self.counts(sql),
            )
        } else if sql.contains("sys_load_error_detail") {
            let columns: &[&str] = &[
                "job_id",
                "file_location",
                "file_name",
                "file_etag",
                "modified",
                "enqueued",
                "line_number",
                "column_name",
                "error_code",
                "error_message",
                "query_id",
            ];
            (columns, self.failed(sql))
        } else if sql.contains("LIMIT") {
            (
                &["job_id", "file_name", "file_etag", "file_size", "modified", "enqueued", "status"],
                self.files(sql),
            )
        } else if sql.contains("GROUP BY copy_job_id") {
            (&["copy_job_id", "loaded_rows", "files"], self.loaded(sql))
        } else {
            (&["data_source", "ended"], self.by_hand(sql))
        };
        let columns: Vec<String> = columns.iter().map(|name| (*name).to_owned()).collect();
        let mut pages: Vec<Page> = rows
            .chunks(self.page)
            .map(|rows| Page { columns: columns.clone(), rows: rows.to_vec(), next: None })
            .collect();
        if pages.is_empty() {
            pages.push(Page { columns, ..Page::default() });
        }
        let last = pages.len() - 1;
        for (at, page) in pages.iter_mut().enumerate().filter(|(at, _)| *at < last) {
            page.next = Some((at + 1).to_string());
        }
        pages
    }

    fn visible(&self) -> impl Iterator<Item = &Detail> {
        self.details.iter().filter(|row| self.sees_all && row.visible <= self.now)
    }

    fn job_rows(&self) -> Vec<Vec<Cell>> {
        self.jobs
            .iter()
            .filter(|_| self.sees_all)
            .map(|job| {
                let auto = Cell::Integer(i64::from(job.auto));
                vec![Cell::Integer(job.id), text(&job.name), text(&Self::job_text(job, &job.prefix)), auto]
            })
            .collect()
    }

    fn channels(&self) -> Vec<Vec<Cell>> {
        self.jobs
            .iter()
            .filter(|_| self.sees_all)
            .map(|job| {
                vec![
                    Cell::Integer(OWNER),
                    text("arn:aws:redshift:us-east-1:111111111111:integration:i"),
                    text(BUCKET),
                    text(job.channel),
                    text("dev"),
                    text(&job.name),
                    Cell::Integer(0),
                ]
            })
            .collect()
    }

    fn messages(&self) -> Vec<Vec<Cell>> {
        self.visible()
            .filter(|row| row.status == 'E')
            .map(|row| vec![Cell::Integer(row.job), text(&self.message_of(&row.key))])
            .collect()
    }

    fn counts(&self, sql: &str) -> Vec<Vec<Cell>> {
        let after = after(sql);
        self.jobs
            .iter()
            .filter_map(|job| {
                let rows: Vec<_> = self.visible().filter(|row| row.job == job.id).collect();
                let waiting = || rows.iter().filter(|row| matches!(row.status, 'P' | 'U'));
                (!rows.is_empty()).then(|| {
                    vec![
                        Cell::Integer(job.id),
                        number(waiting().count()),
                        number(waiting().filter(|row| !after(row)).count()),
                        time(waiting().map(|row| row.enqueued).min()),
                        time(rows.iter().map(|row| row.modified).max()),
                        time(rows.iter().filter(|row| row.status == 'I').map(|row| row.modified).max()),
                        time(rows.iter().filter(|row| row.status == 'E').map(|row| row.modified).max()),
                    ]
                })
            })
            .collect()
    }

    fn failed(&self, sql: &str) -> Vec<Vec<Cell>> {
        let from = literal_time(sql, "d.enqueue_time >= '");
        let mut rows: Vec<_> =
            self.visible().filter(|row| row.status == 'E' && row.enqueued >= from).collect();
        rows.sort_by(|one, other| {
            (one.enqueued, one.job, &one.key).cmp(&(other.enqueued, other.job, &other.key))
        });
        let mut errors: HashMap<(i64, &str), Vec<&LoadError>> = HashMap::new();
        for error in self.errors.iter().filter(|error| error.started >= from && error.visible <= self.now) {
            errors.entry((error.job, error.key.as_str())).or_default().push(error);
        }
        rows.into_iter()
            .map(|row| {
                let errors = errors.get(&(row.job, row.key.as_str())).map_or(&[][..], Vec::as_slice);
                let newest = errors.iter().map(|error| error.query).max();
                let first =
                    errors.iter().filter(|error| Some(error.query) == newest).min_by_key(|error| error.line);
                let mut cells = vec![
                    Cell::Integer(row.job),
                    text(BUCKET),
                    text(&row.key),
                    text(&row.etag),
                    time(Some(row.modified)),
                    time(Some(row.enqueued)),
                ];
                cells.extend(first.map_or(vec![Cell::Null; 5], |error| {
                    vec![
                        Cell::Integer(error.line),
                        text(&error.column),
                        Cell::Integer(1207),
                        text(&error.message),
                        Cell::Integer(error.query),
                    ]
                }));
                cells
            })
            .collect()
    }

    fn files(&self, sql: &str) -> Vec<Vec<Cell>> {
        let (after, limit) = (after(sql), sql.rsplit("LIMIT ").next().unwrap().parse().unwrap());
        let settled = literal_time(sql, "AND enqueue_time < '");
        let mut rows: Vec<_> = self.visible().filter(|row| after(row) && row.enqueued < settled).collect();
        rows.sort_by(|one, other| {
            (one.enqueued, one.job, &one.key).cmp(&(other.enqueued, other.job, &other.key))
        });
        rows.truncate(limit);
        rows.into_iter()
            .map(|row| {
                vec![
                    Cell::Integer(row.job),
                    text(&row.key),
                    text(&row.etag),
                    Cell::Integer(row.size),
                    time(Some(row.modified)),
                    time(Some(row.enqueued)),
                    text(&row.status.to_string()),
                ]
            })
            .collect()
    }

    fn loaded(&self, sql: &str) -> Vec<Vec<Cell>> {
        let (from, to) = (literal_time(sql, "end_time >= '"), literal_time(sql, "end_time < '"));
        self.jobs
            .iter()
            .filter_map(|job| {
                let loads = || {
                    self.loads
                        .iter()
                        .filter(|load| load.job == job.id && load.ended >= from && load.ended < to)
                };
                let rows: i64 = loads().map(|load| load.rows).sum();
                (loads().count() > 0)
                    .then(|| vec![Cell::Integer(job.id), Cell::Integer(rows), number(loads().count())])
            })
            .collect()
    }

    fn by_hand(&self, sql: &str) -> Vec<Vec<Cell>> {
        let from = literal_time(sql, "end_time >= '");
        let mut newest = std::collections::BTreeMap::new();
        for load in self.loads.iter().filter(|load| load.job == 0 && load.ended >= from) {
            let ended = newest.entry(&load.source).or_insert(load.ended);
            *ended = load.ended.max(*ended);
        }
        newest.into_iter().map(|(source, ended)| vec![text(source), time(Some(ended))]).collect()
    }
}
