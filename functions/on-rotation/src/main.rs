//! The function that tells how rotations go.

use alerts::processor::RotationProcessor;
use alerts::rules::RotationRules;
use alerts::lookup::{AwsSecrets, ReadRole};
use alerts::config::{AlertsConfig, list};
use lambda_kit::env::{Env, EnvError};
use lambda_kit::sdk::Aws;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let env = Env::process();
    lambda_kit::trace::init(env);
    alerts::config::run(async move {
        let aws = Aws::from_env(env)?;
        let config = AlertsConfig::from_env(env)?;
        let secrets = AwsSecrets::new(ReadRole::new(aws.clone(), env.required("READ_ROLE_NAME")?));
        let rules = RotationRules { writers: list(env, "ROTATION_WRITERS") };
        let processor = RotationProcessor::new(config.store(&aws), secrets, rules);
        Ok::<_, EnvError>(config.handler(&aws, processor))
    })
    .await
}
