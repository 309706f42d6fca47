//! What programs read: the schema `sluice.alert/1`, described in docs/alerts.md.

use serde_json::{Value, json};

use crate::announcement::Announcement;

/// The name and version of the schema. Members may be added within a version, never removed or changed.
pub(super) const SCHEMA: &str = "sluice.alert/1";

/// The announcement as data. Values are as they came, without credentials.
pub(super) fn data(announcement: &Announcement) -> Value {
    let incident = &announcement.incident;
    json!({
        "schema": SCHEMA,
        "id": announcement.id,
        "thread": announcement.thread,
        "status": announcement.status.name(),
        "kind": incident.kind.name(),
        "severity": incident.severity.name(),
        "account": incident.place.account,
        "region": incident.place.region,
        "subject": incident.subject,
        "name": incident.name,
        "title": super::people::first_line(announcement),
        "what": incident.what,
        "count": announcement.count,
        "since": announcement.first.rfc3339(),
        "last": announcement.last.rfc3339(),
        "impact": incident.impact,
        "cause": incident.cause,
        "remedy": incident.remedy,
        "command": incident.command,
        "runbook": incident.kind.runbook(),
        "end": announcement.end.as_ref().map(|end| json!({"at": end.at.rfc3339(), "how": end.how})),
    })
}
