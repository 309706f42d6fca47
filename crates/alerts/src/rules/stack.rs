//! Stacks: the first cause of a failure, and the action that it needs.

use crate::command::Command;
use crate::event::{Detail, Event, Stack, StackResource};
use crate::incident::{Incident, IncidentKey};
use crate::kind::{Kind, Severity};
use crate::moment::Moment;
use crate::state::{EventId, Observation};

/// The cause of a stack's failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// The logical id of the resource.
    pub resource: String,
    /// The resource type.
    pub kind: String,
    /// CloudFormation's status reason.
    pub reason: String,
}

/// An operation on a stack, as read from the stack's events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Operation {
    /// The id of the event that started it.
    pub begun_by: Option<String>,
    /// The cause of its failure.
    pub cause: Option<Cause>,
}

/// An event of a stack, as returned by DescribeStackEvents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackEvent {
    /// The event's id.
    pub id: String,
    /// The logical id of the resource; the stack's name for the stack itself.
    pub resource: String,
    /// The resource type.
    pub kind: String,
    /// The physical id; the ARN of a nested stack.
    pub physical_id: String,
    /// The status.
    pub status: String,
    /// The status reason.
    pub reason: String,
    /// The client request token of the operation.
    pub token: Option<String>,
    /// The time.
    pub at: Option<Moment>,
}

impl StackEvent {
    /// Returns true if an operation on this stack that was requested `by` then starts with the event.
    pub fn begins(&self, stack: &str, by: Moment) -> bool {
        self.physical_id == stack
            && !self.is_after(by)
            && ["CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "DELETE_IN_PROGRESS", "IMPORT_IN_PROGRESS"]
                .contains(&self.status.as_str())
    }

    /// Compares in seconds: events on the bus have seconds, those of DescribeStackEvents milliseconds.
    fn is_after(&self, time: Moment) -> bool {
        self.at.is_some_and(|at| at.secs() > time.secs())
    }
}

/// Returns the position of the event that starts the last operation that had started `by` then.
pub fn beginning(events: &[StackEvent], stack: &str, by: Moment) -> Option<usize> {
    events.iter().position(|event| event.begins(stack, by))
}

/// Returns the first cause in a stack's events: the oldest failure of the operation that is not a
/// consequence of another one.
///
/// `events` are in the order of DescribeStackEvents, the newest first. The operation is the one with the
/// token. Without a token it is the last one that had started `by` then: when the events are read, the
/// next operation may have started.
pub fn first_cause<'a>(
    events: &'a [StackEvent],
    stack: &str,
    token: Option<&str>,
    by: Moment,
) -> Option<&'a StackEvent> {
    let end = match token {
        Some(_) => events.len(),
        None => beginning(events, stack, by).unwrap_or(events.len()),
    };
    let of_this = |event: &&StackEvent| match token {
        Some(token) => event.token.as_deref() == Some(token),
        None => !event.is_after(by),
    };
    let mut failures = events[..end].iter().filter(of_this).filter(|event| event.status.ends_with("_FAILED"));
    failures.rfind(|event| event.physical_id != stack && !is_consequence(&event.reason))
}

/// Returns true if a reason only states that another resource failed.
///
/// Source: texts of CloudFormation's events; there is no list of them.
fn is_consequence(reason: &str) -> bool {
    let reason = reason.to_ascii_lowercase();
    reason.is_empty()
        || ["resource creation cancelled", "resource update cancelled", "resource deletion cancelled"]
            .iter()
            .any(|text| reason.starts_with(text))
}

/// Returns true if the status means that an operation failed.
fn is_failure(status: &str) -> bool {
    status.ends_with("_FAILED")
        || status.contains("ROLLBACK_IN_PROGRESS")
        || status.ends_with("ROLLBACK_COMPLETE")
}

/// Returns true if a stack cannot leave the status without a person.
fn is_stuck(status: &str) -> bool {
    matches!(
        status,
        "ROLLBACK_FAILED" | "UPDATE_ROLLBACK_FAILED" | "DELETE_FAILED" | "IMPORT_ROLLBACK_FAILED"
    )
}

