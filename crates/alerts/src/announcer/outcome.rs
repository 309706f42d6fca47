//! The time of an invocation, what was done in it, and why something must come again.

use lambda_kit::call::CallError;

use super::ATTEMPTS;
use crate::moment::Moment;
use crate::store::StoreError;

/// Why a signal must come again.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The state could not be read or written.
    #[error("the state of the alerts cannot be used")]
    Store(#[source] StoreError),
    /// The message could not be published. It is kept in the state.
    #[error("the alert could not be published; it is kept and will be tried again")]
    Publish(#[source] CallError),
    /// Another invocation is about to publish what this event led to. Whether it does can be seen later.
    #[error(
        "another invocation is publishing what this event led to; this delivery is repeated to see whether it did"
    )]
    Busy,
    /// What has to be looked up could not be read.
    #[error("what this event is about could not be looked up")]
    Read(#[source] CallError),
    /// Others were faster each time.
    #[error("the state of this incident was written by others {ATTEMPTS} times in a row")]
    Contended,
    /// Nothing can be published for so long that no more is taken in.
    #[error("as many alerts about this as are kept wait for being published; the event stays where it is")]
    Full,
}

/// The time of an invocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// Its beginning.
    pub now: Moment,
    /// Its end, after which others may publish what it was about to.
    pub until: Moment,
}

/// What was done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Told {
    /// Messages that were published.
    pub published: u32,
    /// Announcements that were held back for a summary.
    pub held: u32,
    /// Events that had been taken in before.
    pub repeated: u32,
}

impl std::ops::AddAssign for Told {
    fn add_assign(&mut self, other: Self) {
        self.published += other.published;
        self.held += other.held;
        self.repeated += other.repeated;
    }
}
