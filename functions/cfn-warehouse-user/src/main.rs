//! `Custom::WarehouseUser`: a database user with a secret of its own and its grants.

use cfn_warehouse_user::{Allowed, WarehouseUsers};
use custom_resource::Started;
use lambda_kit::env::{Env, EnvError};
use lambda_kit::sdk::Aws;
use warehouse::cluster::ControlPlane;
use warehouse::secret::SecretsManager;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let env = Env::process();
    lambda_kit::trace::init(env);
    custom_resource::run(async move {
        let allowed = Allowed::from_env(env)?;
        let aws = Aws::from_env(env)?;
        let control = ControlPlane { redshift: aws.redshift(), serverless: aws.redshift_serverless() };
        let secrets = SecretsManager::new(aws.secretsmanager());
        Ok::<_, EnvError>(Started::new(WarehouseUsers::new(allowed, control, aws.redshift_data(), secrets)))
    })
    .await
}
