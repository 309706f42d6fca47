//! The notifier: from observations to messages, with each incident notified once and nothing lost.
//!
//! One transaction writes the states of incidents, the rate limits, the ids of the events and the
//! notifications that result. Then the notifications are published, then removed from the store. So:
//!
//! - a crash before the transaction changes nothing: the event is delivered again;
//! - a crash after it leaves the notification in the store. When the claim of the crashed invocation
//!   has expired, the next delivery, any other event of the incident or the sweep publishes it;
//! - a crash between publishing and removing leads to the one possible duplicate: the same message
//!   with the same id is sent once more;
//! - the same event twice, also at the same time, counts once, because its id can be written once.

mod batch;
mod items;
mod limits;
mod open;
mod reconcile;
mod stats;

pub use lambda_kit::window::InvocationWindow;
pub use open::OpenIncident;
pub use reconcile::{Coverage, ReconcileError, ReconcileStats, Run, Scope};
pub use stats::{RecordError, RecordStats};

use std::time::Duration;

use batch::{batches, groups};
use items::{INCIDENT, LIMIT, event_item};

use crate::incident::{IncidentKey, digest};
use crate::moment::Moment;
use crate::publish::Publisher;
use crate::state::{EventId, Observation, Policy};
use crate::store::{ItemKey, MAX_ITEMS, Store};

/// The number of attempts to write against other invocations that write the same items.
const ATTEMPTS: u32 = 12;

/// Records observations and publishes the notifications that result.
#[derive(Debug)]
pub struct Notifier<S, P> {
    store: S,
    publisher: P,
    policy: Policy,
}

impl<S: Store, P: Publisher> Notifier<S, P> {
    /// Creates a notifier with its state in `store`.
    pub fn new(store: S, publisher: P, policy: Policy) -> Self {
        Self { store, publisher, policy }
    }

    /// Returns the store, for other state of the function.
    pub fn store(&self) -> &S {
        &self.store
    }

    /// Records observations of events, in any order. The results are in the order of the
    /// observations. Several observations share one read and one transaction.
    pub async fn record(
        &self,
        observations: &[Observation],
        window: InvocationWindow,
    ) -> Vec<Result<RecordStats, RecordError>> {
        let groups = groups(observations);
        let mut results: Vec<Option<Result<RecordStats, RecordError>>> =
            observations.iter().map(|_| None).collect();
        for batch in batches(&groups) {
            for (group, result) in batch.iter().zip(self.batch(batch, window).await) {
                let mut result = Some(result);
                for index in &group.indexes {
                    // The numbers of a group are counted once; all its observations share an error.
                    let shared = result.as_ref().map(|result| match result {
                        Ok(_) => Ok(RecordStats::default()),
                        Err(error) => Err(error.clone()),
                    });
                    results[*index] = std::mem::replace(&mut result, shared);
                }
            }
        }
        results.into_iter().map(|result| result.unwrap_or(Err(RecordError::Busy))).collect()
    }

    /// Returns for each event whether it was recorded and is still remembered. A check uses this
    /// before it does expensive work for an observation.
    ///
    /// # Errors
    /// The state could not be read.
    pub async fn recorded(
        &self,
        events: &[(IncidentKey, EventId)],
        now: Moment,
    ) -> Result<Vec<bool>, RecordError> {
        let mut recorded = Vec::with_capacity(events.len());
        for events in events.chunks(MAX_ITEMS) {
            let keys: Vec<ItemKey> = events.iter().map(|(key, event)| event_item(key, event)).collect();
            let found = self.store.read(&keys, now).await?;
            recorded.extend(found.iter().map(Option::is_some));
        }
        Ok(recorded)
    }

    /// Publishes what is due although no event arrives: repetitions, summaries, and notifications of
    /// invocations that crashed.
    ///
    /// # Errors
    /// The first error. Everything else that is due was processed all the same.
    pub async fn sweep(
        &self,
        window: InvocationWindow,
        max_items: usize,
    ) -> Result<RecordStats, RecordError> {
        let due = self.store.due(window.now, max_items).await?;
        let (mut stats, mut failure) = (RecordStats::default(), None);
        for item in due {
            let swept = match item.sort.as_str() {
                INCIDENT => self.single(&IncidentKey::stored(&item.partition), &[], window).await,
                LIMIT => self.summarize(&item.partition, window).await,
                _ => continue,
            };
            match swept {
                Ok(swept) => stats += swept,
                // Another invocation is processing it.
                Err(RecordError::Busy) => {}
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        failure.map_or(Ok(stats), Err)
    }
}

/// Waits before a repeated attempt for a part of 20, 40, 80 … 640 ms. Invocations that write the same
/// item wait for different times.
async fn back_off(partition: &str, attempt: u32, window: InvocationWindow) {
    if attempt > 0 {
        let seed = format!("{} {} {attempt}", window.now.millis(), window.deadline.millis());
        let random = u64::from_str_radix(&digest(&[partition, &seed]), 16).unwrap_or(0);
        tokio::time::sleep(Duration::from_millis(random % (10 << attempt.min(6)))).await;
    }
}
