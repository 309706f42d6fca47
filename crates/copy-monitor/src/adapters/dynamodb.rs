//! The ledger in one DynamoDB table.
//!
//! Keys `pk` and `sk`, both strings; `x` is the time to live. Files: `F#<warehouse>#<job>` and the object's key (both at most 1024 bytes), so that the entries
//! between two keys are one Query in the order in which S3 lists. Findings: `N#<warehouse>#<id>`. Documents: `D#<warehouse>` and their name; they never expire.
//! Actions: GetItem, PutItem, UpdateItem, DeleteItem, Query, BatchGetItem, BatchWriteItem.
//! Source: "Constraints in Amazon DynamoDB" and "Service, account, and table quotas" of the DynamoDB developer guide: a document is at most 400 KB.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{
    AttributeValue, KeysAndAttributes, PutRequest, ReturnValuesOnConditionCheckFailure, WriteRequest,
};
use futures_util::future::join_all;
use lambda_kit::call::CallError;

use crate::moment::Moment;
use crate::ports::{Claimed, Document, FileEntry, FileState, Ledger};

/// Requests in a BatchWriteItem.
const WRITES: usize = 25;
/// BatchWriteItem calls at the same time.
const AT_ONCE: usize = 8;
/// How often what DynamoDB did not process is sent again, with pauses that double from 50 ms: 12 s in all.
const TRIES: u32 = 8;

type Item = HashMap<String, AttributeValue>;

/// The ledger of one warehouse.
#[derive(Debug, Clone)]
pub struct Table {
    client: Client,
    name: String,
    watched: String,
    /// How long entries live after they were written.
    memory: Duration,
    now: Moment,
}

fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

