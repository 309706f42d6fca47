//! One invocation: from the event to the report.

use std::time::Duration;

use alerts::config::AlertsConfig;
use copy_monitor::adapters::{Buckets, LedgerTable};
use copy_monitor::report::Report;
use copy_monitor::{Monitor, MonitorError};
use lambda_kit::arn::Arn;
use lambda_kit::env::Env;
use lambda_kit::sdk::Aws;
use lambda_kit::start::{Invocation, InvocationError};
use serde_json::Value;
use warehouse::data_api::Database;

use crate::config::{Config, ConfigError};
use crate::event::Event;

/// The time that is kept for the page of work that was begun last.
const MARGIN: Duration = Duration::from_secs(20);

/// The configuration and the clients that all invocations share.
pub(crate) struct Handler {
    config: Config,
    alerts: AlertsConfig,
    aws: Aws,
    buckets: Buckets,
}

impl Handler {
    /// Reads the configuration and makes the clients.
    pub(crate) fn from_env(env: Env<'_>) -> Result<Self, ConfigError> {
        let config = Config::from_env(env)?;
        let (alerts, aws) = (AlertsConfig::from_env(env)?, Aws::from_env(env)?);
        let buckets = Buckets::new(aws.s3());
        Ok(Self { config, alerts, aws, buckets })
    }

    /// Checks the copy jobs, and emits the log line and the metrics of the report.
    pub(crate) async fn handle(&self, invocation: Invocation) -> Result<Value, InvocationError> {
        let now = invocation.window.now;
        let report = self.check(invocation).await.inspect_err(|error| {
            tracing::error!(name = error.name, message = error.message, "checking the copy jobs failed");
        })?;
        tracing::info!(
            outcome = ?report.outcome,
            notified = report.notified,
            pages = report.pages,
            rows = report.rows,
            jobs = report.jobs.len(),
            sweep = ?report.sweep,
            "copy jobs checked"
        );
        for metrics in report.metrics(now, self.config.job_metrics) {
            metrics.emit();
        }
        Ok(Value::Null)
    }

    async fn check(&self, invocation: Invocation) -> Result<Report, InvocationError> {
        let Invocation { event, context, window } = invocation;
        let event = Event::parse(&event).map_err(|problem| InvocationError::new("InvalidEvent", problem))?;
        // The warehouse is in the function's account.
        let function: Arn = context
            .invoked_function_arn
            .parse()
            .map_err(|error| InvocationError::caused_by("InvalidEvent", &error))?;
        let settings = self.config.settings(&function.account);
        let watched = &settings.watched;
        let database = Database::new(
            self.aws.redshift_data(),
            watched.target.clone(),
            watched.database.clone(),
            watched.login.clone(),
        );
        let ledger = LedgerTable::new(
            self.aws.dynamodb(),
            self.config.table.clone(),
            watched.name.clone(),
            settings.ledger_memory,
            window.now,
        );
        let notifier = self.alerts.notifier(&self.aws);
        let ports = (&database as _, &self.buckets as _, &ledger as _);
        let monitor = Monitor::new(&settings, ports, &notifier, window, window.work_until(MARGIN));
        match event {
            Event::Schedule => monitor.tick().await,
            Event::StatementEnded(completion) => monitor.completed(&completion).await,
        }
        .map_err(|error| failed(&error))
    }
}

fn failed(error: &MonitorError) -> InvocationError {
    InvocationError::caused_by("CheckFailed", error)
}

#[cfg(test)]
mod tests {
    use lambda_kit::call::CallError;

    use super::*;

    #[test]
    fn failed_check_is_answered_with_its_cause() {
        let call = CallError::without_answer("dynamodb:GetItem", "the connection was closed");
        let error = failed(&call.into());
        assert_eq!(error.to_string(), "CheckFailed: dynamodb:GetItem: the connection was closed");
    }
}
