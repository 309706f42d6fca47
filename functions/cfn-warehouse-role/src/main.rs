//! `Custom::WarehouseRole`: attaches the role for COPY, and detaches only roles that it attached.

use cfn_warehouse_role::{ALLOWED, WarehouseRoles};
use custom_resource::{Allowed, Started, StepFunctions};
use lambda_kit::env::{Env, EnvError};
use lambda_kit::sdk::Aws;
use warehouse::cluster::ControlPlane;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let env = Env::process();
    lambda_kit::trace::init(env);
    custom_resource::run(&|name| env.optional(name), async { start(env) }).await
}

fn start(env: Env<'_>) -> Result<Started<WarehouseRoles>, EnvError> {
    let aws = Aws::from_env(env)?;
    let (key, machine) = (env.required("WAIT_KEY_ARN")?, env.required("WAIT_STATE_MACHINE_ARN")?);
    let control = ControlPlane { redshift: aws.redshift(), serverless: aws.redshift_serverless() };
    Ok(Started::with_waiter(
        WarehouseRoles::new(control),
        Allowed::read("copy-target.yaml", &ALLOWED, &|name| env.optional(name)),
        StepFunctions::new(aws.kms(), key, aws.sfn(), machine),
    ))
}
