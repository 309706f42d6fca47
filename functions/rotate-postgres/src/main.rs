//! The rotation function for users of PostgreSQL.

use lambda_kit::sdk::Aws;
use rotation::config::{self, ConfigError};
use rotation::engines::postgres::Postgres;
use rotation::engines::trust::Tls;
use rotation::versions::SecretsManager;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    rotation::run(async |env| {
        let aws = Aws::from_env(env)?;
        let tls = Tls::from_env(env)?;
        let policy = config::password_policy(env, Postgres::default_policy())?;
        let rotator = config::passwords(env, Postgres::new(tls, policy))?;
        Ok::<_, ConfigError>((SecretsManager::new(aws.secretsmanager()), rotator))
    })
    .await
}
