//! The main loop of a rotation function.

use std::time::Duration;

use lambda_kit::env::Env;
use lambda_kit::error::chain;
use lambda_kit::start::{self, InvocationError};
use lambda_kit::window::InvocationWindow;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use crate::action::ActionEvent;
use crate::audit::Record;
use crate::error::RotationError;
use crate::event::RotationEvent;
use crate::invocation::Invocation;
use crate::machine::Machine;
use crate::repair::{RepairRequest, examine};
use crate::retry::Retry;
use crate::rotator::CredentialRotator;
use crate::versions::Versions;

/// The part of the invocation's time that is kept for the report of a timeout.
const MARGIN: Duration = Duration::from_secs(2);

/// Serves a rotator until Lambda ends the process.
///
/// `start` reads the configuration and creates clients. If it fails, the function answers every
/// step with the reason, which then is in the event that Secrets Manager sends.
///
/// # Errors
/// The Runtime API cannot be reached.
pub async fn run<V, R, S, F, E>(start: S) -> Result<(), lambda_runtime::Error>
where
    V: Versions,
    R: CredentialRotator,
    S: FnOnce(Env<'static>) -> F,
    F: Future<Output = Result<(V, R), E>>,
    E: std::error::Error + 'static,
{
    start::run(start, async |(versions, rotator): &(V, R), invocation: start::Invocation| {
        // On the heap: with an engine's client, the future is too deeply nested for the compiler.
        Box::pin(handle(versions, rotator, invocation.event, invocation.window)).await
    })
    .await
}

/// Answers one event.
///
/// # Errors
/// The public name of the error and a sentence.
pub async fn handle<V: Versions, R: CredentialRotator>(
    versions: &V,
    rotator: &R,
    event: Value,
    window: InvocationWindow,
) -> Result<Value, InvocationError> {
    let deadline = window.work_until(MARGIN);
    let retry = Retry::until(deadline, fastrand::Rng::new());
    let handler = Handler { versions, rotator, retry: &retry, window, deadline, started: Instant::now() };
    match event.get("Action").and_then(Value::as_str) {
        Some("Examine") => handler.examine(event).await,
        _ if event.get("Action").is_some() => handler.act(event).await,
        _ => handler.step(event).await,
    }
}

/// One invocation. A wait may outlast it: then the function reports the timeout itself, in time.
struct Handler<'a, V, R> {
    versions: &'a V,
    rotator: &'a R,
    retry: &'a Retry,
    window: InvocationWindow,
    deadline: Instant,
    started: Instant,
}

impl<V: Versions, R: CredentialRotator> Handler<'_, V, R> {
    fn at<'a>(&'a self, secret_id: &'a str) -> Invocation<'a, V> {
        Invocation { secret_id, versions: self.versions, retry: self.retry, now: self.window.now }
    }

    async fn step(&self, event: Value) -> Result<Value, InvocationError> {
        // The parser's error may quote the event, which holds a token.
        let event: RotationEvent = serde_json::from_value(event).map_err(|_| {
            let expected = "the event is neither a rotation step of Secrets Manager with Step, SecretId \
                            and ClientRequestToken nor an action with Action and SecretId";
            InvocationError::new("NotARotationEvent", expected)
        })?;
        let Self { versions, rotator, retry, window, .. } = *self;
        let machine = Machine { versions, rotator, retry, now: window.now };
        let running = timeout_at(self.deadline, machine.run(&event)).await;
        let result = running.unwrap_or(Err(RotationError::TimedOut(event.step.name())));
        self.report(&Record {
            secret: &event.secret_id,
            version: Some(&event.client_request_token),
            step: event.step.name(),
            rotator: rotator.name(),
            result: &result,
            took: self.started.elapsed(),
        });
        answer(result.map(|_| Value::Null))
    }

    async fn act(&self, event: Value) -> Result<Value, InvocationError> {
        let event: ActionEvent = serde_json::from_value(event).map_err(|error| {
            InvocationError::new("NotAnAction", format!("the action is invalid: {error}"))
        })?;
        let at = self.at(&event.secret_id);
        let acting = timeout_at(self.deadline, self.rotator.act(&at, &event)).await;
        let result = acting.unwrap_or(Err(RotationError::TimedOut(event.action.name())));
        self.report(&Record {
            secret: &event.secret_id,
            version: None,
            step: event.action.name(),
            rotator: self.rotator.name(),
            result: &result,
            took: self.started.elapsed(),
        });
        answer(result.map(|_| Value::Null))
    }

    async fn examine(&self, event: Value) -> Result<Value, InvocationError> {
        let request: RepairRequest = serde_json::from_value(event).map_err(|error| {
            InvocationError::new("NotAnAction", format!("the request to examine is invalid: {error}"))
        })?;
        let at = self.at(&request.secret_id);
        let examining = timeout_at(self.deadline, examine(self.rotator, &at, request.quiet_minutes)).await;
        let finding =
            examining.unwrap_or(Err(RotationError::TimedOut("the examination"))).map_err(failure)?;
        let (verdict, reason) = (format!("{:?}", finding.verdict), finding.reason.as_str());
        tracing::info!(secret = request.secret_id, verdict, reason, "rotation examined");
        serde_json::to_value(&finding).map_err(|error| InvocationError::caused_by("NotWritten", &error))
    }

    fn report(&self, record: &Record<'_>) {
        record.log();
        record.metrics(self.window.now.plus(record.took)).emit();
    }
}

fn answer(result: Result<Value, RotationError>) -> Result<Value, InvocationError> {
    result.map_err(failure)
}

fn failure(error: RotationError) -> InvocationError {
    InvocationError::new(error.name(), chain(&error))
}
