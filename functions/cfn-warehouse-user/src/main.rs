//! `Custom::WarehouseUser`: a database user with a secret of its own and its grants.

use cfn_warehouse_user::{ALLOWED, WarehouseUsers};
use custom_resource::{Allowed, Started};
use lambda_kit::env::{Env, EnvError};
use lambda_kit::sdk::Aws;
use warehouse::cluster::ControlPlane;
use warehouse::secret::SecretsManager;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let env = Env::process();
    lambda_kit::trace::init(env);
    let variable = |name: &str| env.optional(name);
    custom_resource::run(&variable, async {
        let aws = Aws::from_env(env)?;
        let control = ControlPlane { redshift: aws.redshift(), serverless: aws.redshift_serverless() };
        let secrets = SecretsManager::new(aws.secretsmanager());
        let allowed = Allowed::read("copy-target.yaml", &ALLOWED, &variable);
        Ok::<_, EnvError>(Started::new(WarehouseUsers::new(control, aws.redshift_data(), secrets), allowed))
    })
    .await
}
