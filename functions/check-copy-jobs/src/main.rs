//! Checks the copy jobs of a warehouse: started by a schedule and by the ends of the statements that it started itself.

mod config;
mod event;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use alerts::announcer::Turn;
use alerts::event::arn_part;
use alerts::run::Setting;
use copy_monitor::Monitor;
use copy_monitor::adapters::{Buckets, Incidents, Table};
use copy_monitor::moment::Moment;
use copy_monitor::report::Report;
use lambda_kit::call::chain;
use lambda_kit::env::Env;
use lambda_kit::sdk::Aws;
use lambda_runtime::{Diagnostic, Error, LambdaEvent, service_fn};
use serde_json::Value;
use tokio::time::Instant;
use warehouse::data_api::Database;

use crate::config::Config;
use crate::event::Event;

/// Kept back from the function's time: a page that was begun is worked off.
const MARGIN: Duration = Duration::from_secs(20);

/// What is due in the alerts' state and looked after by one schedule.
const MOST_DUE: usize = 100;

/// What every invocation uses.
struct Clients {
    aws: Aws,
    alerts: Setting,
    buckets: Buckets,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let env = Env::process();
    lambda_kit::trace::init(env);
    let config = Config::from_env(env)?;
    let aws = Aws::from_env(env)?;
    let clients = Clients { alerts: Setting::from_env(env)?, buckets: Buckets::new(aws.s3()), aws };
    let (config, clients) = (&config, &clients);
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| async move {
        let report = check(config, clients, event).await.map_err(|(name, message)| {
            tracing::error!(name, message, "the copy jobs could not be checked");
            Diagnostic { error_type: name.to_owned(), error_message: message }
        })?;
        tracing::info!(
            outcome = ?report.outcome, told = report.told, pages = report.pages, rows = report.rows, jobs = report.jobs.len(), sweep = ?report.sweep,
            "copy jobs checked"
        );
        for metrics in report.metrics(SystemTime::now(), config.job_metrics) {
            metrics.emit();
        }
        Ok::<_, Diagnostic>(Value::Null)
    }))
    .await
}

async fn check(
    config: &Config,
    clients: &Clients,
    event: LambdaEvent<Value>,
) -> Result<Report, (&'static str, String)> {
    let LambdaEvent { payload, context } = event;
    let event = Event::parse(&payload).map_err(|problem| ("NotAnEvent", problem))?;
    // The account that the function runs in is the warehouse's.
    let settings = config.settings(arn_part(&context.invoked_function_arn, 4));
    let watched = &settings.watched;
    let now = Moment::from(SystemTime::now());
    let database = Database::new(
        clients.aws.redshift_data(),
        watched.target.clone(),
        watched.database.clone(),
        watched.login.clone(),
    );
    let table =
        Table::new(clients.aws.dynamodb(), config.table.clone(), watched.name.clone(), settings.memory, now);
    let deadline = UNIX_EPOCH + Duration::from_millis(context.deadline);
    let left = deadline.duration_since(SystemTime::now()).unwrap_or_default();
    let turn = Turn { now, until: Moment::from(deadline) };
    let announcer = clients.alerts.announcer(&clients.aws);
    // What was held back, or could not be published, is told although nothing new is found.
    let swept = match event {
        Event::Schedule => announcer.sweep(turn, MOST_DUE).await.map(|_| ()),
        Event::StatementEnded(_) => Ok(()),
    };
    let incidents = Incidents::new(announcer, turn);
    let monitor = Monitor {
        settings: &settings,
        statements: &database,
        objects: &clients.buckets,
        ledger: &table,
        announcer: &incidents,
        holder: &context.request_id,
        until: Instant::now() + left.saturating_sub(MARGIN),
    };
    let result = match event {
        Event::Schedule => monitor.tick(now).await,
        Event::StatementEnded(completion) => monitor.completed(&completion, now).await,
    };
    let report = result.map_err(|error| ("CheckFailed", chain(&error)))?;
    // The check itself comes first: it does not wait for what an earlier one could not tell.
    swept.map_err(|error| ("NotTold", chain(&error)))?;
    Ok(report)
}
