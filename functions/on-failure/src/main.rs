//! The function that tells what failed.

use alerts::processor::FailureProcessor;
use alerts::lookup::{AwsStacks, ReadRole};
use alerts::config::AlertsConfig;
use lambda_kit::env::{Env, EnvError};
use lambda_kit::sdk::Aws;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let env = Env::process();
    lambda_kit::trace::init(env);
    alerts::config::run(async move {
        let aws = Aws::from_env(env)?;
        let config = AlertsConfig::from_env(env)?;
        let processor =
            FailureProcessor::new(AwsStacks::new(ReadRole::new(aws.clone(), env.required("READ_ROLE_NAME")?)));
        Ok::<_, EnvError>(config.handler(&aws, processor))
    })
    .await
}
