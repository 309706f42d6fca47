//! `on-secret-access`: who reads secrets.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use super::Duty;
use crate::announcer::{ReportError, Turn};
use crate::event::{Event, Known};
use crate::incident::digest;
use crate::judge::{AccessRules, Reading, Readings, judge, secret_name};
use crate::state::Signal;
use crate::store::{ItemKey, MOST_ITEMS, Put, Store};

/// How long the readers of a secret are remembered after the last read.
const MEMORY: Duration = Duration::from_secs(400 * 86_400);
/// How long the id of a read is remembered: longer than any queue keeps it.
const EVENT_MEMORY: Duration = Duration::from_secs(15 * 86_400);

/// The duty of `on-secret-access`.
#[derive(Debug)]
pub struct AccessDuty<S> {
    store: S,
    rules: AccessRules,
}

impl<S: Store + Sync> AccessDuty<S> {
    /// With a store for readers and counts, and rules of what is usual.
    pub fn new(store: S, rules: AccessRules) -> Self {
        Self { store, rules }
    }

    /// The reads of one secret: its signals, and what is to be written.
    async fn secret(
        &self,
        partition: &str,
        reads: &[Reading],
        turn: Turn,
    ) -> Result<(Vec<Signal>, Vec<Put>), ReportError> {
        let key = ItemKey::new(partition, "readings");
        let event = |reading: &Reading| ItemKey::new(partition, format!("event|{}", reading.id.as_str()));
        let keys: Vec<ItemKey> = std::iter::once(key.clone()).chain(reads.iter().map(event)).collect();
        let found = self.store.read(&keys, turn.now).await.map_err(ReportError::Store)?;
        let stored = found.first().cloned().flatten();
        let expected = stored.as_ref().map(|stored| stored.revision);
        let mut readings: Readings =
            stored.and_then(|stored| serde_json::from_str(&stored.body).ok()).unwrap_or_default();
        let mut seen = HashSet::new();
        let fresh: Vec<Reading> = reads
            .iter()
            .zip(found.iter().skip(1))
            .filter(|(reading, known)| known.is_none() && seen.insert(reading.id.clone()))
            .map(|(reading, _)| reading.clone())
            .collect();
        if fresh.is_empty() {
            return Ok((Vec::new(), Vec::new()));
        }
        let signals = readings.note(&fresh, &self.rules);
        let put = |key, expected, body, memory| Put {
            key,
            expected,
            body,
            expires: turn.now.plus(memory),
            due: None,
        };
        let mut puts = vec![put(key, expected, serde_json::to_string(&readings).unwrap_or_default(), MEMORY)];
        puts.extend(fresh.iter().map(|reading| put(event(reading), None, String::new(), EVENT_MEMORY)));
        Ok((signals, puts))
    }
}

impl<S: Store + Sync> Duty for AccessDuty<S> {
    /// One transaction a secret, and the events that it is about.
    type Pending = Vec<(Vec<usize>, Vec<Put>)>;

    async fn judge(
        &self,
        events: &[&Known],
        turn: Turn,
    ) -> (Vec<Result<Vec<Signal>, ReportError>>, Self::Pending) {
        let mut results = Vec::with_capacity(events.len());
        let mut by_secret: BTreeMap<String, Vec<(usize, Reading)>> = BTreeMap::new();
        for (at, known) in events.iter().enumerate() {
            let reading = match &known.event {
                Event::SecretCall(trail) => Reading::of(known, trail),
                _ => None,
            };
            results.push(Ok(if reading.is_none() { judge(known) } else { Vec::new() }));
            if let Some(reading) = reading {
                let place = &reading.place;
                // Some ask for the ARN, some for the name.
                let name = secret_name(&reading.secret);
                let partition = format!("readings|{}", digest(&[&place.account, &place.region, name]));
                by_secret.entry(partition).or_default().push((at, reading));
            }
        }
        let mut pending = Vec::new();
        for (partition, group) in by_secret {
            // The state of the secret, and one id a read. What does not fit comes again with the next delivery.
            for (number, chunk) in group.chunks(MOST_ITEMS - 1).enumerate() {
                let reads: Vec<Reading> = chunk.iter().map(|(_, reading)| reading.clone()).collect();
                let judged = if number == 0 {
                    self.secret(&partition, &reads, turn).await
                } else {
                    Err(ReportError::Busy)
                };
                let first = chunk.first().map_or(0, |(at, _)| *at);
                match judged {
                    Ok((signals, puts)) => {
                        results[first] = Ok(signals);
                        let events = chunk.iter().map(|(at, _)| *at).collect();
                        pending.extend((!puts.is_empty()).then_some((events, puts)));
                    }
                    Err(error) => {
                        results[first] = Err(error);
                        for (at, _) in chunk.iter().skip(1) {
                            results[*at] = Err(ReportError::Busy);
                        }
                    }
                }
            }
        }
        (results, pending)
    }

    async fn settle(
        &self,
        pending: Self::Pending,
        taken_in: &[bool],
        turn: Turn,
    ) -> Vec<(usize, ReportError)> {
        let mut again = Vec::new();
        for (events, puts) in pending {
            // What follows from a read has to be safe before it is known that it was seen.
            if !events.iter().all(|at| taken_in.get(*at).copied().unwrap_or(false)) {
                again.extend(events.into_iter().map(|at| (at, ReportError::Busy)));
                continue;
            }
            if let Err(error) = self.store.write(&puts, turn.now).await {
                let mut error = Some(error);
                again.extend(
                    events
                        .into_iter()
                        .map(|at| (at, error.take().map_or(ReportError::Busy, ReportError::Store))),
                );
            }
        }
        again
    }

    async fn tick(&self, _: Turn) -> (Vec<Signal>, Option<ReportError>) {
        (Vec::new(), None)
    }
}
