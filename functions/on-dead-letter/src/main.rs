//! The function that sends alerts about messages in the dead-letter queues.

use alerts::config::AlertsConfig;
use alerts::lookup::SqsQueues;
use alerts::processor::DeadLetterProcessor;
use lambda_kit::env::EnvError;
use lambda_kit::sdk::Aws;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    alerts::config::run(|env| async move {
        let aws = Aws::from_env(env)?;
        let config = AlertsConfig::from_env(env)?;
        let urls = env.list("DEAD_LETTER_QUEUE_URLS");
        let queues = SqsQueues::new(aws.sqs(), urls, env.optional("DESTINATION_ARN"));
        let processor = DeadLetterProcessor::new(queues, config.location.clone());
        Ok::<_, EnvError>(config.handler(&aws, processor))
    })
    .await
}
