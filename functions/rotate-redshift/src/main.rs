//! The rotation function for users of Amazon Redshift, and for its admin.

use lambda_kit::sdk::Aws;
use rotation::config::{self, ConfigError};
use rotation::engines::redshift::Redshift;
use rotation::versions::SecretsManager;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    rotation::run(async |env| {
        let aws = Aws::from_env(env)?;
        let engine = Redshift::from_env(env, &aws)?;
        engine.clear_probe_secret().await;
        let rotator = config::passwords(env, engine)?;
        Ok::<_, ConfigError>((SecretsManager::new(aws.secretsmanager()), rotator))
    })
    .await
}
