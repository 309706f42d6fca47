//! The delivery of events: one by one, from a topic, or from a queue in batches; wrapped once or twice.

use serde_json::Value;

use super::{Parsed, parse, unrecognized};

/// The largest number of wrappings: a topic's notification in a queue's message is two.
const MAX_LAYERS: usize = 4;

/// The events of an invocation.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    /// The events.
    pub items: Vec<Item>,
    /// True if the response lists the failed messages, for a queue.
    pub answers_by_message: bool,
}

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// The id of the queue's message.
    pub message_id: Option<String>,
    /// The event.
    pub parsed: Parsed,
}

/// Unpacks the payload of an invocation. It never fails: what is not recognized is an unrecognized event.
pub fn deliveries(payload: &Value) -> Delivery {
    let Some(records) = payload.get("Records").and_then(Value::as_array) else {
        return Delivery {
            items: vec![Item { message_id: None, parsed: unwrapped(payload, 0) }],
            answers_by_message: false,
        };
    };
    let mut answers_by_message = false;
    let items = records
        .iter()
        .map(|record| {
            let text = |name: &str| record.get(name).and_then(Value::as_str);
            if text("eventSource") == Some("aws:sqs") {
                answers_by_message = true;
                let message_id = text("messageId").map(str::to_owned);
                Item { message_id, parsed: from_text(text("body").unwrap_or_default(), 0) }
            } else if text("EventSource") == Some("aws:sns") {
                let message = record.get("Sns").and_then(|sns| sns.get("Message")).and_then(Value::as_str);
                Item {
                    message_id: None,
                    parsed: with_topic(from_text(message.unwrap_or_default(), 0), record.get("Sns")),
                }
            } else {
                let problem = "not a record of SQS or SNS";
                Item {
                    message_id: None,
                    parsed: Err(unrecognized(&record.to_string(), Some(record), problem)),
                }
            }
        })
        .collect();
    Delivery { items, answers_by_message }
}

/// Removes wrappings: a topic's notification.
fn unwrapped(value: &Value, layer: usize) -> Parsed {
    let text = |name: &str| value.get(name).and_then(Value::as_str);
    match (text("Type"), text("Message"), text("TopicArn")) {
        (Some("Notification"), Some(message), Some(_)) if layer < MAX_LAYERS => {
            with_topic(from_text(message, layer + 1), Some(value))
        }
        _ => parse(value),
    }
}

fn from_text(text: &str, layer: usize) -> Parsed {
    match serde_json::from_str::<Value>(text) {
        Ok(value) => unwrapped(&value, layer),
        // The parser's own text may quote the input; the position is enough.
        Err(error) => Err(unrecognized(
            text,
            None,
            &format!("not JSON: line {} column {}", error.line(), error.column()),
        )),
    }
}

/// Adds the account and Region of the topic to an event without them: a subscription's message of Redshift
/// has no account. The topic is in the same account or in the hub's.
fn with_topic(mut parsed: Parsed, notification: Option<&Value>) -> Parsed {
    if let (Ok(event), Some(topic)) =
        (&mut parsed, notification.and_then(|value| value.get("TopicArn")).and_then(Value::as_str))
    {
        // Untrusted as any other text: a queue accepts any message.
        let of_topic = super::location_of(topic);
        let location = &mut event.location;
        for (text, of_topic) in
            [(&mut location.account, of_topic.account), (&mut location.region, of_topic.region)]
        {
            if text.is_empty() {
                *text = of_topic;
            }
        }
    }
    parsed
}
