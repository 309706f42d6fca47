//! Events that nobody here understands: one incident, counted, with what is needed to find out.

use crate::command::Command;
use crate::event::Unrecognized;
use crate::incident::{Incident, AccountRegion};
use crate::kind::{Kind, Severity};
use crate::moment::Moment;
use crate::state::Observation;

/// The observation of an unknown event. `here` is where the function runs that got it; `table` is where the event is kept.
pub fn unrecognized_event(unknown: &Unrecognized, here: &AccountRegion, function: &str, table: &str, now: Moment) -> Observation {
    let incident = Incident::new(
        Kind::UnrecognizedEvents,
        Severity::Warning,
        here.clone(),
        function,
        &format!("at {function}"),
        now,
    );
    let key = incident.key();
    let keys = serde_json::json!({":key": {"S": key.as_str()}, ":event": {"S": "event|"}}).to_string();
    let incident = incident
        .what(&format!("An event was not understood. It came from {}.", unknown.from))
        .impact("Whatever it reports is not announced. A rule may match too much, or a service may have changed its events.")
        .cause(Some(&unknown.problem))
        .action(
            "Read what came (it is kept for 15 days), then narrow the rule or teach the function:",
            Command::aws("dynamodb", "query")
                .option("table-name", table)
                .flag("--key-condition-expression 'pk = :key AND begins_with(sk, :event)'")
                .option("expression-attribute-values", &keys)
                .flag("--query 'Items[].body.S' --max-items 20")
                .option("region", &here.region),
        );
    let mut observation = Observation::firing(incident, unknown.id.clone());
    observation.raw = Some(unknown.raw.clone());
    observation
}
