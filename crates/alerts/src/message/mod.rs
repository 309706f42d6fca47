//! One SNS message for every reader.
//!
//! With `MessageStructure` json each protocol gets its own text: mail and everything else people read, JSON for queues, functions and http,
//! Amazon Q Developer's custom notification for https. Source: "Publish" of the SNS API reference; "Custom notifications using Amazon Q
//! Developer in chat applications" of its administrator guide. The JSON is described in docs/alerts.md.

mod chat;
mod data;
mod people;

use serde_json::json;

use crate::announcement::Announcement;
use crate::text::{ascii_line, cut, unmentioned};

/// Most bytes of a message with its attributes and subject. Source: "Amazon SNS endpoints and quotas".
pub const MOST_BYTES: usize = 262_144;
/// Most characters of a subject: "less than 100". Source: "Publish".
const MOST_SUBJECT: usize = 99;
/// Most characters of a text message: one SMS of GSM characters.
const MOST_SMS: usize = 140;

/// What is published.
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
    /// Renders what there is to tell. Where it would be too large, its texts are cut, with a note.
    pub fn of(announcement: &Announcement) -> Self {
        let mut most = usize::MAX;
        loop {
            let message = Self::with_texts_of(announcement, most);
            // Without any text it is as small as it gets, and far below the limit.
            if message.bytes() <= MOST_BYTES || most == 0 {
                return message;
            }
            most = most.min(16_384) / 2;
        }
    }

    fn with_texts_of(announcement: &Announcement, most: usize) -> Self {
        let announcement = &shortened(announcement, most);
        let data = crate::text::json(&data::data(announcement));
        let first_line = people::first_line(announcement);
        let text = people::text(announcement);
        let body = json!({
            "default": text,
            "email": text,
            "email-json": data,
            "sms": cut_line(&first_line),
            "sqs": data,
            "lambda": data,
            "http": data,
            "https": crate::text::json(&chat::notification(announcement)),
        });
        let incident = &announcement.incident;
        let attribute = |value: &str| match ascii_line(value, 100) {
            // SNS refuses an attribute without a value.
            nothing if nothing.is_empty() => "unknown".to_owned(),
            line => line,
        };
        Self {
            // A letter beyond ASCII before an `@` was part of an address, and what stands in its place is not.
            subject: ascii_line(&unmentioned(&ascii_line(&first_line, usize::MAX)), MOST_SUBJECT),
            body: body.to_string(),
            attributes: vec![
                ("severity", incident.severity.name().to_owned()),
                ("kind", incident.kind.name().to_owned()),
                ("status", announcement.status.name().to_owned()),
                ("account", attribute(&incident.place.account)),
                ("region", attribute(&incident.place.region)),
                ("id", attribute(&announcement.id)),
            ],
        }
    }

    /// Bytes that count against [`MOST_BYTES`]: names, types and values of attributes count too.
    pub fn bytes(&self) -> usize {
        let attributes =
            self.attributes.iter().map(|(name, value)| name.len() + "String".len() + value.len());
        self.body.len() + self.subject.len() + attributes.sum::<usize>()
    }
}

fn cut_line(line: &str) -> String {
    if line.chars().count() <= MOST_SMS {
        line.to_owned()
    } else {
        line.chars().take(MOST_SMS - 1).chain(['…']).collect()
    }
}

fn shortened(announcement: &Announcement, most: usize) -> Announcement {
    let mut short = announcement.clone();
    let incident = &mut short.incident;
    for text in [
        &mut incident.place.account,
        &mut incident.place.region,
        &mut incident.subject,
        &mut incident.name,
        &mut incident.what,
        &mut incident.impact,
        &mut incident.remedy,
    ] {
        *text = cut(text, most);
    }
    incident.cause = incident.cause.as_deref().map(|cause| cut(cause, most));
    if let Some(end) = &mut short.end {
        end.how = cut(&end.how, most);
    }
    let incident = &mut short.incident;
    // Half a command is worse than none.
    incident.command = incident.command.take().filter(|command| command.chars().count() <= most);
    short
}

#[cfg(test)]
mod tests;
