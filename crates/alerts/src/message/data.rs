//! The message for programs: the schema `sluice.alert/1`, described in docs/alerts.md.

use serde_json::{Value, json};

use crate::notification::Notification;

/// The name and version of the schema. Members may be added within a version, never removed or
/// changed.
pub(super) const SCHEMA: &str = "sluice.alert/1";

/// Returns the notification as data. Values are as they were received, without credentials.
pub(super) fn data(notification: &Notification) -> Value {
    let incident = &notification.incident;
    let resolution = notification.resolution.as_ref();
    json!({
        "schema": SCHEMA,
        "id": notification.id,
        "thread": notification.thread,
        "status": notification.status.name(),
        "kind": incident.kind.name(),
        "severity": incident.severity.name(),
        "account": incident.location.account,
        "region": incident.location.region,
        "subject": incident.subject,
        "name": incident.name,
        "title": super::people::first_line(notification),
        "what": incident.what,
        "count": notification.count,
        "since": notification.first.rfc3339(),
        "last": notification.last.rfc3339(),
        "impact": incident.impact,
        "cause": incident.cause,
        "action": incident.action,
        "command": incident.command,
        "runbook": incident.kind.runbook(),
        "resolution": resolution.map(|end| json!({"at": end.at.rfc3339(), "how": end.how})),
    })
}
