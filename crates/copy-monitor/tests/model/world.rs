//! A warehouse with its jobs and the buckets that they read.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::time::Duration;

use warehouse::batch::{Page, Progress};

use copy_monitor::ports::Object;
use lambda_kit::moment::Moment;

/// The bucket of every job.
pub(crate) const BUCKET: &str = "a-bucket";
/// The user that owns the jobs.
pub(crate) const OWNER: i64 = 100;
/// The user that reads the views.
pub(crate) const READER: i64 = 101;

/// A copy job.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) prefix: String,
    pub(crate) auto: bool,
    pub(crate) channel: &'static str,
}

/// A row of `SYS_COPY_JOB_DETAIL`.
#[derive(Debug, Clone)]
pub(crate) struct Detail {
    pub(crate) job: i64,
    pub(crate) key: String,
    pub(crate) etag: String,
    pub(crate) size: i64,
    /// The time of the event, which is later than the object's own time for an upload in parts.
    pub(crate) modified: Moment,
    pub(crate) enqueued: Moment,
    pub(crate) status: char,
    /// A row may show later than its own time says.
    pub(crate) visible: Moment,
}

/// A row of `SYS_LOAD_ERROR_DETAIL` with its load.
#[derive(Debug, Clone)]
pub(crate) struct LoadError {
    pub(crate) job: i64,
    pub(crate) key: String,
    pub(crate) query: i64,
    pub(crate) line: i64,
    pub(crate) column: String,
    pub(crate) message: String,
    pub(crate) started: Moment,
    /// The views do not change together.
    pub(crate) visible: Moment,
}

/// A rejected file, and the cause that its alert must have.
#[derive(Debug, Clone)]
pub(crate) struct Rejected {
    pub(crate) job: String,
    pub(crate) key: String,
    /// Line and column of the first bad row, if the views ever show one.
    pub(crate) cause: Option<(i64, String, String)>,
}

/// A row of `SYS_LOAD_HISTORY` that ended well.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    pub(crate) job: i64,
    pub(crate) source: String,
    pub(crate) rows: i64,
    pub(crate) ended: Moment,
}

/// A batch.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) name: String,
    pub(crate) token: String,
    pub(crate) statements: Vec<String>,
    pub(crate) progress: Progress,
    pub(crate) results: Vec<Vec<Page>>,
    pub(crate) ended: Option<Moment>,
}

/// Everything outside of the monitor.
pub(crate) struct World {
    pub(crate) now: Moment,
    pub(crate) random: fastrand::Rng,
    pub(crate) jobs: Vec<Job>,
    pub(crate) objects: BTreeMap<String, Object>,
    pub(crate) details: Vec<Detail>,
    pub(crate) errors: Vec<LoadError>,
    /// All files that were ever rejected, and loaded, also when the views have forgotten them.
    pub(crate) rejected: Vec<Rejected>,
    pub(crate) loaded: HashSet<(i64, String, String)>,
    /// All keys that Redshift ever noticed.
    pub(crate) noticed: HashSet<String>,
    pub(crate) loads: Vec<Load>,
    /// Messages of jobs about rejected files, by key, if they are not the usual one.
    pub(crate) messages: BTreeMap<String, String>,
    pub(crate) batches: Vec<Batch>,
    /// Ends of statements that EventBridge has not delivered yet.
    pub(crate) events: VecDeque<usize>,
    /// The time for which the views keep their rows.
    pub(crate) retention: Duration,
    pub(crate) sees_all: bool,
    /// True if statements are rejected.
    pub(crate) paused: bool,
    /// A prefix that may not be listed.
    pub(crate) denied: Option<String>,
    /// True if the world moves between the statements of a batch: the views have no common
    /// snapshot.
    pub(crate) restless: bool,
    /// Rows in a page of a result, objects in a page of a bucket.
    pub(crate) page: usize,
    next: i64,
}

impl World {
    pub(crate) fn new(seed: u64, jobs: i64) -> Self {
        let job = |number: i64| Job {
            id: 100_000 + number,
            name: format!("job{number}_0a1b2c3d"),
            prefix: format!("in{number}/"),
            auto: true,
            channel: "Established",
        };
        Self {
            now: Moment::parse_sql("2026-11-01 00:00:00").unwrap(),
            random: fastrand::Rng::with_seed(seed),
            jobs: (1..=jobs).map(job).collect(),
            objects: BTreeMap::new(),
            details: Vec::new(),
            errors: Vec::new(),
            rejected: Vec::new(),
            loaded: HashSet::new(),
            noticed: HashSet::new(),
            loads: Vec::new(),
            messages: BTreeMap::new(),
            batches: Vec::new(),
            events: VecDeque::new(),
            retention: Duration::from_secs(7 * 86_400),
            sees_all: true,
            paused: false,
            denied: None,
            restless: false,
            page: 5,
            next: 1,
        }
    }

    /// A number that was not given before.
    pub(crate) fn number(&mut self) -> i64 {
        self.next += 1;
        self.next
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        self.now = self.now.plus(time);
        let kept = self.now.minus(self.retention);
        self.details.retain(|row| row.enqueued >= kept);
        self.errors.retain(|row| row.started >= kept);
        self.loads.retain(|row| row.ended >= kept);
        let day = self.now.minus(Duration::from_secs(86_400));
        for batch in self.batches.iter_mut().filter(|batch| batch.ended.is_some_and(|ended| ended < day)) {
            batch.progress = Progress::Forgotten;
            batch.results.clear();
        }
    }

