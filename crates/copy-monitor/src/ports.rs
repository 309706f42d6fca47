//! The ports: what the monitor needs from AWS, cut as narrowly as its grants.

use futures_util::future::BoxFuture;
use lambda_kit::call::CallError;
use lambda_kit::moment::Moment;
use serde::{Deserialize, Serialize};
use warehouse::batch::{Page, Progress};

/// A call to AWS that is under way.
pub type Call<'a, T> = BoxFuture<'a, Result<T, CallError>>;

/// Batches of statements in the warehouse. The end of each batch is an event.
pub trait Statements: Send + Sync {
    /// Starts a batch under a name. The same token always gives the same batch.
    fn start<'a>(&'a self, name: &'a str, token: &'a str, statements: &'a [String]) -> Call<'a, String>;
    /// Returns the state of a batch.
    fn progress<'a>(&'a self, id: &'a str) -> Call<'a, Progress>;
    /// Returns a page of the result of one statement. Statements are counted from 1.
    fn page<'a>(&'a self, id: &'a str, statement: usize, next: Option<String>) -> Call<'a, Page>;
    /// Cancels a batch.
    fn cancel<'a>(&'a self, id: &'a str) -> BoxFuture<'a, ()>;
}

/// An object in a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// The object's key.
    pub key: String,
    /// The ETag, without quotes.
    pub etag: String,
    /// The size in bytes.
    pub size: u64,
    /// The time at which the object was written.
    pub modified: Moment,
}

/// A page of a bucket's listing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// The objects, in the order of their keys' bytes.
    pub objects: Vec<Object>,
    /// True if there are more objects after these.
    pub more: bool,
}

/// The source buckets.
pub trait Objects: Send + Sync {
    /// Lists at most `limit` (up to 1000) objects under a prefix, after a key.
    fn list<'a>(
        &'a self,
        bucket: &'a str,
        prefix: &'a str,
        after: Option<&'a str>,
        limit: u16,
    ) -> Call<'a, Listing>;
}

/// The load status of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum FileState {
    /// The file waits, or Redshift calls its state unknown.
    Waiting,
    /// COPY rejected the file.
    Rejected,
    /// The file is loaded. This is final: Redshift loads a name once.
    Loaded,
}

/// A file in the ledger: what Redshift's view says of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileEntry {
    /// The job's id. A job that is created again has another one.
    pub job: i64,
    /// The object's key.
    pub key: String,
    /// The ETag that Redshift saw.
    pub etag: String,
    /// The time at which that content was written.
    pub modified: Moment,
    /// The time at which Redshift put the file into its queue.
    pub enqueued: Moment,
    /// The load status.
    pub state: FileState,
}

/// A page of the ledger's files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EntryPage {
    /// The entries, in the order of their keys' bytes.
    pub entries: Vec<FileEntry>,
    /// The key after which the next page begins.
    pub next: Option<String>,
}

/// A document of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// The number of writes so far.
    pub revision: u64,
    /// The content, in JSON.
    pub body: String,
}

/// The monitor's own record of every file, which outlives the system views.
///
/// A write that could undo another one is conditional.
pub trait Ledger: Send + Sync {
    /// Returns a document by its name.
    fn document<'a>(&'a self, name: &'a str) -> Call<'a, Option<Document>>;
    /// Writes a document if it still has this revision (`0`: if there is none). Returns false if it
    /// has not.
    fn save<'a>(&'a self, name: &'a str, revision: u64, body: &'a str) -> Call<'a, bool>;
    /// Writes the entries of loaded files. Such an entry is final, so the write needs no condition.
    fn put_loaded<'a>(&'a self, entries: &'a [FileEntry]) -> Call<'a, ()>;
    /// Writes the entry of a file that is not loaded, unless the ledger has a later state of it: a
    /// loaded entry stays, a rejected one does not become waiting again.
    fn put_not_loaded<'a>(&'a self, entry: &'a FileEntry) -> Call<'a, ()>;
    /// Returns a page of a job's entries with keys from `first` to `last`, both included.
    fn entries_between<'a>(
        &'a self,
        job: i64,
        first: &'a str,
        last: &'a str,
        after: Option<&'a str>,
    ) -> Call<'a, EntryPage>;
    /// Returns a job's entries with these keys, at most 100.
    fn entries_of<'a>(&'a self, job: i64, keys: &'a [String]) -> Call<'a, Vec<FileEntry>>;
}
