//! The configuration and the main function of the event functions.

use std::future::Future;
use std::time::Duration;

use lambda_kit::arn::Arn;
use lambda_kit::env::{Env, EnvError};
use lambda_kit::metrics::Metrics;
use lambda_kit::sdk::Aws;
use lambda_kit::start::{Invocation, InvocationError};

use crate::handler::{Handler, InvocationStats};
use crate::incident::AccountRegion;
use crate::moment::Moment;
use crate::notifier::Notifier;
use crate::processor::EventProcessor;
use crate::publish::{Publisher, Topic};
use crate::state::Policy;
use crate::store::{DynamoStore, NAMESPACE, Store};

/// The public name of the error of an invocation with events that must be delivered again.
pub const EVENTS_FAILED: &str = "EventsFailed";
/// The time that is kept for the response: which events failed.
const MARGIN: Duration = Duration::from_secs(3);

/// The configuration that all functions which send alerts share.
#[derive(Debug, Clone)]
pub struct AlertsConfig {
    /// The name of the state table: `STATE_TABLE`.
    pub table: String,
    /// The topic: `TOPIC_ARN`.
    pub topic: Arn,
    /// The function's account and Region: the topic's account and `AWS_REGION`.
    pub location: AccountRegion,
    /// The function's name: `AWS_LAMBDA_FUNCTION_NAME`.
    pub function: String,
}

impl AlertsConfig {
    /// Reads the configuration from the environment.
    ///
    /// # Errors
    /// A variable is missing or invalid. The text names it.
    pub fn from_env(env: Env<'_>) -> Result<Self, EnvError> {
        let topic: Arn = env.required_as("TOPIC_ARN", "the ARN of a topic")?;
        Ok(Self {
            table: env.required("STATE_TABLE")?,
            location: AccountRegion::new(&topic.account, &env.required("AWS_REGION")?),
            topic,
            function: env.required("AWS_LAMBDA_FUNCTION_NAME")?,
        })
    }

    /// Creates the store in the table.
    pub fn store(&self, aws: &Aws) -> DynamoStore {
        DynamoStore::new(aws.dynamodb(), self.table.clone())
    }

    /// Creates the notifier for the topic, which may be in another Region.
    pub fn notifier(&self, aws: &Aws) -> Notifier<DynamoStore, Topic> {
        let topic = Topic::new(aws.in_region(&self.topic.region).sns(), self.topic.to_string());
        Notifier::new(self.store(aws), topic, Policy::default())
    }

    /// Creates the handler of a function with this event processor.
    pub fn handler<E: EventProcessor>(self, aws: &Aws, processor: E) -> Handler<DynamoStore, Topic, E> {
        let notifier = self.notifier(aws);
        Handler::new(notifier, processor, self.location, self.function, self.table)
    }
}

/// Serves a handler until Lambda ends the process.
///
/// `start` reads the configuration and creates clients. If it fails, every event is refused with the
/// reason, so that it stays in its queue.
///
/// # Errors
/// The Runtime API cannot be reached.
pub async fn run<S, P, E, F, R>(start: impl FnOnce(Env<'static>) -> F) -> Result<(), lambda_runtime::Error>
where
    S: Store,
    P: Publisher,
    E: EventProcessor,
    F: Future<Output = Result<Handler<S, P, E>, R>>,
    R: std::error::Error + 'static,
{
    lambda_kit::start::run(start, async |handler: &Handler<S, P, E>, invocation: Invocation| {
        let Invocation { event, window, .. } = invocation;
        // Claims last until the very end of the function's time: only then is it certain that this
        // invocation publishes nothing any more.
        let timeout = tokio::time::sleep_until(window.work_until(MARGIN));
        let (stats, result) = Box::pin(handler.handle(&event, window, timeout)).await;
        metrics(handler.function(), stats, window.now).emit();
        result.map_err(|reason| InvocationError::new(EVENTS_FAILED, reason))
    })
    .await
}

fn metrics(function: &str, stats: InvocationStats, at: Moment) -> Metrics {
    Metrics::new(NAMESPACE, at)
        .dimension("Function", function)
        .count("EventsReceived", stats.events)
        .count("EventsUnrecognized", stats.unrecognized)
        .count("EventsFailed", stats.failed)
        .count("EventsDuplicate", stats.record.duplicates)
        .count("AlertsPublished", stats.record.published)
        .count("AlertsSuppressed", stats.record.suppressed)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn source(name: &str) -> Option<String> {
        let value = match name {
            "TOPIC_ARN" => "arn:aws:sns:eu-central-1:333333333333:alerts",
            "STATE_TABLE" => "alerts",
            "AWS_REGION" => "eu-central-1",
            "AWS_LAMBDA_FUNCTION_NAME" => "on-failure",
            _ => return None,
        };
        Some(value.to_owned())
    }

    #[test]
    fn location_is_the_topics_account_and_the_functions_region() {
        let config = AlertsConfig::from_env(Env::from(&source)).unwrap();
        assert_eq!(config.location, AccountRegion::new("333333333333", "eu-central-1"));
    }

    #[test]
    fn missing_or_invalid_variable_is_named() {
        let without = |name: &str| source(name).filter(|_| name != "STATE_TABLE");
        let error = AlertsConfig::from_env(Env::from(&without)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "environment variable STATE_TABLE is not set; the function's template sets it"
        );
        let wrong = |name: &str| if name == "TOPIC_ARN" { Some("alerts".to_owned()) } else { source(name) };
        let error = AlertsConfig::from_env(Env::from(&wrong)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "environment variable TOPIC_ARN is \"alerts\", expected the ARN of a topic"
        );
    }

    #[test]
    fn metrics_of_an_invocation_are_by_function() {
        let record = RecordStats { published: 3, suppressed: 4, duplicates: 5 };
        let stats = InvocationStats { events: 10, unrecognized: 2, failed: 1, record };
        let found = metrics("on-failure", stats, Moment::BEGINNING).to_json();
        assert_eq!(found["_aws"]["CloudWatchMetrics"][0]["Dimensions"], serde_json::json!([["Function"]]));
        let values = [
            ("EventsReceived", 10),
            ("EventsUnrecognized", 2),
            ("EventsFailed", 1),
            ("AlertsPublished", 3),
            ("AlertsSuppressed", 4),
            ("EventsDuplicate", 5),
        ];
        for (name, value) in values {
            assert_eq!(found[name], Value::from(value), "{name}");
        }
    }

    use crate::notifier::RecordStats;
}
