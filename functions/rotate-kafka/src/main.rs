//! The rotation function for users of Kafka with SASL/SCRAM.

use lambda_kit::sdk::Aws;
use rotation::config::{self, ConfigError};
use rotation::engines::kafka::{Iterations, Kafka};
use rotation::engines::trust::Tls;
use rotation::versions::SecretsManager;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    rotation::run(async |env| {
        let aws = Aws::from_env(env)?;
        let tls = Tls::from_env(env)?;
        let policy = config::password_policy(env, Kafka::default_policy())?;
        let iterations = env.parsed("SCRAM_ITERATIONS", Iterations::EXPECTED, Iterations::default())?;
        let rotator = config::passwords(env, Kafka::new(tls, policy, iterations))?;
        Ok::<_, ConfigError>((SecretsManager::new(aws.secretsmanager()), rotator))
    })
    .await
}
