//! `on-dead-letter`: what the failure queues hold. It looks, and takes nothing out.

use super::Duty;
use crate::announcer::{ReportError, Turn};
use crate::event::Known;
use crate::incident::Place;
use crate::judge::dead_letters;
use crate::read::Queues;
use crate::state::Signal;

/// The duty of `on-dead-letter`.
#[derive(Debug)]
pub struct DeadLetterDuty<Q> {
    queues: Q,
    here: Place,
}

impl<Q: Queues + Sync> DeadLetterDuty<Q> {
    /// With the queues of this place.
    pub fn new(queues: Q, here: Place) -> Self {
        Self { queues, here }
    }
}

impl<Q: Queues + Sync> Duty for DeadLetterDuty<Q> {
    type Pending = ();

    // A queue that invokes the function would lose its messages with an answer that all is well.
    const ONLY_LOOKS: bool = true;

    /// Whatever event comes, the alarm of a queue for example, asks for a look.
    async fn judge(&self, events: &[&Known], turn: Turn) -> (Vec<Result<Vec<Signal>, ReportError>>, ()) {
        let mut all: Vec<Result<Vec<Signal>, ReportError>> = events.iter().map(|_| Ok(Vec::new())).collect();
        if !all.is_empty() {
            let (signals, error) = self.tick(turn).await;
            all[0] = Ok(signals);
            // The last one comes again; the first tells what could be found out. Where there is one only, the schedule looks again.
            if let (Some(error), Some(last)) = (error, all.iter_mut().skip(1).next_back()) {
                *last = Err(error);
            }
        }
        (all, ())
    }

    async fn settle(&self, (): (), _: &[bool], _: Turn) -> Vec<(usize, ReportError)> {
        Vec::new()
    }

    async fn tick(&self, turn: Turn) -> (Vec<Signal>, Option<ReportError>) {
        let (mut signals, mut failure) = (Vec::new(), None);
        for queue in self.queues.all() {
            match self.queues.look(queue).await {
                Ok(held) => signals.extend(dead_letters(&held, &self.here, turn.now)),
                // A queue that is gone hides no other.
                Err(error) => {
                    tracing::error!(queue, %error, "the queue could not be looked at");
                    failure = failure.or(Some(ReportError::Read(error)));
                }
            }
        }
        (signals, failure)
    }
}
