//! `on-dead-letter`: the contents of the dead-letter queues. Read-only: it never deletes messages.

use super::{Evaluation, EventProcessor};
use crate::event::Event;
use crate::incident::AccountRegion;
use crate::lookup::Queues;
use crate::notifier::{InvocationWindow, RecordError};
use crate::rules::dead_letters;
use crate::state::Observation;

/// The event processor of `on-dead-letter`.
#[derive(Debug)]
pub struct DeadLetterProcessor<Q> {
    queues: Q,
    location: AccountRegion,
}

impl<Q: Queues + Sync> DeadLetterProcessor<Q> {
    /// Creates a processor for the queues of this account and Region.
    pub fn new(queues: Q, location: AccountRegion) -> Self {
        Self { queues, location }
    }
}

impl<Q: Queues + Sync> EventProcessor for DeadLetterProcessor<Q> {
    // A queue that invokes the function would delete its messages after a success.
    const KEEPS_MESSAGES: bool = true;

    /// Inspects all queues, whatever the events are: the alarm of a queue, for example.
    async fn process(&self, events: &[&Event], window: InvocationWindow) -> Evaluation {
        let mut results: Vec<Result<Vec<Observation>, RecordError>> =
            events.iter().map(|_| Ok(Vec::new())).collect();
        if !results.is_empty() {
            let (observations, error) = self.process_schedule(window).await;
            results[0] = Ok(observations);
            // The last event is delivered again; the first has what could be read. If there is only
            // one, the schedule retries.
            if let (Some(error), Some(last)) = (error, results.iter_mut().skip(1).next_back()) {
                *last = Err(error);
            }
        }
        results.into()
    }

    async fn process_schedule(&self, window: InvocationWindow) -> (Vec<Observation>, Option<RecordError>) {
        let (mut observations, mut failure) = (Vec::new(), None);
        for queue in self.queues.urls() {
            match self.queues.inspect(queue).await {
                Ok(contents) => observations.extend(dead_letters(&contents, &self.location, window.now)),
                // A queue that was deleted does not hide the others.
                Err(error) => {
                    tracing::error!(queue, %error, "cannot inspect the dead-letter queue");
                    failure = failure.or(Some(RecordError::lookup(error)));
                }
            }
        }
        (observations, failure)
    }
}
