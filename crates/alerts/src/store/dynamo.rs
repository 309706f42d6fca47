//! The store in DynamoDB.
//!
//! The table has the partition key `pk` and the sort key `sk`, both strings, and a time to live on
//! `expires` (seconds). Its index `due` has the partition key `due_in` (always `due`) and the sort key
//! `due` (milliseconds). It holds only the keys of items that have work to do.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes, Put as PutItem, TransactWriteItem};
use lambda_kit::call::CallError;

use super::{ItemKey, Put, Store, StoreError, StoredItem, batch_get, state_unreadable};
use crate::moment::Moment;

/// The index of the items that have work to do.
const INDEX: &str = "due";

/// A table in DynamoDB.
#[derive(Debug, Clone)]
pub struct DynamoStore {
    client: Client,
    table: String,
}

type Item = HashMap<String, AttributeValue>;

impl DynamoStore {
    /// Creates the store with the table of this name.
    pub fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }

    fn put(&self, put: &Put, now: Moment) -> Result<TransactWriteItem, StoreError> {
        let number = |value: i64| AttributeValue::N(value.to_string());
        let revision = put.expected.unwrap_or(0) + 1;
        let mut item = PutItem::builder()
            .table_name(&self.table)
            .item("pk", AttributeValue::S(put.key.partition.clone()))
            .item("sk", AttributeValue::S(put.key.sort.clone()))
            .item("revision", AttributeValue::N(revision.to_string()))
            .item("body", AttributeValue::S(put.body.clone()))
            .item("expires", number(put.expires.seconds_up()));
        if let Some(due) = put.due {
            item = item.item("due_in", AttributeValue::S(INDEX.to_owned())).item("due", number(due.millis()));
        }
        item = match put.expected {
            // Time to live deletes within days, not at once: an expired item counts as absent. So does
            // one without a revision, which this version did not write.
            None => item
                .condition_expression("attribute_not_exists(revision) OR expires <= :now")
                .expression_attribute_values(":now", number(now.millis().div_euclid(1000))),
            Some(expected) => item
                .condition_expression("revision = :expected")
                .expression_attribute_values(":expected", AttributeValue::N(expected.to_string())),
        };
        let item = item.build().map_err(|error| CallError::caused_by("dynamodb:PutItem", &error))?;
        Ok(TransactWriteItem::builder().put(item).build())
    }
}

impl Store for DynamoStore {
    async fn read(&self, keys: &[ItemKey], now: Moment) -> Result<Vec<Option<StoredItem>>, StoreError> {
        let mut found = HashMap::with_capacity(keys.len());
        let mut left: Vec<Item> = Vec::with_capacity(keys.len());
        for key in keys {
            if found.insert(key.clone(), None).is_none() {
                left.push(attributes(key));
            }
        }
        if left.is_empty() {
            return Ok(Vec::new());
        }
        let wanted = KeysAndAttributes::builder()
            .set_keys(Some(left))
            .consistent_read(true)
            .build()
            .map_err(|error| CallError::caused_by("dynamodb:BatchGetItem", &error))?;
        for item in batch_get(&self.client, &self.table, wanted).await? {
            let Some((key, stored)) = item_of(&item, now) else { continue };
            found.insert(key, stored);
        }
        Ok(keys.iter().map(|key| found.get(key).cloned().flatten()).collect())
    }

    async fn write(&self, puts: &[Put], now: Moment) -> Result<(), StoreError> {
        let mut items = Vec::with_capacity(puts.len());
        for put in puts {
            items.push(self.put(put, now)?);
        }
        // The SDK adds a token to the request: a retry is the same transaction.
        let sent = self.client.transact_write_items().set_transact_items(Some(items)).send().await;
        sent.map(|_| ()).map_err(|error| {
            let lost = match error.as_service_error() {
                Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
                    let reasons = cancelled.cancellation_reasons();
                    reasons.iter().any(|reason| {
                        matches!(reason.code(), Some("ConditionalCheckFailed" | "TransactionConflict"))
                    })
                }
                Some(other) => other.code() == Some("TransactionInProgressException"),
                None => false,
            };
            if lost {
                StoreError::Conflict
            } else {
                CallError::new("dynamodb:TransactWriteItems", &error).into()
            }
        })
    }

    async fn due(&self, now: Moment, most: usize) -> Result<Vec<ItemKey>, StoreError> {
        let answer = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(INDEX)
            .key_condition_expression("due_in = :in AND due <= :now")
            .expression_attribute_values(":in", AttributeValue::S(INDEX.to_owned()))
            .expression_attribute_values(":now", AttributeValue::N(now.millis().to_string()))
            .limit(i32::try_from(most).unwrap_or(i32::MAX))
            .send()
            .await
            .map_err(|error| CallError::new("dynamodb:Query", &error))?;
        Ok(answer.items().iter().filter_map(key_of).collect())
    }
}

