//! `on-secret-access`: reads of secrets.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use super::{Commit, Evaluation, EventProcessor};
use crate::event::{Detail, Event};
use crate::incident::digest;
use crate::notifier::{InvocationWindow, RecordError};
use crate::rules::{AccessRules, ReadHistory, SecretRead, evaluate, secret_name};
use crate::state::{EVENT_MEMORY, Observation};
use crate::store::{ItemKey, MAX_ITEMS, Put, Store, decode};

/// The time for which the readers of a secret are remembered after the last read.
const MEMORY: Duration = Duration::from_secs(400 * 86_400);

/// The event processor of `on-secret-access`.
#[derive(Debug)]
pub struct AccessProcessor<S> {
    store: S,
    rules: AccessRules,
}

impl<S: Store + Sync> AccessProcessor<S> {
    /// Creates a processor with its read history in `store`.
    pub fn new(store: S, rules: AccessRules) -> Self {
        Self { store, rules }
    }

    /// Evaluates reads of one secret. Returns the observations and the items to write.
    async fn secret(
        &self,
        partition: &str,
        reads: &[SecretRead],
        window: InvocationWindow,
    ) -> Result<(Vec<Observation>, Vec<Put>), RecordError> {
        let key = ItemKey::new(partition, "reads");
        let event = |read: &SecretRead| ItemKey::new(partition, format!("event|{}", read.id.as_str()));
        let keys: Vec<ItemKey> = std::iter::once(key.clone()).chain(reads.iter().map(event)).collect();
        let found = self.store.read(&keys, window.now).await?;
        let stored = found.first().cloned().flatten();
        let expected = stored.as_ref().map(|stored| stored.revision);
        let mut history: ReadHistory =
            stored.and_then(|stored| decode(&key, &stored.body, window.now)).unwrap_or_default();
        let mut seen = HashSet::new();
        let new: Vec<SecretRead> = reads
            .iter()
            .zip(found.iter().skip(1))
            .filter(|(read, recorded)| recorded.is_none() && seen.insert(read.id.clone()))
            .map(|(read, _)| read.clone())
            .collect();
        if new.is_empty() {
            return Ok((Vec::new(), Vec::new()));
        }
        let observations = history.add(&new, &self.rules);
        let put = |key, expected, body, memory| Put {
            key,
            expected,
            body,
            expires: window.now.plus(memory),
            due: None,
        };
        let body = serde_json::to_string(&history).unwrap_or_default();
        let mut puts = vec![put(key, expected, body, MEMORY)];
        puts.extend(new.iter().map(|read| put(event(read), None, String::new(), EVENT_MEMORY)));
        Ok((observations, puts))
    }
}

impl<S: Store + Sync> EventProcessor for AccessProcessor<S> {
    async fn process(&self, events: &[&Event], window: InvocationWindow) -> Evaluation {
        let mut results = Vec::with_capacity(events.len());
        let mut by_secret: BTreeMap<String, Vec<(usize, SecretRead)>> = BTreeMap::new();
        for (position, event) in events.iter().enumerate() {
            let read = match &event.detail {
                Detail::SecretCall(record) => SecretRead::of(event, record),
                _ => None,
            };
            results.push(Ok(if read.is_none() { evaluate(event) } else { Vec::new() }));
            if let Some(read) = read {
                let location = &read.location;
                // Some callers use the ARN, some the name.
                let name = secret_name(&read.secret);
                let digest = digest(&[&location.account, &location.region, name]);
                by_secret.entry(format!("reads|{digest}")).or_default().push((position, read));
            }
        }
        let mut commits = Vec::new();
        for (partition, group) in by_secret {
            // The history of the secret and one id for each read fit into one transaction. Further reads
            // are left to their next delivery.
            for (number, chunk) in group.chunks(MAX_ITEMS - 1).enumerate() {
                let reads: Vec<SecretRead> = chunk.iter().map(|(_, read)| read.clone()).collect();
                let evaluated = if number == 0 {
                    self.secret(&partition, &reads, window).await
                } else {
                    Err(RecordError::Busy)
                };
                let positions = chunk.iter().map(|(position, _)| *position);
                match evaluated {
                    Ok((observations, puts)) => {
                        let events: Vec<usize> = positions.collect();
                        if let Some(first) = events.first() {
                            results[*first] = Ok(observations);
                        }
                        // What follows from a read is recorded before the read itself.
                        commits.extend((!puts.is_empty()).then_some(Commit { events, puts }));
                    }
                    Err(error) => positions.for_each(|position| results[position] = Err(error.clone())),
                }
            }
        }
        Evaluation { results, commits }
    }
}
