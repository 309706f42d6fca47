//! Checks the secrets of its account and Region; started by a schedule, whose event it does not look at.

mod config;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lambda_kit::call::{CallError, chain};
use lambda_kit::env::Env;
use lambda_kit::sdk::Aws;
use lambda_runtime::{Diagnostic, Error, LambdaEvent, service_fn};
use secret_check::adapter::SecretsManager;
use secret_check::finding::Finding;
use secret_check::{Sink, check};
use serde_json::Value;
use tokio::time::Instant;

use crate::config::Config;

/// Kept back from the function's time, to say how far it came.
const MARGIN: Duration = Duration::from_secs(5);

/// Findings go to the function's own log, one line each.
struct Log;

impl Sink for Log {
    async fn found(&self, finding: &Finding) -> Result<(), CallError> {
        let kind = finding.problem.kind();
        let text = serde_json::to_string(finding)
            .map_err(|error| CallError::without_answer("announce", &error.to_string()))?;
        tracing::warn!(kind, id = finding.id, finding = text, "finding");
        Ok(())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let env = Env::process();
    lambda_kit::trace::init(env);
    let config = Config::from_env(env)?;
    let secrets = SecretsManager::new(Aws::from_env(env)?.secretsmanager());
    let (config, secrets) = (&config, &secrets);
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| async move {
        let context = event.context;
        let account = context.invoked_function_arn.split(':').nth(4).unwrap_or_default();
        let rules = config.rules(account);
        let now = SystemTime::now();
        let deadline = UNIX_EPOCH + Duration::from_millis(context.deadline);
        let left = deadline.duration_since(now).unwrap_or_default().saturating_sub(MARGIN);
        let summary = check(&rules, secrets, &Log, now, Instant::now() + left).await.map_err(|error| {
            let message = chain(&error);
            tracing::error!(message, "the secrets could not be checked");
            Diagnostic { error_type: "CheckFailed".to_owned(), error_message: message }
        })?;
        tracing::info!(secrets = summary.secrets, calls = summary.calls, findings = ?summary.findings, "secrets checked");
        summary.metrics(now).emit();
        Ok::<_, Diagnostic>(Value::Null)
    }))
    .await
}
