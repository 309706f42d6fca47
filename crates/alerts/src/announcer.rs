//! From signals to messages: each incident told once, nothing lost.
//!
//! In one transaction the incident's state, its subject's state and the ids of the events go into the store, together with what is to be
//! told. Then it is published, then taken out of the store. So
//!
//! - a crash before the transaction changes nothing: the event is delivered again and counts;
//! - a crash after it leaves the announcement in the store. The repeated delivery, any other event of the incident, or the sweep publishes it
//!   once the claim of the crashed invocation is over;
//! - a crash between publishing and taking out leads to the one duplicate that can remain: the same message with the same id, once more;
//! - the same event twice, also at the same time, counts once, because its id can be written once only.

mod outcome;

pub use outcome::{ReportError, Told, Turn};

use std::collections::HashSet;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::announcement::Announcement;
use crate::incident::Key;
use crate::message::Message;
use crate::moment::Moment;
use crate::publish::Publisher;
use crate::state::{Edge, EventId, Gate, Outgoing, Policy, Record, Signal};
use crate::store::{ItemKey, MOST_ITEMS, Put, Store, StoreError, Stored};

/// How long the id of an event is remembered: longer than any queue keeps a message (14 days).
const EVENT_MEMORY: std::time::Duration = std::time::Duration::from_secs(15 * 86_400);
/// Attempts to write against others that write the same items.
const ATTEMPTS: u32 = 12;
/// Most announcements of one incident or subject that wait for being published. More means that nothing can be published: then events are
/// not taken in any more but left in their queue.
const MOST_WAITING: usize = 6;
/// Sort keys.
const INCIDENT: &str = "incident";
const SUBJECT: &str = "subject";

/// Tells incidents.
#[derive(Debug)]
pub struct Announcer<S, P> {
    store: S,
    publisher: P,
    policy: Policy,
}

/// An item and the revision that it was read at.
struct Read<T> {
    value: T,
    revision: Option<u64>,
}

impl<S: Store, P: Publisher> Announcer<S, P> {
    /// Tells incidents by way of a publisher, remembering them in a store.
    pub fn new(store: S, publisher: P, policy: Policy) -> Self {
        Self { store, publisher, policy }
    }

    /// The store, for what else is remembered there.
    pub fn store(&self) -> &S {
        &self.store
    }

    /// Takes in signals, in any order; those of one incident together. The results are in the signals' order.
    pub async fn report(&self, signals: &[Signal], turn: Turn) -> Vec<Result<Told, ReportError>> {
        let mut results: Vec<Option<Result<Told, ReportError>>> = signals.iter().map(|_| None).collect();
        for at in 0..signals.len() {
            if results[at].is_some() {
                continue;
            }
            // The state, its subject's state, and one id an event.
            let same: Vec<usize> = (at..signals.len())
                .filter(|other| results[*other].is_none() && signals[*other].key == signals[at].key)
                .take(MOST_ITEMS - 2)
                .collect();
            let group: Vec<&Signal> = same.iter().map(|index| &signals[*index]).collect();
            let mut result = self.incident(&signals[at].key, &group, turn).await;
            for index in same {
                // What was done is counted with the first of them; each of the others only shares the outcome.
                let shared = match &result {
                    Ok(_) => Ok(Told::default()),
                    Err(_) => Err(ReportError::Busy),
                };
                results[index] = Some(std::mem::replace(&mut result, shared));
            }
        }
        results.into_iter().map(|result| result.unwrap_or(Err(ReportError::Busy))).collect()
    }

