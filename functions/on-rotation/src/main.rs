//! The function that tells how rotations go.

use alerts::duty::RotationDuty;
use alerts::judge::RotationRules;
use alerts::read::{AwsSecrets, ReadRole};
use alerts::run::{Setting, list};
use lambda_kit::env::{Env, EnvError};
use lambda_kit::sdk::Aws;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let env = Env::process();
    lambda_kit::trace::init(env);
    alerts::run::run(async move {
        let aws = Aws::from_env(env)?;
        let setting = Setting::from_env(env)?;
        let secrets = AwsSecrets::new(ReadRole::new(aws.clone(), env.required("READ_ROLE_NAME")?));
        let rules = RotationRules { writers: list(env, "ROTATION_WRITERS") };
        let duty = RotationDuty::new(setting.store(&aws), secrets, rules);
        Ok::<_, EnvError>(setting.handler(&aws, duty))
    })
    .await
}
