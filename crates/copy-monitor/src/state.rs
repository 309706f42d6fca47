//! The monitor's memory between runs: two documents of the ledger.
//!
//! [`ViewsState`] is written by the run that reads the views, [`SweepState`] by the run that lists
//! the buckets. Each write is conditional on the revision that was read.

use std::collections::BTreeMap;

use lambda_kit::moment::Moment;
use serde::{Deserialize, Serialize};
use warehouse::data_api::Login;

use crate::documents::Stored;

/// The last row that was read of the view of files, in the order of time, job and key.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Cursor {
    /// The row's `enqueue_time`.
    pub(crate) time: Moment,
    /// The job and key of the row, if rows of the same time are still to be read.
    pub(crate) row: Option<(i64, String)>,
}

/// A run whose batch of statements is under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Running {
    /// The start of the run: the views are read as of then.
    pub(crate) started: Moment,
    /// The batch's id, once it is known.
    pub(crate) statement: Option<String>,
}

/// A period of which nothing is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Gap {
    pub(crate) from: Moment,
    pub(crate) to: Moment,
}

/// A rejected file whose error the views do not show yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AwaitedError {
    /// The time at which the file was first read.
    pub(crate) noticed: Moment,
    /// The time at which Redshift put the file into its queue.
    pub(crate) enqueued: Moment,
}

/// A copy job, as of the last run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct JobState {
    pub(crate) name: String,
    pub(crate) bucket: Option<String>,
    pub(crate) prefix: Option<String>,
    /// The job's COPY before and after its source, if Redshift shows all of it. Not stored: every
    /// run reads it again.
    #[serde(skip)]
    pub(crate) copy: Option<(String, String)>,
    /// The login of the job's owner, if the kit has it. Not stored: every run finds it again.
    #[serde(skip)]
    pub(crate) login: Option<Login>,
    /// The user that owns the job, if an integration shows it.
    pub(crate) owner: Option<i64>,
    /// The account of the bucket, if an integration shows it.
    #[serde(default)]
    pub(crate) bucket_account: Option<String>,
    /// Objects from before this are not checked: the job may be younger than they are.
    pub(crate) first_seen: Moment,
    /// The newest object in the view, loaded or not.
    #[serde(default)]
    pub(crate) newest_noticed: Option<Moment>,
    /// The newest object in the view, or in the bucket and not noticed by Redshift.
    pub(crate) newest_seen: Option<Moment>,
    /// The newest object that was loaded.
    pub(crate) newest_loaded: Option<Moment>,
    /// The newest object that was loaded or rejected. A rejected file has an alert of its own and
    /// waits for nothing.
    #[serde(default)]
    pub(crate) newest_handled: Option<Moment>,
    /// The oldest known object that is newer than every loaded or rejected one.
    pub(crate) waits_since: Option<Moment>,
}

impl JobState {
    /// Returns true if the job reads this key.
    pub(crate) fn reads(&self, bucket: &str, key: &str) -> bool {
        self.bucket.as_deref() == Some(bucket)
            && self.prefix.as_deref().is_some_and(|prefix| key.starts_with(prefix))
    }
}

/// The memory of the run that reads the views.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct ViewsState {
    /// The number of the last run, which is part of its batch's name.
    pub(crate) run: u64,
    pub(crate) running: Option<Running>,
    pub(crate) cursor: Cursor,
    /// All rejected files that were put into the queue before this are notified.
    pub(crate) errors_from: Moment,
    /// Rejected files whose error is awaited, by the id of their event.
    pub(crate) awaited: BTreeMap<String, AwaitedError>,
    /// The number of waiting files up to the cursor. If it changes, the view of files has to be
    /// read again from the oldest of them.
    pub(crate) waiting_behind: u64,
    pub(crate) oldest_waiting: Option<Moment>,
    /// Loads that ended before this are in the metrics.
    pub(crate) loads_until: Moment,
    /// The start of the last run that saw everything.
    pub(crate) seen_until: Option<Moment>,
    /// The ledger has every file that was put into the queue before this.
    pub(crate) ledger_until: Option<Moment>,
    pub(crate) gaps: Vec<Gap>,
    pub(crate) jobs: BTreeMap<i64, JobState>,
}

impl Stored for ViewsState {
    const NAME: &'static str = "views";
}

/// The memory of the run that lists the buckets.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct SweepState {
    /// The job whose prefix is being listed, and the last key that was compared.
    pub(crate) job: i64,
    pub(crate) after: Option<String>,
    /// The start of the current cycle over all jobs.
    pub(crate) began: Option<Moment>,
    pub(crate) pages: u64,
    pub(crate) objects: u64,
    /// The last complete cycle.
    pub(crate) last_cycle: Option<Cycle>,
    /// The newest object of each job that Redshift has not noticed.
    pub(crate) newest: BTreeMap<i64, Moment>,
    /// The newest such object of the job whose prefix is being listed.
    #[serde(default)]
    pub(crate) newest_of_pass: Option<Moment>,
    /// Objects that were uploaded in parts and are not in the ledger, by their id, with the time at
    /// which they were first listed: those of this cycle, and those of the last one.
    #[serde(default)]
    pub(crate) missing: BTreeMap<String, Moment>,
    #[serde(default)]
    pub(crate) missing_before: BTreeMap<String, Moment>,
}

impl Stored for SweepState {
    const NAME: &'static str = "sweep";
}

/// A complete cycle over the buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cycle {
    /// The duration in seconds, pauses between runs included.
    pub seconds: u64,
    /// The number of listed pages.
    pub pages: u64,
    /// The number of listed objects.
    pub objects: u64,
}
