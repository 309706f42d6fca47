//! One invocation: it receives events and returns a response, whatever the events are.

use std::cell::RefCell;
use std::ops::Range;

use lambda_kit::error::chain;
use serde_json::{Value, json};

use crate::event::{Delivery, Detail, Event, Receiver};
use crate::incident::AccountRegion;
use crate::notifier::{InvocationWindow, Notifier, RecordError, RecordStats};
use crate::processor::{Commit, EventProcessor};
use crate::publish::Publisher;
use crate::rules::unrecognized_event;
use crate::state::Observation;
use crate::store::Store;

/// The largest number of events that are processed together.
const CHUNK: usize = 50;
/// The largest number of due items that a schedule processes in one invocation.
const MAX_DUE: usize = 100;

/// The numbers of one invocation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct InvocationStats {
    /// Events that were received.
    pub events: u32,
    /// Events that were not recognized.
    pub unrecognized: u32,
    /// Events that must be delivered again.
    pub failed: u32,
    /// The numbers of the recorded observations.
    pub record: RecordStats,
}

/// The handler of a function.
#[derive(Debug)]
pub struct Handler<S, P, E> {
    notifier: Notifier<S, P>,
    processor: E,
    location: AccountRegion,
    function: String,
    table: String,
}

/// The result of one event: not processed yet, processed, or the reason to deliver it again.
type EventResult = Option<Result<(), String>>;

impl<S: Store, P: Publisher, E: EventProcessor> Handler<S, P, E> {
    /// Creates the handler of the function with this name, whose state is in this table.
    pub fn new(
        notifier: Notifier<S, P>,
        processor: E,
        location: AccountRegion,
        function: String,
        table: String,
    ) -> Self {
        Self { notifier, processor, location, function, table }
    }

    /// Returns the function's name.
    pub fn function(&self) -> &str {
        &self.function
    }

    /// Processes an invocation. `timeout` completes before the invocation's time ends: an event that
    /// is not processed by then must be delivered again.
    ///
    /// # Errors
    /// If the events do not come from a queue, the failure of one event is the failure of the
    /// invocation. The text is the reason.
    pub async fn handle(
        &self,
        payload: &Value,
        window: InvocationWindow,
        timeout: impl Future<Output = ()>,
    ) -> (InvocationStats, Result<Value, String>) {
        let receiver = Receiver { account: &self.location.account, now: window.now };
        let delivery = receiver.deliveries(payload);
        let results: RefCell<Vec<EventResult>> = RefCell::new(vec![None; delivery.items.len()]);
        let stats = RefCell::new(InvocationStats::default());
        let processing = self.process(&delivery, window, &results, &stats);
        tokio::select! {
            biased;
            () = processing => {}
            () = timeout => tracing::warn!("timed out; unprocessed events will be redelivered"),
        }
        let (results, mut stats) = (results.into_inner(), stats.into_inner());
        let failed: Vec<usize> =
            (0..results.len()).filter(|at| !matches!(results[*at], Some(Ok(())))).collect();
        stats.events = u32::try_from(results.len()).unwrap_or(u32::MAX);
        stats.failed = u32::try_from(failed.len()).unwrap_or(u32::MAX);
        let reason = |at: usize| match &results[at] {
            Some(Err(reason)) => reason.as_str(),
            _ => "timed out before this event was processed",
        };
        for at in &failed {
            let message = delivery.items[*at].message_id.as_deref().unwrap_or_default();
            tracing::error!(message, reason = reason(*at), "event processing failed");
        }
        if delivery.answers_by_message {
            let all = || (0..delivery.items.len()).collect();
            let keep: Vec<usize> = if E::KEEPS_MESSAGES { all() } else { failed };
            let failures: Vec<Value> = keep
                .iter()
                .filter_map(|at| delivery.items[*at].message_id.as_ref())
                .map(|id| json!({"itemIdentifier": id}))
                .collect();
            return (stats, Ok(json!({"batchItemFailures": failures})));
        }
        let result = match failed.first() {
            Some(at) => Err(reason(*at).to_owned()),
            None => Ok(Value::Null),
        };
        (stats, result)
    }

