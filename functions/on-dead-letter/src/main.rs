//! The function that tells what the failure queues hold.

use alerts::processor::DeadLetterProcessor;
use alerts::lookup::SqsQueues;
use alerts::config::{AlertsConfig, list};
use lambda_kit::env::{Env, EnvError};
use lambda_kit::sdk::Aws;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let env = Env::process();
    lambda_kit::trace::init(env);
    alerts::config::run(async move {
        let aws = Aws::from_env(env)?;
        let config = AlertsConfig::from_env(env)?;
        let queues = SqsQueues::new(aws.sqs(), list(env, "QUEUE_URLS"), env.optional("DESTINATION_ARN"));
        let processor = DeadLetterProcessor::new(queues, config.here.clone());
        Ok::<_, EnvError>(config.handler(&aws, processor))
    })
    .await
}
