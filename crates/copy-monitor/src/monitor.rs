//! The monitor: starts the batch of a run, looks for batches whose event does not come, and puts
//! the parts together.

use alerts::notifier::Notifier;
use alerts::publish::Publisher;
use alerts::store::Store;
use lambda_kit::moment::Moment;
use lambda_kit::window::InvocationWindow;
use tokio::time::Instant;
use warehouse::batch::Progress;

use crate::alerting::{Alerting, Handover};
use crate::batch::{self, Completion};
use crate::documents;
use crate::documents::Stored;
use crate::error::MonitorError;
use crate::incidents::{self, Condition};
use crate::ports::{Ledger, Objects, Statements};
use crate::reading::{Reading, VIEWS};
use crate::report::{Outcome, Report};
use crate::settings::Settings;
use crate::state::{Running, SweepState, ViewsState};
use crate::sweep::Sweep;
use crate::views::{Views, sql};

/// Most due items of the alerts' state that one scheduled run works on.
const MAX_DUE: usize = 100;

/// One invocation of the monitor.
pub struct Monitor<'a, S, P> {
    settings: &'a Settings,
    statements: &'a dyn Statements,
    objects: &'a dyn Objects,
    ledger: &'a dyn Ledger,
    alerting: Alerting<'a, S, P>,
    work_until: Instant,
}

/// The document of the views' run, as it was read or written last.
struct Run {
    revision: u64,
    state: ViewsState,
}

