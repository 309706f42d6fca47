//! The state's store: items with revisions, written several at a time or not at all.
//!
//! One item an incident, one a subject, and one small item for every event that was counted. Everything that belongs together is written
//! in one conditional transaction, so that a crash leaves either all of it or nothing.

use std::future::Future;

use lambda_kit::call::CallError;

use crate::moment::Moment;

mod dynamo;
#[cfg(any(test, feature = "memory"))]
mod memory;

pub use dynamo::Dynamo;
#[cfg(any(test, feature = "memory"))]
pub use memory::Memory;

/// Most items of one transaction and of one read. Source: "TransactWriteItems" and "BatchGetItem" of the DynamoDB API reference.
pub const MOST_ITEMS: usize = 100;

/// Where an item is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ItemKey {
    /// What it belongs to.
    pub partition: String,
    /// Which of those.
    pub sort: String,
}

impl ItemKey {
    /// A key of these parts.
    pub fn new(partition: impl Into<String>, sort: impl Into<String>) -> Self {
        Self { partition: partition.into(), sort: sort.into() }
    }
}

/// An item that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its revision: one more with every write.
    pub revision: u64,
    /// Its content.
    pub body: String,
}

/// An item to be written if nobody else wrote it meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Put {
    /// Where.
    pub key: ItemKey,
    /// The revision that was read; none if there was no item, or one whose time was over.
    pub expected: Option<u64>,
    /// Its content.
    pub body: String,
    /// When it is forgotten.
    pub expires: Moment,
    /// When there is something to do about it although no event comes.
    pub due: Option<Moment>,
}

/// Why the store did not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody else wrote one of the items since it was read.
    #[error("an item of the state was written by another invocation meanwhile")]
    Conflict,
    /// The call failed, or its answer was lost.
    #[error(transparent)]
    Call(#[from] CallError),
    /// An item is not what this version writes.
    #[error(
        "the item {0} of the state table has no readable content; delete it, the next event makes it anew"
    )]
    Unreadable(String),
}

/// Reads and writes items. Permissions: `dynamodb:BatchGetItem` and `dynamodb:PutItem` on the table, `dynamodb:Query` on its index `due`.
pub trait Store {
    /// The items with these keys, in their order; consistently. One whose time is over counts as absent.
    fn read(
        &self,
        keys: &[ItemKey],
        now: Moment,
    ) -> impl Future<Output = Result<Vec<Option<Stored>>, StoreError>> + Send;

    /// Writes all of these items, or none with [`StoreError::Conflict`] where one of them is not at its expected revision.
    fn write(&self, puts: &[Put], now: Moment) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Items that are due, the longest due first. What was written a moment ago may be missing, or be due no more.
    fn due(&self, now: Moment, most: usize) -> impl Future<Output = Result<Vec<ItemKey>, StoreError>> + Send;
}
