//! What each function is there for: which signals follow from the events that it gets.

mod access;
mod dead_letter;
mod failure;
mod rotation;

pub use access::AccessDuty;
pub use dead_letter::DeadLetterDuty;
pub use failure::FailureDuty;
pub use rotation::RotationDuty;

use std::future::Future;

use crate::announcer::{ReportError, Turn};
use crate::event::Known;
use crate::state::Signal;

/// What a function is there for.
pub trait Duty {
    /// What is written once everything was reported.
    type Pending: Send;

    /// Whether messages of a queue stay in it: they are only looked at.
    const ONLY_LOOKS: bool = false;

    /// The signals of each event, in order. What is looked up beside an event may fail; then the event comes again.
    fn judge(
        &self,
        events: &[&Known],
        turn: Turn,
    ) -> impl Future<Output = (Vec<Result<Vec<Signal>, ReportError>>, Self::Pending)> + Send;

    /// Writes what is pending, after signals were reported; `taken_in` says of which events all were. Returns the events that must come again
    /// because it could not be written: their signals are known then.
    fn settle(
        &self,
        pending: Self::Pending,
        taken_in: &[bool],
        turn: Turn,
    ) -> impl Future<Output = Vec<(usize, ReportError)>> + Send;

    /// What is to be told because a schedule asks.
    ///
    /// # Errors
    /// It could not be found out.
    fn tick(&self, turn: Turn) -> impl Future<Output = Result<Vec<Signal>, ReportError>> + Send;
}
