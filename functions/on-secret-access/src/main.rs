//! The function that tells who reads secrets.

use alerts::processor::AccessProcessor;
use alerts::rules::AccessRules;
use alerts::config::{AlertsConfig, list};
use lambda_kit::env::{Env, EnvError, Unit};
use lambda_kit::sdk::Aws;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let env = Env::process();
    lambda_kit::trace::init(env);
    alerts::config::run(async move {
        let aws = Aws::from_env(env)?;
        let config = AlertsConfig::from_env(env)?;
        let usual = AccessRules::default();
        let rules = AccessRules {
            reads_per_hour: env.parsed("READS_PER_HOUR", "a whole number of reads", usual.reads_per_hour)?,
            learning: env.duration("LEARNING_DAYS", Unit::Days, usual.learning)?,
            expected: list(env, "EXPECTED_READERS"),
        };
        let processor = AccessProcessor::new(config.store(&aws), rules);
        Ok::<_, EnvError>(config.handler(&aws, processor))
    })
    .await
}
