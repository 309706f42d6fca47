//! The main loop of a custom-resource function.

use std::error::Error;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde_json::Value;

use crate::allowed::Allowed;
use crate::failure::{Failure, chain};
use crate::handler::{Handler, HandlerError};
use crate::provider::Provider;
use crate::response_hosts::ResponseHosts;
use crate::wait::Waiter;

/// A provider that is ready to serve, what its stack allows, and what carries its waits.
pub struct Started<P> {
    /// The provider.
    pub provider: P,
    /// The values that the function's stack allows.
    pub allowed: Allowed,
    /// Carries waits; required if the provider ever waits.
    pub waiter: Option<Arc<dyn Waiter>>,
}

impl<P> Started<P> {
    /// Wraps a provider that never waits.
    pub fn new(provider: P, allowed: Allowed) -> Self {
        Self { provider, allowed, waiter: None }
    }

    /// Wraps a provider whose waits are carried by `waiter`.
    pub fn with_waiter(provider: P, allowed: Allowed, waiter: impl Waiter + 'static) -> Self {
        Self { provider, allowed, waiter: Some(Arc::new(waiter)) }
    }
}

/// The time that `start` may take. Lambda ends a start-up after 10 seconds and begins again, and
/// CloudFormation gets no response. Source: "Understanding the Lambda execution environment
/// lifecycle" of the Lambda developer guide.
const MAX_START_TIME: Duration = Duration::from_secs(8);

/// Serves a provider until Lambda ends the process.
///
/// `variable` reads the environment: it decides to which hosts responses may go
/// ([`ResponseHosts::read`]). `start` reads the configuration and creates clients. If it fails,
/// panics or takes longer than 8 seconds, the function polls all the same and responds to every
/// request with the reason: otherwise a stack would wait an hour for a function that never came up.
///
/// # Errors
/// The Runtime API cannot be reached.
pub async fn run<P, S, E>(
    variable: &dyn Fn(&str) -> Option<String>,
    start: S,
) -> Result<(), lambda_runtime::Error>
where
    P: Provider + 'static,
    S: Future<Output = Result<Started<P>, E>>,
    E: Error + Send + Sync + 'static,
{
    std::panic::set_hook(Box::new(|info| {
        // The place, but not the message: it may hold a secret.
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "panic");
    }));
    let handler = match started(start).await {
        Ok(Started { provider, allowed, waiter }) => {
            let handler = Handler::new(provider, allowed);
            match waiter {
                Some(waiter) => handler.with_waiter(waiter),
                None => handler,
            }
        }
        Err(failure) => {
            tracing::error!(reason = failure.chain(), "the function could not start");
            Handler::failed_start(&failure)
        }
    };
    let handler = &handler.with_response_hosts(ResponseHosts::read(variable));
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| async move {
        let deadline = event.context.deadline();
        // On the heap: a provider's nested futures exceed the compiler's depth limit for layouts.
        let handling = Box::pin(handler.handle(event.payload, deadline));
        handling.await.map_err(|error| diagnostic(&error))
    }))
    .await
}

/// Returns the error as Lambda and a state machine see it: its public name and the chain of causes.
fn diagnostic(error: &HandlerError) -> Diagnostic {
    Diagnostic { error_type: error.name().to_owned(), error_message: chain(error) }
}

/// Runs the start-up, with limits for its time and its panics.
async fn started<T, E: Error + Send + Sync + 'static>(
    start: impl Future<Output = Result<T, E>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(MAX_START_TIME, AssertUnwindSafe(start).catch_unwind()).await {
        Ok(Ok(result)) => result.map_err(Failure::from_error),
        Ok(Err(_)) => Err(Failure::new("it panicked while starting; its log shows the place")),
        Err(_) => {
            let limit = MAX_START_TIME.as_secs();
            Err(Failure::new(format!("it did not start within {limit} seconds")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn start_that_hangs_is_given_up() {
        let hangs = std::future::pending::<Result<(), Failure>>();
        assert_eq!(started(hangs).await.unwrap_err().chain(), "it did not start within 8 seconds");
    }

    #[test]
    fn each_public_error_name_has_its_sentence() {
        let late = HandlerError::ResponseNotDelivered("connection refused".into());
        for (error, name, sentence) in [
            (
                HandlerError::InvalidRequest,
                "InvalidRequest",
                "the event is neither a custom-resource request nor a call of the waiting state machine",
            ),
            (late, "ResponseNotDelivered", "the response was not delivered: connection refused"),
            (
                HandlerError::ResponseUrlRejected,
                "ResponseUrlRejected",
                "the response URL is not an https address of CloudFormation's bucket in Amazon S3; \
                 nothing was done and nothing was sent",
            ),
        ] {
            let diagnostic = diagnostic(&error);
            assert_eq!((diagnostic.error_type.as_str(), diagnostic.error_message.as_str()), (name, sentence));
        }
    }
}
