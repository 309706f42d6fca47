//! Keys and items that DynamoDB did not process, because the table is throttled.
//!
//! A batch call succeeds and returns what it did not process. "If DynamoDB returns any unprocessed
//! items, you should retry the batch operation on those items. However, we strongly recommend that
//! you use an exponential backoff algorithm" (BatchGetItem, DynamoDB API reference).

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use lambda_kit::call::CallError;

/// The number of attempts, with pauses that double from 50 ms: 6 s in all.
pub const UNPROCESSED_ATTEMPTS: u32 = 8;

/// Waits before a repeated attempt. The first attempt does not wait.
pub async fn pause_before(attempt: u32) {
    if attempt > 0 {
        let longest = Duration::from_millis(50) * 2_u32.pow(attempt - 1);
        // Between half and all of it, so that calls beside each other come apart.
        tokio::time::sleep(longest.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
    }
}

/// Reads the items with at most 100 keys of one table.
///
/// # Errors
/// A call failed, or the table was throttled at every attempt.
pub async fn batch_get(
    client: &Client,
    table: &str,
    keys: KeysAndAttributes,
) -> Result<Vec<HashMap<String, AttributeValue>>, CallError> {
    const ACTION: &str = "dynamodb:BatchGetItem";
    let (mut left, mut found) = (keys, Vec::new());
    for attempt in 0..UNPROCESSED_ATTEMPTS {
        pause_before(attempt).await;
        let answer = client
            .batch_get_item()
            .request_items(table, left)
            .send()
            .await
            .map_err(|error| CallError::new(ACTION, &error))?;
        found.extend(answer.responses.and_then(|mut items| items.remove(table)).unwrap_or_default());
        match answer.unprocessed_keys.and_then(|mut keys| keys.remove(table)) {
            Some(rest) if !rest.keys().is_empty() => left = rest,
            _ => return Ok(found),
        }
    }
    let problem = format!(
        "{} items were not read after {UNPROCESSED_ATTEMPTS} attempts: the table is throttled",
        left.keys().len()
    );
    Err(CallError::without_answer(ACTION, &problem))
}
