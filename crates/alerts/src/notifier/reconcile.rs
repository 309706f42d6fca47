//! Reconciling what a check found with the incidents that are open in its scope.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use tokio::time::Instant;

use super::items::{Versioned, incident_item};
use super::open::{Entries, OpenIncident, OpenIncidents, SHARDS};
use super::{ATTEMPTS, InvocationWindow, Notifier, RecordError, RecordStats, back_off};
use crate::incident::{AccountRegion, Incident};
use crate::moment::Moment;
use crate::publish::Publisher;
use crate::state::{EventId, IncidentState, Observation};
use crate::store::{ItemKey, MAX_ITEMS, Store, StoreError};

/// The number of observations that are recorded before the time is checked again.
const CHUNK: usize = 40;

/// The scope of a check: incidents outside of it are not touched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    check: String,
    location: AccountRegion,
}

impl Scope {
    /// Creates the scope of a check in an account and Region. Two checks of the same location have
    /// different names, such as `check-secrets` and `copy-jobs|main`.
    pub fn new(check: impl Into<String>, location: AccountRegion) -> Self {
        Self { check: check.into(), location }
    }

    fn partition(&self) -> String {
        format!("open|{}|{}|{}", self.check, self.location.account, self.location.region)
    }
}

/// The part of a scope that a check covered. An incident that is open, covered and not found is
/// resolved.
pub struct Coverage<'a>(Box<Resolution<'a>>);

/// Returns how an open incident ended, or `None` if it is not covered.
type Resolution<'a> = dyn Fn(&OpenIncident) -> Option<&'a str> + Send + Sync + 'a;

impl<'a> Coverage<'a> {
    /// The check covered everything. `resolution` is a phrase that says how an incident ended.
    pub fn all(resolution: &'a str) -> Self {
        Self(Box::new(move |_| Some(resolution)))
    }

    /// The check covered nothing to the end, such as a check that failed half-way.
    pub fn none() -> Self {
        Self(Box::new(|_| None))
    }

    /// The check covered the incidents for which `resolution` returns a phrase that says how they
    /// ended.
    pub fn of(resolution: impl Fn(&OpenIncident) -> Option<&'a str> + Send + Sync + 'a) -> Self {
        Self(Box::new(resolution))
    }
}

impl fmt::Debug for Coverage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Coverage")
    }
}

/// A run of a check.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    /// The id, which is the same for all attempts of this run and for no other run.
    pub id: &'a str,
    /// The time of the invocation.
    pub window: InvocationWindow,
    /// The time after which the run starts to record no further group of incidents.
    pub until: Instant,
}

/// The numbers of a reconciliation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReconcileStats {
    /// The numbers of the recorded observations.
    pub record: RecordStats,
    /// Incidents that are open in the scope, including those within their grace period.
    pub open: u32,
    /// Incidents whose end was recorded.
    pub resolved: u32,
}

/// The reason why a reconciliation is incomplete. The next run of the check completes it.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// The open incidents of the scope could not be read or written.
    #[error("the open incidents of the check could not be read or written")]
    Store(#[source] StoreError),
    /// Some incidents could not be recorded.
    #[error("{failed} of {of} incidents could not be recorded")]
    Record {
        /// The number of incidents that could not be recorded.
        failed: usize,
        /// The number of incidents to record.
        of: usize,
        /// The first error.
        #[source]
        first: RecordError,
    },
    /// The invocation has no time left.
    #[error("timed out after {recorded} of {of} incidents; increase the function's timeout")]
    TimedOut {
        /// The number of incidents that were recorded.
        recorded: usize,
        /// The number of incidents to record.
        of: usize,
    },
}

impl<S: Store, P: Publisher> Notifier<S, P> {
    /// Reconciles the incidents that a check found with those that are open in its scope.
    ///
    /// - An incident that was not open is recorded with the time of the run.
    /// - An incident that is open is recorded again only if that changes what people know.
    /// - An incident that is open, covered and not found is resolved.
    ///
    /// A run counts once, however often it is repeated. A run that is older than the latest run of
    /// the scope resolves nothing, and does not reopen what the latest run resolved.
    ///
    /// # Errors
    /// See [`ReconcileError`]. Everything that could be recorded was.
    pub async fn reconcile(
        &self,
        scope: &Scope,
        found: &[Incident],
        coverage: &Coverage<'_>,
        run: Run<'_>,
    ) -> Result<ReconcileStats, ReconcileError> {
        for attempt in 0..ATTEMPTS {
            back_off(&scope.check, attempt, run.window).await;
            match self.reconcile_once(scope, found, coverage, run).await {
                // Another run of the check wrote meanwhile: what it left is what counts.
                Err(ReconcileError::Store(StoreError::Conflict)) => {}
                other => return other,
            }
        }
        Err(ReconcileError::Store(StoreError::Conflict))
    }

