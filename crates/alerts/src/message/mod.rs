//! One SNS message for every reader.
//!
//! With `MessageStructure` json each protocol gets its own text: mail and everything else people read, JSON for queues, functions and http,
//! Amazon Q Developer's custom notification for https. Source: "Publish" of the SNS API reference; "Custom notifications using Amazon Q
//! Developer in chat applications" of its administrator guide. The JSON is described in docs/alerts.md.

mod chat;
mod data;
mod people;

use serde_json::json;

use crate::notification::Notification;
use crate::text::{ascii_line, cut, unmentioned};

/// Most bytes of a message with its attributes and subject. Source: "Amazon SNS endpoints and quotas".
pub const MAX_BYTES: usize = 262_144;
/// Most characters of a subject: "less than 100". Source: "Publish".
const MAX_SUBJECT: usize = 99;
/// Most characters of a text message: one SMS of GSM characters.
const MAX_SMS: usize = 140;

/// A published message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// One line of ASCII.
    pub subject: String,
    /// JSON, one text a protocol.
    pub body: String,
    /// For filter policies, all of type String.
    pub attributes: Vec<(&'static str, String)>,
}

impl Message {
    /// Renders a notification. If the message would be too large, its texts are cut, with a note.
    pub fn of(notification: &Notification) -> Self {
        let mut max = usize::MAX;
        loop {
            let message = Self::with_texts_of(notification, max);
            // Without any text it is as small as it gets, and far below the limit.
            if message.bytes() <= MAX_BYTES || max == 0 {
                return message;
            }
            max = max.min(16_384) / 2;
        }
    }

    fn with_texts_of(notification: &Notification, max: usize) -> Self {
        let notification = &shortened(notification, max);
        let data = crate::text::json(&data::data(notification));
        let first_line = people::first_line(notification);
        let text = people::text(notification);
        let body = json!({
            "default": text,
            "email": text,
            "email-json": data,
            "sms": cut_line(&first_line),
            "sqs": data,
            "lambda": data,
            "http": data,
            "https": crate::text::json(&chat::chat_notification(notification)),
        });
        let incident = &notification.incident;
        let attribute = |value: &str| match ascii_line(value, 100) {
            // SNS refuses an attribute without a value.
            nothing if nothing.is_empty() => "unknown".to_owned(),
            line => line,
        };
        Self {
            // A letter beyond ASCII before an `@` was part of an address, and what stands in its place is not.
            subject: ascii_line(&unmentioned(&ascii_line(&first_line, usize::MAX)), MAX_SUBJECT),
            body: body.to_string(),
            attributes: vec![
                ("severity", incident.severity.name().to_owned()),
                ("kind", incident.kind.name().to_owned()),
                ("status", notification.status.name().to_owned()),
                ("account", attribute(&incident.location.account)),
                ("region", attribute(&incident.location.region)),
                ("id", attribute(&notification.id)),
            ],
        }
    }

    /// Bytes that count against [`MAX_BYTES`]: names, types and values of attributes count too.
    pub fn bytes(&self) -> usize {
        let attributes =
            self.attributes.iter().map(|(name, value)| name.len() + "String".len() + value.len());
        self.body.len() + self.subject.len() + attributes.sum::<usize>()
    }
}

fn cut_line(line: &str) -> String {
    if line.chars().count() <= MAX_SMS {
        line.to_owned()
    } else {
        line.chars().take(MAX_SMS - 1).chain(['…']).collect()
    }
}

fn shortened(notification: &Notification, max: usize) -> Notification {
    let mut short = notification.clone();
    let incident = &mut short.incident;
    for text in [
        &mut incident.location.account,
        &mut incident.location.region,
        &mut incident.subject,
        &mut incident.name,
        &mut incident.what,
        &mut incident.impact,
        &mut incident.action,
    ] {
        *text = cut(text, max);
    }
    incident.cause = incident.cause.as_deref().map(|cause| cut(cause, max));
    if let Some(resolution) = &mut short.resolution {
        resolution.how = cut(&resolution.how, max);
    }
    let incident = &mut short.incident;
    // Half a command is worse than none.
    incident.command = incident.command.take().filter(|command| command.chars().count() <= max);
    short
}

#[cfg(test)]
mod tests;
