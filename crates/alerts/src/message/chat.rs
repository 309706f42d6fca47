//! The message for Slack, Teams and Chime: a custom notification of Amazon Q Developer, version 1.0.

use serde_json::{Value, json};

use super::people;
use crate::notification::Notification;
use crate::text::{cut, escape};

/// The largest number of characters of a title.
const TITLE: usize = 250;
/// The largest number of characters of a description.
const DESCRIPTION: usize = 7500;
/// The largest number of characters of one next step.
const STEP: usize = 1500;

/// Returns the custom notification. All notifications of one incident share a thread.
pub(super) fn chat_notification(notification: &Notification) -> Value {
    let incident = &notification.incident;
    let description: Vec<String> = people::lines(notification)
        .into_iter()
        .filter(|(label, _)| !["Action", "Command", "Runbook"].contains(label))
        .map(|(label, value)| format!("{label}: {value}"))
        .collect();
    let steps: Vec<String> = people::lines(notification)
        .into_iter()
        .filter_map(|(label, value)| match label {
            "Action" => Some(cut(&value, STEP)),
            // Half a command is worse than none: the e-mail and the JSON have it.
            "Command" => (value.chars().count() <= STEP).then(|| format!("```{value}```")),
            "Runbook" => Some(format!("Runbook: {value}")),
            _ => None,
        })
        .collect();
    let title = cut(&people::first_line(notification), TITLE);
    let (account, region) = (escape(&incident.location.account), escape(&incident.location.region));
    json!({
        "version": "1.0",
        "source": "custom",
        "id": notification.id,
        "content": {
            "textType": "client-markdown",
            "title": title,
            "description": cut(&description.join("\n"), DESCRIPTION),
            "nextSteps": steps,
            "keywords": [incident.kind.name(), incident.severity.name(), account],
        },
        "metadata": {
            "threadId": notification.thread,
            "summary": title,
            "eventType": incident.kind.name(),
            "relatedResources": [escape(&incident.subject)],
            "additionalContext": {
                "status": notification.status.name(),
                "severity": incident.severity.name(),
                "account": account,
                "region": region,
                "count": notification.count.to_string(),
            },
        },
    })
}