    /// Looks after what is due although no event comes: repetitions that were not told yet, summaries, announcements of invocations that died.
    ///
    /// # Errors
    /// The first that there was; everything else that is due was looked after all the same.
    pub async fn sweep(&self, turn: Turn, most: usize) -> Result<Told, ReportError> {
        let due = self.store.due(turn.now, most).await.map_err(ReportError::Store)?;
        let (mut told, mut failure) = (Told::default(), None);
        for item in due {
            let done = match item.sort.as_str() {
                INCIDENT => self.incident(&Key::stored(&item.partition), &[], turn).await,
                SUBJECT => self.subject(&item.partition, turn).await,
                _ => continue,
            };
            match done {
                Ok(done) => told += done,
                // Somebody is at it.
                Err(ReportError::Busy) => {}
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        failure.map_or(Ok(told), Err)
    }

    /// Takes in signals of one incident.
    async fn incident(&self, key: &Key, signals: &[&Signal], turn: Turn) -> Result<Told, ReportError> {
        let subject = signals.iter().find_map(|signal| match &signal.edge {
            Edge::Raised(incident) => Some(subject_key(&incident.place.account, &incident.subject)),
            Edge::Cleared(_) => None,
        });
        let record_key = ItemKey::new(key.as_str(), INCIDENT);
        for _ in 0..ATTEMPTS {
            let mut wanted = vec![record_key.clone()];
            wanted.extend(signals.iter().map(|signal| event_key(key, &signal.event)));
            wanted.extend(subject.clone());
            let items = self.store.read(&wanted, turn.now).await.map_err(ReportError::Store)?;
            let mut record: Read<Record> = parsed(&record_key, items.first().cloned().flatten());
            // A recovery does not know the subject of what it ends; the record does.
            let subject = match (&subject, record.value.subject()) {
                (Some(subject), _) => Some(subject.clone()),
                (None, Some((account, subject))) => Some(subject_key(account, subject)),
                (None, None) => None,
            };
            let mut gate: Option<(ItemKey, Read<Gate>, bool)> = match subject {
                Some(subject) if wanted.contains(&subject) => {
                    let read = parsed(&subject, items.last().cloned().flatten());
                    Some((subject, read, false))
                }
                Some(subject) => {
                    let mut found = self
                        .store
                        .read(std::slice::from_ref(&subject), turn.now)
                        .await
                        .map_err(ReportError::Store)?;
                    let read = parsed(&subject, found.pop().flatten());
                    Some((subject, read, false))
                }
                None => None,
            };

            let mut told = Told::default();
            let mut puts = Vec::new();
            let (mut mine, busy) = claim(&mut record.value.outbox, turn);
            let mut announcements = Vec::new();
            let mut seen = HashSet::new();
            for (signal, known) in signals.iter().zip(items.iter().skip(1)) {
                if known.is_some() || !seen.insert(&signal.event) {
                    told.repeated += 1;
                    continue;
                }
                announcements.extend(record.value.apply(signal, turn.now, &self.policy));
                puts.push(Put {
                    key: event_key(key, &signal.event),
                    expected: None,
                    body: signal.raw.clone().unwrap_or_default(),
                    expires: turn.now.plus(EVENT_MEMORY),
                    due: None,
                });
            }
            announcements.extend(record.value.tick(key, turn.now, &self.policy));
            for announcement in announcements {
                let admitted = gate.as_mut().is_none_or(|(subject, gate, changed)| {
                    *changed = true;
                    if let Some(summary) = gate.value.tick(&subject.partition, turn.now, &self.policy) {
                        gate.value.outbox.push(Outgoing { announcement: summary, claimed: turn.now });
                    }
                    gate.value.admits(&announcement, turn.now, &self.policy)
                });
                if admitted {
                    mine.push(announcement.clone());
                    record.value.outbox.push(Outgoing { announcement, claimed: turn.until });
                } else {
                    told.held += 1;
                }
            }
            if puts.is_empty() && mine.is_empty() {
                return if busy && told.repeated > 0 { Err(ReportError::Busy) } else { Ok(told) };
            }
            if record.value.outbox.len() > MOST_WAITING {
                return Err(ReportError::Full);
            }
            puts.push(put(&record_key, &record, record.value.expires(turn.now), record.value.due()));
            let summary_due = gate.as_ref().is_some_and(|(_, gate, _)| !gate.value.outbox.is_empty());
            let subject = match gate {
                Some((subject, gate, true)) => {
                    puts.push(put(
                        &subject,
                        &gate,
                        gate.value.expires(turn.now, &self.policy),
                        gate.value.due(&self.policy),
                    ));
                    Some(subject)
                }
                _ => None,
            };
            match self.store.write(&puts, turn.now).await {
                Err(StoreError::Conflict) => continue,
                other => other.map_err(ReportError::Store)?,
            }
            told.published += self.publish(&mine).await?;
            let ids: HashSet<String> = mine.into_iter().map(|announcement| announcement.id).collect();
            if !ids.is_empty() {
                record.revision = Some(record.revision.unwrap_or(0) + 1);
                let when = |record: &Record| (record.expires(turn.now), record.due());
                self.sent(&record_key, record, &ids, turn, |record| &mut record.outbox, when).await?;
            }
            if let Some(subject) = subject.filter(|_| summary_due) {
                told += self.subject(&subject.partition, turn).await?;
            }
            // Of the events that were taken in before, one may have led to what another invocation has yet to publish.
            return if busy && told.repeated > 0 { Err(ReportError::Busy) } else { Ok(told) };
        }
        Err(ReportError::Contended)
    }

    /// Tells the summary of a subject, if there is one to tell.
    async fn subject(&self, partition: &str, turn: Turn) -> Result<Told, ReportError> {
        let key = ItemKey::new(partition, SUBJECT);
        for _ in 0..ATTEMPTS {
            let mut items =
                self.store.read(std::slice::from_ref(&key), turn.now).await.map_err(ReportError::Store)?;
            let mut gate: Read<Gate> = parsed(&key, items.pop().flatten());
            let (mut mine, busy) = claim(&mut gate.value.outbox, turn);
            if let Some(summary) = gate.value.tick(partition, turn.now, &self.policy) {
                mine.push(summary.clone());
                gate.value.outbox.push(Outgoing { announcement: summary, claimed: turn.until });
            }
            if mine.is_empty() {
                return if busy { Err(ReportError::Busy) } else { Ok(Told::default()) };
            }
            let expires = gate.value.expires(turn.now, &self.policy);
            match self.store.write(&[put(&key, &gate, expires, gate.value.due(&self.policy))], turn.now).await
            {
                Err(StoreError::Conflict) => continue,
                other => other.map_err(ReportError::Store)?,
            }
            let published = self.publish(&mine).await?;
            let ids = mine.into_iter().map(|announcement| announcement.id).collect();
            gate.revision = Some(gate.revision.unwrap_or(0) + 1);
            let when = |gate: &Gate| (gate.expires(turn.now, &self.policy), gate.due(&self.policy));
            self.sent(&key, gate, &ids, turn, |gate| &mut gate.outbox, when).await?;
            return Ok(Told { published, ..Told::default() });
        }
        Err(ReportError::Contended)
    }

    async fn publish(&self, announcements: &[Announcement]) -> Result<u32, ReportError> {
        let mut published = 0;
        for announcement in announcements {
            self.publisher.publish(&Message::of(announcement)).await.map_err(ReportError::Publish)?;
            published += 1;
            tracing::info!(
                id = announcement.id,
                status = announcement.status.name(),
                kind = announcement.incident.kind.name(),
                severity = announcement.incident.severity.name(),
                count = announcement.count,
                "alert published"
            );
        }
        Ok(published)
    }

    /// Takes what was published out of an item, whatever others wrote into it meanwhile.
    async fn sent<T: Serialize + DeserializeOwned + Default>(
        &self,
        key: &ItemKey,
        mut item: Read<T>,
        ids: &HashSet<String>,
        turn: Turn,
        outbox: impl Fn(&mut T) -> &mut Vec<Outgoing>,
        when: impl Fn(&T) -> (Moment, Option<Moment>),
    ) -> Result<(), ReportError> {
        for _ in 0..ATTEMPTS {
            let waiting = outbox(&mut item.value);
            let before = waiting.len();
            waiting.retain(|outgoing| !ids.contains(&outgoing.announcement.id));
            if waiting.len() == before {
                return Ok(());
            }
            let (expires, due) = when(&item.value);
            match self.store.write(&[put(key, &item, expires, due)], turn.now).await {
                Err(StoreError::Conflict) => {}
                other => return other.map_err(ReportError::Store),
            }
            let mut items =
                self.store.read(std::slice::from_ref(key), turn.now).await.map_err(ReportError::Store)?;
            item = parsed(key, items.pop().flatten());
        }
        Err(ReportError::Contended)
    }
}

/// Takes over what nobody publishes any more. The second is whether somebody is about to publish something.
fn claim(outbox: &mut [Outgoing], turn: Turn) -> (Vec<Announcement>, bool) {
    let mut busy = false;
    let mut mine = Vec::new();
    for outgoing in outbox {
        if outgoing.claimed <= turn.now {
            outgoing.claimed = turn.until;
            mine.push(outgoing.announcement.clone());
        } else {
            busy = true;
        }
    }
    (mine, busy)
}

fn event_key(key: &Key, event: &EventId) -> ItemKey {
    ItemKey::new(key.as_str(), format!("event|{}", event.as_str()))
}

fn subject_key(account: &str, subject: &str) -> ItemKey {
    let hash = crate::incident::digest(&[account, subject]);
    let text: String = subject.chars().take(200).collect();
    ItemKey::new(format!("subject|{account}|{text}|{hash}"), SUBJECT)
}

fn parsed<T: DeserializeOwned + Default>(key: &ItemKey, stored: Option<Stored>) -> Read<T> {
    let revision = stored.as_ref().map(|stored| stored.revision);
    let value = stored.and_then(|stored| match serde_json::from_str(&stored.body) {
        Ok(value) => Some(value),
        Err(error) => {
            // An event that could never be taken in again would be worse than a state that begins anew.
            tracing::error!(partition = key.partition, %error, "an item of the state is not readable and begins anew");
            None
        }
    });
    Read { value: value.unwrap_or_default(), revision }
}

fn put<T: Serialize>(key: &ItemKey, item: &Read<T>, expires: Moment, due: Option<Moment>) -> Put {
    // Maps of strings and numbers only: serde_json writes them all.
    let body = serde_json::to_string(&item.value).unwrap_or_default();
    Put { key: key.clone(), expected: item.revision, body, expires, due }
}

#[cfg(test)]
mod tests;
