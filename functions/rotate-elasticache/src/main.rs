//! The rotation function for users and AUTH tokens of Amazon ElastiCache: `AUTH_MODE` says which of the two, `user` or `token`.

use lambda_kit::env::{Env, EnvError};
use lambda_kit::sdk::Aws;
use rotation::config::{self, ConfigError};
use rotation::engines::elasticache::{ElastiCacheApi, Endpoint, RbacUser, Token, UserArn};
use rotation::versions::SecretsManager;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let env = Env::process();
    lambda_kit::trace::init(env);
    if env.optional("AUTH_MODE").as_deref() == Some("token") {
        return rotation::run(async move {
            let (aws, at) = (Aws::from_env(env)?, Endpoint::from_env(env)?);
            let group = env.required("REPLICATION_GROUP_ID")?;
            let engine = Token::new(ElastiCacheApi::new(aws.elasticache()), group, at);
            let target = config::passwords(env, engine)?;
            Ok::<_, ConfigError>((SecretsManager::new(aws.secretsmanager()), target))
        })
        .await;
    }
    rotation::run(async move {
        if let Some(found) = env.optional("AUTH_MODE").filter(|mode| mode != "user") {
            let (name, expected) = ("AUTH_MODE".to_owned(), "user or token".to_owned());
            return Err(EnvError::Invalid { name, found, expected }.into());
        }
        let (aws, at) = (Aws::from_env(env)?, Endpoint::from_env(env)?);
        let engine = RbacUser::new(ElastiCacheApi::new(aws.elasticache()), UserArn::from_env(env)?, at);
        let target = config::passwords(env, engine)?;
        Ok::<_, ConfigError>((SecretsManager::new(aws.secretsmanager()), target))
    })
    .await
}
