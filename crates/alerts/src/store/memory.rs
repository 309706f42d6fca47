//! The store in memory, with the same conditions: for tests.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{ItemKey, MOST_ITEMS, Put, Store, StoreError, Stored};
use crate::moment::Moment;

#[derive(Debug, Clone)]
struct Item {
    stored: Stored,
    expires: Moment,
    due: Option<Moment>,
}

/// Items in memory.
#[derive(Debug, Default)]
pub struct Memory {
    items: Mutex<BTreeMap<ItemKey, Item>>,
}

impl Memory {
    fn items(&self) -> MutexGuard<'_, BTreeMap<ItemKey, Item>> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keys and contents of all items.
    pub fn all(&self) -> Vec<(ItemKey, String)> {
        self.items().iter().map(|(key, item)| (key.clone(), item.stored.body.clone())).collect()
    }
}

impl Store for Memory {
    async fn read(&self, keys: &[ItemKey], now: Moment) -> Result<Vec<Option<Stored>>, StoreError> {
        assert!(keys.len() <= MOST_ITEMS, "DynamoDB refuses {} keys", keys.len());
        let items = self.items();
        Ok(keys
            .iter()
            .map(|key| items.get(key).filter(|item| item.expires > now).map(|item| item.stored.clone()))
            .collect())
    }

    async fn write(&self, puts: &[Put], now: Moment) -> Result<(), StoreError> {
        assert!((1..=MOST_ITEMS).contains(&puts.len()), "DynamoDB refuses {} items", puts.len());
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
            let stored = Stored { revision: put.expected.unwrap_or(0) + 1, body: put.body.clone() };
            let before = items.insert(put.key.clone(), Item { stored, expires: put.expires, due: put.due });
            drop(before);
        }
        Ok(())
    }

    async fn due(&self, now: Moment, most: usize) -> Result<Vec<ItemKey>, StoreError> {
        let mut due: Vec<(Moment, ItemKey)> = self
            .items()
            .iter()
            .filter_map(|(key, item)| item.due.filter(|due| *due <= now).map(|due| (due, key.clone())))
            .collect();
        due.sort();
        Ok(due.into_iter().take(most).map(|(_, key)| key).collect())
    }
}
