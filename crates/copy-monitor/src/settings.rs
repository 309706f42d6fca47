//! What is watched, and how closely.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use warehouse::data_api::Login;
use warehouse::target::Target;

use crate::moment::Moment;

/// A warehouse with its jobs.
#[derive(Debug, Clone)]
pub struct Watched {
    /// A short name, unique in the ledger: letters, digits, hyphens. Part of statement names, so at most 64 characters.
    pub name: String,
    /// The account.
    pub account: String,
    /// The Region.
    pub region: String,
    /// The cluster or workgroup.
    pub target: Target,
    /// The database that has the jobs.
    pub database: String,
    /// How the reader logs in.
    pub login: Login,
}

/// How closely jobs are watched.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The warehouse.
    pub watched: Watched,
    /// How late a row may become visible in a system view, compared with the time it carries: this much is read again by every run.
    pub overlap: Duration,
    /// How long the system views remember. "STL system views retain seven days of log history" (System tables and views reference); for SYS views nothing is documented.
    pub retention: Duration,
    /// Rows of files that one run reads into the ledger; the next run goes on.
    pub rows_per_run: u32,
    /// Pages of the buckets (up to 1000 objects each) that one run lists; the next run goes on.
    pub pages_per_run: u32,
    /// How long one invocation may be at work. A finding that it took up and did not finish is free for another one afterwards.
    pub lease: Duration,
    /// How long a statement's event is waited for before the statement is asked for.
    pub patience: Duration,
    /// How long a statement may run before it is cancelled.
    pub longest_statement: Duration,
    /// How long the ledger remembers a file and a finding.
    pub memory: Duration,
    /// What holds for jobs that are not named.
    pub defaults: JobSettings,
    /// Jobs with settings of their own, by name: the full one, or the one without the suffix that `Custom::CopyJob` adds.
    pub jobs: BTreeMap<String, JobSettings>,
}

/// How closely one job is watched. In JSON, seconds are whole numbers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub struct JobSettings {
    /// How long the newest object may wait for its load.
    #[serde(rename = "FreshnessSeconds", deserialize_with = "seconds")]
    pub freshness: Duration,
    /// How long Redshift may take to notice an object before it counts as never loaded, and how long a job may be pending.
    #[serde(rename = "GraceSeconds", deserialize_with = "seconds")]
    pub grace: Duration,
    /// The bucket and prefix of the job, where Redshift's view does not show them (it shows 256 characters of the job).
    pub bucket: Option<String>,
    /// See `bucket`.
    pub prefix: Option<String>,
    /// Whether the job is run by hand: AUTO OFF and files that wait are not reported.
    pub manual: bool,
}

impl Default for JobSettings {
    fn default() -> Self {
        let hour = Duration::from_secs(3600);
        Self { freshness: hour, grace: hour, bucket: None, prefix: None, manual: false }
    }
}

fn seconds<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    u32::deserialize(deserializer).map(|seconds| Duration::from_secs(seconds.into()))
}

/// Length of the suffix of the jobs that `Custom::CopyJob` makes: an underscore and 8 hexadecimal digits.
const SUFFIX: usize = 9;

impl Settings {
    /// The defaults for a warehouse.
    pub fn new(watched: Watched) -> Self {
        let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
        Self {
            watched,
            overlap: minutes(15),
            retention: minutes(7 * 24 * 60),
            rows_per_run: 100_000,
            pages_per_run: 50,
            lease: minutes(16),
            patience: minutes(5),
            longest_statement: minutes(60),
            memory: minutes(400 * 24 * 60),
            defaults: JobSettings::default(),
            jobs: BTreeMap::new(),
        }
    }

    /// The settings of a job.
    pub fn job(&self, name: &str) -> &JobSettings {
        let base = || {
            let (base, suffix) = name.split_at_checked(name.len().checked_sub(SUFFIX)?)?;
            let hex = suffix.strip_prefix('_')?.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
            hex.then_some(base)
        };
        self.jobs.get(name).or_else(|| base().and_then(|base| self.jobs.get(base))).unwrap_or(&self.defaults)
    }

    /// Objects older than this are not judged: the ledger may have forgotten that they were loaded.
    pub(crate) fn remembered_since(&self, now: Moment) -> Moment {
        // A month of margin for entries that DynamoDB has deleted before their time was quite over.
        now.minus(self.memory.saturating_sub(Duration::from_secs(30 * 86_400)))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn watched() -> Watched {
        Watched {
            name: "main".to_owned(),
            account: "222222222222".to_owned(),
            region: "us-east-1".to_owned(),
            target: Target::Cluster("main".to_owned()),
            database: "dev".to_owned(),
            login: Login::Secret("arn:aws:secretsmanager:us-east-1:222222222222:secret:w".to_owned()),
        }
    }

    #[test]
    fn a_job_is_found_by_its_full_name_or_without_its_suffix() {
        let mut settings = Settings::new(watched());
        let limit =
            |seconds| JobSettings { freshness: Duration::from_secs(seconds), ..JobSettings::default() };
        settings.jobs.insert("orders".to_owned(), limit(60));
        settings.jobs.insert("orders_0a1b2c3d".to_owned(), limit(5));
        for (name, seconds) in [
            ("orders_0a1b2c3d", 5),
            ("orders_ffffffff", 60),
            ("orders", 60),
            ("orders_notahash", 3600),
            ("é", 3600),
            ("", 3600),
        ] {
            assert_eq!(settings.job(name).freshness.as_secs(), seconds, "{name}");
        }
    }

    #[test]
    fn settings_of_a_job_are_read_from_json_and_unknown_names_refused() {
        let read: JobSettings = serde_json::from_str(r#"{"FreshnessSeconds": 60, "Prefix": "in/"}"#).unwrap();
        assert_eq!(
            (read.freshness.as_secs(), read.grace.as_secs(), read.prefix.as_deref()),
            (60, 3600, Some("in/"))
        );
        let error = serde_json::from_str::<JobSettings>(r#"{"Freshness": 60}"#).unwrap_err().to_string();
        assert!(error.contains("unknown field `Freshness`"), "{error}");
    }
}
