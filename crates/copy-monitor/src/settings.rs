//! The settings: the warehouse and its jobs, limits and periods.

use std::collections::BTreeMap;
use std::time::Duration;

use lambda_kit::moment::Moment;
use serde::Deserialize;
use warehouse::data_api::Login;
use warehouse::target::Target;

/// A warehouse with its jobs.
#[derive(Debug, Clone)]
pub struct Watched {
    /// A short name, unique in the ledger: letters, digits, hyphens. It is part of statement names,
    /// so it has at most 64 characters.
    pub name: String,
    /// The account.
    pub account: String,
    /// The Region.
    pub region: String,
    /// The cluster or workgroup.
    pub target: Target,
    /// The database that has the jobs.
    pub database: String,
    /// The login of the reader.
    pub login: Login,
    /// The user that owns the kit's jobs.
    pub loader: Option<Loader>,
}

/// The database user that owns the kit's jobs, as `Custom::WarehouseUser` created it.
#[derive(Debug, Clone)]
pub struct Loader {
    /// The user's id in the system views.
    pub user_id: i64,
    /// The user's login.
    pub login: Login,
}

impl Watched {
    /// Returns the login of a job's owner, if the kit has it. `reader` is the id of the user that
    /// reads the views.
    ///
    /// Only the owner may be asked to run a statement of its job: anyone who can create a job writes
    /// its text.
    pub(crate) fn login_of(&self, owner: Option<i64>, reader: Option<i64>) -> Option<Login> {
        let owner = owner?;
        match &self.loader {
            Some(loader) if loader.user_id == owner => Some(loader.login.clone()),
            _ => (reader == Some(owner)).then(|| self.login.clone()),
        }
    }
}

/// The settings of a monitor.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The warehouse.
    pub watched: Watched,
    /// The longest time after which a row becomes visible in a system view, compared with the time
    /// that the row carries. Every run reads this much again.
    pub view_delay: Duration,
    /// The time for which the system views keep their rows. "STL system views retain seven days of
    /// log history" (System tables and views reference); nothing is documented for SYS views.
    pub view_retention: Duration,
    /// The number of files that one run reads into the ledger. The next run continues.
    pub rows_per_run: u32,
    /// The number of pages of the buckets (up to 1000 objects each) that one run lists. The next
    /// run continues.
    pub pages_per_run: u32,
    /// The time after which a run looks for a batch whose completion event has not come.
    pub event_delay: Duration,
    /// The time after which a batch is cancelled.
    pub max_batch_duration: Duration,
    /// The time for which the ledger keeps a file, and the alerts keep the id of a file's event.
    pub ledger_memory: Duration,
    /// The settings of jobs that are not named.
    pub defaults: JobSettings,
    /// Jobs with settings of their own, by name: the full one, or the one without the suffix that
    /// `Custom::CopyJob` adds.
    pub jobs: BTreeMap<String, JobSettings>,
}

/// The settings of a job. In JSON, seconds are whole numbers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub struct JobSettings {
    /// The longest time for which the newest object may wait for its load.
    #[serde(rename = "FreshnessSeconds", deserialize_with = "seconds")]
    pub freshness: Duration,
    /// The grace period: the time that Redshift has to notice an object before it counts as never
    /// loaded, to load a file, and to establish an integration.
    #[serde(rename = "GraceSeconds", deserialize_with = "seconds")]
    pub grace: Duration,
    /// The bucket of the job, if Redshift's view does not show it (it shows 256 characters).
    pub bucket: Option<String>,
    /// The prefix of the job, if Redshift's view does not show it.
    pub prefix: Option<String>,
    /// True if the job is run manually: AUTO OFF and waiting files are no problem then.
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

/// The length of the suffix that `Custom::CopyJob` adds: an underscore and 8 hexadecimal digits.
const SUFFIX: usize = 9;

impl Settings {
    /// Returns the defaults for a warehouse.
    pub fn new(watched: Watched) -> Self {
        let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
        Self {
            watched,
            view_delay: minutes(15),
            view_retention: minutes(7 * 24 * 60),
            rows_per_run: 100_000,
            pages_per_run: 50,
            event_delay: minutes(5),
            max_batch_duration: minutes(60),
            ledger_memory: minutes(400 * 24 * 60),
            defaults: JobSettings::default(),
            jobs: BTreeMap::new(),
        }
    }

    /// Returns the settings of a job.
    pub fn job(&self, name: &str) -> &JobSettings {
        let base = || {
            let (base, suffix) = name.split_at_checked(name.len().checked_sub(SUFFIX)?)?;
            let hex = suffix.strip_prefix('_')?.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
            hex.then_some(base)
        };
        self.jobs.get(name).or_else(|| base().and_then(|base| self.jobs.get(base))).unwrap_or(&self.defaults)
    }

    /// Objects older than this are not checked: the ledger may have forgotten that they were
    /// loaded.
    pub(crate) fn remembered_since(&self, now: Moment) -> Moment {
        // A margin of a month, so that no entry has expired yet.
        now.minus(self.ledger_memory.saturating_sub(Duration::from_secs(30 * 86_400)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watched() -> Watched {
        Watched {
            name: "main".to_owned(),
            account: "222222222222".to_owned(),
            region: "us-east-1".to_owned(),
            target: Target::Cluster("main".to_owned()),
            database: "dev".to_owned(),
            login: Login::Secret("arn:aws:secretsmanager:us-east-1:222222222222:secret:w".to_owned()),
            loader: Some(Loader { user_id: 104, login: Login::Secret("arn:loader".to_owned()) }),
        }
    }

    #[test]
    fn statement_of_a_job_runs_as_its_owner_or_not_at_all() {
        let watched = watched();
        assert_eq!(watched.login_of(Some(104), Some(105)), Some(Login::Secret("arn:loader".to_owned())));
        assert_eq!(watched.login_of(Some(105), Some(105)), Some(watched.login.clone()));
        assert_eq!(watched.login_of(Some(106), Some(105)), None);
        assert_eq!(watched.login_of(None, None), None);
        let alone = Watched { loader: None, ..watched };
        assert_eq!(alone.login_of(Some(104), Some(105)), None);
    }

    #[test]
    fn job_is_found_by_full_name_or_without_suffix() {
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
    fn job_settings_are_read_from_json_and_unknown_names_rejected() {
        let read: JobSettings = serde_json::from_str(r#"{"FreshnessSeconds": 60, "Prefix": "in/"}"#).unwrap();
        assert_eq!(
            (read.freshness.as_secs(), read.grace.as_secs(), read.prefix.as_deref()),
            (60, 3600, Some("in/"))
        );
        let error = serde_json::from_str::<JobSettings>(r#"{"Freshness": 60}"#).unwrap_err().to_string();
        assert!(error.contains("unknown field `Freshness`"), "{error}");
    }
}
