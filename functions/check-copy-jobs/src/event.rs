//! The events that invoke the function: a schedule, or the end of one of its own batches.

use copy_monitor::{Completion, NAME_PREFIX};
use serde::Deserialize;
use serde_json::Value;

/// An event.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A schedule, of a rule or of EventBridge Scheduler.
    Schedule,
    /// A batch of the function has ended.
    StatementEnded(Completion),
}

#[derive(Deserialize)]
struct Envelope {
    source: String,
    #[serde(rename = "detail-type")]
    detail_type: String,
    detail: Value,
}

/// Source: "Monitoring scheduled statements with Amazon EventBridge" of the Redshift management
/// guide.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StatementChange {
    statement_name: String,
    statement_id: String,
    state: String,
}

impl Event {
    /// Parses an event. The error says what was expected.
    pub(crate) fn parse(event: &Value) -> Result<Self, String> {
        let Envelope { source, detail_type, detail } = Envelope::deserialize(event).map_err(|error| {
            format!("expected an event of EventBridge (a schedule, or a Redshift Data Statement Status Change): {error}")
        })?;
        match (source.as_str(), detail_type.as_str()) {
            ("aws.events" | "aws.scheduler", "Scheduled Event") => Ok(Self::Schedule),
            ("aws.redshift-data", "Redshift Data Statement Status Change") => {
                let change = StatementChange::deserialize(detail).map_err(|error| {
                    format!("expected statementName, statementId and state in the detail of a statement's end: {error}")
                })?;
                if !change.statement_name.starts_with(NAME_PREFIX) {
                    return Err(format!(
                        "the statement is called \"{}\", and this function's begin with \"{NAME_PREFIX}\"; narrow the rule's pattern",
                        change.statement_name.escape_debug()
                    ));
                }
                Ok(Self::StatementEnded(Completion {
                    name: change.statement_name,
                    id: change.statement_id,
                    finished: change.state == "FINISHED",
                }))
            }
            (source, kind) => Err(format!(
                "expected a Scheduled Event or a Redshift Data Statement Status Change, found \"{}\" of \"{}\"",
                kind.escape_debug(),
                source.escape_debug()
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(path: &str) -> Value {
        let path = format!("{}/../../events/{path}", env!("CARGO_MANIFEST_DIR"));
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    #[test]
    fn schedule_and_completion_events_are_parsed() {
        assert_eq!(Event::parse(&sample("events/scheduled.json")), Ok(Event::Schedule));
        for (name, finished) in [("copy-monitor-finished", true), ("copy-monitor-failed", false)] {
            let event = Event::parse(&sample(&format!("redshift-data/{name}.json")));
            let completion = Completion {
                name: "sluice-copy-monitor.main.42".to_owned(),
                id: "d1a3f2b4-6c8e-4f0a-9b2d-3e5f7a9c1b3d".to_owned(),
                finished,
            };
            assert_eq!(event, Ok(Event::StatementEnded(completion)));
        }
    }

    #[test]
    fn unexpected_event_is_rejected_with_what_was_expected() {
        let mut foreign = sample("redshift-data/copy-monitor-finished.json");
        foreign["detail"]["statementName"] = "nightly".into();
        let mut cut = sample("redshift-data/copy-monitor-finished.json");
        cut["detail"] = serde_json::json!({});
        for (event, part) in [
            (foreign, "is called \"nightly\""),
            (cut, "expected statementName"),
            (
                serde_json::json!({"source": "aws.s3", "detail-type": "x\n", "detail": {}}),
                "found \"x\\n\" of \"aws.s3\"",
            ),
            (serde_json::json!("hello"), "expected an event of EventBridge"),
        ] {
            let problem = Event::parse(&event).unwrap_err();
            assert!(problem.contains(part), "{problem}");
        }
    }
}
