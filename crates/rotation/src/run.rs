//! The main loop of a rotation function.

use std::future::Future;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lambda_runtime::{Diagnostic, Error, LambdaEvent, service_fn};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use crate::audit::Record;
use crate::error::RotationError;
use crate::event::RotationEvent;
use crate::machine::Machine;
use crate::repair::{RepairRequest, examine};
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
        let begun = Instant::now();
        let retry = Retry::until(begun + left, fastrand::Rng::new());
        // The error of the parser may quote the event, which holds a token.
        match serde_json::from_value(event.payload) {
            Ok(Event::Step(step)) => {
                let result = Machine { versions, target, retry: &retry }.run(&step).await;
                let record = Record { event: &step, target: target.name(), result: &result, took: begun.elapsed() };
                record.log();
                record.metrics(SystemTime::now()).emit();
                result.map(|_| Value::Null).map_err(told)
            }
            Ok(Event::Repair(request)) => {
                let finding = examine(versions, target, &retry, &request, SystemTime::now()).await.map_err(told)?;
                let (verdict, reason) = (format!("{:?}", finding.verdict), finding.reason.as_str());
                tracing::info!(secret = request.secret_id, verdict, reason, "rotation examined");
                serde_json::to_value(&finding).map_err(|error| failed("NotWritten", error.to_string()))
            }
            Err(_) => {
                let expected = "expected an event of Secrets Manager with Step, SecretId and ClientRequestToken, or one of repair-rotation with Action and SecretId";
                Err(failed("NotARotationEvent", expected.to_owned()))
            }
        }
    }))
    .await
}

/// What the function is invoked with.
#[derive(Deserialize)]
#[serde(untagged)]
enum Event {
    Step(RotationEvent),
    Repair(RepairRequest),
}

fn told(error: RotationError) -> Diagnostic {
    failed(error.name(), lambda_kit::call::chain(&error))
}

fn failed(name: &str, message: String) -> Diagnostic {
    Diagnostic { error_type: name.to_owned(), error_message: message }
}
