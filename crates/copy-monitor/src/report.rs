//! What a run did, for the log and for CloudWatch.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use lambda_kit::metrics::Metrics;

use crate::state::Cycle;

/// What an invocation did with the views' statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// A statement was started; its event brings the result.
    Started,
    /// A statement is on the way.
    OnTheWay,
    /// A result was read to its end.
    Read,
    /// A result was read, and something in it waits for another invocation or for more time. It is read again.
    Partly,
    /// Somebody else read the same result and was faster, or the event is of a run that is over.
    Overtaken,
    /// The statement failed.
    Failed,
}

/// The numbers of one job.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JobReport {
    /// Its name.
    pub name: String,
    /// Rows that were loaded since the last run.
    pub rows: u64,
    /// Files that were loaded since the last run.
    pub files: u64,
    /// Files in error that were found now.
    pub in_error: u64,
    /// Files that wait.
    pub waiting: u64,
    /// How long the oldest unloaded object waits that is newer than every loaded one.
    pub lag: Duration,
}

/// What the listing of the buckets did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SweepReport {
    /// Pages that were listed.
    pub pages: u32,
    /// Objects that were judged.
    pub objects: u64,
    /// Objects that are older than what can be judged.
    pub not_judged: u64,
    /// The last cycle over all buckets that is complete.
    pub last_cycle: Option<Cycle>,
}

/// What an invocation did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The warehouse.
    pub watched: String,
    /// What became of the statement.
    pub outcome: Outcome,
    /// Findings that were told.
    pub told: u32,
    /// Pages of results that were read.
    pub pages: u32,
    /// Rows of files that were read.
    pub rows: u64,
    /// The jobs, by id; only after a result was read to its end.
    pub jobs: BTreeMap<i64, JobReport>,
    /// The buckets, if they were listed.
    pub sweep: Option<SweepReport>,
}

impl Report {
    pub(crate) fn new(watched: &str, outcome: Outcome) -> Self {
        Self {
            watched: watched.to_owned(),
            outcome,
            told: 0,
            pages: 0,
            rows: 0,
            jobs: BTreeMap::new(),
            sweep: None,
        }
    }

    /// For CloudWatch: one set for the warehouse and, with `per_job`, one for each job (each costs as a metric of its own).
    ///
    /// `CopyRuns` is there only after a result was read to its end: an alarm on its absence finds a monitor that stands still.
    pub fn metrics(&self, at: SystemTime, per_job: bool) -> Vec<Metrics> {
        let set = || Metrics::new("Sluice/Copy", at).dimension("Warehouse", &self.watched);
        let mut sets = Vec::new();
        if self.outcome == Outcome::Read {
            let sum = |number: fn(&JobReport) -> u64| count(self.jobs.values().map(number).sum());
            let lag = self.jobs.values().map(|job| job.lag).max().unwrap_or_default();
            sets.push(
                set()
                    .count("CopyRuns", 1)
                    .count("FilesLoaded", sum(|job| job.files))
                    .count("RowsLoaded", sum(|job| job.rows))
                    .count("FilesInError", sum(|job| job.in_error))
                    .count("FilesWaiting", sum(|job| job.waiting))
                    .seconds("Lag", lag),
            );
            if per_job {
                // A job that is gone has loads and no name any more.
                let named = self.jobs.values().filter(|job| !job.name.is_empty());
                sets.extend(named.map(|job| {
                    set()
                        .dimension("Job", &job.name)
                        .count("FilesLoaded", count(job.files))
                        .count("RowsLoaded", count(job.rows))
                        .count("FilesInError", count(job.in_error))
                        .seconds("Lag", job.lag)
                }));
            }
        }
        if let Some(cycle) = self.sweep.as_ref().and_then(|sweep| sweep.last_cycle) {
            sets.push(set().seconds("ListingCycle", Duration::from_secs(cycle.seconds)));
        }
        sets
    }
}

fn count(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn a_run_that_was_read_to_its_end_counts_and_others_do_not() {
        let job = |name: &str, rows, lag| JobReport {
            name: name.to_owned(),
            rows,
            files: 2,
            in_error: 1,
            waiting: 3,
            lag: Duration::from_secs(lag),
        };
        let jobs = BTreeMap::from([(1, job("orders", 10, 60)), (2, job("", 5, 7))]);
        let report = Report { jobs, ..Report::new("main", Outcome::Read) };
        let sets: Vec<_> = report.metrics(UNIX_EPOCH, true).iter().map(Metrics::to_json).collect();
        let [warehouse, orders] = sets.as_slice() else { panic!("{sets:?}") };
        for (name, number) in [
            ("CopyRuns", 1.0),
            ("RowsLoaded", 15.0),
            ("FilesLoaded", 4.0),
            ("FilesInError", 2.0),
            ("FilesWaiting", 6.0),
            ("Lag", 60.0),
        ] {
            assert_eq!(warehouse[name].as_f64(), Some(number), "{name}");
        }
        assert_eq!(
            warehouse["_aws"]["CloudWatchMetrics"][0]["Dimensions"],
            serde_json::json!([["Warehouse"]])
        );
        assert_eq!((orders["Job"].as_str(), orders["RowsLoaded"].as_u64()), (Some("orders"), Some(10)));
        assert!(Report { outcome: Outcome::Partly, ..report }.metrics(UNIX_EPOCH, true).is_empty());
    }
}
