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
    /// The time at which the object was written. For an upload in parts it is the time at which the
    /// upload began ("Object metadata" of the S3 user guide).
    pub modified: Moment,
}

impl Object {
    /// Returns true if the object was uploaded in parts: its ETag ends with a hyphen and their number
    /// ("Checking object integrity" of the S3 user guide).
    pub fn is_multipart(&self) -> bool {
        let parts = self.etag.rsplit_once('-').map(|(_, parts)| parts);
        parts.is_some_and(|parts| !parts.is_empty() && parts.bytes().all(|byte| byte.is_ascii_digit()))
    }
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
    /// The ETag that Redshift saw; empty if its view shows none.
    pub etag: String,
    /// The size in bytes that Redshift saw, if its view shows one.
    pub size: Option<u64>,
    /// The time at which that content was written: the time of the event of its arrival, which is
    /// later than the object's own time by the length of an upload in parts. Only the ETag and the
    /// size tell whether an object is the same.
    pub modified: Moment,
    /// The time at which Redshift put the file into its queue.
    pub enqueued: Moment,
    /// The load status.
    pub state: FileState,
}

impl FileEntry {
    /// Returns true if the object has the content that Redshift saw, as far as is known: the same
    /// ETag and size. An ETag that is not known says nothing.
    pub fn is_content_of(&self, object: &Object) -> bool {
        let same_etag = self.etag.is_empty() || object.etag.is_empty() || self.etag == object.etag;
        same_etag && self.size.is_none_or(|size| size == object.size)
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn object(etag: &str, size: u64) -> Object {
        Object { key: "k".into(), etag: etag.into(), size, modified: Moment::from_secs(9) }
    }

    #[test]
    fn content_is_the_same_if_etag_and_size_are() {
        let entry = |etag: &str, size| FileEntry {
            job: 7,
            key: "k".into(),
            etag: etag.into(),
            size,
            // The times differ for every upload in parts.
            modified: Moment::from_secs(1000),
            enqueued: Moment::from_secs(1001),
            state: FileState::Loaded,
        };
        for (entry, is_same) in [
            (entry("a", Some(5)), true),
            (entry("a", None), true),
            (entry("b", Some(5)), false),
            (entry("b", None), false),
            (entry("a", Some(6)), false),
            (entry("", Some(5)), true),
            (entry("", Some(6)), false),
        ] {
            assert_eq!(entry.is_content_of(&object("a", 5)), is_same, "{entry:?}");
        }
    }

    #[test]
    fn etag_of_an_upload_in_parts_ends_with_their_number() {
        for (etag, is_multipart) in [
            ("9b2cf535f27731c974343645a3985328-12", true),
            ("9b2cf535f27731c974343645a3985328", false),
            ("", false),
            ("a-", false),
            ("a-b", false),
        ] {
            assert_eq!(object(etag, 5).is_multipart(), is_multipart, "{etag}");
        }
    }
}
