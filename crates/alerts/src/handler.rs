//! One invocation: events in, an answer out, whatever they are.

use std::cell::RefCell;

use serde_json::{Value, json};

use crate::announcer::{Announcer, ReportError, Told, Turn};
use crate::duty::Duty;
use crate::event::{Delivery, Event, Known, deliveries};
use crate::incident::Place;
use crate::judge::unknown_event;
use crate::publish::Publisher;
use crate::state::Signal;
use crate::store::Store;

/// Most events that are worked on together.
const CHUNK: usize = 50;
/// Most items that a schedule looks after in one invocation.
const MOST_DUE: usize = 100;

/// What was done in an invocation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Done {
    /// Events that came.
    pub events: u32,
    /// Those that were not understood.
    pub unknown: u32,
    /// Those that must come again.
    pub failed: u32,
    /// What was told.
    pub told: Told,
}

/// A function's handler.
#[derive(Debug)]
pub struct Handler<S, P, D> {
    announcer: Announcer<S, P>,
    duty: D,
    here: Place,
    function: String,
    table: String,
}

/// What one event came to: nothing yet, done, or why it must come again.
type Fate = Option<Result<(), String>>;

impl<S: Store, P: Publisher, D: Duty> Handler<S, P, D> {
    /// A handler of the function with this name at this place, whose state is in this table.
    pub fn new(announcer: Announcer<S, P>, duty: D, here: Place, function: String, table: String) -> Self {
        Self { announcer, duty, here, function, table }
    }

    /// The function's name.
    pub fn function(&self) -> &str {
        &self.function
    }

    /// Works an invocation off. `until` ends before the function's time does: what is not done then must come again.
    ///
    /// # Errors
    /// Where no queue asks which events failed, one failure is the whole's: the sentence says why.
    pub async fn handle(
        &self,
        payload: &Value,
        turn: Turn,
        until: impl Future<Output = ()>,
    ) -> (Done, Result<Value, String>) {
        let delivery = deliveries(payload);
        let fates: RefCell<Vec<Fate>> = RefCell::new(vec![None; delivery.items.len()]);
        let done = RefCell::new(Done::default());
        let working = self.work(&delivery, turn, &fates, &done);
        tokio::select! {
            biased;
            () = working => {}
            () = until => tracing::warn!("the time is over; what is not done comes again"),
        }
        let fates = fates.into_inner();
        let mut done = done.into_inner();
        let failed: Vec<usize> = (0..fates.len()).filter(|at| !matches!(fates[*at], Some(Ok(())))).collect();
        done.events = u32::try_from(fates.len()).unwrap_or(u32::MAX);
        done.failed = u32::try_from(failed.len()).unwrap_or(u32::MAX);
        let why = |at: usize| match &fates[at] {
            Some(Err(reason)) => reason.as_str(),
            _ => "there was no time left for this event",
        };
        for at in &failed {
            let (message, reason) = (delivery.items[*at].message_id.as_deref().unwrap_or_default(), why(*at));
            tracing::error!(message, reason, "event not worked off");
        }
        if delivery.answers_by_message {
            let kept: Vec<usize> = if D::ONLY_LOOKS { (0..delivery.items.len()).collect() } else { failed };
            let failures: Vec<Value> = kept
                .iter()
                .filter_map(|at| delivery.items[*at].message_id.as_ref())
                .map(|id| json!({"itemIdentifier": id}))
                .collect();
            return (done, Ok(json!({"batchItemFailures": failures})));
        }
        let result = match failed.first() {
            Some(at) => Err(why(*at).to_owned()),
            None => Ok(Value::Null),
        };
        (done, result)
    }

    async fn work(&self, delivery: &Delivery, turn: Turn, fates: &RefCell<Vec<Fate>>, done: &RefCell<Done>) {
        for begin in (0..delivery.items.len()).step_by(CHUNK) {
            let end = (begin + CHUNK).min(delivery.items.len());
            let (told, chunk) = self.chunk(delivery, begin..end, turn).await;
            {
                let mut done = done.borrow_mut();
                done.told += told;
                let unknown = delivery.items[begin..end].iter().filter(|item| item.parsed.is_err()).count();
                done.unknown += u32::try_from(unknown).unwrap_or(u32::MAX);
            }
            let mut fates = fates.borrow_mut();
            for (at, fate) in (begin..end).zip(chunk) {
                fates[at] = Some(fate);
            }
        }
    }

    /// Works some events off together. The fates are in the events' order.
    async fn chunk(
        &self,
        delivery: &Delivery,
        range: std::ops::Range<usize>,
        turn: Turn,
    ) -> (Told, Vec<Result<(), String>>) {
        let begin = range.start;
        let mut fates: Vec<Result<(), String>> = range.clone().map(|_| Ok(())).collect();
        let mut told = Told::default();
        // Signals, and the event that each belongs to.
        let mut signals: Vec<(usize, Signal)> = Vec::new();
        let mut known: Vec<(usize, &Known)> = Vec::new();
        for at in range {
            match &delivery.items[at].parsed {
                Err(unknown) => {
                    let (from, problem) = (unknown.from.as_str(), unknown.problem.as_str());
                    tracing::warn!(from, problem, "event not understood");
                    signals.push((
                        at,
                        unknown_event(unknown, &self.here, &self.function, &self.table, turn.now),
                    ));
                }
                Ok(Known { event: Event::Tick, .. }) => match self.tick(turn).await {
                    Ok(done) => told += done,
                    Err(error) => fates[at - begin] = Err(chain(&error)),
                },
                Ok(event) => known.push((at, event)),
            }
        }
        let events: Vec<&Known> = known.iter().map(|(_, event)| *event).collect();
        let (judged, pending) = self.duty.judge(&events, turn).await;
        for ((at, _), judged) in known.iter().zip(judged) {
            match judged {
                Ok(found) => signals.extend(found.into_iter().map(|signal| (*at, signal))),
                Err(error) => fates[at - begin] = Err(chain(&error)),
            }
        }
        let (owners, signals): (Vec<usize>, Vec<Signal>) = signals.into_iter().unzip();
        for (at, result) in owners.into_iter().zip(self.announcer.report(&signals, turn).await) {
            match result {
                Ok(done) => told += done,
                Err(error) => fates[at - begin] = Err(chain(&error)),
            }
        }
        let taken_in: Vec<bool> = known.iter().map(|(at, _)| fates[at - begin].is_ok()).collect();
        for (event, error) in self.duty.settle(pending, &taken_in, turn).await {
            if let Some((at, _)) = known.get(event) {
                // Why it could not be reported says more than that it must come again.
                let fate = &mut fates[at - begin];
                if fate.is_ok() {
                    *fate = Err(chain(&error));
                }
            }
        }
        (told, fates)
    }

    /// Looks after what is due.
    async fn tick(&self, turn: Turn) -> Result<Told, ReportError> {
        // One that fails does not keep the other from its work.
        let swept = self.announcer.sweep(turn, MOST_DUE).await;
        let (signals, mut failure) = self.duty.tick(turn).await;
        let mut told = Told::default();
        for result in std::iter::once(swept).chain(self.announcer.report(&signals, turn).await) {
            match result {
                Ok(done) => told += done,
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        failure.map_or(Ok(told), Err)
    }
}

fn chain(error: &ReportError) -> String {
    lambda_kit::call::chain(error)
}

#[cfg(test)]
mod storm;
#[cfg(test)]
mod tests;
