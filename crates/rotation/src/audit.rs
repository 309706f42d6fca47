//! One record and one set of metrics for every step, without anything secret.

use std::time::{Duration, SystemTime};

use lambda_kit::metrics::Metrics;

use crate::action::{Acted, ActionEvent};
use crate::error::RotationError;
use crate::event::RotationEvent;
use crate::machine::Done;

/// Namespace of the metrics.
pub const NAMESPACE: &str = "Sluice/Rotation";

/// What became of one step.
pub struct Record<'a> {
    /// The event.
    pub event: &'a RotationEvent,
    /// What is rotated: the engine, or another kind of target.
    pub target: &'static str,
    /// How it ended.
    pub result: &'a Result<Done, RotationError>,
    /// How long it took.
    pub took: Duration,
}

impl Record<'_> {
    /// `done`, `done before`, or the error's public name.
    pub fn outcome(&self) -> &'static str {
        match self.result {
            Ok(Done::Now) => "done",
            Ok(Done::Before) => "done before",
            Err(error) => error.name(),
        }
    }

    /// Writes the audit record into the log.
    pub fn log(&self) {
        let (secret, version) = (self.event.secret_id.as_str(), self.event.client_request_token.as_str());
        let (step, outcome, engine) = (self.event.step.name(), self.outcome(), self.target);
        let milliseconds = u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX);
        match self.result {
            Ok(_) => tracing::info!(secret, version, step, engine, outcome, milliseconds, "rotation step"),
            Err(error) => {
                let reason = lambda_kit::call::chain(error);
                tracing::error!(
                    secret,
                    version,
                    step,
                    engine,
                    outcome,
                    milliseconds,
                    reason,
                    "rotation step"
                );
            }
        }
    }

    /// The metrics `Duration` (milliseconds) and `Failures` (0 or 1) by engine and step.
    pub fn metrics(&self, at: SystemTime) -> Metrics {
        Metrics::new(NAMESPACE, at)
            .dimension("Engine", self.target)
            .dimension("Step", self.event.step.name())
            .milliseconds("Duration", self.took)
            .count("Failures", u32::from(self.result.is_err()))
            // Not dimensions: one metric for every secret would cost more than it tells.
            .property("Secret", &self.event.secret_id)
            .property("Outcome", self.outcome())
    }
}

/// What became of one action.
pub struct ActionRecord<'a> {
    /// The event.
    pub event: &'a ActionEvent,
    /// The kind of target.
    pub target: &'static str,
    /// How it ended.
    pub result: &'a Result<Acted, RotationError>,
    /// How long it took.
    pub took: Duration,
}

impl ActionRecord<'_> {
    /// `done`, `nothing to do`, `later`, or the error's public name.
    pub fn outcome(&self) -> &'static str {
        match self.result {
            Ok(Acted::Now) => "done",
            Ok(Acted::Nothing) => "nothing to do",
            Ok(Acted::Later(_)) => "later",
            Err(error) => error.name(),
        }
    }

    /// Writes the audit record into the log.
    pub fn log(&self) {
        let (secret, action) = (self.event.secret_id.as_str(), self.event.action.name());
        let (outcome, engine) = (self.outcome(), self.target);
        let milliseconds = u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX);
        match self.result {
            Ok(acted) => {
                let reason = if let Acted::Later(reason) = acted { reason } else { "" };
                tracing::info!(secret, action, engine, outcome, milliseconds, reason, "action");
            }
            Err(error) => {
                let reason = lambda_kit::call::chain(error);
                tracing::error!(secret, action, engine, outcome, milliseconds, reason, "action");
            }
        }
    }

    /// The same metrics as of a step, under the action's name.
    pub fn metrics(&self, at: SystemTime) -> Metrics {
        Metrics::new(NAMESPACE, at)
            .dimension("Engine", self.target)
            .dimension("Step", self.event.action.name())
            .milliseconds("Duration", self.took)
            .count("Failures", u32::from(self.result.is_err()))
            .property("Secret", &self.event.secret_id)
            .property("Outcome", self.outcome())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Step;

    #[test]
    fn metrics_have_engine_and_step_as_dimensions_and_the_secret_as_a_property() {
        let event = RotationEvent {
            step: Step::Test,
            secret_id: "arn:s".into(),
            client_request_token: "t".into(),
            rotation_token: Some("bearer".into()),
        };
        let result = Err(RotationError::OutOfTime("a login"));
        let record =
            Record { event: &event, target: "postgres", result: &result, took: Duration::from_millis(12) };
        let found = record.metrics(SystemTime::UNIX_EPOCH + Duration::from_secs(3)).to_json();
        assert_eq!(found["_aws"]["Timestamp"], 3000);
        assert_eq!(
            found["_aws"]["CloudWatchMetrics"][0]["Dimensions"],
            serde_json::json!([["Engine", "Step"]])
        );
        assert_eq!(
            (&found["Step"], &found["Failures"], &found["Duration"]),
            (&"testSecret".into(), &1.into(), &12.0.into())
        );
        assert_eq!((&found["Secret"], &found["Outcome"]), (&"arn:s".into(), &"TimedOut".into()));
        assert!(!found.to_string().contains("bearer"));
    }
}
