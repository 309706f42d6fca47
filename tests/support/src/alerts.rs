//! The store and the publisher of the alert pipeline in memory, and its messages as text.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};

use alerts::incident::Incident;
use alerts::message::Message;
use alerts::moment::Moment;
use alerts::notification::{Notification, Resolution, Status};
use alerts::publish::Publisher;
use alerts::store::{ItemKey, MAX_ITEMS, Put, Store, StoreError, StoredItem};
use lambda_kit::call::CallError;

use crate::faults::{Fault, Faults};

#[derive(Debug, Clone)]
struct Item {
    stored: StoredItem,
    expires: Moment,
    due: Option<Moment>,
}

/// A store in memory, with the conditions and limits of DynamoDB.
#[derive(Debug, Default)]
pub struct MemoryStore {
    items: Mutex<BTreeMap<ItemKey, Item>>,
}

impl MemoryStore {
    fn items(&self) -> MutexGuard<'_, BTreeMap<ItemKey, Item>> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the keys and contents of all items.
    pub fn all(&self) -> Vec<(ItemKey, String)> {
        self.items().iter().map(|(key, item)| (key.clone(), item.stored.body.clone())).collect()
    }

    /// Replaces the content of an item, as another version or a person would.
    pub fn corrupt(&self, key: &ItemKey, body: &str) {
        if let Some(item) = self.items().get_mut(key) {
            item.stored.body = body.to_owned();
        }
    }
}

impl Store for &MemoryStore {
    async fn read(&self, keys: &[ItemKey], now: Moment) -> Result<Vec<Option<StoredItem>>, StoreError> {
        assert!(keys.len() <= MAX_ITEMS, "DynamoDB refuses {} keys", keys.len());
        let items = self.items();
        let alive = |key| items.get(key).filter(|item| item.expires > now);
        Ok(keys.iter().map(|key| alive(key).map(|item| item.stored.clone())).collect())
    }

    async fn write(&self, puts: &[Put], now: Moment) -> Result<(), StoreError> {
        assert!((1..=MAX_ITEMS).contains(&puts.len()), "DynamoDB refuses {} items", puts.len());
        let keys: std::collections::BTreeSet<&ItemKey> = puts.iter().map(|put| &put.key).collect();
        assert_eq!(keys.len(), puts.len(), "DynamoDB refuses two operations on one item");
        let mut items = self.items();
        let as_expected = |put: &Put| match (put.expected, items.get(&put.key)) {
            (None, None) => true,
            (None, Some(item)) => item.expires <= now,
            (Some(expected), Some(item)) => item.stored.revision == expected,
            (Some(_), None) => false,
        };
        if !puts.iter().all(as_expected) {
            return Err(StoreError::Conflict);
        }
        for put in puts {
            let stored = StoredItem { revision: put.expected.unwrap_or(0) + 1, body: put.body.clone() };
            items.insert(put.key.clone(), Item { stored, expires: put.expires, due: put.due });
        }
        Ok(())
    }

    async fn due(&self, now: Moment, max_items: usize) -> Result<Vec<ItemKey>, StoreError> {
        let mut due: Vec<(Moment, ItemKey)> = self
            .items()
            .iter()
            .filter_map(|(key, item)| item.due.filter(|due| *due <= now).map(|due| (due, key.clone())))
            .collect();
        due.sort();
        Ok(due.into_iter().take(max_items).map(|(_, key)| key).collect())
    }
}

#[derive(Debug, Default)]
struct Log {
    reads: usize,
    writes: usize,
    published: Vec<Message>,
}

/// A store and a publisher in memory whose calls may have faults. `&World` implements both ports.
#[derive(Debug)]
pub struct World {
    memory: MemoryStore,
    faults: Faults,
    log: Mutex<Log>,
}

impl Default for World {
    fn default() -> Self {
        Self::new(HashMap::new())
    }
}

impl World {
    /// Creates a world with faults by the number of the call, counted from 0.
    pub fn new(faults: HashMap<usize, Fault>) -> Self {
        Self { memory: MemoryStore::default(), faults: Faults::new(faults), log: Mutex::default() }
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the store.
    pub fn memory(&self) -> &MemoryStore {
        &self.memory
    }

    /// Starts another invocation after a crash.
    pub fn revive(&self) {
        self.faults.revive();
    }

    /// Returns true if the invocation crashed.
    pub fn is_dead(&self) -> bool {
        self.faults.is_dead()
    }

    /// Returns the number of calls so far: all, and writes.
    pub fn calls(&self) -> (usize, usize) {
        (self.faults.calls(), self.log().writes)
    }

    /// Returns the number of calls to the store so far: reads and writes.
    pub fn store_calls(&self) -> usize {
        let log = self.log();
        log.reads + log.writes
    }

    /// Returns the published messages.
    pub fn published(&self) -> Vec<Message> {
        self.log().published.clone()
    }

    async fn call<T>(&self, call: impl Future<Output = T>) -> Result<T, CallError> {
        // Other tasks may run in between, as they may on a network.
        tokio::task::yield_now().await;
        let result = self.faults.try_call(call).await;
        result.map_err(|broken| CallError::caused_by("call", &broken))
    }
}

impl Store for &World {
    async fn read(&self, keys: &[ItemKey], now: Moment) -> Result<Vec<Option<StoredItem>>, StoreError> {
        let read = async {
            self.log().reads += 1;
            (&self.memory).read(keys, now).await
        };
        self.call(read).await?
    }

    async fn write(&self, puts: &[Put], now: Moment) -> Result<(), StoreError> {
        let write = async {
            self.log().writes += 1;
            (&self.memory).write(puts, now).await
        };
        self.call(write).await?
    }

    async fn due(&self, now: Moment, max_items: usize) -> Result<Vec<ItemKey>, StoreError> {
        self.call((&self.memory).due(now, max_items)).await?
    }
}

impl Publisher for &World {
    async fn publish(&self, message: &Message) -> Result<(), CallError> {
        self.call(async { self.log().published.push(message.clone()) }).await
    }
}

/// Returns subject and text of the e-mail about an incident that starts or, with a resolution, ends.
pub fn mail_about(incident: Incident, resolution: Option<Resolution>) -> String {
    let status = if resolution.is_some() { Status::Resolved } else { Status::Opened };
    mail(&notification(incident, status, resolution))
}

/// Returns the notification about an incident that occurred once, with fixed ids.
pub fn notification(incident: Incident, status: Status, resolution: Option<Resolution>) -> Notification {
    Notification {
        id: "0123456789abcdef".into(),
        thread: "fedcba9876543210".into(),
        status,
        first: incident.since,
        last: incident.since,
        incident,
        count: 1,
        resolution,
    }
}

/// Returns subject and text of the e-mail.
///
/// # Panics
/// The message is not JSON with a text for e-mails.
pub fn mail(notification: &Notification) -> String {
    let message = Message::of(notification);
    let body: serde_json::Value = serde_json::from_str(&message.body).expect("a message is JSON");
    let text = body["email"].as_str().expect("a message has a text for e-mails");
    format!("Subject: {}\n\n{text}", message.subject)
}
