//! The rotation function for SASL/SCRAM secrets of Amazon MSK.

use lambda_kit::sdk::Aws;
use rotation::config::{self, ConfigError};
use rotation::engines::kafka::{Iterations, Kafka};
use rotation::engines::trust::Tls;
use rotation::msk::{self, ClusterArn, Msk, MskApi, Verifier};
use rotation::versions::SecretsManager;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    rotation::run(async |env| {
        let aws = Aws::from_env(env)?;
        let cluster = ClusterArn::from_env(env)?;
        let policy = config::password_policy(env, msk::default_policy())?;
        let client = Kafka::new(Tls::from_env(env)?, policy.clone(), Iterations::default());
        let verifier = Verifier::from_env(env, client)?;
        let rotator = Msk::new(MskApi::new(aws.kafka()), cluster, policy, verifier);
        Ok::<_, ConfigError>((SecretsManager::new(aws.secretsmanager()), rotator))
    })
    .await
}
