//! What a function does before its first event.

use std::error::Error;
use std::future::Future;

/// Makes clients and the like, and logs panics from then on. A function that cannot start polls all the same and answers every event with the reason: the text
/// that this gives.
///
/// # Errors
/// Why it cannot start, with its causes.
pub async fn started<T, E: Error>(start: impl Future<Output = Result<T, E>>) -> Result<T, String> {
    std::panic::set_hook(Box::new(|info| {
        // Where, but not the message: nobody checked it for secrets.
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "panic");
    }));
    start.await.map_err(|error| {
        let reason = crate::call::chain(&error);
        tracing::error!(reason, "the function could not start");
        reason
    })
}
