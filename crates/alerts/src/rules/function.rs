//! Functions that failed in spite of Lambda's retries.

use super::last_part;
use crate::command::Command;
use crate::event::{Event, FunctionFailure};
use crate::incident::Incident;
use crate::kind::{Kind, Severity};
use crate::state::Observation;

pub(super) fn failure(event: &Event, failure: &FunctionFailure) -> Vec<Observation> {
    let context = &failure.request_context;
    // A destination also receives records of successful invocations.
    if context.condition == "Success" {
        return Vec::new();
    }
    let function = context.function();
    let function_name = last_part(function);
    let answer = failure.response_payload.clone().unwrap_or_default();
    let kind = answer.kind.as_deref().unwrap_or(&context.condition);
    let cause = match (&answer.kind, &answer.message) {
        (Some(kind), Some(message)) => Some(format!("{kind}: {message}")),
        (kind, message) => message.as_ref().or(kind.as_ref()).cloned(),
    };
    let why = match context.condition.as_str() {
        "RetriesExhausted" => "every attempt failed",
        "EventAgeExceeded" => "the event exceeded its maximum age",
        other => other,
    };
    let incident = Incident::new(Kind::FunctionFailed, Severity::Error, event.location.clone(), function, function_name, event.time)
        .what(&format!(
            "Lambda discarded an event of an asynchronous invocation after {} attempts: {why}.",
            context.approximate_invoke_count
        ))
        .impact("The event was not processed. A queue that is the OnFailure destination or dead-letter queue keeps it; an event bus does not.")
        .cause(cause.as_deref())
        // The name of the log group does not follow from the function's, and the record of a failed
        // invocation lacks it.
        .action(
            &format!(
                "Read the log of request {} in the log group that this command prints, fix the \
                 cause, then send the event again (see the runbook):",
                context.request_id
            ),
            Command::aws("lambda", "get-function-configuration")
                .option("function-name", function_name)
                .option("region", &event.location.region)
                .flag("--query LoggingConfig.LogGroup --output text"),
        )
        .dedup_key(kind);
    vec![Observation::firing(incident, event.id.clone())]
}