    async fn process(
        &self,
        delivery: &Delivery,
        window: InvocationWindow,
        results: &RefCell<Vec<EventResult>>,
        stats: &RefCell<InvocationStats>,
    ) {
        for start in (0..delivery.items.len()).step_by(CHUNK) {
            let end = (start + CHUNK).min(delivery.items.len());
            let (recorded, chunk) = self.chunk(delivery, start..end, window).await;
            {
                let mut stats = stats.borrow_mut();
                stats.record += recorded;
                let items = delivery.items[start..end].iter();
                let unrecognized = items.filter(|item| item.parsed.is_err()).count();
                stats.unrecognized += u32::try_from(unrecognized).unwrap_or(u32::MAX);
            }
            let mut results = results.borrow_mut();
            for (at, result) in (start..end).zip(chunk) {
                results[at] = Some(result);
            }
        }
    }

    /// Processes some events together. The results are in the order of the events.
    async fn chunk(
        &self,
        delivery: &Delivery,
        range: Range<usize>,
        window: InvocationWindow,
    ) -> (RecordStats, Vec<Result<(), String>>) {
        let start = range.start;
        let mut results: Vec<Result<(), String>> = range.clone().map(|_| Ok(())).collect();
        let mut stats = RecordStats::default();
        // Observations, each with the position of its event.
        let mut observations: Vec<(usize, Observation)> = Vec::new();
        let mut events: Vec<(usize, &Event)> = Vec::new();
        for at in range {
            match &delivery.items[at].parsed {
                Err(event) => {
                    let (from, problem) = (&*event.from, event.problem.as_str());
                    tracing::warn!(from, problem, "event not recognized");
                    let (location, function) = (&self.location, &self.function);
                    let observation = unrecognized_event(event, location, function, &self.table, window.now);
                    observations.push((at, observation));
                }
                Ok(Event { detail: Detail::Schedule, .. }) => match self.schedule(window).await {
                    Ok(swept) => stats += swept,
                    Err(error) => results[at - start] = Err(chain(&error)),
                },
                Ok(event) => events.push((at, event)),
            }
        }
        let plain: Vec<&Event> = events.iter().map(|(_, event)| *event).collect();
        let evaluation = self.processor.process(&plain, window).await;
        for ((at, _), result) in events.iter().zip(evaluation.results) {
            match result {
                Ok(found) => observations.extend(found.into_iter().map(|one| (*at, one))),
                Err(error) => results[at - start] = Err(chain(&error)),
            }
        }
        let (owners, observations): (Vec<usize>, Vec<Observation>) = observations.into_iter().unzip();
        for (at, result) in owners.into_iter().zip(self.notifier.record(&observations, window).await) {
            match result {
                Ok(recorded) => stats += recorded,
                Err(error) => results[at - start] = Err(chain(&error)),
            }
        }
        for commit in evaluation.commits {
            let positions = commit.events.iter().filter_map(|event| events.get(*event));
            let positions: Vec<usize> = positions.map(|(at, _)| at - start).collect();
            let recorded = positions.iter().all(|at| results[*at].is_ok());
            if let Err(error) = self.commit(&commit, recorded, window).await {
                // The reason why an event was not recorded is the more important one.
                for at in positions.into_iter().filter(|at| results[*at].is_ok()).collect::<Vec<_>>() {
                    results[at] = Err(chain(&error));
                }
            }
        }
        (stats, results)
    }

    /// Writes what follows from events, if their observations were recorded.
    async fn commit(
        &self,
        commit: &Commit,
        recorded: bool,
        window: InvocationWindow,
    ) -> Result<(), RecordError> {
        if !recorded {
            return Err(RecordError::Busy);
        }
        Ok(self.notifier.store().write(&commit.puts, window.now).await?)
    }

    /// Processes what is due.
    async fn schedule(&self, window: InvocationWindow) -> Result<RecordStats, RecordError> {
        // A failure of one does not prevent the other.
        let swept = self.notifier.sweep(window, MAX_DUE).await;
        let (observations, mut failure) = self.processor.process_schedule(window).await;
        let mut stats = RecordStats::default();
        let recorded = self.notifier.record(&observations, window).await;
        for result in std::iter::once(swept).chain(recorded) {
            match result {
                Ok(recorded) => stats += recorded,
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        failure.map_or(Ok(stats), Err)
    }
}
