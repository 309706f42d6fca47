//! Lookups that events need, each through a port as narrow as its permission.
//!
//! Stacks and secrets are read in the account of the event, with a role that only the hub's functions may
//! assume.

#[cfg(feature = "sts")]
mod assume;
#[cfg(feature = "queues")]
mod queues;
#[cfg(feature = "secrets")]
mod secrets;
#[cfg(feature = "stacks")]
mod stacks;

#[cfg(feature = "sts")]
pub use assume::ReadRole;
#[cfg(feature = "queues")]
pub use queues::SqsQueues;
#[cfg(feature = "secrets")]
pub use secrets::AwsSecrets;
#[cfg(feature = "stacks")]
pub use stacks::AwsStacks;

use std::future::Future;

use lambda_kit::call::CallError;

use crate::arn::Arn;
use crate::moment::Moment;
use crate::rules::{
    Cause, Operation, QueueContents, SecretRotation, StackEvent, StackQuery, beginning, first_cause,
};

/// The stacks of all accounts. Permission: `cloudformation:DescribeStackEvents`.
pub trait Stacks {
    /// Returns the events of a stack, the newest first: at least those of the operation that ran `by`
    /// then, unless there are too many.
    fn events(
        &self,
        stack: &str,
        by: Moment,
    ) -> impl Future<Output = Result<Vec<StackEvent>, CallError>> + Send;
}

/// The secrets of all accounts. Permission: `secretsmanager:DescribeSecret`.
pub trait Secrets {
    /// Returns the current rotation of a secret: its status and its function.
    fn rotation(&self, secret: &str) -> impl Future<Output = Result<SecretRotation, CallError>> + Send;
}

/// The dead-letter queues of this account. Permissions: `sqs:GetQueueAttributes`, `sqs:ReceiveMessage`.
pub trait Queues {
    /// Returns the URLs of the queues.
    fn urls(&self) -> &[String];

    /// Returns the contents of a queue, without deleting messages.
    fn inspect(&self, queue: &str) -> impl Future<Output = Result<QueueContents, CallError>> + Send;
}

/// The largest depth of nested stacks.
const MAX_DEPTH: usize = 4;

/// Returns the start of an operation on a stack and the cause of its failure, also if the cause is in a
/// nested stack.
///
/// # Errors
/// The stack's events cannot be read.
pub async fn operation<R: Stacks>(stacks: &R, question: StackQuery<'_>) -> Result<Operation, CallError> {
    let StackQuery { stack, token, by, cause } = question;
    let events = stacks.events(stack, by).await?;
    let begun_by = beginning(&events, stack, by).map(|at| events[at].id.clone());
    let first = if cause { first_cause(&events, stack, token, by) } else { None };
    let Some(first) = first else { return Ok(Operation { begun_by, cause: None }) };
    let mut first = first.clone();
    for _ in 1..MAX_DEPTH {
        let inner = first.physical_id.as_str();
        let is_stack = inner.parse::<Arn>().is_ok_and(|arn| arn.service == "cloudformation");
        if first.kind != "AWS::CloudFormation::Stack" || !is_stack {
            break;
        }
        // The nested stack may be deleted already; the cause in the outer one is still true. The events of
        // the nested stack have a token of their own.
        let Ok(events) = stacks.events(inner, by).await else { break };
        let Some(within) = first_cause(&events, inner, None, by) else { break };
        first = within.clone();
    }
    let cause = Cause { resource: first.resource, kind: first.kind, reason: first.reason };
    Ok(Operation { begun_by, cause: Some(cause) })
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    struct FixedStacks(HashMap<String, Vec<StackEvent>>);

    impl Stacks for FixedStacks {
        async fn events(&self, stack: &str, _: Moment) -> Result<Vec<StackEvent>, CallError> {
            let gone = || CallError::without_answer("cloudformation:DescribeStackEvents", "no such stack");
            self.0.get(stack).cloned().ok_or_else(gone)
        }
    }

    fn event(resource: &str, kind: &str, physical_id: &str, reason: &str) -> StackEvent {
        StackEvent {
            id: resource.into(),
            resource: resource.into(),
            kind: kind.into(),
            physical_id: physical_id.into(),
            status: "CREATE_FAILED".into(),
            reason: reason.into(),
            token: None,
            at: None,
        }
    }

    #[tokio::test]
    async fn cause_is_followed_into_the_nested_stack_if_it_exists() {
        const INNER: &str = "arn:aws:cloudformation:us-east-1:111111111111:stack/inner/1";
        let outer = vec![event(
            "Inner",
            "AWS::CloudFormation::Stack",
            INNER,
            "Embedded stack was not successfully created",
        )];
        let inner = vec![event("Bucket", "AWS::S3::Bucket", "b", "b already exists")];
        let mut stacks = FixedStacks(HashMap::from([("outer".to_owned(), outer), (INNER.to_owned(), inner)]));
        let ask = |stack| StackQuery { stack, token: None, by: Moment::BEGINNING, cause: true };
        let cause = operation(&stacks, ask("outer")).await.unwrap().cause.unwrap();
        assert_eq!((cause.resource.as_str(), cause.reason.as_str()), ("Bucket", "b already exists"));
        stacks.0.remove(INNER);
        assert_eq!(operation(&stacks, ask("outer")).await.unwrap().cause.unwrap().resource, "Inner");
        assert!(operation(&stacks, ask("gone")).await.is_err());
    }
}
