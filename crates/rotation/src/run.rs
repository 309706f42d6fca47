//! The main loop of a rotation function.

use std::future::Future;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lambda_runtime::{Diagnostic, Error, LambdaEvent, service_fn};
use serde_json::Value;
use tokio::time::Instant;

use crate::action::{ActionEvent, Occasion};
use crate::audit::{ActionRecord, Record};
use crate::error::RotationError;
use crate::event::RotationEvent;
use crate::machine::Machine;
use crate::retry::Retry;
use crate::target::Target;
use crate::versions::Versions;

/// Kept back from the function's time, to say how the step ended.
const MARGIN: Duration = Duration::from_secs(2);

/// Serves a target until Lambda ends the process.
///
/// `start` reads configuration and makes clients. If it fails, the function polls all the same and answers every step with
/// the reason, so that it stands in the event that Secrets Manager sends.
///
/// # Errors
/// Only if the Runtime API itself cannot be reached.
pub async fn run<V, T, S, F>(start: S) -> Result<(), Error>
where
    V: Versions + 'static,
    T: Target + 'static,
    S: Future<Output = Result<(V, T), F>>,
    F: std::error::Error,
{
    std::panic::set_hook(Box::new(|info| {
        // Where, but not the message: nobody checked it for secrets.
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "panic");
    }));
    let started = start.await.map_err(|error| {
        let reason = lambda_kit::call::chain(&error);
        tracing::error!(reason, "the function could not start");
        reason
    });
    let started = &started;
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| async move {
        let (versions, target) =
            started.as_ref().map_err(|reason| failed("BadConfiguration", reason.clone()))?;
        let deadline = UNIX_EPOCH + Duration::from_millis(event.context.deadline);
        let left = deadline.duration_since(SystemTime::now()).unwrap_or_default().saturating_sub(MARGIN);
        // On the heap: with an engine's client in it, the whole is nested more deeply than the compiler likes to lay out.
        let answered = Box::pin(serve(versions, target, event.payload, Instant::now() + left)).await;
        answered.map_err(|(name, message)| failed(name, message))
    }))
    .await
}

/// Answers one event; an error is its public name and a sentence.
async fn serve<V: Versions, T: Target>(
    versions: &V,
    target: &T,
    event: Value,
    deadline: Instant,
) -> Result<(), (&'static str, String)> {
    let (begun, now) = (Instant::now(), SystemTime::now());
    let retry = Retry::until(deadline, fastrand::Rng::new());
    // What a target waits for may take longer than the function lives. Then the function says so itself, while it can.
    if event.get("Action").is_some() {
        let event: ActionEvent = serde_json::from_value(event)
            .map_err(|error| ("NotAnAction", format!("an action is asked for, and {error}")))?;
        let occasion = Occasion { versions, retry: &retry, event: &event, now };
        let acting = tokio::time::timeout_at(deadline, target.act(&occasion)).await;
        let result = acting.unwrap_or_else(|_| Err(RotationError::OutOfTime(event.action.name())));
        let record =
            ActionRecord { event: &event, target: target.name(), result: &result, took: begun.elapsed() };
        record.log();
        record.metrics(SystemTime::now()).emit();
        return result.map(|_| ()).map_err(|error| (error.name(), lambda_kit::call::chain(&error)));
    }
    // The error of the parser may quote the event, which holds a token.
    let event: RotationEvent = serde_json::from_value(event).map_err(|_| {
        let expected = "this function is invoked by Secrets Manager with Step, SecretId and ClientRequestToken, or with Action and SecretId; the event is of \
                        neither form";
        ("NotARotationEvent", expected.to_owned())
    })?;
    let machine = Machine { versions, target, retry: &retry };
    let running = tokio::time::timeout_at(deadline, machine.run(&event)).await;
    let result = running.unwrap_or_else(|_| Err(RotationError::OutOfTime(event.step.name())));
    let record = Record { event: &event, target: target.name(), result: &result, took: begun.elapsed() };
    record.log();
    record.metrics(SystemTime::now()).emit();
    result.map(|_| ()).map_err(|error| (error.name(), lambda_kit::call::chain(&error)))
}

fn failed(name: &str, message: String) -> Diagnostic {
    Diagnostic { error_type: name.to_owned(), error_message: message }
}
