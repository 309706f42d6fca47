//! Files in error: told with their cause, and told as over when they were loaded by hand.

use std::collections::{BTreeMap, HashMap};

use crate::finding::{Cause, FileId, Finding, Problem, Turn, file_id, over};
use crate::jobs::Seen;
use crate::moment::Moment;
use crate::monitor::{Monitor, MonitorError};
use crate::ports::{Announcer, FileState, Ledger, Objects, Statements};
use crate::read::etag;
use crate::remedy;
use crate::report::Report;
use crate::rows::{Row, rows};
use crate::sql;
use crate::state::{JobState, TargetState};

/// Files in error without a cause whose first sight is remembered; more than these are told at once.
const HELD: usize = 200;

/// Whether the reading of a result goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Goes {
    On,
    /// Another invocation is at something, or there is no time left.
    NoFurther,
}

impl<S: Statements, O: Objects, L: Ledger, A: Announcer> Monitor<'_, S, O, L, A> {
    /// Tells the files in error.
    pub(crate) async fn errors(
        &self,
        id: &str,
        state: &mut TargetState,
        seen: &Seen,
        started: Moment,
        now: Moment,
        report: &mut Report,
    ) -> Result<Goes, MonitorError> {
        let mut still_held = BTreeMap::new();
        let (mut next, mut all_told) = (None, true);
        loop {
            if self.out_of_time() {
                return Ok(Goes::NoFurther);
            }
            let (page, last) = self.next_page(id, sql::ERRORS, &mut next, report).await?;
            let found: HashMap<String, Failed> = rows(&page)
                .filter_map(Failed::of)
                .map(|failed| (failed.id(&self.settings.watched.name), failed))
                .collect();
            let untold = self.untold(found.keys().cloned().collect()).await?;
            let mut findings = Vec::new();
            let mut untold: Vec<_> = found.into_iter().filter(|(id, _)| untold.contains(id)).collect();
            untold.sort_by(|(_, one), (_, other)| {
                one.enqueued.cmp(&other.enqueued).then(one.file.key.cmp(&other.file.key))
            });
            for (id, failed) in untold {
                // Redshift's views do not change together: the cause may come a moment after the state.
                // From when it was read first to when this run began, not to now: its statement may have waited.
                let first = state.held.get(&id).map_or(now, |held| held.noticed);
                let patient = started.since(first) < self.settings.overlap && still_held.len() < HELD;
                if failed.cause.is_none() && patient {
                    still_held.insert(id, Held { noticed: first, enqueued: failed.enqueued });
                    continue;
                }
                findings.push(self.failed_finding(id, failed, state, seen, now).await);
            }
            for finding in &findings {
                let job = report.jobs.entry(self.job_of(state, finding)).or_default();
                job.in_error += 1;
            }
            let (told, all) = self.tell_all(&findings, now).await?;
            report.told += told;
            all_told &= all;
            if last {
                break;
            }
        }
        state.held = still_held;
        Ok(if all_told { Goes::On } else { Goes::NoFurther })
    }

    fn job_of(&self, state: &TargetState, finding: &Finding) -> i64 {
        let named = |job: &JobState| Some(job.name.as_str()) == finding.job.as_deref();
        state.jobs.iter().find(|(_, job)| named(job)).map_or(0, |(id, _)| *id)
    }

    async fn failed_finding(
        &self,
        id: String,
        failed: Failed,
        state: &TargetState,
        seen: &Seen,
        now: Moment,
    ) -> Finding {
        let watched = &self.settings.watched;
        let unknown = JobState::default();
        let job = state.jobs.get(&failed.job).unwrap_or(&unknown);
        let file = failed.file;
        // FROM is a prefix: a COPY of this key would load every key that begins with it.
        let alone = match self.objects.list(&file.bucket, &file.key, None, 2).await {
            Ok((objects, more)) => !more && objects.len() <= 1,
            Err(error) => {
                tracing::warn!(bucket = file.bucket, %error, "whether another key begins with a failed file's is not known");
                false
            }
        };
        let command = remedy::reload(watched, job, &file, alone);
        let job_message = failed.cause.is_none().then(|| seen.messages.get(&failed.job).cloned()).flatten();
        let problem = Problem::FileInError { file, cause: failed.cause, job_message };
        self.finding(id, problem, Some(&job.name), failed.enqueued, now, command)
    }

    /// Tells that a file in error was loaded by hand: by a COPY of exactly its key.
    pub(crate) async fn reloads(
        &self,
        id: &str,
        state: &TargetState,
        now: Moment,
        report: &mut Report,
    ) -> Result<Goes, MonitorError> {
        let watched = &self.settings.watched;
        let (mut next, mut all_told) = (None, true);
        loop {
            let (page, last) = self.next_page(id, sql::RELOADS, &mut next, report).await?;
            let mut findings = Vec::new();
            for row in rows(&page) {
                let (Some(source), Some(ended)) = (row.text("data_source"), row.time("ended")) else {
                    continue;
                };
                let Some((bucket, key)) = source.strip_prefix("s3://").and_then(|url| url.split_once('/'))
                else {
                    continue;
                };
                for (job, known) in state.jobs.iter().filter(|(_, job)| job.reads(bucket, key)) {
                    let keys = [key.to_owned()];
                    let entries = self.ledger.entries_of(*job, &keys).await?;
                    let Some(entry) = entries
                        .into_iter()
                        .find(|entry| entry.state == FileState::Failed && entry.enqueued < ended)
                    else {
                        continue;
                    };
                    let began = file_id(&watched.name, "FileInError", *job, bucket, key, &entry.etag);
                    if !self.ledger.told_among(std::slice::from_ref(&began)).await?.contains(&began) {
                        continue;
                    }
                    let file = FileId { bucket: bucket.to_owned(), key: key.to_owned(), etag: entry.etag };
                    let problem = Problem::FileInError { file, cause: None, job_message: None };
                    let finding = self.finding(
                        over(&began),
                        problem,
                        Some(&known.name),
                        entry.enqueued,
                        now,
                        Vec::new(),
                    );
                    findings.push(Finding { turn: Turn::Over, ..finding });
                }
            }
            let (told, all) = self.tell_all(&findings, now).await?;
            report.told += told;
            all_told &= all;
            if last {
                return Ok(if all_told { Goes::On } else { Goes::NoFurther });
            }
        }
    }
}

/// A row of the files in error.
struct Failed {
    job: i64,
    file: FileId,
    enqueued: Moment,
    cause: Option<Cause>,
}

impl Failed {
    fn of(row: Row<'_>) -> Option<Self> {
        let text = |column| row.text(column).unwrap_or_default().to_owned();
        let cause = row.integer("query_id").map(|query_id| Cause {
            line: row.integer("line_number").unwrap_or(0),
            column: text("column_name"),
            code: row.integer("error_code").unwrap_or(0),
            message: text("error_message"),
            query_id,
        });
        let file =
            FileId { bucket: text("file_location"), key: row.text("file_name")?.to_owned(), etag: etag(row) };
        Some(Self { job: row.integer("job_id")?, file, enqueued: row.time("enqueued")?, cause })
    }

    fn id(&self, watched: &str) -> String {
        file_id(watched, "FileInError", self.job, &self.file.bucket, &self.file.key, &self.file.etag)
    }
}

/// A file in error whose cause has not been seen yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Held {
    pub(crate) noticed: Moment,
    pub(crate) enqueued: Moment,
}