fn attributes(key: &ItemKey) -> Item {
    HashMap::from([
        ("pk".to_owned(), AttributeValue::S(key.partition.clone())),
        ("sk".to_owned(), AttributeValue::S(key.sort.clone())),
    ])
}

fn text<'a>(item: &'a Item, name: &str) -> Option<&'a String> {
    item.get(name).and_then(|value| value.as_s().ok())
}

fn number<T: std::str::FromStr>(item: &Item, name: &str) -> Option<T> {
    item.get(name).and_then(|value| value.as_n().ok()).and_then(|digits| digits.parse().ok())
}

fn key_of(item: &Item) -> Option<ItemKey> {
    Some(ItemKey::new(text(item, "pk")?, text(item, "sk")?))
}

/// Returns an item that is there. One that this version did not write is reset.
fn item_of(item: &Item, now: Moment) -> Option<(ItemKey, Option<StoredItem>)> {
    let key = key_of(item)?;
    // In whole seconds, exactly as the condition of a write compares them.
    let expired =
        number::<i64>(item, "expires").is_some_and(|expires| expires <= now.millis().div_euclid(1000));
    if expired {
        return Some((key, None));
    }
    let Some(revision) = number::<u64>(item, "revision") else {
        let name = format!("{} {}", key.partition, key.sort);
        state_unreadable(&name, &"the item has no revision", now);
        return Some((key, None));
    };
    // Without a body the content cannot be decoded, which resets it.
    let body = text(item, "body").cloned().unwrap_or_default();
    Some((key, Some(StoredItem { revision, body })))
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::operation::batch_get_item::BatchGetItemOutput;
    use aws_sdk_dynamodb::operation::query::QueryOutput;
    use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsOutput;
    use aws_sdk_dynamodb::types::CancellationReason;
    use aws_sdk_dynamodb::types::error::TransactionCanceledException;
    use aws_smithy_mocks::{RuleMode, mock, mock_client};

    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use super::*;

    const NOW: i64 = 1_000_000_500;

    fn item(sort: &str, revision: u64, expires: i64) -> Item {
        let mut item = attributes(&ItemKey::new("p", sort));
        item.insert("revision".into(), AttributeValue::N(revision.to_string()));
        item.insert("body".into(), AttributeValue::S("{}".into()));
        item.insert("expires".into(), AttributeValue::N(expires.to_string()));
        item
    }

    fn now() -> Moment {
        Moment::from_millis(NOW)
    }

    #[tokio::test(start_paused = true)]
    async fn unprocessed_keys_are_read_again_with_pauses_and_an_end() {
        let calls = AtomicU32::new(0);
        let throttled = mock!(Client::batch_get_item).then_compute_output(move |request| {
            assert!(calls.fetch_add(1, Ordering::Relaxed) < 50, "more than 50 calls, and no end");
            let left = request.request_items().unwrap()["t"].clone();
            assert_eq!(left.consistent_read(), Some(true));
            BatchGetItemOutput::builder().unprocessed_keys("t", left).build()
        });
        let client = mock_client!(aws_sdk_dynamodb, RuleMode::MatchAny, [&throttled]);
        let began = tokio::time::Instant::now();
        let store = DynamoStore::new(client, "t".into());
        let error = store.read(&[ItemKey::new("p", "s")], now()).await.unwrap_err().to_string();
        assert!(error.contains("1 items were not read after 8 attempts: the table is throttled"), "{error}");
        assert_eq!(throttled.num_calls(), 8);
        let waited = began.elapsed();
        assert!(waited > Duration::from_secs(3) && waited < Duration::from_secs(7), "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn read_is_consistent_completes_and_ignores_expired_items() {
        let first = mock!(Client::batch_get_item)
            .match_requests(|request| {
                let wanted = &request.request_items().unwrap()["t"];
                wanted.consistent_read() == Some(true) && wanted.keys().len() == 3
            })
            .then_output(|| {
                let left = KeysAndAttributes::builder()
                    .keys(attributes(&ItemKey::new("p", "late")))
                    .build()
                    .unwrap();
                BatchGetItemOutput::builder()
                    .responses("t", vec![item("over", 7, NOW / 1000)])
                    .unprocessed_keys("t", left)
                    .build()
            });
        let second = mock!(Client::batch_get_item)
            .match_requests(|request| request.request_items().unwrap()["t"].keys().len() == 1)
            .then_output(|| {
                BatchGetItemOutput::builder().responses("t", vec![item("late", 3, NOW / 1000 + 1)]).build()
            });
        let client = mock_client!(aws_sdk_dynamodb, RuleMode::Sequential, [&first, &second]);
        let keys = ["over", "late", "absent"].map(|sort| ItemKey::new("p", sort));
        let found = DynamoStore::new(client, "t".into()).read(&keys, now()).await.unwrap();
        assert_eq!(found, [None, Some(StoredItem { revision: 3, body: "{}".into() }), None]);
        assert_eq!((first.num_calls(), second.num_calls()), (1, 1));
    }

    #[tokio::test]
    async fn write_has_conditions_and_only_due_items_are_indexed() {
        let rule = mock!(Client::transact_write_items)
            .match_requests(|request| {
                let puts: Vec<_> = request.transact_items().iter().map(|item| item.put().unwrap()).collect();
                let [fresh, known] = &puts[..] else { return false };
                request.client_request_token().is_some()
                    && fresh.condition_expression()
                        == Some("attribute_not_exists(revision) OR expires <= :now")
                    && known.condition_expression() == Some("revision = :expected")
                    && known.item()["revision"] == AttributeValue::N("6".into())
                    && known.item()["due"] == AttributeValue::N("5".into())
                    && !fresh.item().contains_key("due_in")
            })
            .then_output(|| TransactWriteItemsOutput::builder().build());
        let client = mock_client!(aws_sdk_dynamodb, [&rule]);
        let put = |expected, due| Put {
            key: ItemKey::new("p", "s"),
            expected,
            body: "{}".into(),
            expires: now(),
            due,
        };
        let puts = [put(None, None), put(Some(5), Some(Moment::from_millis(5)))];
        DynamoStore::new(client, "t".into()).write(&puts, now()).await.unwrap();
        assert_eq!(rule.num_calls(), 1);
    }

    #[tokio::test]
    async fn failed_condition_is_a_conflict_and_others_are_errors() {
        for (code, conflict) in
            [("ConditionalCheckFailed", true), ("TransactionConflict", true), ("ValidationError", false)]
        {
            let rule = mock!(Client::transact_write_items).then_error(move || {
                let reason = |code: &str| CancellationReason::builder().code(code).build();
                let error = TransactionCanceledException::builder()
                    .cancellation_reasons(reason("None"))
                    .cancellation_reasons(reason(code))
                    .build();
                TransactWriteItemsError::TransactionCanceledException(error)
            });
            let client = mock_client!(aws_sdk_dynamodb, [&rule]);
            let put = Put {
                key: ItemKey::new("p", "s"),
                expected: None,
                body: String::new(),
                expires: now(),
                due: None,
            };
            let error = DynamoStore::new(client, "t".into()).write(&[put], now()).await.unwrap_err();
            assert_eq!(matches!(error, StoreError::Conflict), conflict, "{code}: {error}");
        }
    }

    #[tokio::test]
    async fn what_is_due_is_asked_of_the_index_up_to_now() {
        let rule = mock!(Client::query)
            .match_requests(|request| {
                request.index_name() == Some("due")
                    && request.limit() == Some(25)
                    && request.expression_attribute_values().unwrap()[":now"]
                        == AttributeValue::N(NOW.to_string())
            })
            .then_output(|| QueryOutput::builder().items(attributes(&ItemKey::new("p", "s"))).build());
        let client = mock_client!(aws_sdk_dynamodb, [&rule]);
        let due = DynamoStore::new(client, "t".into()).due(now(), 25).await.unwrap();
        assert_eq!(due, [ItemKey::new("p", "s")]);
    }
}