    async fn reconcile_once(
        &self,
        scope: &Scope,
        found: &[Incident],
        coverage: &Coverage<'_>,
        run: Run<'_>,
    ) -> Result<ReconcileStats, ReconcileError> {
        let now = run.window.now;
        let found: BTreeMap<OpenIncident, &Incident> =
            found.iter().map(|incident| (OpenIncident::of(incident), incident)).collect();
        let keys: Vec<ItemKey> = found.values().map(|incident| incident_item(&incident.key())).collect();
        let (mut open, states) = self.load_scope(scope, &keys, now).await?;
        let before = open.entries();
        let plan = plan(&found, &before, &states, now);
        let ended: Vec<(&OpenIncident, &str)> = before
            .keys()
            // A run that is not the latest knows less than that one.
            .filter(|id| !found.contains_key(*id) && open.checked().is_none_or(|latest| latest <= now))
            .filter_map(|id| Some((id, coverage.0(id)?)))
            .collect();
        // Before anything is recorded, so that its end cannot be missed.
        open.write(&self.store, &plan.entries, now).await.map_err(ReconcileError::Store)?;
        let mut after = plan.entries;
        let event = |what: &str, id: &OpenIncident| {
            let dedup_key = id.dedup_key.as_deref().unwrap_or_default();
            EventId::of(&[&scope.check, run.id, what, id.kind.name(), &id.subject, dedup_key])
        };
        let mut observations = Vec::new();
        for (id, at) in plan.firing {
            let incident = Incident { since: at, ..(*found[id]).clone() };
            observations.push((None, Observation::firing(incident, event("found", id))));
        }
        for (id, how) in ended {
            if before.get(id).is_some_and(Option::is_some) {
                // It ended within its grace period: it was never recorded.
                after.remove(id);
                continue;
            }
            let key = id.key(&scope.location);
            observations.push((Some(id), Observation::resolved(key, how, event("resolved", id), now)));
        }
        let (mut stats, mut failed) = (ReconcileStats::default(), Vec::new());
        let (of, mut recorded) = (observations.len(), 0);
        for chunk in observations.chunks(CHUNK) {
            // The first ones are recorded in any case: every run gets further.
            if recorded > 0 && Instant::now() >= run.until {
                return Err(ReconcileError::TimedOut { recorded, of });
            }
            let plain: Vec<Observation> = chunk.iter().map(|(_, observation)| observation.clone()).collect();
            for ((ended, _), result) in chunk.iter().zip(self.record(&plain, run.window).await) {
                match result {
                    Ok(numbers) => {
                        stats.record += numbers;
                        if let Some(id) = ended {
                            after.remove(*id);
                            stats.resolved += 1;
                        }
                    }
                    Err(error) => failed.push(error),
                }
            }
            recorded += chunk.len();
        }
        open.write(&self.store, &after, now).await.map_err(ReconcileError::Store)?;
        stats.open = u32::try_from(after.len()).unwrap_or(u32::MAX);
        let failures = failed.len();
        match failed.into_iter().next() {
            Some(first) => Err(ReconcileError::Record { failed: failures, of, first }),
            None => Ok(stats),
        }
    }

    /// Reads the open incidents of a scope and the states of other incidents, with one call if they
    /// are few.
    async fn load_scope(
        &self,
        scope: &Scope,
        keys: &[ItemKey],
        now: Moment,
    ) -> Result<(OpenIncidents, HashMap<ItemKey, IncidentState>), ReconcileError> {
        let partition = scope.partition();
        let mut wanted = OpenIncidents::keys(&partition);
        let first = keys.len().min(MAX_ITEMS - SHARDS);
        wanted.extend_from_slice(&keys[..first]);
        let mut found = self.store.read(&wanted, now).await.map_err(ReconcileError::Store)?;
        for keys in keys[first..].chunks(MAX_ITEMS) {
            found.extend(self.store.read(keys, now).await.map_err(ReconcileError::Store)?);
        }
        let open = OpenIncidents::decode(&partition, &found[..SHARDS], now);
        let state = |key: &ItemKey, stored| Versioned::<IncidentState>::decode(key, stored, now).value;
        let states = keys.iter().zip(&found[SHARDS..]);
        let states = states.map(|(key, stored)| (key.clone(), state(key, stored.as_ref()))).collect();
        Ok((open, states))
    }
}

/// The plan of a run for the incidents that it found.
struct FoundPlan<'a> {
    /// The open incidents before anything is recorded.
    entries: Entries,
    /// The incidents to record, each with the time of its occurrence.
    firing: Vec<(&'a OpenIncident, Moment)>,
}

fn plan<'a>(
    found: &'a BTreeMap<OpenIncident, &Incident>,
    before: &Entries,
    states: &HashMap<ItemKey, IncidentState>,
    now: Moment,
) -> FoundPlan<'a> {
    let (mut entries, mut firing) = (before.clone(), Vec::new());
    for (id, incident) in found {
        let (since, is_pending) = match before.get(id) {
            Some(Some(since)) => (*since, true),
            // A new problem starts its grace period.
            None => (now, !incident.grace.is_zero()),
            Some(None) => (now, false),
        };
        if is_pending && now.since(since) < incident.grace {
            entries.insert(id.clone(), Some(since));
            continue;
        }
        entries.insert(id.clone(), None);
        let state = states.get(&incident_item(&incident.key()));
        if state.is_none_or(|state| state.needs(incident, now)) {
            firing.push((id, since));
        }
    }
    FoundPlan { entries, firing }
}
