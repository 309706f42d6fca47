//! The function that sends alerts about reads of secrets.

use alerts::config::AlertsConfig;
use alerts::processor::AccessProcessor;
use alerts::rules::AccessRules;
use lambda_kit::env::{EnvError, Unit};
use lambda_kit::sdk::Aws;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    alerts::config::run(|env| async move {
        let aws = Aws::from_env(env)?;
        let config = AlertsConfig::from_env(env)?;
        let defaults = AccessRules::default();
        let max_reads_per_hour =
            env.parsed("MAX_READS_PER_HOUR", "a whole number of reads", defaults.max_reads_per_hour)?;
        let rules = AccessRules {
            max_reads_per_hour,
            learning: env.duration("LEARNING_DAYS", Unit::Days, defaults.learning)?,
            expected: env.list("EXPECTED_READERS"),
        };
        let processor = AccessProcessor::new(config.store(&aws), rules);
        Ok::<_, EnvError>(config.handler(&aws, processor))
    })
    .await
}
