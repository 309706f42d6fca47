//! The rotation function for users of MySQL and MariaDB.

use lambda_kit::sdk::Aws;
use rotation::config::{self, ConfigError};
use rotation::engines::mysql::{Mysql, OldPassword};
use rotation::engines::trust::Tls;
use rotation::versions::SecretsManager;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    rotation::run(async |env| {
        let aws = Aws::from_env(env)?;
        let tls = Tls::from_env(env)?;
        let policy = config::password_policy(env, Mysql::default_policy())?;
        let old = OldPassword::from_env(env)?;
        let rotator = config::passwords(env, Mysql::new(tls, policy, old))?;
        Ok::<_, ConfigError>((SecretsManager::new(aws.secretsmanager()), rotator))
    })
    .await
}
