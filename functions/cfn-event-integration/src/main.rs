//! `Custom::S3EventIntegration`: connects a bucket with a warehouse, and waits until the
//! integration is active.

use cfn_event_integration::{ALLOWED, EventIntegrations, Integrations, Preflight};
use custom_resource::{Allowed, Started, StepFunctions};
use lambda_kit::env::{Env, EnvError};
use lambda_kit::sdk::Aws;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let env = Env::process();
    lambda_kit::trace::init(env);
    custom_resource::run(&|name| env.optional(name), async { start(env) }).await
}

fn start(env: Env<'_>) -> Result<Started<EventIntegrations>, EnvError> {
    let aws = Aws::from_env(env)?;
    let (key, machine) = (env.required("WAIT_KEY_ARN")?, env.required("WAIT_STATE_MACHINE_ARN")?);
    let provider =
        EventIntegrations::new(Integrations::new(aws.redshift()), Preflight::new(aws.s3(), aws.kms()));
    let allowed = Allowed::read("copy-source.yaml", &ALLOWED, &|name| env.optional(name));
    Ok(Started::with_waiter(provider, allowed, StepFunctions::new(aws.kms(), key, aws.sfn(), machine)))
}
