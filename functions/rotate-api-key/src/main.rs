//! The rotation function for API keys.

use lambda_kit::sdk::Aws;
use rotation::keys::config::{self, KeyConfigError};
use rotation::versions::SecretsManager;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    rotation::run(async |env| {
        let aws = Aws::from_env(env)?;
        let rotator = config::from_env(env)?;
        Ok::<_, KeyConfigError>((SecretsManager::new(aws.secretsmanager()), rotator))
    })
    .await
}
