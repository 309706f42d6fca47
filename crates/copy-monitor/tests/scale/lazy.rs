//! A warehouse, buckets and a ledger that make their rows while they are read.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;
use std::time::Duration;

use alerts::message::Message;
use alerts::publish::Publisher;
use alerts::store::{ItemKey, Put, Store, StoreError, StoredItem};
use copy_monitor::ports::{
    Call, Document, EntryPage, FileEntry, FileState, Ledger, Listing, Object, Objects, Statements,
};
use futures_util::future::{BoxFuture, FutureExt, ready};
use lambda_kit::call::CallError;
use lambda_kit::moment::Moment;
use test_support::alerts::MemoryStore;
use warehouse::batch::{Page, Progress};
use warehouse::data_api::Cell;

/// Rows in a page of a result and entries in a page of the ledger.
pub(crate) const PAGE: u64 = 1000;
/// One file in so many is in error.
pub(crate) const BAD: u64 = 10_000;
const FIRST_JOB: i64 = 100_000;

/// A warehouse in which file number `n` belongs to job `n % jobs` and was put into the queue `n`
/// milliseconds after the beginning.
pub(crate) struct Lazy {
    /// Jobs.
    pub(crate) jobs: u64,
    /// The changing state.
    pub(crate) state: Mutex<State>,
    alerts: MemoryStore,
}

/// The changing state.
#[derive(Default)]
pub(crate) struct State {
    /// Files.
    pub(crate) files: u64,
    /// Files from this number on came later, from this time on.
    pub(crate) late: Option<(u64, Moment)>,
    statements: Vec<String>,
    /// Documents of the ledger.
    pub(crate) documents: HashMap<String, Document>,
    /// Entries that were written.
    pub(crate) entries: u64,
    /// Calls.
    pub(crate) calls: BTreeMap<&'static str, u64>,
}

/// Returns the time of the first file.
pub(crate) fn beginning() -> Moment {
    Moment::parse_sql("2026-11-01 00:00:00").unwrap()
}

impl Lazy {
    /// Makes a warehouse with so many jobs and files.
    pub(crate) fn new(jobs: u64, files: u64) -> Self {
        Self { jobs, state: Mutex::new(State { files, ..State::default() }), alerts: MemoryStore::default() }
    }

    /// Returns the number of rejected files that the alerts have recorded.
    pub(crate) fn rejected_recorded(&self) -> u64 {
        let is_rejected = |key: &ItemKey| {
            key.partition.starts_with("incident|file-rejected|") && key.sort.starts_with("event|")
        };
        self.alerts.all().iter().filter(|(key, _)| is_rejected(key)).count() as u64
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

    /// Later than the first run, so that objects are checked.
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
    fn start<'a>(&'a self, _: &'a str, _: &'a str, statements: &'a [String]) -> Call<'a, String> {
        self.count("statements", statements.len() as u64);
        self.state.lock().unwrap().statements = statements.to_vec();
        ready(Ok("id".to_owned())).boxed()
    }

    fn progress<'a>(&'a self, _: &'a str) -> Call<'a, Progress> {
        ready(Ok(Progress::Finished)).boxed()
    }

    fn page<'a>(&'a self, _: &'a str, statement: usize, next: Option<String>) -> Call<'a, Page> {
        self.count("result pages", 1);
        let page = next.map_or(0, |next| next.parse().unwrap());
        let (columns, rows, more) = self.rows(statement, page);
        let columns = columns.into_iter().map(str::to_owned).collect();
        ready(Ok(Page { columns, rows, next: more.then(|| (page + 1).to_string()) })).boxed()
    }

    fn cancel<'a>(&'a self, _: &'a str) -> BoxFuture<'a, ()> {
        ready(()).boxed()
    }
}

impl Objects for Lazy {
    fn list<'a>(
        &'a self,
        _: &'a str,
        prefix: &'a str,
        after: Option<&'a str>,
        limit: u16,
    ) -> Call<'a, Listing> {
        self.count("listings", 1);
        let rest = prefix.strip_prefix("in").unwrap();
        let (job, key) = rest.split_once('/').unwrap();
        let job: u64 = job.parse().unwrap();
        if !key.is_empty() {
            return ready(Ok(Listing::default())).boxed();
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
        ready(Ok(Listing { objects, more })).boxed()
    }
}

impl Ledger for Lazy {
    fn document<'a>(&'a self, name: &'a str) -> Call<'a, Option<Document>> {
        self.count("ledger", 1);
        ready(Ok(self.state.lock().unwrap().documents.get(name).cloned())).boxed()
    }

    fn save<'a>(&'a self, name: &'a str, revision: u64, body: &'a str) -> Call<'a, bool> {
        self.count("ledger", 1);
        let document = Document { revision: revision + 1, body: body.to_owned() };
        self.state.lock().unwrap().documents.insert(name.to_owned(), document);
        ready(Ok(true)).boxed()
    }

    fn put_loaded<'a>(&'a self, entries: &'a [FileEntry]) -> Call<'a, ()> {
        self.count("ledger", entries.len().div_ceil(25) as u64);
        self.state.lock().unwrap().entries += entries.len() as u64;
        ready(Ok(())).boxed()
    }

    fn put_not_loaded<'a>(&'a self, _: &'a FileEntry) -> Call<'a, ()> {
        self.count("ledger", 1);
        self.state.lock().unwrap().entries += 1;
        ready(Ok(())).boxed()
    }

    fn entries_between<'a>(
        &'a self,
        job: i64,
        first: &'a str,
        last: &'a str,
        after: Option<&'a str>,
    ) -> Call<'a, EntryPage> {
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
                size: Some(10),
                modified: self.modified(number),
                enqueued: self.at(number),
                state: FileState::Loaded,
            })
            .collect();
        let next = entries.last().filter(|entry| self.number_of(of_job, &entry.key) < to);
        let next = next.map(|entry| entry.key.clone());
        ready(Ok(EntryPage { entries, next })).boxed()
    }

    fn entries_of<'a>(&'a self, _: i64, _: &'a [String]) -> Call<'a, Vec<FileEntry>> {
        self.count("ledger", 1);
        ready(Ok(Vec::new())).boxed()
    }
}

/// Calls for alerts count with those for the ledger: both are calls of DynamoDB.
impl Store for &Lazy {
    async fn read(&self, keys: &[ItemKey], now: Moment) -> Result<Vec<Option<StoredItem>>, StoreError> {
        self.count("ledger", 1);
        (&self.alerts).read(keys, now).await
    }

    async fn write(&self, puts: &[Put], now: Moment) -> Result<(), StoreError> {
        self.count("ledger", 1);
        (&self.alerts).write(puts, now).await
    }

    async fn due(&self, now: Moment, max_items: usize) -> Result<Vec<ItemKey>, StoreError> {
        self.count("ledger", 1);
        (&self.alerts).due(now, max_items).await
    }
}

impl Publisher for &Lazy {
    async fn publish(&self, _: &Message) -> Result<(), CallError> {
        Ok(())
    }
}
