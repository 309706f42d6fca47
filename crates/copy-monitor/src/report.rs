//! The report of an invocation, for the log and for CloudWatch.

use std::collections::BTreeMap;
use std::time::Duration;

use lambda_kit::metrics::Metrics;
use lambda_kit::moment::Moment;

use crate::state::Cycle;

/// The result of an invocation, as far as the statements on the views are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// A batch was started. Its event brings the result.
    Started,
    /// A batch is under way.
    OnTheWay,
    /// A result was read to its end.
    Read,
    /// A result was read in part: the time ran out, or another invocation is notifying the same
    /// incidents. It is read again.
    Partly,
    /// Another invocation has read the same result, or the event belongs to an earlier run.
    Overtaken,
    /// The statements failed.
    Failed,
}

/// The numbers of one job.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JobReport {
    /// The job's name.
    pub name: String,
    /// Rows that were loaded since the last run.
    pub rows: u64,
    /// Files that were loaded since the last run.
    pub files: u64,
    /// Rejected files that were found in this run.
    pub rejected: u64,
    /// Files that wait.
    pub waiting: u64,
    /// The time for which the oldest object waits that is newer than every loaded one.
    pub lag: Duration,
}

/// The numbers of the bucket sweep.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SweepReport {
    /// Pages that were listed.
    pub pages: u32,
    /// Objects that were compared with the ledger.
    pub objects: u64,
    /// Objects that are too old to be checked.
    pub too_old: u64,
    /// The last complete cycle over all buckets.
    pub last_cycle: Option<Cycle>,
}

/// The report of an invocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The name of the warehouse.
    pub watched: String,
    /// The result.
    pub outcome: Outcome,
    /// Alerts that were published.
    pub notified: u32,
    /// Pages of results that were read.
    pub pages: u32,
    /// Files that were read into the ledger.
    pub rows: u64,
    /// The jobs, by id. Complete only after a result was read to its end.
    pub jobs: BTreeMap<i64, JobReport>,
    /// The bucket sweep, if there was one.
    pub sweep: Option<SweepReport>,
}

impl Report {
    pub(crate) fn new(watched: &str, outcome: Outcome) -> Self {
        Self {
            watched: watched.to_owned(),
            outcome,
            notified: 0,
            pages: 0,
            rows: 0,
            jobs: BTreeMap::new(),
            sweep: None,
        }
    }

    /// Returns the metrics: one set for the warehouse and, with `per_job`, one for each job, which
    /// costs as many further metrics.
    ///
    /// `CopyRuns` is counted only after a result was read to its end, so an alarm on its absence
    /// finds a monitor that does not run.
    pub fn metrics(&self, at: Moment, per_job: bool) -> Vec<Metrics> {
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
                    .count("FilesInError", sum(|job| job.rejected))
                    .count("FilesWaiting", sum(|job| job.waiting))
                    .seconds("LoadLag", lag),
            );
            if per_job {
                // A job that no longer exists may have loads, but has no name.
                let named = self.jobs.values().filter(|job| !job.name.is_empty());
                sets.extend(named.map(|job| {
                    set()
                        .dimension("Job", &job.name)
                        .count("FilesLoaded", count(job.files))
                        .count("RowsLoaded", count(job.rows))
                        .count("FilesInError", count(job.rejected))
                        .seconds("LoadLag", job.lag)
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
    use super::*;

    #[test]
    fn only_complete_runs_have_metrics() {
        let job = |name: &str, rows, lag| JobReport {
            name: name.to_owned(),
            rows,
            files: 2,
            rejected: 1,
            waiting: 3,
            lag: Duration::from_secs(lag),
        };
        let jobs = BTreeMap::from([(1, job("orders", 10, 60)), (2, job("", 5, 7))]);
        let report = Report { jobs, ..Report::new("main", Outcome::Read) };
        let sets: Vec<_> = report.metrics(Moment::BEGINNING, true).iter().map(Metrics::to_json).collect();
        let [warehouse, orders] = sets.as_slice() else { panic!("{sets:?}") };
        for (name, number) in [
            ("CopyRuns", 1.0),
            ("RowsLoaded", 15.0),
            ("FilesLoaded", 4.0),
            ("FilesInError", 2.0),
            ("FilesWaiting", 6.0),
            ("LoadLag", 60.0),
        ] {
            assert_eq!(warehouse[name].as_f64(), Some(number), "{name}");
        }
        assert_eq!(
            warehouse["_aws"]["CloudWatchMetrics"][0]["Dimensions"],
            serde_json::json!([["Warehouse"]])
        );
        assert_eq!((orders["Job"].as_str(), orders["RowsLoaded"].as_u64()), (Some("orders"), Some(10)));
        assert!(Report { outcome: Outcome::Partly, ..report }.metrics(Moment::BEGINNING, true).is_empty());
    }
}
