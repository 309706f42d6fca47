//! The audit record and the metrics of every step and action, without anything secret.

use std::time::Duration;

use lambda_kit::error::chain;
use lambda_kit::metrics::Metrics;
use lambda_kit::moment::Moment;

use crate::error::RotationError;
use crate::outcome::StepOutcome;

/// The namespace of the metrics.
pub const NAMESPACE: &str = "Sluice/Rotation";

/// The result of one step or action.
pub struct Record<'a> {
    /// The secret's ARN.
    pub secret: &'a str,
    /// The id of the rotation's version; `None` for an action.
    pub version: Option<&'a str>,
    /// The name of the step or action.
    pub step: &'static str,
    /// The kind of credential, such as the engine.
    pub rotator: &'static str,
    /// The result.
    pub result: &'a Result<StepOutcome, RotationError>,
    /// The duration.
    pub took: Duration,
}

impl Record<'_> {
    /// Returns the name of the outcome, or the error's public name.
    pub fn outcome(&self) -> &'static str {
        match self.result {
            Ok(outcome) => outcome.name(),
            Err(error) => error.name(),
        }
    }

    /// Writes the audit record to the log.
    pub fn log(&self) {
        let Self { secret, version, step, rotator: engine, .. } = *self;
        let outcome = self.outcome();
        let milliseconds = u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX);
        match self.result {
            Ok(StepOutcome::Postponed(reason)) => {
                tracing::info!(secret, version, step, engine, outcome, milliseconds, reason, "rotation step");
            }
            Ok(_) => tracing::info!(secret, version, step, engine, outcome, milliseconds, "rotation step"),
            Err(error) => {
                let reason = chain(error);
                tracing::error!(
                    secret,
                    version,
                    step,
                    engine,
                    outcome,
                    milliseconds,
                    reason,
                    "rotation step failed"
                );
            }
        }
    }

    /// Returns the metrics `Duration` (milliseconds) and `Failures` (0 or 1) by engine and step.
    pub fn metrics(&self, at: Moment) -> Metrics {
        Metrics::new(NAMESPACE, at)
            .dimension("Engine", self.rotator)
            .dimension("Step", self.step)
            .milliseconds("Duration", self.took)
            .count("Failures", u32::from(self.result.is_err()))
            // Properties, not dimensions: a metric per secret would cost more than it is worth.
            .property("Secret", self.secret)
            .property("Outcome", self.outcome())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_have_engine_and_step_as_dimensions() {
        let result = Err(RotationError::TimedOut("a login"));
        let record = Record {
            secret: "arn:s",
            version: Some("t"),
            step: "testSecret",
            rotator: "postgres",
            result: &result,
            took: Duration::from_millis(12),
        };
        let found = record.metrics(Moment::from_secs(3)).to_json();
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
    }
}
