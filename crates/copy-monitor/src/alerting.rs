//! Hands what a run found over to the alert pipeline.

use std::collections::BTreeMap;
use std::time::Duration;

use alerts::incident::{AccountRegion, Incident, IncidentKey};
use alerts::notifier::{Coverage, Notifier, ReconcileError, RecordError, Run, Scope};
use alerts::publish::Publisher;
use alerts::state::{EventId, Observation};
use alerts::store::{Store, StoreError};
use lambda_kit::moment::Moment;
use lambda_kit::window::InvocationWindow;
use tokio::time::Instant;

use crate::error::MonitorError;
use crate::incidents::Condition;
use crate::settings::Settings;

/// The name of the check in the ids of its events.
const CHECK: &str = "check-copy-jobs";
/// The number of incidents that are recorded before the time is checked again.
const CHUNK: usize = 40;

/// The result of handing something over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) enum Handover {
    /// Everything is notified. So many messages were published.
    Done(u32),
    /// Another invocation works on the same incidents, or the time ran out.
    Incomplete,
}

/// The alert pipeline, as one invocation uses it.
#[derive(Debug)]
pub(crate) struct Alerting<'a, S, P> {
    notifier: &'a Notifier<S, P>,
    settings: &'a Settings,
    pub(crate) window: InvocationWindow,
    work_until: Instant,
}

impl<'a, S: Store, P: Publisher> Alerting<'a, S, P> {
    pub(crate) fn new(
        notifier: &'a Notifier<S, P>,
        settings: &'a Settings,
        window: InvocationWindow,
        work_until: Instant,
    ) -> Self {
        Self { notifier, settings, window, work_until }
    }

    /// Returns the items whose incident was not recorded yet.
    pub(crate) async fn new_ones<T>(
        &self,
        items: Vec<T>,
        key: impl Fn(&T) -> IncidentKey,
    ) -> Result<Vec<T>, MonitorError> {
        let events: Vec<_> = items.iter().map(|item| firing(key(item))).collect();
        let recorded = self.notifier.recorded(&events, self.window.now).await?;
        let new = items.into_iter().zip(recorded).filter(|(_, recorded)| !recorded);
        Ok(new.map(|(item, _)| item).collect())
    }

    /// Records incidents that nothing but a manual load resolves. Each is recorded once.
    pub(crate) async fn record(&self, incidents: Vec<Incident>) -> Result<Handover, MonitorError> {
        let observations = incidents.into_iter().map(|incident| {
            let (_, event) = firing(incident.key());
            Observation::firing(incident, event)
        });
        self.observe(observations).await
    }

    /// Records those of the incidents that were not recorded yet.
    pub(crate) async fn record_new(&self, incidents: Vec<Incident>) -> Result<Handover, MonitorError> {
        // Many objects may lead to the same incident; the first of them counts.
        let mut unique: BTreeMap<IncidentKey, Incident> = BTreeMap::new();
        for incident in incidents {
            unique.entry(incident.key()).or_insert(incident);
        }
        let new = self.new_ones(unique.into_values().collect(), Incident::key).await?;
        self.record(new).await
    }

    /// Records that incidents are resolved, if they were recorded. Each has the time of its
    /// beginning, by the clock of Redshift.
    pub(crate) async fn resolve(
        &self,
        incidents: Vec<(IncidentKey, Moment)>,
        how: &str,
    ) -> Result<Handover, MonitorError> {
        let events: Vec<_> =
            incidents.iter().flat_map(|(key, _)| [firing(key.clone()), resolved(key.clone())]).collect();
        let recorded = self.notifier.recorded(&events, self.window.now).await?;
        let open =
            incidents.into_iter().zip(recorded.chunks(2)).filter(|(_, recorded)| *recorded == [true, false]);
        let now = self.window.now;
        let observations = open.map(|((key, since), _)| {
            let (key, event) = resolved(key);
            // The clock of this function may be behind that of Redshift. An end before the
            // beginning would resolve nothing, and it is recorded once.
            Observation::resolved(key, how, event, now.max(since))
        });
        self.observe(observations).await
    }

    /// Reconciles the conditions that a part of the check found, as of a time. `resolution` returns
    /// the resolution of a condition that is not found, or `None` if the check did not cover it.
    pub(crate) async fn reconcile(
        &self,
        part: &str,
        found: &[Incident],
        resolution: impl Fn(Condition, Option<i64>) -> Option<&'static str> + Send + Sync,
        as_of: Moment,
    ) -> Result<Handover, MonitorError> {
        let watched = &self.settings.watched;
        let location = AccountRegion::new(&watched.account, &watched.region);
        let scope = Scope::new(format!("{CHECK}|{}|{part}", watched.name), location);
        let coverage = Coverage::of(move |open| {
            let (condition, job) = Condition::parse(open.dedup_key.as_deref()?)?;
            resolution(condition, job)
        });
        // The same for every invocation that reads the result of the same run.
        let id = as_of.micros().to_string();
        let window = InvocationWindow { now: as_of, ..self.window };
        let run = Run { id: &id, window, until: self.work_until };
        match self.notifier.reconcile(&scope, found, &coverage, run).await {
            Ok(stats) => Ok(Handover::Done(stats.record.published)),
            Err(
                ReconcileError::Store(StoreError::Conflict)
                | ReconcileError::Record { first: RecordError::Busy | RecordError::Contended, .. }
                | ReconcileError::TimedOut { .. },
            ) => Ok(Handover::Incomplete),
            Err(error) => Err(error.into()),
        }
    }

    /// Publishes alerts that are due although nothing new was found. Returns the number of
    /// messages.
    pub(crate) async fn publish_due(&self, max_items: usize) -> Result<u32, MonitorError> {
        Ok(self.notifier.sweep(self.window, max_items).await?.published)
    }

    async fn observe(
        &self,
        observations: impl Iterator<Item = Observation>,
    ) -> Result<Handover, MonitorError> {
        let memory: Duration = self.settings.ledger_memory;
        let observations: Vec<_> =
            observations.map(|observation| observation.remembered_for(memory)).collect();
        let (mut published, mut is_complete) = (0, true);
        for chunk in observations.chunks(CHUNK) {
            if Instant::now() >= self.work_until {
                return Ok(Handover::Incomplete);
            }
            let mut failure = None;
            for result in self.notifier.record(chunk, self.window).await {
                match result {
                    Ok(stats) => published += stats.published,
                    Err(RecordError::Busy | RecordError::Contended) => is_complete = false,
                    Err(error) => failure = failure.or(Some(error)),
                }
            }
            if let Some(error) = failure {
                return Err(error.into());
            }
        }
        Ok(if is_complete { Handover::Done(published) } else { Handover::Incomplete })
    }
}

fn firing(key: IncidentKey) -> (IncidentKey, EventId) {
    let event = EventId::of(&[CHECK, "firing", key.as_str()]);
    (key, event)
}

fn resolved(key: IncidentKey) -> (IncidentKey, EventId) {
    let event = EventId::of(&[CHECK, "resolved", key.as_str()]);
    (key, event)
}
