//! The main function of a Lambda function.

use std::error::Error;
use std::future::Future;

use lambda_runtime::{Context, Diagnostic, LambdaEvent, service_fn};
use serde_json::Value;

use crate::env::Env;
use crate::error::chain;
use crate::window::InvocationWindow;

/// The public name of the error that answers every invocation of a function that could not start.
pub const INVALID_CONFIGURATION: &str = "InvalidConfiguration";

/// One invocation: its event and what is known about it.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// The event.
    pub event: Value,
    /// Lambda's data about the invocation.
    pub context: Context,
    /// The time that it has.
    pub window: InvocationWindow,
}

/// A failed invocation, as Lambda and the invoker see it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {message}")]
pub struct InvocationError {
    /// The error's public name. Users build on it: it never changes.
    pub name: &'static str,
    /// A sentence with the causes.
    pub message: String,
}

impl InvocationError {
    /// Creates the error from its public name and a sentence.
    pub fn new(name: &'static str, message: impl Into<String>) -> Self {
        Self { name, message: message.into() }
    }

    /// Creates the error from its public name and an error, whose causes become part of the
    /// message.
    pub fn caused_by(name: &'static str, error: &(dyn Error + 'static)) -> Self {
        Self { name, message: chain(error) }
    }
}

impl From<InvocationError> for Diagnostic {
    fn from(error: InvocationError) -> Self {
        Self { error_type: error.name.to_owned(), error_message: error.message }
    }
}

/// Serves invocations until Lambda ends the process.
///
/// `start` reads the configuration and creates clients; `handle` gets the result for each
/// invocation. If `start` fails, the function polls all the same and answers every invocation with
/// the reason, under the name [`INVALID_CONFIGURATION`]: the events stay in their queue and the
/// reason is in the log of the invoker.
///
/// Logging starts before `start` runs. Panics are logged with their place, without their message.
///
/// # Errors
/// The Runtime API cannot be reached.
pub async fn run<S, E, F, H>(
    start: impl FnOnce(Env<'static>) -> F,
    handle: H,
) -> Result<(), lambda_runtime::Error>
where
    F: Future<Output = Result<S, E>>,
    E: Error + 'static,
    H: AsyncFn(&S, Invocation) -> Result<Value, InvocationError>,
{
    let env = Env::process();
    crate::trace::init(env);
    let started = started(start(env)).await;
    let (started, handle) = (&started, &handle);
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| async move {
        let LambdaEvent { payload: event, context } = event;
        let window = InvocationWindow::of(&context);
        let answer = match started {
            Ok(service) => handle(service, Invocation { event, context, window }).await,
            Err(reason) => Err(InvocationError::new(INVALID_CONFIGURATION, reason)),
        };
        answer.map_err(Diagnostic::from)
    }))
    .await
}

/// Runs a function's start-up, and logs panics from then on.
///
/// # Errors
/// The error of the start-up, with its causes.
pub async fn started<T, E: Error>(start: impl Future<Output = Result<T, E>>) -> Result<T, String> {
    std::panic::set_hook(Box::new(|info| {
        // The place, but not the message: it may hold a secret.
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "panic");
    }));
    start.await.map_err(|error| {
        let reason = chain(&error);
        tracing::error!(reason, "the function could not start");
        reason
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::EnvError;

    #[tokio::test]
    async fn failed_start_is_the_reason_of_every_answer() {
        let failed = started(async { Err::<(), _>(EnvError::Missing("TABLE".to_owned())) }).await;
        let reason = "environment variable TABLE is not set; the function's template sets it";
        assert_eq!(failed, Err(reason.to_owned()));
        let answer = Diagnostic::from(InvocationError::new(INVALID_CONFIGURATION, reason));
        assert_eq!(answer.error_type, "InvalidConfiguration");
        assert_eq!(answer.error_message, reason);
    }
}
