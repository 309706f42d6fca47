//! The main loop of a custom-resource function.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use futures_util::FutureExt;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::Value;

use crate::failure::Failure;
use crate::handler::Handler;
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

/// Serves a provider until Lambda ends the process.
///
/// `start` reads configuration and builds clients. If it fails or panics, the function polls all the same and answers
/// every request with the reason: a stack must not wait an hour for a function that never came up.
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
    let started = AssertUnwindSafe(start)
        .catch_unwind()
        .await
        .unwrap_or_else(|_| Err(Failure::new("it panicked while starting; its log says where")));
    let handler = match started {
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
        handler.handle(event.payload, deadline).await.map_err(Error::from)
    }))
    .await
}