/// Returns the lookup in the stack's events that an event needs.
pub fn stack_query(event: &Event) -> Option<StackQuery<'_>> {
    let (stack, token, cause) = match &event.detail {
        Detail::Stack(stack) if is_failure(&stack.status_details.status) => {
            (&stack.stack_id, &stack.client_request_token, true)
        }
        // The event has the cause. With a token it also has the operation.
        Detail::StackResource(resource) if fails(resource) && resource.client_request_token.is_none() => {
            (&resource.stack_id, &None, false)
        }
        _ => return None,
    };
    Some(StackQuery { stack, token: token.as_deref(), by: event.time, cause })
}

/// A lookup in a stack's events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StackQuery<'a> {
    /// The stack's ARN.
    pub stack: &'a str,
    /// The client request token, if the operation has one.
    pub token: Option<&'a str>,
    /// The time of the event. Without a token, the operation is the last that had started by then.
    pub by: Moment,
    /// True if the cause is needed, or only the operation.
    pub cause: bool,
}

/// Returns the event id of an operation: all its events count as one occurrence. They share a token, or
/// the event that started the operation.
fn occurrence(event: &Event, stack: &str, token: Option<&str>, operation: &Operation) -> EventId {
    match (token, &operation.begun_by) {
        (Some(token), _) => EventId::of(&["operation", stack, token]),
        (None, Some(begun_by)) => EventId::of(&["operation begun by", stack, begun_by]),
        (None, None) => event.id.clone(),
    }
}

pub(super) fn status(event: &Event, stack: &Stack, operation: &Operation) -> Vec<Observation> {
    let cause = operation.cause.as_ref();
    let (arn, status) = (stack.stack_id.as_str(), stack.status_details.status.as_str());
    let name = crate::arn::stack_name(arn);
    let cleared = |kind, how: &str| {
        Observation::resolved(
            IncidentKey::new(kind, &event.location, arn, None),
            how,
            event.id.clone(),
            event.time,
        )
    };
    if matches!(status, "CREATE_COMPLETE" | "UPDATE_COMPLETE" | "IMPORT_COMPLETE" | "DELETE_COMPLETE") {
        let how = format!("the stack reached {status}");
        return vec![cleared(Kind::StackFailed, &how), cleared(Kind::StackStuck, &how)];
    }
    if !is_failure(status) {
        return Vec::new();
    }
    let reason = match cause {
        Some(cause) => Some(format!("{} ({}): {}", cause.resource, cause.kind, cause.reason)),
        // The reason of a complete rollback is not the cause of the failure.
        None => stack.status_details.status_reason.clone().filter(|_| !status.ends_with("_COMPLETE")),
    };
    if is_stuck(status) {
        let at =
            |command: Command| command.option("stack-name", arn).option("region", &event.location.region);
        let (action, command) = match status {
            "UPDATE_ROLLBACK_FAILED" => (
                "Fix the cause, then continue the rollback (the runbook explains how to skip a resource):",
                at(Command::aws("cloudformation", "continue-update-rollback")),
            ),
            "DELETE_FAILED" => (
                "Fix the cause, often a resource that is not empty, then delete the stack again:",
                at(Command::aws("cloudformation", "delete-stack")),
            ),
            _ => (
                "Check the remaining resources, then delete the stack:",
                at(Command::aws("cloudformation", "delete-stack")),
            ),
        };
        let incident = Incident::new(
            Kind::StackStuck,
            Severity::Critical,
            event.location.clone(),
            arn,
            name,
            event.time,
        )
        .what(&format!("The stack is in the status {status}. CloudFormation does not retry."))
        .impact(
            "The stack cannot be deployed until this status is resolved. Resources may be partly changed.",
        )
        .cause(reason.as_deref())
        .action(action, command);
        return vec![Observation::firing(incident, event.id.clone())];
    }
    let token = stack.client_request_token.as_deref();
    let mut observations = vec![Observation::firing(
        failed(event, arn, status, reason.as_deref()),
        occurrence(event, arn, token, operation),
    )];
    if status == "UPDATE_ROLLBACK_COMPLETE" {
        observations.push(cleared(Kind::StackStuck, "the rollback completed"));
    }
    observations
}

