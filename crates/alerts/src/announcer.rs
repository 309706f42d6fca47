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

mod items;
mod outcome;

pub use outcome::{ReportError, Told, Turn};

use std::collections::HashSet;
use std::time::Duration;

use items::{Item, Loaded, Plan, Read, bytes, claim, parsed};

use crate::announcement::Announcement;
use crate::incident::{Key, digest};
use crate::message::Message;
use crate::publish::Publisher;
use crate::state::{Edge, EventId, Gate, Outgoing, Policy, Record, Signal};
use crate::store::{ItemKey, MOST_ITEMS, Put, Store, StoreError};

/// How long the id of an event is remembered: longer than any queue keeps a message (14 days).
const EVENT_MEMORY: Duration = Duration::from_secs(15 * 86_400);
/// Attempts to write against others that write the same items.
const ATTEMPTS: u32 = 12;
/// Most announcements of one incident or subject that wait for being published. More means that nothing can be published: then events are
/// not taken in any more but left in their queue.
const MOST_WAITING: usize = 6;
/// Most bytes of them: DynamoDB takes 400 KB an item. One is at most 75 KB, all its texts as long as they may be and of controls (the fuzz target
/// `alert_message` measures that), and the state itself is as large as one.
const MOST_WAITING_BYTES: usize = 300_000;
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
        for attempt in 0..ATTEMPTS {
            pause(key.as_str(), attempt, turn).await;
            let mut loaded = self.load(key, signals, turn).await?;
            let plan = self.plan(key, signals, &mut loaded, turn);
            // Of the events that were taken in before, one may have led to what another invocation has yet to publish.
            let busy = plan.busy && plan.told.repeated > 0;
            if plan.puts.is_empty() {
                return if busy { Err(ReportError::Busy) } else { Ok(plan.told) };
            }
            let outbox = &loaded.record.value.outbox;
            if plan.fresh && (outbox.len() > MOST_WAITING || bytes(outbox) > MOST_WAITING_BYTES) {
                return Err(ReportError::Full);
            }
            match self.store.write(&plan.puts, turn.now).await {
                Err(StoreError::Conflict) => continue,
                other => other.map_err(ReportError::Store)?,
            }
            let mut told = plan.told;
            loaded.record.revision = Some(loaded.record.revision.unwrap_or(0) + 1);
            let item = ItemKey::new(key.as_str(), INCIDENT);
            told.published += self.publish(&item, loaded.record, &plan.mine, turn).await?;
            if let Some((subject, _)) = loaded.gate.filter(|(_, gate)| !gate.value.outbox.is_empty()) {
                match self.subject(&subject.partition, turn).await {
                    Ok(more) => told += more,
                    // It is in the store, and no event waits for it.
                    Err(error) => tracing::warn!(%error, "a summary is left to the schedule"),
                }
            }
            return if busy { Err(ReportError::Busy) } else { Ok(told) };
        }
        Err(ReportError::Contended)
    }

    /// Reads the state of an incident, of its subject, and which events were taken in before.
    async fn load(&self, key: &Key, signals: &[&Signal], turn: Turn) -> Result<Loaded, ReportError> {
        let read = async |keys: &[ItemKey]| self.store.read(keys, turn.now).await.map_err(ReportError::Store);
        let subject = signals.iter().find_map(|signal| match &signal.edge {
            Edge::Raised(incident) => Some(subject_key(&incident.place.account, incident.limited_by())),
            Edge::Cleared(_) => None,
        });
        let item = ItemKey::new(key.as_str(), INCIDENT);
        let mut wanted = vec![item.clone()];
        wanted.extend(signals.iter().map(|signal| event_key(key, &signal.event)));
        wanted.extend(subject.clone());
        let mut found = read(&wanted).await?.into_iter();
        let record: Read<Record> = parsed(&item, found.next().flatten());
        let known = found.by_ref().take(signals.len()).map(|event| event.is_some()).collect();
        // A recovery does not know the subject of what it ends; the record does.
        let gate = match (subject, record.value.limited_by()) {
            (Some(subject), _) => Some((parsed(&subject, found.next().flatten()), subject)),
            (None, Some((account, name))) => {
                let subject = subject_key(account, name);
                let gate = read(std::slice::from_ref(&subject)).await?.pop().flatten();
                Some((parsed(&subject, gate), subject))
            }
            (None, None) => None,
        };
        Ok(Loaded { record, gate: gate.map(|(gate, subject)| (subject, gate)), known })
    }

    /// What follows from signals, and what is to be written for it.
    fn plan(&self, key: &Key, signals: &[&Signal], loaded: &mut Loaded, turn: Turn) -> Plan {
        let record = &mut loaded.record.value;
        let (mine, busy) = claim(&mut record.outbox, turn);
        let mut plan = Plan { puts: Vec::new(), mine, told: Told::default(), fresh: false, busy };
        let mut announcements = Vec::new();
        let mut seen = HashSet::new();
        for (signal, known) in signals.iter().zip(&loaded.known) {
            if *known || !seen.insert(&signal.event) {
                plan.told.repeated += 1;
                continue;
            }
            plan.fresh = true;
            announcements.extend(record.apply(signal, turn.now, &self.policy));
            plan.puts.push(Put {
                key: event_key(key, &signal.event),
                expected: None,
                body: signal.raw.clone().unwrap_or_default(),
                expires: turn.now.plus(EVENT_MEMORY),
                due: None,
            });
        }
        // While nothing can be published, there is enough to tell already.
        if record.outbox.len() < MOST_WAITING && bytes(&record.outbox) < MOST_WAITING_BYTES / 2 {
            announcements.extend(record.tick(key, turn.now, &self.policy));
        }
        let is_told = !announcements.is_empty();
        for announcement in announcements {
            let admitted = loaded.gate.as_mut().is_none_or(|(subject, gate)| {
                if let Some(summary) = gate.value.tick(&subject.partition, turn.now, &self.policy) {
                    gate.value.outbox.push(Outgoing { announcement: summary, claimed: turn.now });
                }
                gate.value.admits(&announcement, turn.now, &self.policy)
            });
            if admitted {
                plan.mine.push(announcement.clone());
                record.outbox.push(Outgoing { announcement, claimed: turn.until });
            } else {
                plan.told.held += 1;
            }
        }
        if plan.fresh || is_told || !plan.mine.is_empty() {
            plan.puts.push(self.put(&ItemKey::new(key.as_str(), INCIDENT), &loaded.record, turn));
            plan.puts.extend(
                loaded.gate.iter().filter(|_| is_told).map(|(subject, gate)| self.put(subject, gate, turn)),
            );
        }
        plan
    }

    /// Tells the summary of a subject, if there is one to tell.
    async fn subject(&self, partition: &str, turn: Turn) -> Result<Told, ReportError> {
        let key = ItemKey::new(partition, SUBJECT);
        for attempt in 0..ATTEMPTS {
            pause(partition, attempt, turn).await;
            let mut gate: Read<Gate> = self.again(&key, turn).await?;
            let (mut mine, busy) = claim(&mut gate.value.outbox, turn);
            if let Some(summary) = gate.value.tick(partition, turn.now, &self.policy) {
                mine.push(summary.clone());
                gate.value.outbox.push(Outgoing { announcement: summary, claimed: turn.until });
            }
            if mine.is_empty() {
                return if busy { Err(ReportError::Busy) } else { Ok(Told::default()) };
            }
            match self.store.write(&[self.put(&key, &gate, turn)], turn.now).await {
                Err(StoreError::Conflict) => continue,
                other => other.map_err(ReportError::Store)?,
            }
            gate.revision = Some(gate.revision.unwrap_or(0) + 1);
            let published = self.publish(&key, gate, &mine, turn).await?;
            return Ok(Told { published, ..Told::default() });
        }
        Err(ReportError::Contended)
    }

    /// Publishes what is in an item's outbox and takes it out. What cannot be published is left there, for whoever comes next.
    async fn publish<T: Item>(
        &self,
        key: &ItemKey,
        mut item: Read<T>,
        announcements: &[Announcement],
        turn: Turn,
    ) -> Result<u32, ReportError> {
        if announcements.is_empty() {
            return Ok(0);
        }
        let (mut sent, mut failure) = (HashSet::new(), None);
        for announcement in announcements {
            if let Err(error) = self.publisher.publish(&Message::of(announcement)).await {
                failure = failure.or(Some(ReportError::Publish(error)));
                continue;
            }
            sent.insert(announcement.id.as_str());
            let (id, status, kind) =
                (&announcement.id, announcement.status.name(), announcement.incident.kind.name());
            tracing::info!(id, status, kind, count = announcement.count, "alert published");
        }
        let tried: HashSet<&str> =
            announcements.iter().map(|announcement| announcement.id.as_str()).collect();
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                // Others wrote into it meanwhile.
                pause(&key.partition, attempt, turn).await;
                item = self.again(key, turn).await?;
            }
            let outbox = item.value.outbox();
            outbox.retain(|outgoing| !sent.contains(outgoing.announcement.id.as_str()));
            for outgoing in
                outbox.iter_mut().filter(|outgoing| tried.contains(outgoing.announcement.id.as_str()))
            {
                outgoing.claimed = turn.now;
            }
            match self.store.write(&[self.put(key, &item, turn)], turn.now).await {
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(failure.unwrap_or(ReportError::Store(error))),
                Ok(()) => return failure.map_or(Ok(u32::try_from(sent.len()).unwrap_or(u32::MAX)), Err),
            }
        }
        Err(failure.unwrap_or(ReportError::Contended))
    }

    /// Reads an item once more.
    async fn again<T: Item>(&self, key: &ItemKey, turn: Turn) -> Result<Read<T>, ReportError> {
        let mut items =
            self.store.read(std::slice::from_ref(key), turn.now).await.map_err(ReportError::Store)?;
        Ok(parsed(key, items.pop().flatten()))
    }

    fn put<T: Item>(&self, key: &ItemKey, item: &Read<T>, turn: Turn) -> Put {
        let (expires, due) = item.value.times(turn.now, &self.policy);
        // Maps of strings and numbers only: serde_json writes them all.
        let body = serde_json::to_string(&item.value).unwrap_or_default();
        Put { key: key.clone(), expected: item.revision, body, expires, due }
    }
}

/// Waits before a repeated attempt, so that those who write the same item do not meet again: up to 20, 40, 80 … 640 ms, for each another part.
async fn pause(partition: &str, attempt: u32, turn: Turn) {
    if attempt > 0 {
        let seed = format!("{} {} {attempt}", turn.now.millis(), turn.until.millis());
        let random = u64::from_str_radix(&digest(&[partition, &seed]), 16).unwrap_or(0);
        tokio::time::sleep(Duration::from_millis(random % (10 << attempt.min(6)))).await;
    }
}

fn event_key(key: &Key, event: &EventId) -> ItemKey {
    ItemKey::new(key.as_str(), format!("event|{}", event.as_str()))
}

fn subject_key(account: &str, subject: &str) -> ItemKey {
    let hash = digest(&[account, subject]);
    let text: String = subject.chars().take(200).collect();
    ItemKey::new(format!("subject|{account}|{text}|{hash}"), SUBJECT)
}

#[cfg(test)]
mod tests;
