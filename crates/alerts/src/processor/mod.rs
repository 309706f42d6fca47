//! The event processors: one for each function, from the events of an invocation to observations.

mod access;
mod dead_letter;
mod failure;
mod rotation;

pub use access::AccessProcessor;
pub use dead_letter::DeadLetterProcessor;
pub use failure::FailureProcessor;
pub use rotation::RotationProcessor;

use std::future::{Future, ready};
use std::time::Duration;

use lambda_kit::call::CallError;
use tokio::time::Instant;

use crate::event::Event;
use crate::notifier::{InvocationWindow, RecordError};
use crate::state::Observation;
use crate::store::Put;

/// Evaluates the events of one function.
pub trait EventProcessor {
    /// True if messages stay in their queue after they were processed.
    const KEEPS_MESSAGES: bool = false;

    /// Evaluates events. What is read in addition to an event may fail; then the event is delivered
    /// again.
    fn process(&self, events: &[&Event], window: InvocationWindow)
    -> impl Future<Output = Evaluation> + Send;

    /// Evaluates what a schedule asks for. An error does not withhold the observations beside it.
    fn process_schedule(
        &self,
        _window: InvocationWindow,
    ) -> impl Future<Output = (Vec<Observation>, Option<RecordError>)> + Send {
        ready((Vec::new(), None))
    }
}

/// The result of [`EventProcessor::process`].
#[derive(Debug, Default)]
pub struct Evaluation {
    /// The observations of each event, in the order of the events.
    pub results: Vec<Result<Vec<Observation>, RecordError>>,
    /// Writes that follow when the observations are recorded.
    pub commits: Vec<Commit>,
}

/// A transaction that follows when the observations of its events are recorded. If it fails, these
/// events are delivered again; their observations are known by then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// The positions of the events.
    pub events: Vec<usize>,
    /// The items to write.
    pub puts: Vec<Put>,
}

impl From<Vec<Result<Vec<Observation>, RecordError>>> for Evaluation {
    fn from(results: Vec<Result<Vec<Observation>, RecordError>>) -> Self {
        Self { results, commits: Vec::new() }
    }
}

/// The time for all lookups of one invocation. After it, alerts are sent without the data: an event
/// that waits for a role which does not exist would delay the others, and would be delivered again only
/// to wait again.
const LOOKUP_TIME: Duration = Duration::from_secs(15);

/// Returns the response of a lookup, or an error if it does not arrive in time.
async fn within<T>(
    until: Instant,
    action: &str,
    lookup: impl Future<Output = Result<T, CallError>>,
) -> Result<T, CallError> {
    let response = tokio::time::timeout_at(until, lookup).await;
    response
        .unwrap_or_else(|_| Err(CallError::without_answer(action, "no response within the time for lookups")))
}
