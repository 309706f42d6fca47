//! Events that the functions do not recognize: one incident for each account, which counts them.

use crate::command::Command;
use crate::event::Unrecognized;
use crate::incident::{AccountRegion, Incident};
use crate::kind::{Kind, Severity};
use crate::moment::Moment;
use crate::state::Observation;

/// Returns the observation of an unrecognized event. `location` is that of the function that received
/// it; `table` keeps the event. The incident is in the account that sent the event, if that is known:
/// no account hides the events of another.
pub fn unrecognized_event(
    received: &Unrecognized,
    location: &AccountRegion,
    function: &str,
    table: &str,
    now: Moment,
) -> Observation {
    let incident = Incident::new(
        Kind::UnrecognizedEvents,
        Severity::Warning,
        AccountRegion::new(received.account.as_deref().unwrap_or(&location.account), &location.region),
        function,
        &format!("at {function}"),
        now,
    );
    let key = incident.key();
    let keys = serde_json::json!({":key": {"S": key.as_str()}, ":event": {"S": "event|"}}).to_string();
    let incident = incident
        .what(&format!("The function received an event that it does not recognize, from {}.", received.from))
        .impact("No alert is sent about what the event reports. A rule may match too many events, or a service may have changed its events.")
        .cause(Some(&received.problem))
        .action(
            "Read the events (they are kept for 15 days), then narrow the rule or report the new form of the event:",
            Command::aws("dynamodb", "query")
                .option("table-name", table)
                .flag("--key-condition-expression 'pk = :key AND begins_with(sk, :event)'")
                .option("expression-attribute-values", &keys)
                .flag("--query 'Items[].body.S' --max-items 20")
                .option("region", &location.region),
        );
    let mut observation = Observation::firing(incident, received.id.clone());
    observation.raw = Some(received.raw.clone());
    observation
}
