//! The function that checks the secrets of its account and of other accounts. A schedule starts it; of the
//! event it uses only the id.

mod access;
mod config;

use std::time::Duration;

use alerts::Notifier;
use alerts::config::AlertsConfig;
use alerts::lookup::ReadRole;
use alerts::notifier::Run;
use alerts::publish::Topic;
use alerts::store::DynamoStore;
use lambda_kit::arn::Arn;
use lambda_kit::env::{Env, EnvError};
use lambda_kit::sdk::Aws;
use lambda_kit::start::{Invocation, InvocationError};
use secret_check::accounts::check_all;
use serde_json::Value;

use crate::access::CrossAccountAccess;
use crate::config::Config;

/// The public name of the error of a check that could not record its incidents.
const CHECK_FAILED: &str = "CheckFailed";
/// The time that is kept for the response.
const MARGIN: Duration = Duration::from_secs(5);

/// The clients and the configuration.
struct Service {
    aws: Aws,
    config: Config,
    role: ReadRole,
    notifier: Notifier<DynamoStore, Topic>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    lambda_kit::start::run(start, handle).await
}

async fn start(env: Env<'static>) -> Result<Service, EnvError> {
    let config = Config::from_env(env)?;
    let aws = Aws::from_env(env)?;
    let notifier = AlertsConfig::from_env(env)?.notifier(&aws);
    let role = ReadRole::new(aws.clone(), config.role.clone());
    Ok(Service { aws, config, role, notifier })
}

async fn handle(service: &Service, invocation: Invocation) -> Result<Value, InvocationError> {
    let Invocation { event, context, window } = invocation;
    let function: Arn = context
        .invoked_function_arn
        .parse()
        .map_err(|error| InvocationError::caused_by(CHECK_FAILED, &error))?;
    let Service { aws, config, role, notifier } = service;
    let access = CrossAccountAccess { aws, role, function: &function, role_name: &config.role };
    // The id of the schedule's event is the same when Lambda retries it.
    let id = event.get("id").and_then(Value::as_str).unwrap_or(&context.request_id);
    let run = Run { id, window, until: window.work_until(MARGIN) };
    let locations = config.locations(&function.account);
    let overview = check_all(config.rules(), &locations, &access, notifier, run).await;
    let overview = overview.map_err(|error| {
        let error = InvocationError::caused_by(CHECK_FAILED, &error);
        tracing::error!(message = error.message, "cannot check the secrets");
        error
    })?;
    let summary = &overview.summary;
    let (secrets, calls, incidents) = (summary.secrets, summary.calls, &summary.incidents);
    let (checked, not_checked) = (overview.checked, &overview.not_checked);
    tracing::info!(checked, ?not_checked, secrets, calls, ?incidents, "secrets checked");
    overview.metrics(window.now).emit();
    Ok(Value::Null)
}
