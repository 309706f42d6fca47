//! `Custom::SecretEndpoint`: writes the warehouse's endpoint into a secret that others own and
//! rotate.

use cfn_secret_endpoint::{SecretEndpoints, SecretsManager};
use custom_resource::Started;
use lambda_kit::env::{Env, EnvError};
use lambda_kit::sdk::Aws;
use warehouse::cluster::ControlPlane;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let env = Env::process();
    lambda_kit::trace::init(env);
    custom_resource::run(async move {
        let aws = Aws::from_env(env)?;
        let control = ControlPlane { redshift: aws.redshift(), serverless: aws.redshift_serverless() };
        Ok::<_, EnvError>(Started::new(SecretEndpoints::new(
            control,
            SecretsManager::new(aws.secretsmanager()),
        )))
    })
    .await
}
