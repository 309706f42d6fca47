//! The delivery of events: one by one, from a topic, or from a queue in batches.
//!
//! The way by which an event reaches the functions decides what it may say:
//!
//! - EventBridge sets an envelope's account and Region, and only AWS services put events whose source
//!   begins with `aws.` ("Amazon EventBridge event structure");
//! - a notification's text is written by whoever may publish to the topic. It may only be the message
//!   of an event subscription, and it is about the topic's account;
//! - no event has a time in the future, because a resolution in the future would hide later
//!   occurrences.

use std::time::Duration;

use serde_json::Value;

use super::{Parsed, Unrecognized, account_id, database, is_subscription, parse, unrecognized};
use crate::arn::Arn;
use crate::incident::AccountRegion;
use crate::moment::Moment;

/// The largest difference between the clocks of two services.
const CLOCK_SKEW: Duration = Duration::from_secs(5 * 60);

/// The function that receives events.
#[derive(Debug, Clone, Copy)]
pub struct Receiver<'a> {
    /// Its account. A record of a failed invocation without an envelope is about a function of this
    /// account.
    pub account: &'a str,
    /// The start of the invocation.
    pub now: Moment,
}

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

impl Receiver<'_> {
    /// Unpacks the payload of an invocation. It never fails: what is not recognized is an
    /// unrecognized event.
    pub fn deliveries(&self, payload: &Value) -> Delivery {
        let Some(records) = payload.get("Records").and_then(Value::as_array) else {
            let parsed = self.received(payload);
            return Delivery {
                items: vec![Item { message_id: None, parsed: self.timed(parsed) }],
                answers_by_message: false,
            };
        };
        let mut answers_by_message = false;
        let items = records
            .iter()
            .map(|record| {
                let text = |name: &str| record.get(name).and_then(Value::as_str);
                let (message_id, parsed) = if text("eventSource") == Some("aws:sqs") {
                    answers_by_message = true;
                    let body = text("body").unwrap_or_default();
                    let parsed = json(body).and_then(|value| self.received(&value));
                    (text("messageId").map(str::to_owned), parsed)
                } else if let (Some("aws:sns"), Some(sns)) = (text("EventSource"), record.get("Sns")) {
                    let text = |name: &str| sns.get(name).and_then(Value::as_str).unwrap_or_default();
                    (None, notification(text("TopicArn"), text("Message")))
                } else {
                    let problem = "not a record of SQS or SNS";
                    (None, Err(unrecognized(&record.to_string(), Some(record), problem)))
                };
                Item { message_id, parsed: self.timed(parsed) }
            })
            .collect();
        Delivery { items, answers_by_message }
    }

    /// Parses the body of a message, or the payload of an invocation.
    fn received(&self, value: &Value) -> Parsed {
        let text = |name: &str| value.get(name).and_then(Value::as_str);
        match (text("Type"), text("Message"), text("TopicArn")) {
            (Some("Notification"), Some(message), Some(topic)) => notification(topic, message),
            _ => parse(value, self.account),
        }
    }

    /// Limits the event's time to the present.
    fn timed(&self, parsed: Parsed) -> Parsed {
        let latest = self.now.plus(CLOCK_SKEW);
        match parsed {
            Ok(mut event) => {
                event.time = event.time.min(latest);
                Ok(event)
            }
            Err(mut event) => {
                event.time = event.time.map(|time| time.min(latest));
                Err(event)
            }
        }
    }
}

/// Parses the text of a topic's notification.
fn notification(topic: &str, message: &str) -> Parsed {
    let Some(topic) = topic.parse::<Arn>().ok().filter(|arn| arn.service == "sns") else {
        return Err(unrecognized(message, None, "its `TopicArn` is not the ARN of a topic"));
    };
    let account = account_id(&topic.account);
    let value = json(message).map_err(|event| Unrecognized { account: account.clone(), ..event })?;
    let refused = |problem: &str| Unrecognized {
        account: account.clone(),
        ..unrecognized(message, Some(&value), problem)
    };
    if !is_subscription(&value) {
        return Err(refused(
            "a notification of a topic, expected the message of an event subscription of RDS or Redshift",
        ));
    }
    let mut event = database::subscription(&value).map_err(|problem| refused(&problem))?;
    let location = &mut event.location;
    if !location.account.is_empty() && location.account != topic.account {
        return Err(refused("its `Source ARN` is of another account than the topic"));
    }
    let region = if location.region.is_empty() { &topic.region } else { &location.region };
    *location = AccountRegion::new(&topic.account, region);
    Ok(event)
}

fn json(text: &str) -> Result<Value, Unrecognized> {
    // The parser's own text may quote the input; the position is enough.
    serde_json::from_str::<Value>(text).map_err(|error| {
        unrecognized(text, None, &format!("not JSON: line {} column {}", error.line(), error.column()))
    })
}
