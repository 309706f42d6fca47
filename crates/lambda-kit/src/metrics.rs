//! Metrics without a call: CloudWatch reads them from the log (embedded metric format).
//!
//! Source: "Specification: Embedded metric format" of the CloudWatch user guide.

use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

/// The metrics of one event.
#[derive(Debug, Clone)]
#[must_use = "metrics count once they are emitted"]
pub struct Metrics {
    namespace: &'static str,
    /// Milliseconds since 1970.
    at: u64,
    dimensions: Vec<&'static str>,
    metrics: Vec<Value>,
    values: Map<String, Value>,
}

impl Metrics {
    /// Metrics of a namespace at a time.
    pub fn new(namespace: &'static str, at: SystemTime) -> Self {
        let at = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        Self {
            namespace,
            at: u64::try_from(at).unwrap_or(u64::MAX),
            dimensions: Vec::new(),
            metrics: Vec::new(),
            values: Map::new(),
        }
    }

    /// A dimension: every value of it is a metric of its own, and costs as one.
    pub fn dimension(mut self, name: &'static str, value: &str) -> Self {
        self.dimensions.push(name);
        self.property(name, value)
    }

    /// Something to search the log by; it makes no metric.
    pub fn property(mut self, name: &'static str, value: &str) -> Self {
        self.values.insert(name.to_owned(), value.into());
        self
    }

    /// A number of things.
    pub fn count(self, name: &'static str, value: u32) -> Self {
        self.metric(name, "Count", value.into())
    }

    /// A time.
    pub fn milliseconds(self, name: &'static str, value: Duration) -> Self {
        self.metric(name, "Milliseconds", (value.as_secs_f64() * 1000.0).into())
    }

    /// A longer time.
    pub fn seconds(self, name: &'static str, value: Duration) -> Self {
        self.metric(name, "Seconds", value.as_secs_f64().into())
    }

    fn metric(mut self, name: &'static str, unit: &str, value: Value) -> Self {
        self.metrics.push(json!({"Name": name, "Unit": unit}));
        self.values.insert(name.to_owned(), value);
        self
    }

    /// As CloudWatch reads it.
    pub fn to_json(&self) -> Value {
        let mut all = self.values.clone();
        let directive =
            json!({"Namespace": self.namespace, "Dimensions": [self.dimensions], "Metrics": self.metrics});
        all.insert("_aws".into(), json!({"Timestamp": self.at, "CloudWatchMetrics": [directive]}));
        Value::Object(all)
    }

    /// Writes them to standard output, one line.
    pub fn emit(&self) {
        // A function whose standard output is gone cannot say so anywhere.
        let _ = writeln!(std::io::stdout(), "{}", self.to_json());
    }
}
