//! The rotation function for users of Amazon Redshift, and for its admin.

use lambda_kit::env::Env;
use lambda_kit::sdk::Aws;
use rotation::config::{self, ConfigError};
use rotation::engines::redshift::Redshift;
use rotation::versions::SecretsManager;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let env = Env::process();
    lambda_kit::trace::init(env);
    rotation::run(async move {
        let aws = Aws::from_env(env)?;
        let engine = Redshift::from_env(env, &aws)?;
        engine.blank_companion().await;
        let target = config::passwords(env, engine)?;
        Ok::<_, ConfigError>((SecretsManager::new(aws.secretsmanager()), target))
    })
    .await
}
