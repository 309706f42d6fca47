//! The rotation function for SASL/SCRAM secrets of Amazon MSK.

use lambda_kit::env::Env;
use lambda_kit::sdk::Aws;
use rotation::config::{self, ConfigError};
use rotation::msk::{self, ClusterArn, Msk, MskApi, NoLogin};
use rotation::versions::SecretsManager;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let env = Env::process();
    lambda_kit::trace::init(env);
    rotation::run(async move {
        let aws = Aws::from_env(env)?;
        let cluster = ClusterArn::from_env(env)?;
        let policy = config::password_policy(env, msk::default_policy())?;
        let target = Msk::<_, NoLogin>::new(MskApi::new(aws.kafka()), cluster, policy, None);
        Ok::<_, ConfigError>((SecretsManager::new(aws.secretsmanager()), target))
    })
    .await
}
