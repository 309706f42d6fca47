//! The schedule's part: starts the statement, or looks after one whose event did not come.

use std::time::Duration;

use warehouse::batch::Progress;

use crate::finding::{Finding, Problem, id};
use crate::moment::Moment;
use crate::monitor::{Monitor, MonitorError};
use crate::ports::{Announcer, Ledger, Objects, Statements};
use crate::remedy;
use crate::report::{Outcome, Report};
use crate::sql;
use crate::standing::Judged;
use crate::state::{Running, TARGET, TargetState};

/// What the names of our statements begin with; rules match it.
pub const NAME_PREFIX: &str = alerts::judge::MONITOR_STATEMENTS;

/// The name of a run's statement.
pub(crate) fn name(watched: &str, run: u64) -> String {
    format!("{NAME_PREFIX}{watched}.{run}")
}

/// The end of a statement, as EventBridge tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// `statementName`.
    pub name: String,
    /// `statementId`.
    pub id: String,
    /// Whether `state` is FINISHED; anything else is an end without result.
    pub finished: bool,
}

impl Completion {
    /// The run of a warehouse that the statement belongs to.
    fn run(&self, watched: &str) -> Option<u64> {
        // One of a batch's statements has not the end of the batch.
        if self.id.contains(':') {
            return None;
        }
        let rest = self.name.strip_prefix(NAME_PREFIX)?;
        let (name, run) = rest.rsplit_once('.')?;
        (name == watched).then(|| run.parse().ok()).flatten()
    }
}

