//! `on-failure`: failures, with their cause where it can be read.

use tokio::time::Instant;

use super::{Evaluation, EventProcessor, LOOKUP_TIME, within};
use crate::event::Event;
use crate::lookup::{Stacks, operation};
use crate::notifier::InvocationWindow;
use crate::rules::{Operation, evaluate, evaluate_with, stack_query};
use crate::state::Observation;

/// The event processor of `on-failure`.
#[derive(Debug)]
pub struct FailureProcessor<R> {
    stacks: R,
}

impl<R: Stacks + Sync> FailureProcessor<R> {
    /// Creates a processor that reads causes from these stacks.
    pub fn new(stacks: R) -> Self {
        Self { stacks }
    }

    async fn evaluate(&self, event: &Event, until: Instant) -> Vec<Observation> {
        let Some(query) = stack_query(event) else { return evaluate(event) };
        let lookup = operation(&self.stacks, query);
        let found = within(until, "cloudformation:DescribeStackEvents", lookup).await;
        let operation = found.unwrap_or_else(|error| {
            // The failure is reported even if its cause cannot be read. The event's own reason is
            // better than nothing.
            tracing::warn!(stack = query.stack, %error, "cannot read the stack's events");
            Operation::default()
        });
        evaluate_with(event, &operation)
    }
}

impl<R: Stacks + Sync> EventProcessor for FailureProcessor<R> {
    async fn process(&self, events: &[&Event], _: InvocationWindow) -> Evaluation {
        let until = Instant::now() + LOOKUP_TIME;
        let mut results = Vec::with_capacity(events.len());
        for event in events {
            results.push(Ok(self.evaluate(event, until).await));
        }
        results.into()
    }
}