fn failed(event: &Event, arn: &str, status: &str, reason: Option<&str>) -> Incident {
    let name = crate::arn::stack_name(arn);
    let first = status.starts_with("ROLLBACK") || status == "CREATE_FAILED";
    let (impact, action) = if first {
        (
            "The stack was not created. CloudFormation deletes the resources that it had created.",
            "Fix the cause, delete the stack and deploy again. Failed events:",
        )
    } else {
        (
            "The change is not deployed. CloudFormation rolls the stack back to its previous version.",
            "Fix the cause and deploy again. Failed events:",
        )
    };
    Incident::new(Kind::StackFailed, Severity::Error, event.location.clone(), arn, name, event.time)
        .what(&format!("A deployment failed: the stack is in the status {status}."))
        .impact(impact)
        .cause(reason)
        .action(
            action,
            Command::aws("cloudformation", "describe-stack-events")
                .option("stack-name", arn)
                .option("region", &event.location.region)
                .flag("--query \"StackEvents[?ends_with(ResourceStatus,'FAILED')].[Timestamp,LogicalResourceId,ResourceStatusReason]\" --output table"),
        )
}

/// Returns true if a resource failed, and not as a consequence. A nested stack has events of its own; the
/// stack itself appears as one of its resources, too.
fn fails(resource: &StackResource) -> bool {
    resource.status_details.status.ends_with("_FAILED")
        && !is_consequence(resource.status_details.status_reason.as_deref().unwrap_or_default())
        && resource.resource_type.as_deref() != Some("AWS::CloudFormation::Stack")
}

/// Returns the observation of a failed resource, which has the cause earlier than the stack.
pub(super) fn resource(event: &Event, resource: &StackResource, operation: &Operation) -> Vec<Observation> {
    if !fails(resource) {
        return Vec::new();
    }
    let status = resource.status_details.status.as_str();
    let reason = resource.status_details.status_reason.as_deref().unwrap_or_default();
    let kind = resource.resource_type.as_deref().unwrap_or("unknown type");
    let cause = format!("{} ({kind}): {reason}", resource.logical_resource_id);
    let incident = failed(event, &resource.stack_id, status, Some(&cause));
    let incident = incident.what(&format!(
        "A deployment fails: the resource {} is in the status {status}.",
        resource.logical_resource_id
    ));
    let token = resource.client_request_token.as_deref();
    vec![Observation::firing(incident, occurrence(event, &resource.stack_id, token, operation))]
}

#[cfg(test)]
mod tests {
    use super::*;

    const STACK: &str = "arn:aws:cloudformation:us-east-1:111111111111:stack/app/1";

    fn event(resource: &str, status: &str, reason: &str, token: Option<&str>) -> StackEvent {
        let physical_id = if resource == "app" { STACK } else { "physical" };
        StackEvent {
            id: format!("{resource}-{status}"),
            resource: resource.into(),
            kind: "AWS::S3::Bucket".into(),
            physical_id: physical_id.into(),
            status: status.into(),
            reason: reason.into(),
            token: token.map(str::to_owned),
            at: None,
        }
    }

    #[test]
    fn first_cause_is_the_oldest_failure_that_is_no_consequence() {
        let events = [
            event("app", "UPDATE_ROLLBACK_COMPLETE", "", Some("t2")),
            event(
                "app",
                "UPDATE_ROLLBACK_IN_PROGRESS",
                "The following resource(s) failed to create: [B, A].",
                Some("t2"),
            ),
            event("C", "CREATE_FAILED", "Resource creation cancelled", Some("t2")),
            event("B", "CREATE_FAILED", "second", Some("t2")),
            event("A", "CREATE_FAILED", "first", Some("t2")),
            event("app", "UPDATE_IN_PROGRESS", "User Initiated", Some("t2")),
            event("A", "CREATE_FAILED", "of an earlier operation", Some("t1")),
            event("app", "CREATE_IN_PROGRESS", "User Initiated", Some("t1")),
        ];
        let now = Moment::from_secs(0);
        for token in [Some("t2"), None] {
            assert_eq!(first_cause(&events, STACK, token, now).unwrap().reason, "first", "{token:?}");
        }
        assert_eq!(first_cause(&events[..3], STACK, Some("t2"), now), None);
        assert_eq!(first_cause(&[], STACK, None, now), None);
    }

