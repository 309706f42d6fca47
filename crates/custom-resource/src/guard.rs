//! Limits around a provider's work: its time, its panics, its types.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use serde::Serialize;
use serde_json::Value;
use tokio::time::Instant;

use crate::failure::Failure;
use crate::provider::Outcome;

/// Runs the provider until the deadline, and turns a panic into a failure.
pub(crate) async fn run_guarded(
    work: impl Future<Output = Result<Outcome<Value>, Failure>>,
    until: Instant,
) -> Result<Outcome<Value>, Failure> {
    let caught = AssertUnwindSafe(work).catch_unwind();
    match tokio::time::timeout_at(until, caught).await {
        Ok(Ok(result)) => result,
        // The panic's message is not repeated: it may hold a secret. The hook logged its place.
        Ok(Err(_)) => Err(Failure::new(
            "the function of this custom resource panicked, which is a bug; its log shows the place",
        )
        .with_leftovers()),
        Err(_) => Err(Failure::new(
            "the function timed out before the work was done, and part of it may be done; \
             give the function a longer timeout, or repeat the operation",
        )
        .with_leftovers()),
    }
}

/// Serializes the provider's progress, so that the rest of the crate is free of the provider's
/// types.
pub(crate) fn serialize_progress<T: Serialize>(
    result: Result<Outcome<T>, Failure>,
) -> Result<Outcome<Value>, Failure> {
    Ok(match result? {
        Outcome::Ready(attributes) => Outcome::Ready(attributes),
        Outcome::Waiting { progress, check_after } => Outcome::Waiting {
            progress: serde_json::to_value(progress).map_err(|error| {
                Failure::caused_by("the progress of this resource cannot be serialized", error)
                    .with_leftovers()
            })?,
            check_after,
        },
    })
}