impl<'a, S: Store, P: Publisher> Monitor<'a, S, P> {
    /// Makes a monitor that begins no page of work after `work_until`.
    pub fn new(
        settings: &'a Settings,
        (statements, objects, ledger): (&'a dyn Statements, &'a dyn Objects, &'a dyn Ledger),
        notifier: &'a Notifier<S, P>,
        window: InvocationWindow,
        work_until: Instant,
    ) -> Self {
        let alerting = Alerting::new(notifier, settings, window, work_until);
        Self { settings, statements, objects, ledger, alerting, work_until }
    }

    /// Runs on a schedule: starts a batch of statements, lists some pages of the buckets, and
    /// publishes alerts that are due.
    ///
    /// # Errors
    /// A call failed. The next run continues where this one stopped.
    pub async fn tick(&self) -> Result<Report, MonitorError> {
        // An alert that could not be published, or a summary, is due although nothing new is found.
        // The check itself does not depend on it.
        let due = self.alerting.publish_due(MAX_DUE).await;
        let mut report = self.report(Outcome::Started);
        report.outcome = self.start_or_look(&mut report).await?;
        self.sweep(&mut report).await?;
        report.notified += due?;
        Ok(report)
    }

    /// Reads the result of a batch that has ended.
    ///
    /// # Errors
    /// A call failed. The next scheduled run reads the result again.
    pub async fn completed(&self, completion: &Completion) -> Result<Report, MonitorError> {
        let mut report = self.report(Outcome::Overtaken);
        let Some(run) = self.run_of(completion).await? else { return Ok(report) };
        // The event does not say why a batch failed.
        let progress = if completion.finished {
            Progress::Finished
        } else {
            self.statements.progress(&completion.id).await?
        };
        report.outcome = match progress {
            Progress::Finished => self.finish(run, &completion.id, &mut report).await?,
            Progress::Failed(message) | Progress::Aborted(message) => {
                self.fail(run, &message, &mut report).await?
            }
            Progress::OnTheWay => Outcome::OnTheWay,
            Progress::Forgotten => self.forget(run).await?,
        };
        Ok(report)
    }

    fn report(&self, outcome: Outcome) -> Report {
        Report::new(&self.settings.watched.name, outcome)
    }

    async fn load<T: Stored>(&self) -> Result<(u64, T), MonitorError> {
        documents::load(self.ledger, &self.settings.watched.name, self.alerting.window.now).await
    }

    async fn run(&self) -> Result<Run, MonitorError> {
        let (revision, state) = self.load().await?;
        Ok(Run { revision, state })
    }

    /// Returns false if another invocation wrote the document meanwhile.
    async fn save(&self, run: &mut Run) -> Result<bool, MonitorError> {
        let saved = documents::save(self.ledger, run.revision, &run.state).await?;
        run.revision += u64::from(saved);
        Ok(saved)
    }

    /// Returns the current run if the batch is its own.
    async fn run_of(&self, completion: &Completion) -> Result<Option<Run>, MonitorError> {
        for _ in 0..2 {
            let mut run = self.run().await?;
            let is_ours = completion.run(&self.settings.watched.name) == Some(run.state.run);
            let Some(running) = run.state.running.as_mut().filter(|_| is_ours) else { return Ok(None) };
            if let Some(known) = &running.statement {
                let is_same = *known == completion.id;
                return Ok(is_same.then_some(run));
            }
            // The invocation that started the batch died, or has not written its id yet. The id is
            // written here before anything is read: otherwise that invocation could write it
            // meanwhile, and the result of this reading could not be saved.
            running.statement = Some(completion.id.clone());
            if self.save(&mut run).await? {
                return Ok(Some(run));
            }
        }
        Ok(None)
    }

    async fn start_or_look(&self, report: &mut Report) -> Result<Outcome, MonitorError> {
        let now = self.alerting.window.now;
        let run = self.run().await?;
        let Some(Running { started, statement }) = run.state.running.clone() else {
            return self.start(run, report).await;
        };
        let Some(id) = statement else {
            // The invocation that wanted to start the batch died, or is about to start it. The
            // token makes both the same batch.
            return self.send(run, started, report).await;
        };
        if now.since(started) < self.settings.event_delay {
            return Ok(Outcome::OnTheWay);
        }
        match self.statements.progress(&id).await? {
            Progress::Finished => self.finish(run, &id, report).await,
            Progress::Failed(message) | Progress::Aborted(message) => self.fail(run, &message, report).await,
            Progress::Forgotten => self.forget(run).await,
            Progress::OnTheWay if now.since(started) < self.settings.max_batch_duration => {
                Ok(Outcome::OnTheWay)
            }
            Progress::OnTheWay => {
                self.statements.cancel(&id).await;
                let minutes = self.settings.max_batch_duration.as_secs() / 60;
                let message = format!("the batch did not finish within {minutes} minutes and was cancelled");
                self.fail(run, &message, report).await
            }
        }
    }

    async fn start(&self, mut run: Run, report: &mut Report) -> Result<Outcome, MonitorError> {
        let now = self.alerting.window.now;
        run.state.run += 1;
        run.state.running = Some(Running { started: now, statement: None });
        // Written before the batch is started, so that its event always finds its run.
        if !self.save(&mut run).await? {
            return Ok(Outcome::OnTheWay);
        }
        self.send(run, now, report).await
    }

    async fn send(
        &self,
        mut run: Run,
        started: Moment,
        report: &mut Report,
    ) -> Result<Outcome, MonitorError> {
        let Settings { watched, view_delay, rows_per_run, .. } = self.settings;
        let name = batch::name(&watched.name, run.state.run);
        let token = batch::token(&watched.name, run.state.run, started);
        let statements = sql::statements(&run.state, started, *view_delay, *rows_per_run)?;
        let id = match self.statements.start(&name, &token, &statements).await {
            Ok(id) => id,
            Err(error) => {
                tracing::warn!(%error, "could not start the statements on the system views");
                return self.fail(run, &error.to_string(), report).await;
            }
        };
        if let Some(running) = &mut run.state.running {
            running.statement = Some(id);
        }
        // If another invocation wrote meanwhile, the batch's event was faster than this.
        self.save(&mut run).await?;
        Ok(Outcome::Started)
    }

    /// Drops a run whose result no longer exists. The next run reads the same rows again.
    async fn forget(&self, mut run: Run) -> Result<Outcome, MonitorError> {
        run.state.running = None;
        self.save(&mut run).await?;
        Ok(Outcome::Overtaken)
    }

    /// Ends a run that could not read the views.
    async fn fail(&self, mut run: Run, message: &str, report: &mut Report) -> Result<Outcome, MonitorError> {
        let running = run.state.running.take();
        let started = running.as_ref().map_or(self.alerting.window.now, |running| running.started);
        let batch = running.as_ref().and_then(|running| running.statement.as_deref());
        let found = incidents::views_unreadable(&self.settings.watched, message, batch, started);
        // Nothing else was covered.
        let resolution = |_: Condition, _| None;
        match self.alerting.reconcile(VIEWS, &[found], resolution, started).await? {
            Handover::Done(notified) => report.notified += notified,
            Handover::Incomplete => return Ok(Outcome::Partly),
        }
        self.save(&mut run).await?;
        Ok(Outcome::Failed)
    }

    /// Reads the result of a run and moves forward.
    async fn finish(&self, mut run: Run, id: &str, report: &mut Report) -> Result<Outcome, MonitorError> {
        let now = self.alerting.window.now;
        let started = run.state.running.take().map_or(now, |running| running.started);
        let (_, SweepState { newest, .. }) = self.load().await?;
        let reading = Reading {
            settings: self.settings,
            objects: self.objects,
            ledger: self.ledger,
            alerting: &self.alerting,
            work_until: self.work_until,
            started,
        };
        let mut views = Views::new(self.statements, id);
        let outcome = reading.run(&mut views, &mut run.state, &newest, report).await;
        report.pages += views.pages;
        match outcome? {
            Outcome::Read if !self.save(&mut run).await? => Ok(Outcome::Overtaken),
            outcome => Ok(outcome),
        }
    }

    async fn sweep(&self, report: &mut Report) -> Result<(), MonitorError> {
        let (_, views): (_, ViewsState) = self.load().await?;
        let (revision, mut state): (_, SweepState) = self.load().await?;
        let before = state.clone();
        let sweep = Sweep {
            settings: self.settings,
            objects: self.objects,
            ledger: self.ledger,
            alerting: &self.alerting,
            work_until: self.work_until,
        };
        report.sweep = Some(sweep.run(&views, &mut state, &mut report.notified).await?);
        // If another invocation listed the same pages, its position is as good as this one's.
        if state != before {
            documents::save(self.ledger, revision, &state).await?;
        }
        Ok(())
    }
}
