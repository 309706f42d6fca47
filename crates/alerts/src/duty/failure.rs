//! `on-failure`: whatever failed, with the cause where it can be read.

use tokio::time::Instant;

use super::{Duty, LOOK_UP, in_time};
use crate::announcer::{ReportError, Turn};
use crate::event::Known;
use crate::judge::{Operation, asks_the_stack, judge, judge_with};
use crate::read::{Stacks, operation};
use crate::state::Signal;

/// The duty of `on-failure`.
#[derive(Debug)]
pub struct FailureDuty<R> {
    stacks: R,
}

impl<R: Stacks + Sync> FailureDuty<R> {
    /// With these stacks to read causes in.
    pub fn new(stacks: R) -> Self {
        Self { stacks }
    }

    async fn one(&self, known: &Known, until: Instant) -> Vec<Signal> {
        let Some(question) = asks_the_stack(known) else { return judge(known) };
        let asked = operation(&self.stacks, question);
        let found = in_time(until, "cloudformation:DescribeStackEvents", asked).await;
        let operation = found.unwrap_or_else(|error| {
            // That it failed must be told although nobody can say why. The reason in the event is better than nothing.
            tracing::warn!(stack = question.stack, %error, "the stack's events could not be read");
            Operation::default()
        });
        judge_with(known, &operation)
    }
}

impl<R: Stacks + Sync> Duty for FailureDuty<R> {
    type Pending = ();

    async fn judge(&self, events: &[&Known], _: Turn) -> (Vec<Result<Vec<Signal>, ReportError>>, ()) {
        let until = Instant::now() + LOOK_UP;
        let mut all = Vec::with_capacity(events.len());
        for known in events {
            all.push(Ok(self.one(known, until).await));
        }
        (all, ())
    }

    async fn settle(&self, (): (), _: &[bool], _: Turn) -> Vec<(usize, ReportError)> {
        Vec::new()
    }

    async fn tick(&self, _: Turn) -> (Vec<Signal>, Option<ReportError>) {
        (Vec::new(), None)
    }
}
