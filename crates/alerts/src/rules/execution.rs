//! Executions of state machines.

use std::time::Duration;

use super::last_part;
use crate::command::Command;
use crate::event::{Event, Execution, ExecutionStatus};
use crate::incident::{Incident, IncidentKey};
use crate::kind::{Kind, Severity};
use crate::moment::Moment;
use crate::state::Observation;

/// The largest difference between an execution's own time and that of its envelope.
const MAX_DIFFERENCE: Duration = Duration::from_secs(60);

/// Returns the time at which an execution ended. The envelope has whole seconds, within which one
/// execution may succeed and the next one fail.
fn ended(event: &Event, execution: &Execution) -> Moment {
    let stopped = execution.stop_date.map(Moment::from_millis);
    let is_near = |at: &Moment| at.since(event.time).max(event.time.since(*at)) <= MAX_DIFFERENCE;
    stopped.filter(is_near).unwrap_or(event.time)
}

pub(super) fn status(event: &Event, execution: &Execution) -> Vec<Observation> {
    let at = ended(event, execution);
    let machine = execution.state_machine_arn.as_str();
    let run = last_part(&execution.execution_arn);
    let (severity, happened) = match execution.status {
        ExecutionStatus::Failed => (Severity::Error, "failed"),
        ExecutionStatus::TimedOut => (Severity::Error, "exceeded its timeout"),
        ExecutionStatus::Aborted => (Severity::Warning, "was stopped by a person or a program"),
        ExecutionStatus::Succeeded => {
            let key = IncidentKey::new(Kind::ExecutionFailed, &event.location, machine, None);
            let how = format!("the later execution {run} succeeded; it does not repeat the failed one");
            return vec![Observation::resolved(key, &how, event.id.clone(), at)];
        }
        ExecutionStatus::Running | ExecutionStatus::PendingRedrive => return Vec::new(),
    };
    let cause = match (execution.error.as_deref(), execution.cause.as_deref().map(readable)) {
        (Some(error), Some(cause)) => Some(format!("{error}: {cause}")),
        (Some(text), None) => Some(text.to_owned()),
        (None, cause) => cause,
    };
    let incident = Incident::new(
        Kind::ExecutionFailed,
        severity,
        event.location.clone(),
        machine,
        last_part(machine),
        at,
    )
    .what(&format!("The execution {run} {happened}."))
    .impact("The work of this execution is not done, or incomplete. It is not retried automatically.")
    .cause(cause.as_deref())
    .action(
        "Fix the cause, then redrive the execution from the failed state (within 14 days):",
        Command::aws("stepfunctions", "redrive-execution")
            .option("execution-arn", &execution.execution_arn)
            .option("region", &event.location.region),
    );
    vec![Observation::firing(incident, event.id.clone())]
}

/// Returns the message of an error that a function returned as JSON. Other causes are text already.
pub(super) fn readable(cause: &str) -> String {
    let answer: Option<serde_json::Value> = serde_json::from_str(cause).ok();
    let message =
        answer.as_ref().and_then(|answer| answer.get("errorMessage")).and_then(serde_json::Value::as_str);
    match (message, answer.as_ref().is_some_and(serde_json::Value::is_object)) {
        (Some(message), _) => message.to_owned(),
        // An object of another form may contain the input of the failed state.
        (None, true) => "a JSON object without errorMessage; read the execution's history".to_owned(),
        (None, false) => cause.to_owned(),
    }
}
