//! The function that sends alerts about rotations of secrets.

use alerts::config::AlertsConfig;
use alerts::lookup::{AwsSecrets, ReadRole};
use alerts::processor::RotationProcessor;
use alerts::rules::RotationRules;
use lambda_kit::env::EnvError;
use lambda_kit::sdk::Aws;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    alerts::config::run(|env| async move {
        let aws = Aws::from_env(env)?;
        let config = AlertsConfig::from_env(env)?;
        let role = ReadRole::new(aws.clone(), env.required("READ_ROLE_NAME")?);
        let rules = RotationRules { writers: env.list("ALLOWED_WRITERS") };
        let processor = RotationProcessor::new(config.store(&aws), AwsSecrets::new(role), rules);
        Ok::<_, EnvError>(config.handler(&aws, processor))
    })
    .await
}
