//! The function that tells what failed.

use alerts::duty::FailureDuty;
use alerts::read::{AwsStacks, ReadRole};
use alerts::run::Setting;
use lambda_kit::env::{Env, EnvError};
use lambda_kit::sdk::Aws;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let env = Env::process();
    lambda_kit::trace::init(env);
    alerts::run::run(async move {
        let aws = Aws::from_env(env)?;
        let setting = Setting::from_env(env)?;
        let duty =
            FailureDuty::new(AwsStacks::new(ReadRole::new(aws.clone(), env.required("READ_ROLE_NAME")?)));
        Ok::<_, EnvError>(setting.handler(&aws, duty))
    })
    .await
}
