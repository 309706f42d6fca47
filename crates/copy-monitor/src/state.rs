//! What the monitor remembers between runs: two documents of the ledger.
//!
//! [`TargetState`] is written by whoever reads the views, [`SweepState`] by whoever lists the buckets, each under the
//! condition that nobody else wrote meanwhile.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::failures::Held;
use crate::moment::Moment;
use crate::standing::Standings;

/// The document of the views' reader.
pub(crate) const TARGET: &str = "target";
/// The document of the buckets' reader.
pub(crate) const SWEEP: &str = "sweep";

/// How far the files of the view are in the ledger: everything up to this row, in the order of time, job and key.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Cursor {
    /// `enqueue_time`.
    pub(crate) time: Moment,
    /// The last row of that time, if some of them are still to come.
    pub(crate) row: Option<(i64, String)>,
}

/// A run whose statement is on the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Running {
    /// When it was started: the views are read as of then.
    pub(crate) started: Moment,
    /// The statement, once it is known.
    pub(crate) statement: Option<String>,
}

/// A time of which nothing is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Gap {
    pub(crate) from: Moment,
    pub(crate) to: Moment,
}

/// A job, as it was last seen.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct JobState {
    pub(crate) name: String,
    pub(crate) bucket: Option<String>,
    pub(crate) prefix: Option<String>,
    /// The job's COPY up to its prefix and after it, if Redshift shows all of it. Every reading brings it anew.
    #[serde(skip)]
    pub(crate) copy: Option<(String, String)>,
    /// The user that owns it, if an integration shows it.
    pub(crate) owner: Option<i64>,
    /// Objects from before this are not judged: the job may be younger than they are.
    pub(crate) first_seen: Moment,
    /// The newest object in the view, loaded or not.
    pub(crate) newest_seen: Option<Moment>,
    /// The newest object that was loaded.
    pub(crate) newest_loaded: Option<Moment>,
    /// The oldest object known that is newer than every loaded one.
    pub(crate) waits_since: Option<Moment>,
}

impl JobState {
    /// Whether a key is one that the job reads.
    pub(crate) fn reads(&self, bucket: &str, key: &str) -> bool {
        self.bucket.as_deref() == Some(bucket)
            && self.prefix.as_deref().is_some_and(|prefix| key.starts_with(prefix))
    }
}

/// What the reader of the views remembers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct TargetState {
    /// Counts the runs; the number is in the statement's name.
    pub(crate) run: u64,
    pub(crate) running: Option<Running>,
    pub(crate) cursor: Cursor,
    /// Files in error that were put into the queue before this are all told.
    pub(crate) errors_from: Moment,
    /// Files in error whose cause has not been seen yet, by the id of their finding.
    pub(crate) held: BTreeMap<String, Held>,
    /// Waiting files up to the cursor, and the first of them: if their number changes, the ledger has to be read again from there.
    pub(crate) waiting_behind: u64,
    pub(crate) oldest_waiting: Option<Moment>,
    /// Loads that ended before this are in the metrics.
    pub(crate) loads_until: Moment,
    /// The last run that saw everything began then.
    pub(crate) seen_until: Option<Moment>,
    /// The ledger has every file that was put into the queue before this.
    pub(crate) ledger_until: Option<Moment>,
    pub(crate) gaps: Vec<Gap>,
    pub(crate) jobs: BTreeMap<i64, JobState>,
    pub(crate) standings: Standings,
}

/// What the reader of the buckets remembers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct SweepState {
    /// The job that is being listed, and the last key that was judged.
    pub(crate) job: i64,
    pub(crate) after: Option<String>,
    /// The cycle over all jobs that is under way.
    pub(crate) began: Option<Moment>,
    pub(crate) pages: u64,
    pub(crate) objects: u64,
    /// The last whole cycle: seconds, pages, objects.
    pub(crate) last_cycle: Option<Cycle>,
    /// The newest object of each job.
    pub(crate) newest: BTreeMap<i64, Moment>,
    pub(crate) standings: Standings,
}

/// A whole cycle over the buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cycle {
    /// How long it took, with the pauses between runs.
    pub seconds: u64,
    /// Pages that were listed.
    pub pages: u64,
    /// Objects that were listed.
    pub objects: u64,
}
