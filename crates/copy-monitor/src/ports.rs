//! What the monitor needs from outside, cut as narrowly as its grants.

use std::collections::HashSet;
use std::future::Future;

use lambda_kit::call::CallError;
use serde::{Deserialize, Serialize};
use warehouse::batch::{Page, Progress};

use crate::finding::Finding;
use crate::moment::Moment;

/// Statements in the warehouse, each told by an event when it ends.
pub trait Statements: Send + Sync {
    /// Starts a batch under a name of ours; the same token gives the same batch.
    fn start(
        &self,
        name: &str,
        token: &str,
        statements: &[String],
    ) -> impl Future<Output = Result<String, CallError>> + Send;
    /// What became of it.
    fn progress(&self, id: &str) -> impl Future<Output = Result<Progress, CallError>> + Send;
    /// A part of the result of one statement, which are counted from 1.
    fn page(
        &self,
        id: &str,
        statement: usize,
        next: Option<String>,
    ) -> impl Future<Output = Result<Page, CallError>> + Send;
    /// Ends it before its time.
    fn cancel(&self, id: &str) -> impl Future<Output = ()> + Send;
}

/// An object in a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its key.
    pub key: String,
    /// Without quotes.
    pub etag: String,
    /// Bytes.
    pub size: u64,
    /// When it was written.
    pub modified: Moment,
}

/// The objects of the source buckets.
pub trait Objects: Send + Sync {
    /// At most `limit` (up to 1000) objects under a prefix, by key in the order of its bytes, after a key; and whether there are more.
    fn list(
        &self,
        bucket: &str,
        prefix: &str,
        after: Option<&str>,
        limit: u16,
    ) -> impl Future<Output = Result<(Vec<Object>, bool), CallError>> + Send;
}

/// What Redshift did with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FileState {
    /// Loaded, which is final: Redshift loads a name once.
    Loaded,
    /// In error.
    Failed,
    /// Waiting, or in a state that Redshift calls unknown.
    Waiting,
}

/// A line of the ledger: what Redshift's view says of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileEntry {
    /// The job's id: a job that is made again has another one.
    pub job: i64,
    /// The key.
    pub key: String,
    /// The ETag that Redshift saw.
    pub etag: String,
    /// When that content was written.
    pub modified: Moment,
    /// When Redshift put it into its queue.
    pub enqueued: Moment,
    /// What became of it.
    pub state: FileState,
}

/// What came of taking up a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claimed {
    /// It is ours to tell.
    Yes,
    /// It was told.
    Told,
    /// Another invocation is at it.
    ByAnother,
}

/// A document of the ledger with the revision that it was read at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Counts its writes, from 1.
    pub revision: u64,
    /// JSON.
    pub body: String,
}

/// What outlives the system views. Every write that could undo another one is conditional.
pub trait Ledger: Send + Sync {
    /// A document by its name.
    fn document(&self, name: &str) -> impl Future<Output = Result<Option<Document>, CallError>> + Send;
    /// Writes a document if it still has this revision (`0`: if there is none); whether it did.
    fn save(
        &self,
        name: &str,
        revision: u64,
        body: &str,
    ) -> impl Future<Output = Result<bool, CallError>> + Send;
    /// Writes entries of loaded files. Such an entry is final and the same whoever writes it, so it needs no condition.
    fn put_loaded(&self, entries: &[FileEntry]) -> impl Future<Output = Result<(), CallError>> + Send;
    /// Writes the entry of a file that is not loaded, unless the ledger knows better: a loaded entry stays, a failed one does not become waiting.
    fn put_unloaded(&self, entry: &FileEntry) -> impl Future<Output = Result<(), CallError>> + Send;
    /// Entries of a job with keys from `first` to `last`, both included, in the order of the keys' bytes; at most a page, and the key to go on after.
    fn entries(
        &self,
        job: i64,
        first: &str,
        last: &str,
        after: Option<&str>,
    ) -> impl Future<Output = Result<(Vec<FileEntry>, Option<String>), CallError>> + Send;
    /// Entries of a job with these keys; up to 100.
    fn entries_of(
        &self,
        job: i64,
        keys: &[String],
    ) -> impl Future<Output = Result<Vec<FileEntry>, CallError>> + Send;
    /// Those of these findings that were told; up to 100.
    fn told_among(&self, ids: &[String]) -> impl Future<Output = Result<HashSet<String>, CallError>> + Send;
    /// Takes up a finding until a moment, unless it was told or another holder has it.
    fn claim(
        &self,
        id: &str,
        holder: &str,
        now: Moment,
        until: Moment,
    ) -> impl Future<Output = Result<Claimed, CallError>> + Send;
    /// Notes that a finding was told.
    fn told(&self, id: &str, now: Moment) -> impl Future<Output = Result<(), CallError>> + Send;
    /// Gives a finding back that could not be told, if this holder still has it.
    fn release(&self, id: &str, holder: &str) -> impl Future<Output = Result<(), CallError>> + Send;
}

/// Whoever passes findings on. A finding comes more than once only when an earlier call died or its answer was lost; it then has the same id.
pub trait Announcer: Send + Sync {
    /// Passes a finding on.
    fn announce(&self, finding: &Finding) -> impl Future<Output = Result<(), CallError>> + Send;
}
