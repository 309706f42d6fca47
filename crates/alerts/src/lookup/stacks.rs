//! The events of stacks.

use aws_sdk_cloudformation::Client;
use lambda_kit::call::CallError;

use super::{ReadRole, Stacks};
use crate::moment::Moment;
use crate::rules::StackEvent;

/// The largest number of pages: each has the events of 30 resources or more.
const MAX_PAGES: usize = 10;

/// The stacks in AWS CloudFormation.
#[derive(Debug)]
pub struct AwsStacks(ReadRole);

impl AwsStacks {
    /// Creates the stacks that this role reads.
    pub fn new(role: ReadRole) -> Self {
        Self(role)
    }
}

impl Stacks for AwsStacks {
    async fn events(&self, stack: &str, by: Moment) -> Result<Vec<StackEvent>, CallError> {
        events(&self.0.for_resource(stack).await?.cloudformation(), stack, by).await
    }
}

async fn events(client: &Client, stack: &str, by: Moment) -> Result<Vec<StackEvent>, CallError> {
    let mut found: Vec<StackEvent> = Vec::new();
    let mut next = None;
    for _ in 0..MAX_PAGES {
        let page = client
            .describe_stack_events()
            .stack_name(stack)
            .set_next_token(next)
            .send()
            .await
            .map_err(|error| CallError::new("cloudformation:DescribeStackEvents", &error))?;
        for event in page.stack_events() {
            let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
            found.push(StackEvent {
                id: text(event.event_id()),
                resource: text(event.logical_resource_id()),
                kind: text(event.resource_type()),
                physical_id: text(event.physical_resource_id()),
                status: text(event.resource_status().map(|status| status.as_str())),
                reason: text(event.resource_status_reason()),
                token: event.client_request_token().map(str::to_owned),
                at: event.timestamp().and_then(|at| at.to_millis().ok()).map(Moment::from_millis),
            });
        }
        next = page.next_token().map(str::to_owned);
        if next.is_none() || found.iter().any(|event| event.begins(stack, by)) {
            break;
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use aws_sdk_cloudformation::operation::describe_stack_events::DescribeStackEventsOutput;
    use aws_sdk_cloudformation::types::{ResourceStatus, StackEvent as SdkEvent};
    use aws_smithy_mocks::{RuleMode, mock, mock_client};

    use super::*;

    fn event(resource: &str, status: ResourceStatus, reason: &str) -> SdkEvent {
        let event = SdkEvent::builder().logical_resource_id(resource).physical_resource_id(resource);
        event.resource_status(status).resource_status_reason(reason).build()
    }

    #[tokio::test]
    async fn pages_are_read_up_to_the_start_of_the_last_operation() {
        let first = mock!(Client::describe_stack_events).then_output(|| {
            let failed = event("A", ResourceStatus::CreateFailed, "no");
            DescribeStackEventsOutput::builder().stack_events(failed).next_token("2").build()
        });
        let second = mock!(Client::describe_stack_events)
            .match_requests(|request| request.next_token() == Some("2"))
            .then_output(|| {
                let begun = event("stack", ResourceStatus::CreateInProgress, "User Initiated");
                DescribeStackEventsOutput::builder().stack_events(begun).next_token("3").build()
            });
        let client = mock_client!(aws_sdk_cloudformation, RuleMode::Sequential, [&first, &second]);
        let found = events(&client, "stack", Moment::from_secs(0)).await.unwrap();
        let read: Vec<_> =
            found.iter().map(|event| (event.resource.as_str(), event.status.as_str())).collect();
        assert_eq!(read, [("A", "CREATE_FAILED"), ("stack", "CREATE_IN_PROGRESS")]);
    }
}
