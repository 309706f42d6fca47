//! The ledger in one DynamoDB table.
//!
//! The keys `pk` and `sk` are strings; `x` is the time to live. The key of a file is
//! `F#<warehouse>#<job>` and the object's key (both at most 1024 bytes), so that one Query returns the
//! entries between two keys in the order in which S3 lists them. The key of a document is
//! `D#<warehouse>` and its name; documents never expire.
//!
//! Permissions: `dynamodb:GetItem`, `PutItem`, `Query`, `BatchGetItem` and `BatchWriteItem`.
//! Source: "Constraints in Amazon DynamoDB" and "Service, account, and table quotas" of the
//! DynamoDB developer guide: an item has at most 400 KB.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use alerts::store::{UNPROCESSED_ATTEMPTS, batch_get, pause_before};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes, PutRequest, WriteRequest};
use futures_util::future::{FutureExt, join_all};
use lambda_kit::call::CallError;
use lambda_kit::moment::Moment;

use crate::ports::{Call, Document, EntryPage, FileEntry, FileState, Ledger};

/// The number of requests in a BatchWriteItem.
const WRITES: usize = 25;
/// The number of concurrent BatchWriteItem calls.
const AT_ONCE: usize = 8;

type Item = HashMap<String, AttributeValue>;

/// The ledger of one warehouse.
#[derive(Debug, Clone)]
pub struct LedgerTable {
    client: Client,
    name: String,
    watched: String,
    /// The time for which entries are kept after they were written.
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

impl LedgerTable {
    /// Makes the ledger of one warehouse in a table, for an invocation that started `now`.
    pub fn new(client: Client, name: String, watched: String, memory: Duration, now: Moment) -> Self {
        Self { client, name, watched, memory, now }
    }

    fn files(&self, job: i64) -> String {
        format!("F#{}#{job}", self.watched)
    }

    fn expires(&self) -> AttributeValue {
        number(self.now.plus(self.memory).secs())
    }

    fn item(&self, entry: &FileEntry) -> Item {
        let rank = match entry.state {
            FileState::Waiting => 0,
            FileState::Rejected => 1,
            FileState::Loaded => 2,
        };
        let mut item: Item = [
            ("pk", text(self.files(entry.job))),
            ("sk", text(&entry.key)),
            ("e", text(&entry.etag)),
            ("m", number(entry.modified.micros())),
            ("q", number(entry.enqueued.micros())),
            ("k", number(rank)),
            ("x", self.expires()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        if let Some(size) = entry.size {
            item.insert("s".to_owned(), AttributeValue::N(size.to_string()));
        }
        item
    }

    fn entry(job: i64, item: &Item) -> Option<FileEntry> {
        Some(FileEntry {
            job,
            key: text_of(item, "sk")?,
            etag: text_of(item, "e")?,
            size: number_of(item, "s").and_then(|size| u64::try_from(size).ok()),
            modified: Moment::from_micros(number_of(item, "m")?),
            enqueued: Moment::from_micros(number_of(item, "q")?),
            state: match number_of(item, "k")? {
                0 => FileState::Waiting,
                1 => FileState::Rejected,
                _ => FileState::Loaded,
            },
        })
    }

    /// Writes at most 25 items. Repeats those that were not processed.
    async fn write(&self, items: Vec<Item>) -> Result<(), CallError> {
        let request = |item| {
            let put = PutRequest::builder()
                .set_item(Some(item))
                .build()
                .map_err(|error| CallError::caused_by("dynamodb:BatchWriteItem", &error))?;
            Ok(WriteRequest::builder().put_request(put).build())
        };
        let mut left = items.into_iter().map(request).collect::<Result<Vec<_>, CallError>>()?;
        for attempt in 0..UNPROCESSED_ATTEMPTS {
            pause_before(attempt).await;
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
        }
        let problem = format!(
            "{} items were not written after {UNPROCESSED_ATTEMPTS} attempts: the table is throttled",
            left.len()
        );
        Err(CallError::without_answer("dynamodb:BatchWriteItem", &problem))
    }

    /// Reads at most 100 items.
    async fn get(&self, keys: Vec<Item>, attributes: &str) -> Result<Vec<Item>, CallError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let wanted =
            KeysAndAttributes::builder().set_keys(Some(keys)).projection_expression(attributes).build();
        let wanted = wanted.map_err(|error| CallError::caused_by("dynamodb:BatchGetItem", &error))?;
        batch_get(&self.client, &self.name, wanted).await
    }
}

impl Ledger for LedgerTable {
    fn document<'a>(&'a self, name: &'a str) -> Call<'a, Option<Document>> {
        self.read_document(name).boxed()
    }

    fn save<'a>(&'a self, name: &'a str, revision: u64, body: &'a str) -> Call<'a, bool> {
        self.write_document(name, revision, body).boxed()
    }

    fn put_loaded<'a>(&'a self, entries: &'a [FileEntry]) -> Call<'a, ()> {
        self.write_loaded(entries).boxed()
    }

    fn put_not_loaded<'a>(&'a self, entry: &'a FileEntry) -> Call<'a, ()> {
        self.write_not_loaded(entry).boxed()
    }

    fn entries_between<'a>(
        &'a self,
        job: i64,
        first: &'a str,
        last: &'a str,
        after: Option<&'a str>,
    ) -> Call<'a, EntryPage> {
        self.query_entries(job, first, last, after).boxed()
    }

    fn entries_of<'a>(&'a self, job: i64, keys: &'a [String]) -> Call<'a, Vec<FileEntry>> {
        self.read_entries(job, keys).boxed()
    }
}

impl LedgerTable {
    async fn read_document(&self, name: &str) -> Result<Option<Document>, CallError> {
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

    async fn write_document(&self, name: &str, revision: u64, body: &str) -> Result<bool, CallError> {
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

    async fn write_loaded(&self, entries: &[FileEntry]) -> Result<(), CallError> {
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

    async fn write_not_loaded(&self, entry: &FileEntry) -> Result<(), CallError> {
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

    async fn query_entries(
        &self,
        job: i64,
        first: &str,
        last: &str,
        after: Option<&str>,
    ) -> Result<EntryPage, CallError> {
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
        Ok(EntryPage { entries, next: output.last_evaluated_key().and_then(|key| text_of(key, "sk")) })
    }

    async fn read_entries(&self, job: i64, keys: &[String]) -> Result<Vec<FileEntry>, CallError> {
        let key = |key: &String| {
            Item::from([("pk".to_owned(), text(self.files(job))), ("sk".to_owned(), text(key))])
        };
        let items = self.get(keys.iter().map(key).collect(), "sk, e, m, q, k, s").await?;
        Ok(items.iter().filter_map(|item| Self::entry(job, item)).collect())
    }
}

/// Returns true if a write failed because of its condition.
fn is_conditional<E, R>(error: &SdkError<E, R>) -> bool
where
    E: aws_sdk_dynamodb::error::ProvideErrorMetadata,
{
    let code = error.as_service_error().and_then(|error| error.code());
    code == Some("ConditionalCheckFailedException")
}
