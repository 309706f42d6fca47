//! The function that tells what the failure queues hold.

use alerts::duty::DeadLetterDuty;
use alerts::read::SqsQueues;
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
        let queues = SqsQueues::new(aws.sqs(), list(env, "QUEUE_URLS"), env.optional("DESTINATION_ARN"));
        let duty = DeadLetterDuty::new(queues, setting.here.clone());
        Ok::<_, EnvError>(setting.handler(&aws, duty))
    })
    .await
}