fn number(value: i64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

fn text_of(item: &Item, name: &str) -> Option<String> {
    item.get(name)?.as_s().ok().cloned()
}

fn number_of(item: &Item, name: &str) -> Option<i64> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

impl Table {
    /// The table of this name, for one warehouse and one invocation, which began `now`.
    pub fn new(client: Client, name: String, watched: String, memory: Duration, now: Moment) -> Self {
        Self { client, name, watched, memory, now }
    }

    fn files(&self, job: i64) -> String {
        format!("F#{}#{job}", self.watched)
    }

    fn finding(&self, id: &str) -> Item {
        Item::from([
            ("pk".to_owned(), text(format!("N#{}#{id}", self.watched))),
            ("sk".to_owned(), text("-")),
        ])
    }

    fn expires(&self) -> AttributeValue {
        number(self.now.plus(self.memory).secs())
    }

    fn item(&self, entry: &FileEntry) -> Item {
        let rank = match entry.state {
            FileState::Waiting => 0,
            FileState::Failed => 1,
            FileState::Loaded => 2,
        };
        [
            ("pk", text(self.files(entry.job))),
            ("sk", text(&entry.key)),
            ("e", text(&entry.etag)),
            ("m", number(entry.modified.micros())),
            ("q", number(entry.enqueued.micros())),
            ("k", number(rank)),
            ("x", self.expires()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    fn entry(job: i64, item: &Item) -> Option<FileEntry> {
        Some(FileEntry {
            job,
            key: text_of(item, "sk")?,
            etag: text_of(item, "e")?,
            modified: Moment::from_micros(number_of(item, "m")?),
            enqueued: Moment::from_micros(number_of(item, "q")?),
            state: match number_of(item, "k")? {
                0 => FileState::Waiting,
                1 => FileState::Failed,
                _ => FileState::Loaded,
            },
        })
    }

    /// Writes at most 25 items, and again what was not processed.
    async fn write(&self, items: Vec<Item>) -> Result<(), CallError> {
        let request = |item| {
            let put = PutRequest::builder()
                .set_item(Some(item))
                .build()
                .map_err(|error| CallError::without_answer("dynamodb:BatchWriteItem", &error.to_string()))?;
            Ok(WriteRequest::builder().put_request(put).build())
        };
        let mut left = items.into_iter().map(request).collect::<Result<Vec<_>, CallError>>()?;
        for attempt in 0..TRIES {
            let output = self
                .client
                .batch_write_item()
                .request_items(&self.name, left)
                .send()
                .await
                .map_err(|error| CallError::new("dynamodb:BatchWriteItem", &error))?;
            left =
                output.unprocessed_items.and_then(|mut items| items.remove(&self.name)).unwrap_or_default();
            if left.is_empty() {
                return Ok(());
            }
            pause(attempt).await;
        }
        let problem =
            format!("{} items were not written after {TRIES} attempts: the table is throttled", left.len());
        Err(CallError::without_answer("dynamodb:BatchWriteItem", &problem))
    }

    /// Reads at most 100 items.
    async fn get(&self, keys: Vec<Item>, attributes: &str) -> Result<Vec<Item>, CallError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let action = "dynamodb:BatchGetItem";
        let wanted =
            KeysAndAttributes::builder().set_keys(Some(keys)).projection_expression(attributes).build();
        let mut left = wanted.map_err(|error| CallError::without_answer(action, &error.to_string()))?;
        let mut found = Vec::new();
        for attempt in 0..TRIES {
            let output = self
                .client
                .batch_get_item()
                .request_items(&self.name, left)
                .send()
                .await
                .map_err(|error| CallError::new(action, &error))?;
            found.extend(output.responses.and_then(|mut items| items.remove(&self.name)).unwrap_or_default());
            match output.unprocessed_keys.and_then(|mut keys| keys.remove(&self.name)) {
                Some(rest) => left = rest,
                None => return Ok(found),
            }
            pause(attempt).await;
        }
        let problem = format!("not all items were read after {TRIES} attempts: the table is throttled");
        Err(CallError::without_answer(action, &problem))
    }
}

async fn pause(attempt: u32) {
    let longest = Duration::from_millis(50) * 2_u32.pow(attempt);
    // Between half and all of it, so that calls beside each other come apart.
    tokio::time::sleep(longest.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
}

impl Ledger for Table {
    async fn document(&self, name: &str) -> Result<Option<Document>, CallError> {
        let output = self
            .client
            .get_item()
            .table_name(&self.name)
            .key("pk", text(format!("D#{}", self.watched)))
            .key("sk", text(name))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| CallError::new("dynamodb:GetItem", &error))?;
        Ok(output.item.and_then(|item| {
            let revision = number_of(&item, "r").and_then(|revision| u64::try_from(revision).ok())?;
            Some(Document { revision, body: text_of(&item, "b")? })
        }))
    }

    async fn save(&self, name: &str, revision: u64, body: &str) -> Result<bool, CallError> {
        let mut put = self
            .client
            .put_item()
            .table_name(&self.name)
            .item("pk", text(format!("D#{}", self.watched)))
            .item("sk", text(name))
            .item("r", AttributeValue::N((revision + 1).to_string()))
            .item("b", text(body));
        put = match revision {
            0 => put.condition_expression("attribute_not_exists(pk)"),
            read => put
                .condition_expression("r = :r")
                .expression_attribute_values(":r", AttributeValue::N(read.to_string())),
        };
        match put.send().await {
            Ok(_) => Ok(true),
            Err(error) if is_conditional(&error) => Ok(false),
            Err(error) => Err(CallError::new("dynamodb:PutItem", &error)),
        }
    }

    async fn put_loaded(&self, entries: &[FileEntry]) -> Result<(), CallError> {
        // A batch must not hold a key twice; of two entries for one key the last one counts.
        let mut seen = HashSet::new();
        let mut items: Vec<Item> = entries
            .iter()
            .rev()
            .filter(|entry| seen.insert((entry.job, &entry.key)))
            .map(|entry| self.item(entry))
            .collect();
        while !items.is_empty() {
            let rest = items.split_off(items.len().min(WRITES * AT_ONCE));
            let calls = items.chunks(WRITES).map(|some| self.write(some.to_vec()));
            join_all(calls).await.into_iter().collect::<Result<Vec<()>, _>>()?;
            items = rest;
        }
        Ok(())
    }

    async fn put_unloaded(&self, entry: &FileEntry) -> Result<(), CallError> {
        let item = self.item(entry);
        let rank = item["k"].clone();
        let put = self
            .client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(pk) OR k <= :k")
            .expression_attribute_values(":k", rank);
        match put.send().await {
            Err(error) if !is_conditional(&error) => Err(CallError::new("dynamodb:PutItem", &error)),
            _ => Ok(()),
        }
    }

    async fn entries(
        &self,
        job: i64,
        first: &str,
        last: &str,
        after: Option<&str>,
    ) -> Result<(Vec<FileEntry>, Option<String>), CallError> {
        let start = after
            .map(|key| Item::from([("pk".to_owned(), text(self.files(job))), ("sk".to_owned(), text(key))]));
        let output = self
            .client
            .query()
            .table_name(&self.name)
            .key_condition_expression("pk = :p AND sk BETWEEN :a AND :b")
            .expression_attribute_values(":p", text(self.files(job)))
            .expression_attribute_values(":a", text(first))
            .expression_attribute_values(":b", text(last))
            .set_exclusive_start_key(start)
            .send()
            .await
            .map_err(|error| CallError::new("dynamodb:Query", &error))?;
        let entries = output.items().iter().filter_map(|item| Self::entry(job, item)).collect();
        Ok((entries, output.last_evaluated_key().and_then(|key| text_of(key, "sk"))))
    }

    async fn entries_of(&self, job: i64, keys: &[String]) -> Result<Vec<FileEntry>, CallError> {
        let key = |key: &String| {
            Item::from([("pk".to_owned(), text(self.files(job))), ("sk".to_owned(), text(key))])
        };
        let items = self.get(keys.iter().map(key).collect(), "sk, e, m, q, k").await?;
        Ok(items.iter().filter_map(|item| Self::entry(job, item)).collect())
    }

    async fn told_among(&self, ids: &[String]) -> Result<HashSet<String>, CallError> {
        let items = self.get(ids.iter().map(|id| self.finding(id)).collect(), "pk, t").await?;
        let told: HashSet<String> = items
            .iter()
            .filter(|item| item.contains_key("t"))
            .filter_map(|item| text_of(item, "pk"))
            .collect();
        Ok(ids.iter().filter(|id| told.contains(&format!("N#{}#{id}", self.watched))).cloned().collect())
    }

    async fn claim(&self, id: &str, holder: &str, now: Moment, until: Moment) -> Result<Claimed, CallError> {
        let claim = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(self.finding(id)))
            .update_expression("SET h = :h, u = :u, x = :x")
            // A claim of our own is one whose answer was lost.
            .condition_expression(
                "attribute_not_exists(t) AND (attribute_not_exists(u) OR u <= :n OR h = :h)",
            )
            .expression_attribute_values(":h", text(holder))
            .expression_attribute_values(":u", number(until.micros()))
            .expression_attribute_values(":n", number(now.micros()))
            .expression_attribute_values(":x", self.expires())
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match claim {
            Ok(_) => Ok(Claimed::Yes),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(refused)) => {
                    let told = refused.item().is_some_and(|item| item.contains_key("t"));
                    Ok(if told { Claimed::Told } else { Claimed::ByAnother })
                }
                _ => Err(CallError::new("dynamodb:UpdateItem", &error)),
            },
        }
    }

    async fn told(&self, id: &str, now: Moment) -> Result<(), CallError> {
        self.client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(self.finding(id)))
            .update_expression("SET t = if_not_exists(t, :t), x = :x")
            .expression_attribute_values(":t", number(now.micros()))
            .expression_attribute_values(":x", self.expires())
            .send()
            .await
            .map(|_| ())
            .map_err(|error| CallError::new("dynamodb:UpdateItem", &error))
    }

    async fn release(&self, id: &str, holder: &str) -> Result<(), CallError> {
        let delete = self
            .client
            .delete_item()
            .table_name(&self.name)
            .set_key(Some(self.finding(id)))
            .condition_expression("attribute_not_exists(t) AND h = :h")
            .expression_attribute_values(":h", text(holder));
        match delete.send().await {
            Err(error) if !is_conditional(&error) => Err(CallError::new("dynamodb:DeleteItem", &error)),
            _ => Ok(()),
        }
    }
}

/// Whether a write was refused by its condition.
fn is_conditional<E, R>(error: &SdkError<E, R>) -> bool
where
    E: aws_sdk_dynamodb::error::ProvideErrorMetadata,
{
    let code = error.as_service_error().and_then(|error| error.code());
    code == Some("ConditionalCheckFailedException")
}
