//! The contents of dead-letter queues.

use std::collections::BTreeMap;

use super::last_part;
use crate::command::Command;
use crate::event::{Detail, Receiver};
use crate::incident::{AccountRegion, Incident, IncidentKey};
use crate::kind::{Kind, Severity};
use crate::moment::{Moment, format_duration};
use crate::state::{EventId, Observation};

/// The largest number of causes in an alert.
const MAX_CAUSES: usize = 5;

/// The contents of a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueContents {
    /// The queue's ARN.
    pub queue: String,
    /// The approximate number of messages, including those that are being read.
    pub count: u64,
    /// Some of the messages.
    pub messages: Vec<QueuedMessage>,
    /// The queue to which messages are moved for redelivery; `None` is their original queue.
    pub destination: Option<String>,
}

/// A message in a dead-letter queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuedMessage {
    /// The id.
    pub id: String,
    /// The time at which it was sent.
    pub sent: Option<Moment>,
    /// The body.
    pub body: String,
    /// The attributes, which contain EventBridge's reason.
    /// Source: "Using dead-letter queues to process undelivered events" of the EventBridge user guide.
    pub attributes: BTreeMap<String, String>,
}

/// Returns the observations of a queue: each message is an occurrence, an empty queue the end.
pub fn dead_letters(contents: &QueueContents, location: &AccountRegion, now: Moment) -> Vec<Observation> {
    let key = IncidentKey::new(Kind::DeadLetter, location, &contents.queue, None);
    if contents.count == 0 && contents.messages.is_empty() {
        let id = EventId::of(&["empty", &contents.queue, &now.millis().to_string()]);
        return vec![Observation::resolved(key, "the queue is empty", id, now)];
    }
    let receiver = Receiver { account: &location.account, now };
    let mut causes: BTreeMap<String, u32> = BTreeMap::new();
    for message in &contents.messages {
        *causes.entry(cause(message, receiver)).or_default() += 1;
    }
    let mut causes: Vec<(u32, String)> = causes.into_iter().map(|(cause, count)| (count, cause)).collect();
    causes.sort_by(|one, other| other.cmp(one));
    let more = causes.len().saturating_sub(MAX_CAUSES);
    let mut lines: Vec<String> =
        causes.iter().take(MAX_CAUSES).map(|(count, cause)| format!("{count} × {cause}")).collect();
    if more > 0 {
        lines.push(format!("{more} more causes"));
    }
    let oldest = contents.messages.iter().filter_map(|message| message.sent).min();
    let age = oldest
        .map(|sent| format!(" The oldest message that was read is {} old.", format_duration(now.since(sent))))
        .unwrap_or_default();
    let mut command = Command::aws("sqs", "start-message-move-task").option("source-arn", &contents.queue);
    if let Some(destination) = &contents.destination {
        command = command.option("destination-arn", destination);
    }
    let name = format!("in {}", last_part(&contents.queue));
    let incident = Incident::new(Kind::DeadLetter, Severity::Error, location.clone(), &contents.queue, &name, now)
        .what(&format!(
            "The dead-letter queue holds about {} messages that could not be processed.{age}",
            contents.count
        ))
        .impact("The events in these messages were not processed: alerts or actions are missing. SQS keeps them for at most 14 days.")
        .cause(Some(&lines.join("; ")))
        .action("Fix the cause, then redrive the messages:", command.option("region", &location.region));
    contents
        .messages
        .iter()
        .map(|message| {
            let mut observation = Observation::firing(
                incident.clone(),
                EventId::of(&["message", &contents.queue, &message.id]),
            );
            observation.at = now;
            observation
        })
        .collect()
}

/// Returns the reason why a message is in the queue, as far as it is known.
fn cause(message: &QueuedMessage, receiver: Receiver<'_>) -> String {
    let attribute = |name: &str| message.attributes.get(name).map(String::as_str);
    if let Some(code) = attribute("ERROR_CODE") {
        let rule = attribute("RULE_ARN").map(last_part).unwrap_or("unknown rule");
        let target = attribute("TARGET_ARN").map(last_part).unwrap_or("unknown target");
        let text = attribute("ERROR_MESSAGE").unwrap_or_default();
        return format!("{code} from rule {rule} to {target}: {text}");
    }
    let value = serde_json::from_str(&message.body)
        .unwrap_or_else(|_| serde_json::Value::String(message.body.clone()));
    match receiver.deliveries(&value).items.first().map(|item| &item.parsed) {
        Some(Ok(event)) => match &event.detail {
            Detail::FunctionFailure(failure) => {
                let answer = failure.response_payload.clone().unwrap_or_default();
                let function = last_part(failure.request_context.function());
                format!(
                    "function {function}: {}",
                    answer
                        .kind
                        .or(answer.message)
                        .unwrap_or_else(|| failure.request_context.condition.clone())
                )
            }
            _ => "an event that was not processed".to_owned(),
        },
        Some(Err(unknown)) => format!("a message from {}", unknown.from),
        None => "an empty message".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(id: &str, body: &str, attributes: &[(&str, &str)]) -> QueuedMessage {
        QueuedMessage {
            id: id.into(),
            sent: Some(Moment::from_millis(0)),
            body: body.into(),
            attributes: attributes
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        }
    }

    #[test]
    fn messages_are_grouped_by_cause_and_an_empty_queue_resolves() {
        let refused = [
            ("ERROR_CODE", "NO_PERMISSIONS"),
            ("RULE_ARN", "arn:aws:events:us-east-1:111111111111:rule/to-hub"),
            ("TARGET_ARN", "arn:aws:events:us-east-1:333333333333:event-bus/alerts"),
            ("ERROR_MESSAGE", "not authorized"),
        ];
        let mut contents = QueueContents {
            queue: "arn:aws:sqs:us-east-1:111111111111:alerts-failed".into(),
            count: 3,
            messages: vec![
                message("1", "{}", &refused),
                message("2", "{}", &refused),
                message("3", "not json", &[]),
            ],
            destination: None,
        };
        let location = AccountRegion::new("111111111111", "us-east-1");
        let observations = dead_letters(&contents, &location, Moment::from_millis(7_200_000));
        assert_eq!(observations.len(), 3);
        let crate::state::Transition::Firing(incident) = &observations[0].transition else {
            panic!("{observations:?}")
        };
        assert_eq!(
            incident.cause.as_deref(),
            Some(
                "2 × NO_PERMISSIONS from rule to-hub to alerts: not authorized; 1 × a message from no source"
            )
        );
        assert!(
            incident.what.contains("about 3 messages") && incident.what.contains("2 h old"),
            "{}",
            incident.what
        );
        assert!(
            incident
                .command
                .as_ref()
                .unwrap()
                .starts_with("aws sqs start-message-move-task --source-arn arn:aws:sqs")
        );
        contents.messages.clear();
        contents.count = 0;
        let observations = dead_letters(&contents, &location, Moment::from_millis(8_000_000));
        assert!(
            matches!(observations[0].transition, crate::state::Transition::Resolved(_)),
            "{observations:?}"
        );
    }
}
