//! The rotation function for users and AUTH tokens of Amazon ElastiCache. `AUTH_MODE` selects one:
//! `user` or `token`.

use lambda_kit::env::{Env, EnvError};
use lambda_kit::sdk::Aws;
use rotation::config::{self, ConfigError};
use rotation::engines::elasticache::{ElastiCacheApi, Endpoint, RbacUser, Token, UserArn};
use rotation::versions::SecretsManager;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    if Env::process().optional("AUTH_MODE").as_deref() == Some("token") {
        return rotation::run(async |env| {
            let (aws, at) = (Aws::from_env(env)?, Endpoint::from_env(env)?);
            let group = env.required("REPLICATION_GROUP_ID")?;
            let engine = Token::new(ElastiCacheApi::new(aws.elasticache()), group, at);
            let rotator = config::passwords(env, engine)?;
            Ok::<_, ConfigError>((SecretsManager::new(aws.secretsmanager()), rotator))
        })
        .await;
    }
    rotation::run(async |env| {
        if let Some(found) = env.optional("AUTH_MODE").filter(|mode| mode != "user") {
            return Err(EnvError::invalid("AUTH_MODE", &found, "user or token").into());
        }
        let (aws, at) = (Aws::from_env(env)?, Endpoint::from_env(env)?);
        let engine = RbacUser::new(ElastiCacheApi::new(aws.elasticache()), UserArn::from_env(env)?, at);
        let rotator = config::passwords(env, engine)?;
        Ok::<_, ConfigError>((SecretsManager::new(aws.secretsmanager()), rotator))
    })
    .await
}
