//! A warehouse, buckets and a ledger that make their rows while they are read.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Mutex;
use std::time::Duration;

use copy_monitor::finding::Finding;
use copy_monitor::moment::Moment;
use copy_monitor::ports::{
    Announcer, Claimed, Document, FileEntry, FileState, Ledger, Object, Objects, Statements,
};
use lambda_kit::call::CallError;
use warehouse::batch::{Page, Progress};
use warehouse::data_api::Cell;

/// Rows in a page of a result and entries in a page of the ledger.
pub(crate) const PAGE: u64 = 1000;
/// One file in so many is in error.
pub(crate) const BAD: u64 = 10_000;
const FIRST_JOB: i64 = 100_000;

/// A warehouse in which file number `n` belongs to job `n % jobs` and was put into the queue `n` milliseconds after the beginning.
pub(crate) struct Lazy {
    /// Jobs.
    pub(crate) jobs: u64,
    /// The rest.
    pub(crate) state: Mutex<State>,
}

/// What changes.
#[derive(Default)]
pub(crate) struct State {
    /// Files.
    pub(crate) files: u64,
    /// Files from this number on came later, from this time on.
    pub(crate) late: Option<(u64, Moment)>,
    statements: Vec<String>,
    /// Documents of the ledger.
    pub(crate) documents: HashMap<String, Document>,
    told: HashSet<String>,
    /// Entries that were written.
    pub(crate) entries: u64,
    /// Findings that came.
    pub(crate) announced: u64,
    /// Calls.
    pub(crate) calls: BTreeMap<&'static str, u64>,
}

/// When the first file came.
pub(crate) fn beginning() -> Moment {
    Moment::parse_sql("2026-11-01 00:00:00").unwrap()
}

impl Lazy {
    /// With so many jobs and files.
    pub(crate) fn new(jobs: u64, files: u64) -> Self {
        Self { jobs, state: Mutex::new(State { files, ..State::default() }) }
    }

    fn count(&self, action: &'static str, calls: u64) {
        *self.state.lock().unwrap().calls.entry(action).or_default() += calls;
    }

    fn files(&self) -> u64 {
        self.state.lock().unwrap().files
    }

    fn at(&self, number: u64) -> Moment {
        match self.state.lock().unwrap().late {
            Some((first, from)) if number >= first => from.plus(Duration::from_millis(number - first)),
            _ => beginning().plus(Duration::from_millis(number)),
        }
    }

    /// Later than the monitor's first sight of the jobs, so that objects are judged.
    fn modified(&self, number: u64) -> Moment {
        self.at(number).plus(Duration::from_secs(2 * 86_400))
    }

    fn job(&self, number: u64) -> i64 {
        FIRST_JOB + i64::try_from(number % self.jobs).unwrap()
    }

    fn key(&self, number: u64) -> String {
        format!("in{}/2026/11/{:012}.csv.gz", number % self.jobs, number / self.jobs)
    }

    fn number_of(&self, job: u64, key: &str) -> u64 {
        let digits: String = key.rsplit('/').next().unwrap().chars().take(12).collect();
        digits.parse::<u64>().unwrap() * self.jobs + job
    }

    fn etag(number: u64) -> String {
        format!("{number:032x}")
    }

    /// The first file after the cursor in a statement.
    fn cursor(&self, sql: &str) -> u64 {
        let literal = |before: &str| {
            let begin = sql.find(before)? + before.len();
            Moment::parse_sql(sql[begin..].split('\'').next()?)
        };
        let late = self.state.lock().unwrap().late;
        let files = self.files();
        let from = |moment: Moment| match late {
            Some((first, from)) if moment >= from => {
                first + u64::try_from(moment.since(from).as_millis()).unwrap()
            }
            // Between the first files and the late ones there is nothing.
            Some((first, _)) => first.min(u64::try_from(moment.since(beginning()).as_millis()).unwrap()),
            None => files.min(u64::try_from(moment.since(beginning()).as_millis()).unwrap()),
        };
        match literal("(enqueue_time > '") {
            Some(time) => from(time) + 1,
            None => literal("enqueue_time >= '").map_or(0, from),
        }
    }

