//! The store of the state: items with revisions, of which several are written together or not at all.
//!
//! There is one item for each incident, one for each rate limit, and a small one for each event that was
//! recorded. What belongs together is written in one conditional transaction, so that a crash leaves all
//! of it or nothing.

use std::future::Future;

use lambda_kit::call::CallError;
use lambda_kit::metrics::Metrics;
use serde::de::DeserializeOwned;

use crate::moment::Moment;

mod dynamo;
mod unprocessed;

pub use dynamo::DynamoStore;
pub use unprocessed::{UNPROCESSED_ATTEMPTS, batch_get, pause_before};

/// The largest number of items of one transaction and of one read. Source: "TransactWriteItems" and
/// "BatchGetItem" of the DynamoDB API reference.
pub const MAX_ITEMS: usize = 100;
/// The largest size of the contents of one transaction, below DynamoDB's limit of 4 MB for all items
/// with their attributes.
pub const MAX_TRANSACTION_BYTES: usize = 3_500_000;

/// The key of an item.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ItemKey {
    /// The partition key.
    pub partition: String,
    /// The sort key.
    pub sort: String,
}

impl ItemKey {
    /// Creates a key from its parts.
    pub fn new(partition: impl Into<String>, sort: impl Into<String>) -> Self {
        Self { partition: partition.into(), sort: sort.into() }
    }
}

/// A stored item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredItem {
    /// The revision, which grows by one with every write.
    pub revision: u64,
    /// The content.
    pub body: String,
}

/// An item that is written if nobody else wrote it since it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Put {
    /// The key.
    pub key: ItemKey,
    /// The revision that was read; `None` if there was no item, or an expired one.
    pub expected: Option<u64>,
    /// The content.
    pub body: String,
    /// The time at which it expires.
    pub expires: Moment,
    /// The time at which there is work to do even if no event arrives.
    pub due: Option<Moment>,
}

/// The reason why the store could not read or write.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another invocation wrote one of the items since it was read.
    #[error("another invocation wrote an item of the state at the same time")]
    Conflict,
    /// The call failed, or its response was lost.
    #[error(transparent)]
    Call(#[from] CallError),
}

/// Reads and writes items. Permissions: `dynamodb:BatchGetItem` and `dynamodb:PutItem` on the table,
/// `dynamodb:Query` on its index `due`.
pub trait Store {
    /// Returns the items with these keys in the order of the keys, read consistently. An expired item
    /// counts as absent.
    fn read(
        &self,
        keys: &[ItemKey],
        now: Moment,
    ) -> impl Future<Output = Result<Vec<Option<StoredItem>>, StoreError>> + Send;

    /// Writes all of these items, or none of them and returns [`StoreError::Conflict`] if one does not
    /// have its expected revision.
    fn write(&self, puts: &[Put], now: Moment) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Returns the keys of items that are due, the longest due first. Recent changes may be missing.
    fn due(
        &self,
        now: Moment,
        max_items: usize,
    ) -> impl Future<Output = Result<Vec<ItemKey>, StoreError>> + Send;
}

/// The namespace of all metrics of the alert pipeline.
pub const NAMESPACE: &str = "Sluice/Alerts";
/// The metric that counts stored state that could not be read.
pub const STATE_UNREADABLE: &str = "StateUnreadable";

/// Decodes stored state. This is the one rule for unreadable state: it is logged with its key and the
/// reason, counted in the metric [`STATE_UNREADABLE`], and treated as absent. An event that could never
/// be processed again would be worse than a state that starts anew.
pub fn decode<T: DeserializeOwned>(key: &ItemKey, body: &str, now: Moment) -> Option<T> {
    match serde_json::from_str(body) {
        Ok(value) => Some(value),
        Err(error) => {
            state_unreadable(&format!("{} {}", key.partition, key.sort), &error, now);
            None
        }
    }
}

/// Reports stored state that cannot be read, as [`decode`] does: in the log and in the metric.
pub fn state_unreadable(key: &str, reason: &dyn std::fmt::Display, now: Moment) {
    tracing::warn!(key, %reason, "stored state is corrupt; resetting it");
    Metrics::new(NAMESPACE, now).count(STATE_UNREADABLE, 1).emit();
}
