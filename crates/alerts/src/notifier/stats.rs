//! The result of recording observations.

use std::sync::Arc;

use lambda_kit::call::CallError;

use super::ATTEMPTS;
use crate::store::StoreError;

/// The reason why an observation must be delivered again.
///
/// One call serves several observations, so all of them share its error.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RecordError {
    /// The state could not be read or written.
    #[error("the state of the alerts could not be read or written")]
    Store(#[source] Arc<StoreError>),
    /// The message could not be published. It stays in the outbox.
    #[error("the alert could not be published; it stays in the outbox and will be retried")]
    Publish(#[source] Arc<CallError>),
    /// Another invocation is publishing what this event led to. A later delivery finds out whether it
    /// succeeded.
    #[error(
        "another invocation is publishing the alert of this event; the event is delivered again to \
         find out whether that succeeded"
    )]
    Busy,
    /// A lookup that the event needs failed.
    #[error("the data that this event refers to could not be read")]
    Lookup(#[source] Arc<CallError>),
    /// Other invocations wrote the same state each time.
    #[error("other invocations changed the state of this incident {ATTEMPTS} times in a row")]
    Contended,
    /// Publishing has failed for so long that the outbox is full.
    #[error("outbox full for this incident; the event stays in the queue")]
    OutboxFull,
}

impl From<StoreError> for RecordError {
    fn from(error: StoreError) -> Self {
        Self::Store(Arc::new(error))
    }
}

impl RecordError {
    /// Creates the error of a lookup that failed.
    pub fn lookup(error: CallError) -> Self {
        Self::Lookup(Arc::new(error))
    }
}

/// The numbers of recorded observations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RecordStats {
    /// Messages that were published.
    pub published: u32,
    /// Notifications that the rate limit suppressed. They are part of a summary.
    pub suppressed: u32,
    /// Observations that had been recorded before.
    pub duplicates: u32,
}

impl std::ops::AddAssign for RecordStats {
    fn add_assign(&mut self, other: Self) {
        self.published += other.published;
        self.suppressed += other.suppressed;
        self.duplicates += other.duplicates;
    }
}
