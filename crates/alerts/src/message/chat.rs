//! What Amazon Q Developer shows in Slack, Teams and Chime: its custom notification, version 1.0.

use serde_json::{Value, json};

use super::people;
use crate::announcement::Announcement;
use crate::text::{cut, shown};

/// Most characters of a title and of a description that are shown.
const TITLE: usize = 250;
const DESCRIPTION: usize = 7500;
/// Most characters of one next step.
const STEP: usize = 1500;

/// The notification. All messages of one incident share a thread.
pub(super) fn notification(announcement: &Announcement) -> Value {
    let incident = &announcement.incident;
    let description: Vec<String> = people::lines(announcement)
        .into_iter()
        .filter(|(label, _)| !["Do", "Command", "Runbook"].contains(label))
        .map(|(label, value)| format!("{label}: {value}"))
        .collect();
    let steps: Vec<String> = people::lines(announcement)
        .into_iter()
        .filter_map(|(label, value)| match label {
            "Do" => Some(cut(&value, STEP)),
            // Half a command is worse than none: the mail and the JSON have it.
            "Command" => (value.chars().count() <= STEP).then(|| format!("```{value}```")),
            "Runbook" => Some(format!("Runbook: {value}")),
            _ => None,
        })
        .collect();
    let title = cut(&people::first_line(announcement), TITLE);
    json!({
        "version": "1.0",
        "source": "custom",
        "id": announcement.id,
        "content": {
            "textType": "client-markdown",
            "title": title,
            "description": cut(&description.join("\n"), DESCRIPTION),
            "nextSteps": steps,
            "keywords": [incident.kind.name(), incident.severity.name(), shown(&incident.place.account)],
        },
        "metadata": {
            "threadId": announcement.thread,
            "summary": title,
            "eventType": incident.kind.name(),
            "relatedResources": [shown(&incident.subject)],
            "additionalContext": {
                "status": announcement.status.name(),
                "severity": incident.severity.name(),
                "account": shown(&incident.place.account),
                "region": shown(&incident.place.region),
                "count": announcement.count.to_string(),
            },
        },
    })
}
