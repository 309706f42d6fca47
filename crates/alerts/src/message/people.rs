//! The message for people.

use crate::moment::format_duration;
use crate::notification::{Notification, Status};
use crate::text::escape;

/// Returns one line with what happened and where.
pub(super) fn first_line(notification: &Notification) -> String {
    let incident = &notification.incident;
    let name = escape(&incident.name);
    let (account, region) = (escape(&incident.location.account), escape(&incident.location.region));
    let location = match (account.is_empty(), region.is_empty()) {
        (true, true) => String::new(),
        (false, true) => format!(" ({account})"),
        (true, false) => format!(" ({region})"),
        (false, false) => format!(" ({account} {region})"),
    };
    let title = incident.kind.title();
    let severity = incident.severity.name().to_uppercase();
    match notification.status {
        Status::Opened | Status::Summary => format!("[{severity}] {title}: {name}{location}"),
        Status::Repeated => {
            format!("[{severity}] Still: {title}, {}: {name}{location}", extent(notification))
        }
        Status::Resolved => format!("[RESOLVED] {title}: {name}{location}"),
        Status::Transient => format!("[ALREADY RESOLVED] {title}: {name}{location}"),
    }
}

/// Returns the number of occurrences, or the duration of a condition.
fn extent(notification: &Notification) -> String {
    if notification.incident.kind.is_condition() {
        format!("for {}", format_duration(notification.last.since(notification.first)))
    } else {
        format!("{} times", notification.count)
    }
}

/// Returns the whole text of an e-mail.
pub(super) fn text(notification: &Notification) -> String {
    let mut out = first_line(notification);
    out.push_str("\n\n");
    for (label, value) in lines(notification) {
        out.push_str(&format!("{:<10}{value}\n", format!("{label}:")));
    }
    out
}

/// Returns label and value of each line after the first. The values are escaped.
pub(super) fn lines(notification: &Notification) -> Vec<(&'static str, String)> {
    let incident = &notification.incident;
    let mut lines = Vec::new();
    let mut line = |label, value: &str| {
        if !value.is_empty() {
            lines.push((label, escape(value)));
        }
    };
    line("What", &incident.what);
    if let Some(end) = &notification.resolution {
        let lasted = format_duration(end.at.since(notification.first));
        line("Resolved", &format!("{} at {}, after {lasted}", end.how, end.at));
    }
    line("Since", &since(notification));
    let resolved = notification.resolution.is_some();
    if !resolved {
        line("Impact", &incident.impact);
    }
    line("Cause", incident.cause.as_deref().unwrap_or_default());
    // A resolved incident needs no action. The runbook has the details.
    if !resolved {
        line("Action", &incident.action);
        // A command quotes hidden characters itself. To escape them would change the command.
        lines.extend(incident.command.as_ref().map(|command| ("Command", command.clone())));
    }
    let mut line = |label, value: &str| lines.push((label, escape(value)));
    line("Runbook", &incident.kind.runbook());
    line("Subject", &incident.subject);
    line("Alert", &notification.id);
    lines
}

/// Returns the time of the first occurrence, and the number of occurrences since then.
fn since(notification: &Notification) -> String {
    let Notification { first, last, count, .. } = notification;
    match count {
        0 | 1 => first.to_string(),
        _ if notification.incident.kind.is_condition() => format!("{first}, last seen at {last}"),
        _ => format!("{first}, {count} times, last at {last}"),
    }
}
