//! Checks the secrets of its account and of those that let it; started by a schedule, of whose event it takes nothing but the id.

mod access;
mod config;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use alerts::notifier::InvocationWindow;
use alerts::event::arn_part;
use alerts::moment::Moment;
use alerts::lookup::ReadRole;
use alerts::config::AlertsConfig;
use lambda_kit::call::chain;
use lambda_kit::env::Env;
use lambda_kit::sdk::Aws;
use lambda_runtime::{Diagnostic, Error, LambdaEvent, service_fn};
use secret_check::Run;
use secret_check::places::check_all;
use serde_json::Value;
use tokio::time::Instant;

use crate::access::FromHere;
use crate::config::Config;

/// Kept back from the function's time, to say how far it came.
const MARGIN: Duration = Duration::from_secs(5);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let env = Env::process();
    lambda_kit::trace::init(env);
    let config = Config::from_env(env)?;
    let aws = Aws::from_env(env)?;
    let notifier = AlertsConfig::from_env(env)?.notifier(&aws);
    let role = ReadRole::new(aws.clone(), config.role.clone());
    let (aws, config, role, notifier) = (&aws, &config, &role, &notifier);
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| async move {
        let context = event.context;
        let arn = &context.invoked_function_arn;
        let (partition, account) = (arn_part(arn, 1), arn_part(arn, 4));
        let access = FromHere { aws, role, account, partition, role_name: &config.role };
        let now = SystemTime::now();
        let deadline = UNIX_EPOCH + Duration::from_millis(context.deadline);
        let left = deadline.duration_since(now).unwrap_or_default().saturating_sub(MARGIN);
        let window = InvocationWindow { now: Moment::from_system(now), until: Moment::from_system(deadline) };
        // The id of the schedule's event is the same when Lambda repeats it.
        let id = event.payload.get("id").and_then(Value::as_str).unwrap_or(&context.request_id);
        let run = Run { id, window, until: Instant::now() + left };
        let failed = |message: String| {
            tracing::error!(message, "the secrets could not be checked");
            Diagnostic { error_type: "CheckFailed".to_owned(), error_message: message }
        };
        let overview = check_all(config.rules(), &config.places(account), &access, notifier, run).await;
        let overview = overview.map_err(|error| failed(chain(&error)))?;
        let summary = &overview.summary;
        let (secrets, calls, findings) = (summary.secrets, summary.calls, &summary.findings);
        tracing::info!(checked = overview.checked, not_checked = ?overview.not_checked, secrets, calls, ?findings, "secrets checked");
        overview.metrics(now).emit();
        Ok::<_, Diagnostic>(Value::Null)
    }))
    .await
}
