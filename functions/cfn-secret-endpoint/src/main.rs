//! `Custom::SecretEndpoint`: writes the warehouse's endpoint into a secret that others own and
//! rotate.

use cfn_secret_endpoint::{ALLOWED, SecretEndpoints, SecretsManager};
use custom_resource::{Allowed, Started};
use lambda_kit::env::{Env, EnvError};
use lambda_kit::sdk::Aws;
use warehouse::cluster::ControlPlane;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let env = Env::process();
    lambda_kit::trace::init(env);
    let variable = |name: &str| env.optional(name);
    custom_resource::run(&variable, async {
        let aws = Aws::from_env(env)?;
        let control = ControlPlane { redshift: aws.redshift(), serverless: aws.redshift_serverless() };
        let provider = SecretEndpoints::new(control, SecretsManager::new(aws.secretsmanager()));
        let allowed = Allowed::read("warehouse.yaml", &ALLOWED, &variable);
        Ok::<_, EnvError>(Started::new(provider, allowed))
    })
    .await
}
