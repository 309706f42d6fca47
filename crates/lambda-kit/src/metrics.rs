//! Metrics that need no API call: CloudWatch reads them from the log (embedded metric format).
//!
//! Source: "Specification: Embedded metric format" of the CloudWatch user guide.

use std::io::Write;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::moment::Moment;

/// A set of metrics with the same dimensions.
#[derive(Debug, Clone)]
#[must_use = "metrics are recorded when they are emitted"]
pub struct Metrics {
    namespace: &'static str,
    at: Moment,
    dimensions: Vec<&'static str>,
    metrics: Vec<Value>,
    values: Map<String, Value>,
}

impl Metrics {
    /// Creates an empty set of metrics in a namespace, at a time.
    pub fn new(namespace: &'static str, at: impl Into<Moment>) -> Self {
        Self { namespace, at: at.into(), dimensions: Vec::new(), metrics: Vec::new(), values: Map::new() }
    }

    /// Adds a dimension. Every value of it makes a metric of its own, and is billed as one.
    pub fn dimension(mut self, name: &'static str, value: &str) -> Self {
        self.dimensions.push(name);
        self.property(name, value)
    }

    /// Adds a field to search the log by. It makes no metric.
    pub fn property(mut self, name: &'static str, value: &str) -> Self {
        self.values.insert(name.to_owned(), value.into());
        self
    }

    /// Adds a number of things.
    pub fn count(self, name: &'static str, value: u32) -> Self {
        self.metric(name, "Count", value.into())
    }

    /// Adds a duration in milliseconds.
    pub fn milliseconds(self, name: &'static str, value: Duration) -> Self {
        self.metric(name, "Milliseconds", (value.as_secs_f64() * 1000.0).into())
    }

    /// Adds a duration in seconds.
    pub fn seconds(self, name: &'static str, value: Duration) -> Self {
        self.metric(name, "Seconds", value.as_secs_f64().into())
    }

    fn metric(mut self, name: &'static str, unit: &str, value: Value) -> Self {
        self.metrics.push(json!({"Name": name, "Unit": unit}));
        self.values.insert(name.to_owned(), value);
        self
    }

    /// Returns the log line's content as CloudWatch reads it.
    pub fn to_json(&self) -> Value {
        let mut all = self.values.clone();
        let directive =
            json!({"Namespace": self.namespace, "Dimensions": [self.dimensions], "Metrics": self.metrics});
        all.insert("_aws".into(), json!({"Timestamp": self.at.millis(), "CloudWatchMetrics": [directive]}));
        Value::Object(all)
    }

    /// Writes the metrics to standard output, as one line.
    pub fn emit(&self) {
        // Without a standard output there is no place to report the problem.
        let _ = writeln!(std::io::stdout(), "{}", self.to_json());
    }
}