    /// The statement that makes a job, as the kit writes it.
    pub(crate) fn job_text(job: &Job, key: &str) -> String {
        let quoted = key.replace('\'', "''");
        format!(
            "COPY \"public\".\"t\" FROM 's3://{BUCKET}/{quoted}' IAM_ROLE 'arn:aws:iam::222222222222:role/copy' FORMAT AS CSV{}",
            if quoted == job.prefix { format!(" JOB CREATE {} AUTO ON", job.name) } else { String::new() }
        )
    }

    /// Writes an object; gives its ETag.
    pub(crate) fn put(&mut self, key: &str) -> String {
        let etag = format!("etag{}", self.number());
        let object = Object { key: key.to_owned(), etag: etag.clone(), size: 10, modified: self.now };
        self.objects.insert(key.to_owned(), object);
        etag
    }

    /// Completes an upload in parts that began some time ago, which is the object's time.
    pub(crate) fn put_in_parts(&mut self, key: &str, length: Duration) {
        let etag = format!("{}-12", self.put(key));
        let began = self.now.minus(length);
        if let Some(object) = self.objects.get_mut(key) {
            (object.etag, object.modified) = (etag, began);
        }
    }

    /// The message of a job about a rejected file.
    pub(crate) fn message_of(&self, key: &str) -> String {
        self.messages.get(key).cloned().unwrap_or_else(|| "the role cannot read the file".to_owned())
    }

    /// Redshift notices an object, unless it knows the name.
    pub(crate) fn notice(&mut self, key: &str) {
        let late = if self.restless { self.random.u64(0..12) } else { 0 };
        let Some(object) = self.objects.get(key) else { return };
        for job in self.jobs.iter().filter(|job| key.starts_with(&job.prefix)) {
            if self.details.iter().any(|row| row.job == job.id && row.key == key) {
                continue;
            }
            self.noticed.insert(key.to_owned());
            self.details.push(Detail {
                job: job.id,
                key: key.to_owned(),
                etag: object.etag.clone(),
                size: 10,
                modified: self.now,
                enqueued: self.now,
                status: 'P',
                visible: self.now.plus(Duration::from_secs(late * 60)),
            });
        }
    }

    /// Redshift notices an object of the first job that it does not know.
    pub(crate) fn arrive(&mut self, key: &str) {
        let object = &self.objects[key];
        self.noticed.insert(key.to_owned());
        self.details.push(Detail {
            job: self.jobs[0].id,
            key: key.to_owned(),
            etag: object.etag.clone(),
            size: 10,
            modified: object.modified,
            enqueued: self.now,
            status: 'P',
            visible: self.now,
        });
    }

    /// Redshift loads a waiting file.
    pub(crate) fn load(&mut self, at: usize) {
        let (now, row) = (self.now, &mut self.details[at]);
        row.status = 'I';
        self.loaded.insert((row.job, row.key.clone(), row.etag.clone()));
        let source = format!("s3://{BUCKET}/{}", row.key);
        self.loads.push(Load { job: row.job, source, rows: 3, ended: now });
    }

    /// Redshift rejects a waiting file; the views show why after a delay, or never.
    pub(crate) fn reject(&mut self, at: usize, cause_after: Option<Duration>) {
        let query = self.number();
        let row = &mut self.details[at];
        row.status = 'E';
        let (column, message) =
            (format!("column{query}"), format!("Invalid digit, Value 'x', Pos 0, Type: Integer {query}"));
        let job =
            self.jobs.iter().find(|job| job.id == row.job).map_or_else(String::new, |job| job.name.clone());
        let cause = cause_after.map(|_| (query, column.clone(), message.clone()));
        self.rejected.push(Rejected { job, key: row.key.clone(), cause });
        if let Some(delay) = cause_after {
            for line in [query + 7, query] {
                self.errors.push(LoadError {
                    job: row.job,
                    key: row.key.clone(),
                    query,
                    line,
                    column: column.clone(),
                    message: message.clone(),
                    started: self.now,
                    visible: self.now.plus(delay),
                });
            }
        }
    }

    /// Somebody runs a COPY of exactly a key.
    pub(crate) fn load_by_hand(&mut self, key: &str) {
        let (source, ended) = (format!("s3://{BUCKET}/{key}"), self.now);
        self.loads.push(Load { job: 0, source, rows: 3, ended });
    }

    pub(crate) fn waiting(&self) -> Vec<usize> {
        (0..self.details.len()).filter(|at| self.details[*at].status == 'P').collect()
    }

    /// Runs the batches that were started; their ends are events.
    pub(crate) fn run_batches(&mut self) {
        for at in 0..self.batches.len() {
            if self.batches[at].progress != Progress::OnTheWay {
                continue;
            }
            let statements = self.batches[at].statements.clone();
            let mut results = Vec::new();
            for statement in &statements {
                results.push(self.evaluate(statement));
                if self.restless {
                    self.move_on();
                }
            }
            let batch = &mut self.batches[at];
            (batch.progress, batch.results, batch.ended) = (Progress::Finished, results, Some(self.now));
            self.events.push_back(at);
        }
    }

    /// Something happens to a file that waits.
    pub(crate) fn move_on(&mut self) {
        let waiting = self.waiting();
        if waiting.is_empty() {
            return;
        }
        let at = waiting[self.random.usize(..waiting.len())];
        match self.random.u8(..6) {
            0 | 1 => self.load(at),
            2 => {
                let minutes = self.random.u64(0..12);
                let cause = (self.random.u8(..5) > 0).then(|| Duration::from_secs(minutes * 60));
                self.reject(at, cause);
            }
            _ => {}
        }
    }
}