    #[test]
    fn operation_without_token_is_the_last_one_before_the_event() {
        let at = |second: i64, event: StackEvent| StackEvent {
            at: Some(Moment::from_millis(second * 1000 + 999)),
            ..event
        };
        let events = [
            at(9, event("A", "DELETE_FAILED", "of the deletion", None)),
            at(9, event("app", "DELETE_IN_PROGRESS", "User Initiated", None)),
            at(3, event("app", "ROLLBACK_COMPLETE", "Rollback complete", None)),
            at(2, event("A", "CREATE_FAILED", "of the creation", None)),
            at(1, event("app", "CREATE_IN_PROGRESS", "User Initiated", None)),
        ];
        let cause = |second| first_cause(&events, STACK, None, Moment::from_secs(second));
        assert_eq!(cause(1), None);
        assert_eq!(cause(2).unwrap().reason, "of the creation");
        assert_eq!(cause(3).unwrap().reason, "of the creation");
        assert_eq!(cause(9).unwrap().reason, "of the deletion");
    }

    #[test]
    fn all_events_of_one_operation_are_one_occurrence() {
        let id = |id: &str, token: &str, begun_by: Option<&str>| {
            let event = serde_json::json!({
                "id": id, "source": "aws.cloudformation", "detail-type": "CloudFormation Stack Status Change",
                "account": "111111111111", "region": "us-east-1", "time": "2026-03-01T03:00:00Z",
                "detail": {"stack-id": STACK, "status-details": {"status": "ROLLBACK_COMPLETE", "status-reason": ""},
                    "client-request-token": token},
            });
            let event = crate::event::parse(&event, "111111111111").unwrap();
            let crate::event::Detail::Stack(stack) = &event.detail else { panic!("{event:?}") };
            let operation = Operation { begun_by: begun_by.map(str::to_owned), cause: None };
            super::status(&event, stack, &operation)[0].event.clone()
        };
        assert_eq!(id("begun", "deploy-1", None), id("complete", "deploy-1", Some("CREATE")));
        assert_ne!(id("e", "deploy-1", None), id("e", "deploy-2", None));
        assert_eq!(id("begun", "", Some("CREATE")), id("complete", "", Some("CREATE")));
        assert_ne!(id("e", "", Some("CREATE")), id("e", "", Some("UPDATE")));
        // Their operation is unknown.
        assert_ne!(id("monday", "", None), id("tuesday", "", None));
    }

    #[test]
    fn completed_rollback_is_no_cause() {
        let cause = |status: &str, reason: &str| {
            let event = serde_json::json!({
                "id": "e", "source": "aws.cloudformation", "detail-type": "CloudFormation Stack Status Change",
                "account": "111111111111", "region": "us-east-1", "time": "2026-03-01T03:00:00Z",
                "detail": {"stack-id": STACK, "status-details": {"status": status, "status-reason": reason}},
            });
            let event = crate::event::parse(&event, "111111111111").unwrap();
            let crate::event::Detail::Stack(stack) = &event.detail else { panic!("{event:?}") };
            let observations = super::status(&event, stack, &Operation::default());
            let crate::state::Transition::Firing(incident) = &observations[0].transition else {
                panic!("{observations:?}")
            };
            incident.cause.clone()
        };
        assert_eq!(cause("ROLLBACK_COMPLETE", "Rollback complete"), None);
        let reason = "The following resource(s) failed to create: [Bad].";
        assert_eq!(cause("ROLLBACK_IN_PROGRESS", reason).as_deref(), Some(reason));
    }
}
