//! What is wrong, as data: everything that an incident needs and nothing of a row's content.

use std::time::Duration;

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::moment::Moment;

/// How often a problem that lasts is told.
pub(crate) const DAY: Duration = Duration::from_secs(86_400);

/// An object in a bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FileId {
    /// The bucket.
    pub bucket: String,
    /// The key, as it is: a value from outside, to be quoted and escaped by whoever shows it.
    pub key: String,
    /// The ETag, without quotes.
    pub etag: String,
}

/// Why a file was not loaded, from `SYS_LOAD_ERROR_DETAIL`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cause {
    /// The line, from 1; 0 where Redshift knows none.
    pub line: i64,
    /// The column; empty where Redshift knows none.
    pub column: String,
    /// Redshift's number of the error.
    pub code: i64,
    /// Redshift's text. It may quote a few characters of the field, never the row.
    pub message: String,
    /// The COPY that failed.
    pub query_id: i64,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all_fields = "camelCase")]
pub enum Problem {
    /// A file was refused and is never tried again.
    FileInError {
        /// Which.
        file: FileId,
        /// Why; absent when Redshift shows no row for it (a role that cannot read, a file that is gone).
        cause: Option<Cause>,
        /// The job's last message of `SYS_COPY_JOB_INFO`, where there is no cause.
        job_message: Option<String>,
    },
    /// An object is in the bucket, and Redshift's view has no trace of it.
    NeverLoaded {
        /// Which.
        file: FileId,
        /// When it was written.
        modified: Moment,
        /// Bytes.
        size: u64,
    },
    /// An object was replaced after its name was loaded: Redshift does not load a name twice.
    Overwritten {
        /// What is in the bucket.
        file: FileId,
        /// The ETag that was loaded.
        loaded_etag: String,
        /// When it was replaced.
        modified: Moment,
    },
    /// The job's integration is inactive.
    JobInactive {
        /// The state that Redshift shows.
        state: String,
    },
    /// No integration brings events to the job.
    JobWithoutIntegration,
    /// AUTO was turned off.
    JobNotAutomatic,
    /// The job is not there any more.
    JobGone,
    /// Files wait for the job.
    FilesWaiting {
        /// How many.
        files: u64,
        /// Since when the first of them waits.
        oldest: Moment,
    },
    /// The newest object has waited longer than the job's limit.
    Stale {
        /// The newest object.
        newest_object: Moment,
        /// The newest object that was loaded, if any.
        newest_loaded: Option<Moment>,
        /// The limit, in seconds.
        limit_seconds: u64,
    },
    /// Where the job reads from is not known, so its objects are not looked at.
    PrefixUnknown,
    /// The bucket cannot be listed.
    CannotList {
        /// The bucket.
        bucket: String,
        /// What S3 said.
        message: String,
    },
    /// Nothing is known of a time: the monitor stood still for longer than the views remember.
    Unknown {
        /// From.
        from: Moment,
        /// To.
        to: Moment,
    },
    /// An object from such a time: whether it was loaded is not known.
    UnknownFile {
        /// The first one that was found.
        file: FileId,
        /// When it was written.
        modified: Moment,
    },
    /// The reader may not see other users' rows, so that it sees nothing wrong means nothing.
    Blind {
        /// What Redshift says of the reader.
        access: String,
    },
    /// The statement that reads the views failed.
    CannotAsk {
        /// Redshift's or the Data API's text.
        message: String,
    },
}

impl Problem {
    /// Its name.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::FileInError { .. } => "FileInError",
            Self::NeverLoaded { .. } => "NeverLoaded",
            Self::Overwritten { .. } => "Overwritten",
            Self::JobInactive { .. } => "JobInactive",
            Self::JobWithoutIntegration => "JobWithoutIntegration",
            Self::JobNotAutomatic => "JobNotAutomatic",
            Self::JobGone => "JobGone",
            Self::FilesWaiting { .. } => "FilesWaiting",
            Self::Stale { .. } => "Stale",
            Self::PrefixUnknown => "PrefixUnknown",
            Self::CannotList { .. } => "CannotList",
            Self::Unknown { .. } => "Unknown",
            Self::UnknownFile { .. } => "UnknownFile",
            Self::Blind { .. } => "Blind",
            Self::CannotAsk { .. } => "CannotAsk",
        }
    }

    /// The file that it is about.
    pub fn file(&self) -> Option<&FileId> {
        match self {
            Self::FileInError { file, .. }
            | Self::NeverLoaded { file, .. }
            | Self::Overwritten { file, .. }
            | Self::UnknownFile { file, .. } => Some(file),
            _ => None,
        }
    }
}

/// Whether a problem began, lasts or ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Turn {
    /// It is there.
    Began,
    /// It is still there; the id is that of the beginning, with `:` and the number of days.
    Lasts {
        /// Whole days since its beginning.
        days: u32,
    },
    /// It is over; the id is that of the beginning, with `:over`.
    Over,
}

/// A finding: told once for each id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// The same finding has the same id, whoever finds it, however often.
    pub id: String,
    /// Whether it began, lasts or ended.
    pub turn: Turn,
    /// What is wrong.
    #[serde(flatten)]
    pub problem: Problem,
    /// The account of the warehouse.
    pub account: String,
    /// Its Region.
    pub region: String,
    /// The warehouse, as `cluster NAME` or `workgroup NAME`.
    pub warehouse: String,
    /// The job, where it is about one.
    pub job: Option<String>,
    /// Since when it is so, as far as can be known.
    pub since: Moment,
    /// When it was noticed.
    pub noticed: Moment,
    /// The command that mends it or looks closer, one part an argument. Not a line for a shell: whoever prints it quotes each part.
    pub command: Vec<String>,
}

/// The id of a finding: 32 hexadecimal digits of what it is about.
pub(crate) fn id(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        // The length keeps ("ab", "c") and ("a", "bc") apart, whatever is in the parts.
        hash.update(part.len().to_be_bytes());
        hash.update(part.as_bytes());
    }
    hex::encode(&hash.finalize()[..16])
}

/// The id of a finding that has lasted for so many days.
pub(crate) fn lasting(id: &str, days: u32) -> String {
    format!("{id}:{days}")
}

/// The id of the end of a finding.
pub(crate) fn over(id: &str) -> String {
    format!("{id}:over")
}

/// The id of a file's problem: another content under the same key is another one.
pub(crate) fn file_id(watched: &str, kind: &str, job: i64, bucket: &str, key: &str, etag: &str) -> String {
    id(&[watched, kind, &job.to_string(), bucket, key, etag])
}
