//! The rotation function for API keys.

use lambda_kit::env::Env;
use lambda_kit::sdk::Aws;
use rotation::keys::config::{self, KeyConfigError};
use rotation::versions::SecretsManager;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let env = Env::process();
    lambda_kit::trace::init(env);
    rotation::run(async move {
        let aws = Aws::from_env(env)?;
        let target = config::from_env(env)?;
        Ok::<_, KeyConfigError>((SecretsManager::new(aws.secretsmanager()), target))
    })
    .await
}
