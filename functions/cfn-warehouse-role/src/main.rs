//! `Custom::WarehouseRole`: attaches the role that COPY reads with, and detaches only what it attached.

mod provider;

use custom_resource::{Failure, Started, StepFunctions};
use lambda_kit::env::{Env, EnvError};
use lambda_kit::sdk::Aws;
use warehouse::cluster::ControlPlane;

use crate::provider::WarehouseRoles;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let env = Env::process();
    lambda_kit::trace::init(env);
    custom_resource::run(async move { start(env).map_err(|error| Failure::new(error.to_string())) }).await
}

fn start(env: Env<'_>) -> Result<Started<WarehouseRoles>, EnvError> {
    let aws = Aws::from_env(env)?;
    let (key, machine) = (env.required("WAIT_KEY_ARN")?, env.required("WAIT_STATE_MACHINE_ARN")?);
    let control = ControlPlane { redshift: aws.redshift(), serverless: aws.redshift_serverless() };
    Ok(Started::waiting_with(
        WarehouseRoles::new(control),
        StepFunctions::new(aws.kms(), key, aws.sfn(), machine),
    ))
}