    fn rows(&self, statement: usize, page: u64) -> (Vec<&'static str>, Vec<Vec<Cell>>, bool) {
        let text = |text: String| Cell::Text(text);
        let sql = self.state.lock().unwrap().statements[statement - 1].clone();
        let files = self.files();
        let of_jobs = |row: &dyn Fn(u64) -> Vec<Cell>| (0..self.jobs).map(row).collect::<Vec<_>>();
        match statement {
            1 => {
                let row = vec![
                    Cell::Integer(1),
                    text("reader".into()),
                    Cell::Boolean(true),
                    text("UNRESTRICTED".into()),
                ];
                (vec!["user_id", "user_name", "superuser", "syslog_access"], vec![row], false)
            }
            2 => {
                let row = |job: u64| {
                    let sql = format!(
                        "COPY t FROM 's3://bucket/in{job}/' IAM_ROLE 'arn' FORMAT AS CSV JOB CREATE job{job} AUTO ON"
                    );
                    vec![Cell::Integer(self.job(job)), text(format!("job{job}")), text(sql), Cell::Integer(1)]
                };
                (vec!["job_id", "job_name", "job_text", "is_auto"], of_jobs(&row), false)
            }
            3 => {
                let row = |job: u64| {
                    vec![
                        Cell::Integer(1),
                        text("bucket".into()),
                        text("Established".into()),
                        text(format!("job{job}")),
                    ]
                };
                (vec!["job_owner", "bucket", "channel state", "job_name"], of_jobs(&row), false)
            }
            5 => {
                let row = |job: u64| {
                    let newest = text(self.modified(files).sql());
                    vec![
                        Cell::Integer(self.job(job)),
                        text("0".into()),
                        text("0".into()),
                        Cell::Null,
                        newest.clone(),
                        newest,
                    ]
                };
                (
                    vec![
                        "job_id",
                        "waiting",
                        "waiting_behind",
                        "oldest_waiting",
                        "newest_seen",
                        "newest_loaded",
                    ],
                    of_jobs(&row),
                    false,
                )
            }
            6 => {
                let first =
                    self.cursor(&sql[sql.rfind("d.enqueue_time >=").unwrap()..]).div_ceil(BAD) + page * PAGE;
                let all = files.div_ceil(BAD);
                let rows = (first..all.min(first + PAGE)).map(|bad| {
                    let number = bad * BAD;
                    let time = text(self.at(number).sql());
                    vec![
                        Cell::Integer(self.job(number)),
                        text("bucket".into()),
                        text(self.key(number)),
                        text(Self::etag(number)),
                        time.clone(),
                        time,
                        Cell::Integer(7),
                        text("amount".into()),
                        Cell::Integer(1207),
                        text("Invalid digit".into()),
                        Cell::Integer(9),
                    ]
                });
                let columns = vec![
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
                (columns, rows.collect(), first + PAGE < all)
            }
            7 => {
                let limit: u64 = sql.rsplit(' ').next().unwrap().parse().unwrap();
                let begin = self.cursor(&sql);
                let (first, end) = (begin + page * PAGE, files.min(begin + limit));
                let rows = (first..end.min(first + PAGE)).map(|number| {
                    let time = text(self.at(number).sql());
                    let status = if number.is_multiple_of(BAD) { "E" } else { "I" };
                    vec![
                        Cell::Integer(self.job(number)),
                        text(self.key(number)),
                        text(Self::etag(number)),
                        time.clone(),
                        time,
                        text(status.into()),
                    ]
                });
                (
                    vec!["job_id", "file_name", "file_etag", "modified", "enqueued", "status"],
                    rows.collect(),
                    first + PAGE < end,
                )
            }
            _ => (Vec::new(), Vec::new(), false),
        }
    }
}

impl Statements for Lazy {
    async fn start(&self, _: &str, _: &str, statements: &[String]) -> Result<String, CallError> {
        self.count("statements", statements.len() as u64);
        self.state.lock().unwrap().statements = statements.to_vec();
        Ok("id".to_owned())
    }

    async fn progress(&self, _: &str) -> Result<Progress, CallError> {
        Ok(Progress::Finished)
    }

    async fn page(&self, _: &str, statement: usize, next: Option<String>) -> Result<Page, CallError> {
        self.count("result pages", 1);
        let page = next.map_or(0, |next| next.parse().unwrap());
        let (columns, rows, more) = self.rows(statement, page);
        let columns = columns.into_iter().map(str::to_owned).collect();
        Ok(Page { columns, rows, next: more.then(|| (page + 1).to_string()) })
    }

