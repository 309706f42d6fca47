//! Reads the result of a run, page by page: what failed is told, what is known of files goes to the ledger.
//!
//! Nothing moves forward before everything that was found is told: a run that dies anywhere is read again from its beginning, and what it told is known to be told.

use warehouse::batch::Page;

use crate::failures::Goes;
use crate::jobs::{Counts, Seen};
use crate::moment::Moment;
use crate::monitor::{Monitor, MonitorError};
use crate::ports::{Announcer, FileEntry, FileState, Ledger, Objects, Statements};
use crate::report::{Outcome, Report};
use crate::rows::{Row, rows};
use crate::sql;
use crate::standing::Judged;
use crate::start::CANNOT_ASK;
use crate::state::{Cursor, TARGET, TargetState};

/// What the files of a result came to.
#[derive(Default)]
struct Walked {
    rows: u64,
    last: Option<(Moment, i64, String)>,
    /// Files that wait, and since when the first of them does.
    waiting: u64,
    oldest_waiting: Option<Moment>,
}

impl<S: Statements, O: Objects, L: Ledger, A: Announcer> Monitor<'_, S, O, L, A> {
    /// Reads a result to its end and moves forward.
    pub(crate) async fn finish(
        &self,
        revision: u64,
        mut state: TargetState,
        id: &str,
        now: Moment,
    ) -> Result<Report, MonitorError> {
        let started = state.running.take().map_or(now, |running| running.started);
        let mut report = self.report(Outcome::Read);
        let partly = |mut report: Report| {
            report.outcome = Outcome::Partly;
            Ok(report)
        };

        let seen = self.seen(id, &mut report).await?;
        // The jobs' names and places are needed for what follows, also for a job that is new.
        self.meet(&mut state, &seen, started);
        if self.errors(id, &mut state, &seen, started, now, &mut report).await? == Goes::NoFurther {
            return partly(report);
        }
        let settled = started.minus(self.settings.overlap);
        let Some(walked) = self.files(id, &mut report).await? else { return partly(report) };
        self.loads(id, &mut report).await?;
        if self.reloads(id, &state, now, &mut report).await? == Goes::NoFurther {
            return partly(report);
        }

        let newest = self.sweep_state().await?.1.newest;
        let mut findings = self.judge(&mut state, &seen, &newest, started, now, &mut report);
        if seen.is_believed(&state) {
            findings.extend(self.note_gap(&mut state, started, now));
            self.advance(&mut state, &seen, &walked, settled, started);
        }
        let asked = Judged::at_once(CANNOT_ASK, false);
        let answered = state
            .standings
            .judge(&asked, started, |since| self.cannot_ask_finding(String::new(), since, now, Some(id)));
        findings.extend(answered);
        let (told, all) = self.tell_all(&findings, now).await?;
        report.told += told;
        if !all {
            return partly(report);
        }
        if !self.save(TARGET, revision, &state).await? {
            report.outcome = Outcome::Overtaken;
        }
        Ok(report)
    }

    /// Moves the marks: what lies before them is told, or in the ledger.
    fn advance(
        &self,
        state: &mut TargetState,
        seen: &Seen,
        walked: &Walked,
        settled: Moment,
        started: Moment,
    ) {
        let oldest_waiting = seen.counts.values().filter_map(|counts| counts.oldest_waiting).min();
        let held = state.held.values().map(|held| held.enqueued).min();
        state.errors_from =
            [Some(settled), oldest_waiting, held].into_iter().flatten().min().unwrap_or(settled);

        let behind: u64 = seen.counts.values().map(|counts| counts.waiting_behind).sum();
        let missing = behind != state.waiting_behind;
        // If the statement gave as many rows as it may, there are more.
        let cut = walked.rows >= u64::from(self.settings.rows_per_run);
        let reached = match walked.last.clone().filter(|_| cut) {
            Some((time, job, key)) => Cursor { time, row: Some((job, key)) },
            None => Cursor { time: settled.max(state.cursor.time), row: None },
        };
        state.ledger_until = Some(reached.time);
        let first = |one: Option<Moment>, other: Option<Moment>| one.into_iter().chain(other).min();
        if let (true, Some(from)) = (missing, first(state.oldest_waiting, oldest_waiting)) {
            // A file that was passed by while it waited does so no more: what became of it has to be read.
            state.cursor = Cursor { time: from.min(reached.time), row: None };
            state.waiting_behind = 0;
        } else {
            state.cursor = reached;
            state.waiting_behind = behind + walked.waiting;
        }
        state.oldest_waiting = first(oldest_waiting, walked.oldest_waiting);
        state.loads_until = started;
        state.seen_until = Some(started);
    }

    /// The next page of a statement's result, and whether it is the last.
    pub(crate) async fn next_page(
        &self,
        id: &str,
        statement: usize,
        next: &mut Option<String>,
        report: &mut Report,
    ) -> Result<(Page, bool), MonitorError> {
        let mut page = self.statements.page(id, statement, next.take()).await?;
        report.pages += 1;
        *next = page.next.take();
        Ok((page, next.is_none()))
    }

    /// The statements with a row for each job.
    async fn seen(&self, id: &str, report: &mut Report) -> Result<Seen, MonitorError> {
        let mut seen = Seen::default();
        for statement in [sql::SIGHT, sql::JOBS, sql::INTEGRATIONS, sql::MESSAGES, sql::COUNTS] {
            let mut next = None;
            loop {
                let (page, last) = self.next_page(id, statement, &mut next, report).await?;
                for row in rows(&page) {
                    match statement {
                        sql::SIGHT => seen.sight(row),
                        sql::JOBS => seen.job(row),
                        sql::INTEGRATIONS => seen.integration(row),
                        sql::MESSAGES => seen.message(row),
                        _ => {
                            if let Some(job) = row.integer("job_id") {
                                seen.counts.insert(job, Counts::of(row));
                            }
                        }
                    }
                }
                if last {
                    break;
                }
            }
        }
        Ok(seen)
    }

    /// Takes the files of the view into the ledger. `None`: the time ran out.
    async fn files(&self, id: &str, report: &mut Report) -> Result<Option<Walked>, MonitorError> {
        let mut walked = Walked::default();
        let mut next = None;
        loop {
            if self.out_of_time() {
                return Ok(None);
            }
            let (page, last) = self.next_page(id, sql::FILES, &mut next, report).await?;
            let entries: Vec<FileEntry> = rows(&page).filter_map(entry).collect();
            walked.rows += page.rows.len() as u64;
            if let Some(entry) = entries.last() {
                walked.last = Some((entry.enqueued, entry.job, entry.key.clone()));
            }
            for entry in entries.iter().filter(|entry| entry.state == FileState::Waiting) {
                walked.waiting += 1;
                walked.oldest_waiting =
                    Some(walked.oldest_waiting.map_or(entry.enqueued, |old| old.min(entry.enqueued)));
            }
            let (loaded, unloaded): (Vec<_>, Vec<_>) =
                entries.into_iter().partition(|entry| entry.state == FileState::Loaded);
            self.ledger.put_loaded(&loaded).await?;
            for entry in &unloaded {
                self.ledger.put_unloaded(entry).await?;
            }
            if last {
                report.rows += walked.rows;
                return Ok(Some(walked));
            }
        }
    }

    async fn loads(&self, id: &str, report: &mut Report) -> Result<(), MonitorError> {
        let mut next = None;
        loop {
            let (page, last) = self.next_page(id, sql::LOADS, &mut next, report).await?;
            for row in rows(&page) {
                let job = report.jobs.entry(row.integer("copy_job_id").unwrap_or(0)).or_default();
                job.rows += row.count("loaded_rows");
                job.files += row.count("files");
            }
            if last {
                return Ok(());
            }
        }
    }
}

pub(crate) fn etag(row: Row<'_>) -> String {
    row.text("file_etag").unwrap_or_default().trim_matches('"').to_owned()
}

fn entry(row: Row<'_>) -> Option<FileEntry> {
    let enqueued = row.time("enqueued")?;
    // One letter by the page's table, the word "Ingested" in its example; the statement takes the first letter.
    let state = match row.text("status") {
        Some("I") => FileState::Loaded,
        Some("E") => FileState::Failed,
        _ => FileState::Waiting,
    };
    Some(FileEntry {
        job: row.integer("job_id")?,
        key: row.text("file_name")?.to_owned(),
        etag: etag(row),
        modified: row.time("modified").unwrap_or(enqueued),
        enqueued,
        state,
    })
}
