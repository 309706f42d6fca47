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
use std::time::Duration;

use lambda_kit::call::CallError;
use tokio::time::Instant;

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

    /// What is to be told because a schedule asks, and what of it could not be found out.
    fn tick(&self, turn: Turn) -> impl Future<Output = (Vec<Signal>, Option<ReportError>)> + Send;
}

/// How long one invocation looks things up, all its events together. What is not known then is told without: an event that waits for a role
/// which is not there would take the others' time, and come again only to wait again.
const LOOK_UP: Duration = Duration::from_secs(15);

/// The answer to a look-up within the time that is left for that.
async fn in_time<T>(
    until: Instant,
    action: &str,
    asked: impl Future<Output = Result<T, CallError>>,
) -> Result<T, CallError> {
    let answer = tokio::time::timeout_at(until, asked).await;
    answer.unwrap_or_else(|_| {
        Err(CallError::without_answer(action, "no answer within the time for looking things up"))
    })
}
