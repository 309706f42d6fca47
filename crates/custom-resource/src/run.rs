//! The main loop of a custom-resource function.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use futures_util::FutureExt;
use lambda_runtime::{Diagnostic, Error, LambdaEvent, service_fn};
use serde_json::Value;

use crate::failure::{Failure, chain};
use crate::handler::{Handler, HandlerError};
use crate::provider::Provider;
use crate::wait::Waits;

/// A provider that is ready to serve, and what carries its waits.
pub struct Started<P> {
    /// The provider.
    pub provider: P,
    /// Needed if the provider ever waits.
    pub waits: Option<Arc<dyn Waits>>,
}

impl<P> Started<P> {
    /// A provider that never waits.
    pub fn new(provider: P) -> Self {
        Self { provider, waits: None }
    }

    /// A provider whose waits are carried by `waits`.
    pub fn waiting_with(provider: P, waits: impl Waits + 'static) -> Self {
        Self { provider, waits: Some(Arc::new(waits)) }
    }
}

/// How long `start` may take. Lambda ends a start that takes longer than 10 seconds and begins again, without a word to CloudFormation.
/// Source: "Understanding the Lambda execution environment lifecycle" of the Lambda developer guide.
const LONGEST_START: Duration = Duration::from_secs(8);

/// Serves a provider until Lambda ends the process.
///
/// `start` reads configuration and builds clients. If it fails, panics or takes longer than 8 seconds, the function polls all the
/// same and answers every request with the reason: a stack must not wait an hour for a function that never came up.
///
/// # Errors
/// Only if the Runtime API itself cannot be reached.
pub async fn run<P, S>(start: S) -> Result<(), Error>
where
    P: Provider + 'static,
    S: Future<Output = Result<Started<P>, Failure>>,
{
    std::panic::set_hook(Box::new(|info| {
        // Where, but not the message: nobody checked it for secrets.
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "panic");
    }));
    let handler = match started(start).await {
        Ok(Started { provider, waits }) => {
            let handler = Handler::new(provider);
            match waits {
                Some(waits) => handler.waiting_with(waits),
                None => handler,
            }
        }
        Err(failure) => {
            tracing::error!(reason = failure.chain(), "the function could not start");
            Handler::broken(&failure)
        }
    };
    let handler = &handler;
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| async move {
        let deadline = UNIX_EPOCH + Duration::from_millis(event.context.deadline);
        handler.handle(event.payload, deadline).await.map_err(|error| diagnostic(&error))
    }))
    .await
}

/// What Lambda and a state machine see of a failed invocation: a name that stays, and the whole chain of causes.
fn diagnostic(error: &HandlerError) -> Diagnostic {
    let name = match error {
        HandlerError::NotARequest => "NotARequest",
        HandlerError::NotDelivered(_) => "AnswerNotDelivered",
    };
    Diagnostic { error_type: name.to_owned(), error_message: chain(error) }
}

/// What came of the start, whatever happened in it.
async fn started<T>(start: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    match tokio::time::timeout(LONGEST_START, AssertUnwindSafe(start).catch_unwind()).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(Failure::new("it panicked while starting; its log says where")),
        Err(_) => {
            let limit = LONGEST_START.as_secs();
            Err(Failure::new(format!("it did not start within {limit} seconds")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_start_that_hangs_is_given_up() {
        let hangs = std::future::pending::<Result<(), Failure>>();
        assert_eq!(started(hangs).await.unwrap_err().chain(), "it did not start within 8 seconds");
    }
}
