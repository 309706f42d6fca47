//! The function that sends alerts about failures.

use alerts::config::AlertsConfig;
use alerts::lookup::{AwsStacks, ReadRole};
use alerts::processor::FailureProcessor;
use lambda_kit::env::EnvError;
use lambda_kit::sdk::Aws;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    alerts::config::run(|env| async move {
        let aws = Aws::from_env(env)?;
        let config = AlertsConfig::from_env(env)?;
        let role = ReadRole::new(aws.clone(), env.required("READ_ROLE_NAME")?);
        let processor = FailureProcessor::new(AwsStacks::new(role));
        Ok::<_, EnvError>(config.handler(&aws, processor))
    })
    .await
}
