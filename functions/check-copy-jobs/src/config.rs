//! The function's configuration, from its environment.

use std::collections::BTreeMap;

use copy_monitor::settings::{JobSettings, Loader, Settings, Watched};
use lambda_kit::env::{Env, EnvError, Unit};
use serde::Deserialize;
use warehouse::data_api::Login;
use warehouse::target::{AmbiguousTarget, Target};

/// An error in the configuration.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error(transparent)]
    Env(#[from] EnvError),
    #[error("environment variables CLUSTER_IDENTIFIER and WORKGROUP_NAME")]
    Target(#[source] AmbiguousTarget),
    #[error(
        "give one of the environment variables SECRET_ARN and DB_USER (a cluster's user, with temporary credentials), found neither"
    )]
    NoLogin,
    #[error(
        "environment variable JOB_SETTINGS is invalid, expected JSON such as {{\"Default\": {{\"FreshnessSeconds\": 3600}}, \"Jobs\": {{\"orders\": {{…}}}}}}"
    )]
    Jobs(#[source] serde_json::Error),
}

/// The function's configuration.
#[derive(Debug)]
pub(crate) struct Config {
    /// The name of the ledger's table.
    pub(crate) table: String,
    /// True if each job has metrics of its own.
    pub(crate) job_metrics: bool,
    settings: Settings,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
struct Jobs {
    default: JobSettings,
    jobs: BTreeMap<String, JobSettings>,
}

impl Config {
    pub(crate) fn from_env(env: Env<'_>) -> Result<Self, ConfigError> {
        let (cluster, workgroup) = (env.optional("CLUSTER_IDENTIFIER"), env.optional("WORKGROUP_NAME"));
        let target =
            Target::from_properties(cluster.as_deref(), workgroup.as_deref()).map_err(ConfigError::Target)?;
        let name = match &target {
            Target::Cluster(name) | Target::Workgroup(name) => name.clone(),
        };
        let login = match (env.optional("SECRET_ARN"), env.optional("DB_USER")) {
            (Some(arn), _) => Login::Secret(arn),
            (None, Some(user)) => Login::DbUser(user),
            (None, None) => return Err(ConfigError::NoLogin),
        };
        let loader = match env.optional("LOADER_SECRET_ARN") {
            Some(arn) => Some(Loader {
                user_id: env.required_as("LOADER_USER_ID", "the id of a database user")?,
                login: Login::Secret(arn),
            }),
            None => None,
        };
        let watched = Watched {
            name,
            account: String::new(),
            region: env.required("AWS_REGION")?,
            target,
            database: env.required("DATABASE")?,
            login,
            loader,
        };
        let mut settings = Settings::new(watched);
        settings.view_retention = env.duration("VIEW_RETENTION_DAYS", Unit::Days, settings.view_retention)?;
        settings.ledger_memory = env.duration("LEDGER_DAYS", Unit::Days, settings.ledger_memory)?;
        settings.view_delay = env.duration("VIEW_DELAY_MINUTES", Unit::Minutes, settings.view_delay)?;
        settings.event_delay = env.duration("EVENT_DELAY_MINUTES", Unit::Minutes, settings.event_delay)?;
        let number = "a whole number";
        settings.pages_per_run = env.parsed("PAGES_PER_RUN", number, settings.pages_per_run)?;
        settings.rows_per_run = env.parsed("ROWS_PER_RUN", number, settings.rows_per_run)?;
        if let Some(text) = env.optional("JOB_SETTINGS") {
            let Jobs { default, jobs } = serde_json::from_str(&text).map_err(ConfigError::Jobs)?;
            (settings.defaults, settings.jobs) = (default, jobs);
        }
        Ok(Self {
            table: env.required("LEDGER_TABLE")?,
            job_metrics: env.flag("JOB_METRICS", true)?,
            settings,
        })
    }

    /// Returns the settings for a warehouse in this account.
    pub(crate) fn settings(&self, account: &str) -> Settings {
        let mut settings = self.settings.clone();
        settings.watched.account = account.to_owned();
        settings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(more: &[(&str, &str)]) -> Result<Config, String> {
        let all = [
            ("AWS_REGION", "us-east-1"),
            ("DATABASE", "dev"),
            ("LEDGER_TABLE", "t"),
            ("SECRET_ARN", "arn:s"),
        ];
        let source = |name: &str| {
            more.iter().chain(&all).find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        Config::from_env(Env::from(&source)).map_err(|error| lambda_kit::error::chain(&error))
    }

    #[test]
    fn settings_are_read_from_environment() {
        let jobs = r#"{"Default": {"FreshnessSeconds": 60}, "Jobs": {"orders": {"Manual": true}}}"#;
        let config = read(&[
            ("WORKGROUP_NAME", "w"),
            ("JOB_SETTINGS", jobs),
            ("LEDGER_DAYS", "90"),
            ("VIEW_DELAY_MINUTES", "0"),
            ("EVENT_DELAY_MINUTES", "1"),
            ("JOB_METRICS", "false"),
            ("LOADER_SECRET_ARN", "arn:l"),
            ("LOADER_USER_ID", "104"),
        ])
        .unwrap();
        let settings = config.settings("222222222222");
        assert_eq!(settings.watched.target, Target::Workgroup("w".to_owned()));
        assert_eq!(
            (settings.watched.name.as_str(), settings.watched.account.as_str()),
            ("w", "222222222222")
        );
        assert_eq!(settings.watched.loader.as_ref().map(|loader| loader.user_id), Some(104));
        assert_eq!(settings.job("other").freshness.as_secs(), 60);
        assert!(settings.job("orders_0a1b2c3d").manual && !config.job_metrics);
        assert_eq!(
            (settings.ledger_memory.as_secs(), settings.view_retention.as_secs()),
            (90 * 86_400, 7 * 86_400)
        );
        assert_eq!((settings.view_delay.as_secs(), settings.event_delay.as_secs()), (0, 60));
        let usual = read(&[("WORKGROUP_NAME", "w")]).unwrap().settings("222222222222");
        assert_eq!((usual.view_delay.as_secs(), usual.event_delay.as_secs()), (15 * 60, 5 * 60));
    }

    #[test]
    fn invalid_variable_is_named_in_error() {
        for (more, part) in [
            (vec![], "CLUSTER_IDENTIFIER and WORKGROUP_NAME: give exactly one"),
            (vec![("CLUSTER_IDENTIFIER", "c"), ("WORKGROUP_NAME", "w")], "found both"),
            (vec![("CLUSTER_IDENTIFIER", "c"), ("SECRET_ARN", "")], "SECRET_ARN and DB_USER"),
            (vec![("CLUSTER_IDENTIFIER", "c"), ("JOB_SETTINGS", r#"{"Job": {}}"#)], "unknown field `Job`"),
            (vec![("CLUSTER_IDENTIFIER", "c"), ("LOADER_SECRET_ARN", "arn:l")], "LOADER_USER_ID is not set"),
            (vec![("CLUSTER_IDENTIFIER", "c"), ("LEDGER_DAYS", "many")], "LEDGER_DAYS is \"many\""),
        ] {
            let error = read(&more).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
