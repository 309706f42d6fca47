//! How much is told about one subject: so many messages within a window, the rest as one.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Outgoing, Policy};
use crate::announcement::{Announcement, Status};
use crate::command::Command;
use crate::incident::{Incident, digest};
use crate::kind::Kind;
use crate::moment::{Moment, said};
use crate::text::cut;

/// How long a summary that cannot be published is kept.
const UNSENT_MEMORY: Duration = Duration::from_secs(60 * 86_400);
/// Most lines of what was held back that are kept.
const MOST_LINES: usize = 10;

/// What was told about one subject lately.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gate {
    window: Option<Window>,
    /// What is on its way.
    pub outbox: Vec<Outgoing>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Window {
    begun: Moment,
    told: u32,
    held: Option<Held>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Held {
    count: u64,
    first: Moment,
    last: Moment,
    lines: Vec<String>,
    /// The worst of them, for its place, subject and severity.
    worst: Incident,
}

impl Gate {
    /// Whether an announcement may go out now; one that may not is kept for the summary.
    pub fn admits(&mut self, announcement: &Announcement, now: Moment, policy: &Policy) -> bool {
        let window = self.window.get_or_insert(Window { begun: now, told: 0, held: None });
        if window.told < policy.most_per_subject {
            window.told += 1;
            return true;
        }
        let line = format!(
            "{} {}: {}",
            announcement.status.name(),
            announcement.incident.kind.name(),
            cut(&announcement.incident.name, 80)
        );
        let held = window.held.get_or_insert_with(|| Held {
            count: 0,
            first: now,
            last: now,
            lines: Vec::new(),
            worst: announcement.incident.clone(),
        });
        held.count += 1;
        held.last = now;
        if held.lines.len() < MOST_LINES && !held.lines.contains(&line) {
            held.lines.push(line);
        }
        if announcement.incident.severity > held.worst.severity {
            held.worst = announcement.incident.clone();
        }
        false
    }

    /// Ends the window if its time is over; returns the summary of what was held back in it.
    pub fn tick(&mut self, subject: &str, now: Moment, policy: &Policy) -> Option<Announcement> {
        let window = self.window.take_if(|window| window.begun.plus(policy.window) <= now)?;
        let held = window.held?;
        let worst = &held.worst;
        let rest = held.count.saturating_sub(u64::try_from(held.lines.len()).unwrap_or(u64::MAX));
        let lines = held.lines.join("; ");
        let more = if rest > 0 { format!("; and {rest} like these") } else { String::new() };
        let name = worst.group.as_deref().unwrap_or(&worst.name);
        let incident = Incident::new(Kind::HeldBack, worst.severity, worst.place.clone(), worst.limited_by(), name, held.first)
            .what(&format!(
                "{} more alerts about this were not sent one by one, because {} had been sent within {}: {lines}{more}",
                held.count,
                policy.most_per_subject,
                said(policy.window),
            ))
            .impact("Something about it keeps changing its state, or many things about it fail at once.")
            .remedy(
                "Look at its state in the alerts' table, then at the runbook of what was held back.",
                Command::aws("dynamodb", "scan")
                    .flag("--table-name \"$ALERTS_TABLE\" --filter-expression 'contains(body, :subject)'")
                    .option("expression-attribute-values", &serde_json::json!({":subject": {"S": worst.limited_by()}}).to_string()),
            );
        Some(Announcement {
            id: digest(&[subject, "held", &held.first.millis().to_string()]),
            thread: digest(&[subject, "held"]),
            status: Status::Summary,
            incident,
            count: held.count,
            first: held.first,
            last: held.last,
            end: None,
        })
    }

    /// When there is something to do although no event comes.
    pub fn due(&self, policy: &Policy) -> Option<Moment> {
        let summary = self
            .window
            .as_ref()
            .filter(|window| window.held.is_some())
            .map(|window| window.begun.plus(policy.window));
        let unsent = self.outbox.iter().map(|outgoing| outgoing.claimed).min();
        summary.into_iter().chain(unsent).min()
    }

    /// When it may be forgotten.
    pub fn expires(&self, now: Moment, policy: &Policy) -> Moment {
        let unsent =
            self.window.as_ref().is_some_and(|window| window.held.is_some()) || !self.outbox.is_empty();
        now.plus(policy.window).plus(if unsent { UNSENT_MEMORY } else { Duration::ZERO })
    }
}
