//! What people read.

use crate::announcement::{Announcement, Status};
use crate::moment::said;
use crate::text::shown;

/// What and where, in one line.
pub(super) fn first_line(announcement: &Announcement) -> String {
    let incident = &announcement.incident;
    let name = shown(&incident.name);
    let place = match (shown(&incident.place.account), shown(&incident.place.region)) {
        (account, region) if account.is_empty() && region.is_empty() => String::new(),
        (account, region) if region.is_empty() => format!(" ({account})"),
        (account, region) if account.is_empty() => format!(" ({region})"),
        (account, region) => format!(" ({account} {region})"),
    };
    let title = incident.kind.title();
    match announcement.status {
        Status::Opened | Status::Summary => {
            format!("[{}] {title}: {name}{place}", incident.severity.name().to_uppercase())
        }
        Status::Repeated => format!(
            "[{}] Still: {title}, {}: {name}{place}",
            incident.severity.name().to_uppercase(),
            how_much(announcement)
        ),
        Status::Recovered => format!("[RECOVERED] {title}: {name}{place}"),
        Status::Passed => format!("[ALREADY OVER] {title}: {name}{place}"),
    }
}

/// How often it occurred; of what a check finds again and again, for how long.
fn how_much(announcement: &Announcement) -> String {
    if announcement.incident.kind.lasts() {
        format!("for {}", said(announcement.last.since(announcement.first)))
    } else {
        format!("{} times", announcement.count)
    }
}

/// The whole text of a mail.
pub(super) fn text(announcement: &Announcement) -> String {
    let mut out = first_line(announcement);
    out.push_str("\n\n");
    for (label, value) in lines(announcement) {
        out.push_str(&format!("{:<10}{value}\n", format!("{label}:")));
    }
    out
}

/// Label and value of each line after the first. Values are safe to show.
pub(super) fn lines(announcement: &Announcement) -> Vec<(&'static str, String)> {
    let incident = &announcement.incident;
    let mut lines = Vec::new();
    let mut line = |label, value: &str| {
        if !value.is_empty() {
            lines.push((label, shown(value)));
        }
    };
    line("What", &incident.what);
    if let Some(end) = &announcement.end {
        line("Over", &format!("{} at {}, after {}", end.how, end.at, said(end.at.since(announcement.first))));
    }
    line("Since", &since(announcement));
    let over = announcement.end.is_some();
    if !over {
        line("Means", &incident.impact);
    }
    line("Cause", incident.cause.as_deref().unwrap_or_default());
    // What is over needs no remedy; whoever wants to know more finds the runbook.
    if !over {
        line("Do", &incident.remedy);
        // Commands quote what is hidden themselves; showing them otherwise would change them.
        lines.extend(incident.command.as_ref().map(|command| ("Command", command.clone())));
    }
    let mut line = |label, value: &str| lines.push((label, shown(value)));
    line("Runbook", &incident.kind.runbook());
    line("Subject", &incident.subject);
    line("Alert", &announcement.id);
    lines
}

/// When it began, and how often it occurred since.
fn since(announcement: &Announcement) -> String {
    match announcement.count {
        0 | 1 => announcement.first.to_string(),
        count => {
            let seen = if announcement.incident.kind.lasts() { "seen " } else { "" };
            format!("{}, {seen}{count} times, last at {}", announcement.first, announcement.last)
        }
    }
}
