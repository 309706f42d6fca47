//! `Custom::SecretEndpoint`: writes where the warehouse is reached into a secret that others own and rotate.

mod backfill;
#[cfg(test)]
mod interleavings;
mod provider;
mod secret;

use custom_resource::{Failure, Started};
use lambda_kit::env::Env;
use lambda_kit::sdk::Aws;
use warehouse::cluster::ControlPlane;

use crate::provider::SecretEndpoints;
use crate::secret::SecretsManager;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let env = Env::process();
    lambda_kit::trace::init(env);
    custom_resource::run(async move {
        let aws = Aws::from_env(env).map_err(|error| Failure::new(error.to_string()))?;
        let control = ControlPlane { redshift: aws.redshift(), serverless: aws.redshift_serverless() };
        Ok(Started::new(SecretEndpoints::new(control, SecretsManager::new(aws.secretsmanager()))))
    })
    .await
}