impl<S: Statements, O: Objects, L: Ledger, A: Announcer> Monitor<'_, S, O, L, A> {
    /// Does what a schedule asks for: a run of the statement, and some pages of the buckets.
    ///
    /// # Errors
    /// A call failed. What was not done is done by the next invocation.
    pub async fn tick(&self, now: Moment) -> Result<Report, MonitorError> {
        let mut report = self.start_or_look(now).await?;
        report.sweep = Some(self.sweep(now, &mut report).await?);
        Ok(report)
    }

    /// Reads the result of a statement that has ended.
    ///
    /// # Errors
    /// A call failed. The next tick reads it again.
    pub async fn completed(&self, completion: &Completion, now: Moment) -> Result<Report, MonitorError> {
        let Some((revision, state)) = self.run_of(completion).await? else {
            return Ok(self.report(Outcome::Overtaken));
        };
        if completion.finished {
            return self.finish(revision, state, &completion.id, now).await;
        }
        // The event does not say why.
        match self.statements.progress(&completion.id).await? {
            Progress::Finished => self.finish(revision, state, &completion.id, now).await,
            Progress::Failed(message) | Progress::Aborted(message) => {
                self.cannot_ask(revision, state, message, now).await
            }
            Progress::OnTheWay => Ok(self.report(Outcome::OnTheWay)),
            Progress::Forgotten => self.forget(revision, state).await,
        }
    }

    /// The state in which the statement is the one of the run that goes on, if it is.
    async fn run_of(&self, completion: &Completion) -> Result<Option<(u64, TargetState)>, MonitorError> {
        for _ in 0..2 {
            let (revision, mut state) = self.target().await?;
            let ours = completion.run(&self.settings.watched.name) == Some(state.run);
            let Some(running) = state.running.as_mut().filter(|_| ours) else { return Ok(None) };
            if let Some(known) = &running.statement {
                let same = *known == completion.id;
                return Ok(same.then_some((revision, state)));
            }
            // It was started, and whoever started it died or has not written it down yet. Written down before anything is read: otherwise whoever
            // started it does so meanwhile, and what was read could not be saved.
            running.statement = Some(completion.id.clone());
            if self.save(TARGET, revision, &state).await? {
                return Ok(Some((revision + 1, state)));
            }
        }
        Ok(None)
    }

    async fn start_or_look(&self, now: Moment) -> Result<Report, MonitorError> {
        let (revision, state) = self.target().await?;
        let Some(Running { started, statement }) = state.running.clone() else {
            return self.start(revision, state, now).await;
        };
        let Some(id) = statement else {
            // Whoever wanted to start it died, or is about to: the token makes both the same statement.
            return self.send(revision, state, started).await;
        };
        if now.since(started) < self.settings.patience {
            return Ok(self.report(Outcome::OnTheWay));
        }
        match self.statements.progress(&id).await? {
            Progress::Finished => self.finish(revision, state, &id, now).await,
            Progress::Failed(message) | Progress::Aborted(message) => {
                self.cannot_ask(revision, state, message, now).await
            }
            Progress::Forgotten => self.forget(revision, state).await,
            Progress::OnTheWay if now.since(started) < self.settings.longest_statement => {
                Ok(self.report(Outcome::OnTheWay))
            }
            Progress::OnTheWay => {
                self.statements.cancel(&id).await;
                let minutes = self.settings.longest_statement.as_secs() / 60;
                let message =
                    format!("the statement was not finished after {minutes} minutes and was cancelled");
                self.cannot_ask(revision, state, message, now).await
            }
        }
    }

    async fn start(
        &self,
        revision: u64,
        mut state: TargetState,
        now: Moment,
    ) -> Result<Report, MonitorError> {
        state.run += 1;
        state.running = Some(Running { started: now, statement: None });
        // Written before the statement is started, so that its event always finds its run.
        if !self.save(TARGET, revision, &state).await? {
            return Ok(self.report(Outcome::OnTheWay));
        }
        self.send(revision + 1, state, now).await
    }

    async fn send(
        &self,
        revision: u64,
        mut state: TargetState,
        started: Moment,
    ) -> Result<Report, MonitorError> {
        let watched = &self.settings.watched.name;
        let name = name(watched, state.run);
        let token = id(&["token", watched, &state.run.to_string(), &started.micros().to_string()]);
        let statements = sql::statements(&state, started, self.settings.overlap, self.settings.rows_per_run)?;
        let statement = match self.statements.start(&name, &token, &statements).await {
            Ok(statement) => statement,
            Err(error) => {
                tracing::warn!(%error, "the views cannot be read");
                return self.cannot_ask(revision, state, error.to_string(), started).await;
            }
        };
        if let Some(running) = &mut state.running {
            running.statement = Some(statement);
        }
        // If somebody wrote meanwhile, the statement's event was faster than this.
        self.save(TARGET, revision, &state).await?;
        Ok(self.report(Outcome::Started))
    }

    /// Drops a run whose result nobody has any more. The next run reads the same rows again.
    async fn forget(&self, revision: u64, mut state: TargetState) -> Result<Report, MonitorError> {
        state.running = None;
        self.save(TARGET, revision, &state).await?;
        Ok(self.report(Outcome::Overtaken))
    }

    /// The views could not be read: told once by the second run in a row, until they can be read again. One throttled call is nobody's business.
    async fn cannot_ask(
        &self,
        revision: u64,
        mut state: TargetState,
        message: String,
        now: Moment,
    ) -> Result<Report, MonitorError> {
        let running = state.running.take();
        let begun = running.as_ref().map_or(now, |running| running.started);
        let statement = running.and_then(|running| running.statement);
        let judged = Judged { key: CANNOT_ASK.to_owned(), holds: true, patience: Duration::from_micros(1) };
        let finding = state.standings.judge(&judged, begun, |since| {
            self.cannot_ask_finding(message, since, now, statement.as_deref())
        });
        let (told, all) = self.tell_all(finding.as_slice(), now).await?;
        let mut report = self.report(if all { Outcome::Failed } else { Outcome::Partly });
        report.told = told;
        if all {
            self.save(TARGET, revision, &state).await?;
        }
        Ok(report)
    }

    pub(crate) fn cannot_ask_finding(
        &self,
        message: String,
        since: Moment,
        noticed: Moment,
        statement: Option<&str>,
    ) -> Finding {
        let watched = &self.settings.watched;
        let id = id(&[&watched.name, CANNOT_ASK, &since.micros().to_string()]);
        let command = remedy::describe(watched, statement);
        self.finding(id, Problem::CannotAsk { message }, None, since, noticed, command)
    }

    pub(crate) fn report(&self, outcome: Outcome) -> Report {
        Report::new(&self.settings.watched.name, outcome)
    }
}

/// What the standing problem of failing statements is called.
pub(crate) const CANNOT_ASK: &str = "ask";
