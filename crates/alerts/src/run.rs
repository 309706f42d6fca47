//! The main loop of a function.

use std::future::Future;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lambda_kit::env::{Env, EnvError};
use lambda_kit::metrics::Metrics;
use lambda_kit::sdk::Aws;
use lambda_runtime::{Diagnostic, Error, LambdaEvent, service_fn};
use serde_json::Value;
use tokio::time::Instant;

use crate::announcer::{Announcer, Turn};
use crate::duty::Duty;
use crate::handler::{Done, Handler};
use crate::incident::Place;
use crate::moment::Moment;
use crate::publish::{Publisher, Topic};
use crate::state::Policy;
use crate::store::{Dynamo, Store};

/// Namespace of the metrics.
pub const NAMESPACE: &str = "Sluice/Alerts";
/// Kept back from the function's time, to answer which events failed.
const MARGIN: Duration = Duration::from_secs(3);

/// What every function of this kind reads from its environment.
#[derive(Debug, Clone)]
pub struct Setting {
    /// The state's table: `STATE_TABLE`.
    pub table: String,
    /// The topic: `TOPIC_ARN`.
    pub topic: String,
    /// Where the function runs: `AWS_REGION`, and the account of the topic.
    pub here: Place,
    /// Its name: `AWS_LAMBDA_FUNCTION_NAME`.
    pub function: String,
}

impl Setting {
    /// From the environment.
    ///
    /// # Errors
    /// Names the variable that is missing.
    pub fn from_env(env: Env<'_>) -> Result<Self, EnvError> {
        let topic = env.required("TOPIC_ARN")?;
        Ok(Self {
            table: env.required("STATE_TABLE")?,
            here: Place::new(crate::event::arn_part(&topic, 4), &env.required("AWS_REGION")?),
            topic,
            function: env.required("AWS_LAMBDA_FUNCTION_NAME")?,
        })
    }

    /// The store in the table.
    pub fn store(&self, aws: &Aws) -> Dynamo {
        Dynamo::new(aws.dynamodb(), self.table.clone())
    }

    /// The announcer to the topic, which may be in another Region.
    pub fn announcer(&self, aws: &Aws) -> Announcer<Dynamo, Topic> {
        let there = aws.in_region(crate::event::arn_part(&self.topic, 3));
        Announcer::new(self.store(aws), Topic::new(there.sns(), self.topic.clone()), Policy::default())
    }

    /// The handler of a function with this duty.
    pub fn handler<D: Duty>(self, aws: &Aws, duty: D) -> Handler<Dynamo, Topic, D> {
        let announcer = self.announcer(aws);
        Handler::new(announcer, duty, self.here, self.function, self.table)
    }
}

/// A list in one variable, by commas.
pub fn list(env: Env<'_>, name: &str) -> Vec<String> {
    let text = env.optional(name).unwrap_or_default();
    text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
}

/// Serves a handler until Lambda ends the process.
///
/// `start` reads configuration and makes clients. If it fails, every event is refused with the reason, so that it stays in its queue.
///
/// # Errors
/// Only if the Runtime API itself cannot be reached.
pub async fn run<S, P, D, F, E>(start: F) -> Result<(), Error>
where
    S: Store,
    P: Publisher,
    D: Duty,
    F: Future<Output = Result<Handler<S, P, D>, E>>,
    E: std::error::Error,
{
    let started = lambda_kit::start::started(start).await;
    let started = &started;
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| async move {
        let failed =
            |name: &str, message: String| Diagnostic { error_type: name.to_owned(), error_message: message };
        let handler = started.as_ref().map_err(|reason| failed("InvalidConfiguration", reason.clone()))?;
        let now = SystemTime::now();
        let deadline = UNIX_EPOCH + Duration::from_millis(event.context.deadline);
        let left = deadline.duration_since(now).unwrap_or_default().saturating_sub(MARGIN);
        // Until the very end of the function's time: only then is it sure that this invocation publishes nothing any more.
        let turn = Turn { now: Moment::from_system(now), until: Moment::from_system(deadline) };
        let until = tokio::time::sleep_until(Instant::now() + left);
        let (done, result) = Box::pin(handler.handle(&event.payload, turn, until)).await;
        metrics(handler.function(), done, now).emit();
        result.map_err(|reason| failed("NotWorkedOff", reason))
    }))
    .await
}

fn metrics(function: &str, done: Done, at: SystemTime) -> Metrics {
    Metrics::new(NAMESPACE, at)
        .dimension("Function", function)
        .count("Events", done.events)
        .count("UnknownEvents", done.unknown)
        .count("FailedEvents", done.failed)
        .count("RepeatedEvents", done.told.repeated)
        .count("Published", done.told.published)
        .count("HeldBack", done.told.held)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_setting_is_that_of_the_template_and_what_is_missing_is_named() {
        let source = |name: &str| {
            let value = match name {
                "TOPIC_ARN" => "arn:aws:sns:eu-central-1:333333333333:alerts",
                "STATE_TABLE" => "alerts",
                "AWS_REGION" => "eu-central-1",
                "AWS_LAMBDA_FUNCTION_NAME" => "on-failure",
                "QUEUE_URLS" => "https://a, https://b,",
                _ => return None,
            };
            Some(value.to_owned())
        };
        let setting = Setting::from_env(Env::from(&source)).unwrap();
        assert_eq!(setting.here, Place::new("333333333333", "eu-central-1"));
        assert_eq!(list(Env::from(&source), "QUEUE_URLS"), ["https://a", "https://b"]);
        let without = |name: &str| source(name).filter(|_| name != "STATE_TABLE");
        let error = Setting::from_env(Env::from(&without)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "environment variable STATE_TABLE is not set; the function's template sets it"
        );
    }

    #[test]
    fn an_invocations_metrics_are_by_function() {
        let done = Done {
            events: 10,
            unknown: 2,
            failed: 1,
            told: crate::announcer::Told { published: 3, held: 4, repeated: 5 },
        };
        let found = metrics("on-failure", done, SystemTime::UNIX_EPOCH).to_json();
        assert_eq!(found["_aws"]["CloudWatchMetrics"][0]["Dimensions"], serde_json::json!([["Function"]]));
        let values = ["Events", "UnknownEvents", "FailedEvents", "Published", "HeldBack", "RepeatedEvents"]
            .map(|name| &found[name]);
        assert_eq!(values, [10, 2, 1, 3, 4, 5].map(Value::from).each_ref());
    }
}
