//! What is looked up beside an event, each by a port as narrow as its permission.
//!
//! Stacks and secrets are read in the account of the event, under a role there that only the hub's functions may assume.

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

use crate::event::arn_part;
use crate::judge::{Cause, Held, Rotated, StackEvent, first_cause};
use crate::moment::Moment;

/// Stacks, in any account. Permission: `cloudformation:DescribeStackEvents`.
pub trait Stacks {
    /// Events of a stack, the newest first: back to the beginning of the operation that ran `by` then, at least, if that is not too far.
    fn events(
        &self,
        stack: &str,
        by: Moment,
    ) -> impl Future<Output = Result<Vec<StackEvent>, CallError>> + Send;
}

/// Secrets, in any account. Permission: `secretsmanager:DescribeSecret`.
pub trait Secrets {
    /// Whether a secret rotates now.
    fn rotates(&self, secret: &str) -> impl Future<Output = Result<Rotated, CallError>> + Send;
}

/// Failure queues of this account. Permissions: `sqs:GetQueueAttributes`, `sqs:ReceiveMessage`.
pub trait Queues {
    /// The queues' addresses.
    fn all(&self) -> &[String];

    /// What a queue holds. Nothing is taken out of it.
    fn look(&self, queue: &str) -> impl Future<Output = Result<Held, CallError>> + Send;
}

/// Most stacks within stacks that are followed.
const MOST_DEPTH: usize = 4;

/// Why an operation of a stack failed, followed into the stacks within it.
///
/// # Errors
/// The stack's events cannot be read.
pub async fn cause_of<R: Stacks>(
    stacks: &R,
    stack: &str,
    token: Option<&str>,
    by: Moment,
) -> Result<Option<Cause>, CallError> {
    let (mut stack, mut token) = (stack.to_owned(), token.map(str::to_owned));
    let mut found = None;
    for _ in 0..MOST_DEPTH {
        let events = match (stacks.events(&stack, by).await, &found) {
            (Ok(events), _) => events,
            (Err(error), None) => return Err(error),
            // The stack within may be deleted already; what the outer one says is still true.
            (Err(_), Some(_)) => break,
        };
        let Some(event) = first_cause(&events, &stack, token.as_deref(), by) else { break };
        let cause = Cause {
            resource: event.resource.clone(),
            kind: event.kind.clone(),
            reason: event.reason.clone(),
        };
        let inner =
            event.kind == "AWS::CloudFormation::Stack" && arn_part(&event.physical_id, 2) == "cloudformation";
        let next = event.physical_id.clone();
        found = Some(cause);
        if !inner {
            break;
        }
        // Its events have a token of their own.
        (stack, token) = (next, None);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    struct Known(HashMap<String, Vec<StackEvent>>);

    impl Stacks for Known {
        async fn events(&self, stack: &str, _: Moment) -> Result<Vec<StackEvent>, CallError> {
            let gone = || CallError::without_answer("cloudformation:DescribeStackEvents", "no such stack");
            self.0.get(stack).cloned().ok_or_else(gone)
        }
    }

    fn event(resource: &str, kind: &str, physical_id: &str, reason: &str) -> StackEvent {
        StackEvent {
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
    async fn a_cause_is_followed_into_the_stack_within_and_stays_the_outer_one_where_that_is_gone() {
        const INNER: &str = "arn:aws:cloudformation:us-east-1:111111111111:stack/inner/1";
        let outer = vec![event(
            "Inner",
            "AWS::CloudFormation::Stack",
            INNER,
            "Embedded stack was not successfully created",
        )];
        let inner = vec![event("Bucket", "AWS::S3::Bucket", "b", "b already exists")];
        let mut stacks = Known(HashMap::from([("outer".to_owned(), outer), (INNER.to_owned(), inner)]));
        let cause = cause_of(&stacks, "outer", None, Moment::BEGINNING).await.unwrap().unwrap();
        assert_eq!((cause.resource.as_str(), cause.reason.as_str()), ("Bucket", "b already exists"));
        stacks.0.remove(INNER);
        assert_eq!(
            cause_of(&stacks, "outer", None, Moment::BEGINNING).await.unwrap().unwrap().resource,
            "Inner"
        );
        assert!(cause_of(&stacks, "gone", None, Moment::BEGINNING).await.is_err());
    }
}