    async fn cancel(&self, _: &str) {}
}

impl Objects for Lazy {
    async fn list(
        &self,
        _: &str,
        prefix: &str,
        after: Option<&str>,
        limit: u16,
    ) -> Result<(Vec<Object>, bool), CallError> {
        self.count("listings", 1);
        let rest = prefix.strip_prefix("in").unwrap();
        let (job, key) = rest.split_once('/').unwrap();
        let job: u64 = job.parse().unwrap();
        if !key.is_empty() {
            return Ok((Vec::new(), false));
        }
        let first = after.map_or(job, |after| self.number_of(job, after) + self.jobs);
        let numbers = (first..self.files()).step_by(usize::try_from(self.jobs).unwrap());
        let objects: Vec<_> = numbers
            .take(usize::from(limit))
            .map(|number| Object {
                key: self.key(number),
                etag: Self::etag(number),
                size: 10,
                modified: self.modified(number),
            })
            .collect();
        let more =
            objects.last().is_some_and(|last| self.number_of(job, &last.key) + self.jobs < self.files());
        Ok((objects, more))
    }
}

impl Ledger for Lazy {
    async fn document(&self, name: &str) -> Result<Option<Document>, CallError> {
        self.count("ledger", 1);
        Ok(self.state.lock().unwrap().documents.get(name).cloned())
    }

    async fn save(&self, name: &str, revision: u64, body: &str) -> Result<bool, CallError> {
        self.count("ledger", 1);
        let document = Document { revision: revision + 1, body: body.to_owned() };
        self.state.lock().unwrap().documents.insert(name.to_owned(), document);
        Ok(true)
    }

    async fn put_loaded(&self, entries: &[FileEntry]) -> Result<(), CallError> {
        self.count("ledger", entries.len().div_ceil(25) as u64);
        self.state.lock().unwrap().entries += entries.len() as u64;
        Ok(())
    }

    async fn put_unloaded(&self, _: &FileEntry) -> Result<(), CallError> {
        self.count("ledger", 1);
        self.state.lock().unwrap().entries += 1;
        Ok(())
    }

    async fn entries(
        &self,
        job: i64,
        first: &str,
        last: &str,
        after: Option<&str>,
    ) -> Result<(Vec<FileEntry>, Option<String>), CallError> {
        self.count("ledger", 1);
        let of_job = u64::try_from(job - FIRST_JOB).unwrap();
        let from = after
            .map_or_else(|| self.number_of(of_job, first), |after| self.number_of(of_job, after) + self.jobs);
        let to = self.number_of(of_job, last);
        let numbers = (from..=to).step_by(usize::try_from(self.jobs).unwrap());
        let entries: Vec<_> = numbers
            .take(usize::try_from(PAGE).unwrap())
            .map(|number| FileEntry {
                job,
                key: self.key(number),
                etag: Self::etag(number),
                modified: self.modified(number),
                enqueued: self.at(number),
                state: FileState::Loaded,
            })
            .collect();
        let next = entries.last().filter(|entry| self.number_of(of_job, &entry.key) < to);
        let next = next.map(|entry| entry.key.clone());
        Ok((entries, next))
    }

    async fn entries_of(&self, _: i64, _: &[String]) -> Result<Vec<FileEntry>, CallError> {
        self.count("ledger", 1);
        Ok(Vec::new())
    }

    async fn told_among(&self, ids: &[String]) -> Result<HashSet<String>, CallError> {
        self.count("ledger", 1);
        let state = self.state.lock().unwrap();
        Ok(ids.iter().filter(|id| state.told.contains(*id)).cloned().collect())
    }

    async fn claim(&self, id: &str, _: &str, _: Moment, _: Moment) -> Result<Claimed, CallError> {
        self.count("ledger", 1);
        let told = self.state.lock().unwrap().told.contains(id);
        Ok(if told { Claimed::Told } else { Claimed::Yes })
    }

    async fn told(&self, id: &str, _: Moment) -> Result<(), CallError> {
        self.count("ledger", 1);
        self.state.lock().unwrap().told.insert(id.to_owned());
        Ok(())
    }

    async fn release(&self, _: &str, _: &str) -> Result<(), CallError> {
        Ok(())
    }
}

impl Announcer for Lazy {
    async fn announce(&self, finding: &Finding) -> Result<(), CallError> {
        assert_eq!(finding.problem.kind(), "FileInError");
        self.state.lock().unwrap().announced += 1;
        Ok(())
    }
}
