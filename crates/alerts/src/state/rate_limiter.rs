//! Rate limits: so many notifications within a window, the rest as one summary.
//!
//! There are two limits for each kind of incident: one for a subject or group, and one for an account.
//! Whatever happens in an account, or is forged there, suppresses only notifications of that kind about
//! that account. A notification that is more severe than all others of the window is never suppressed.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{OutboxEntry, Policy};
use crate::command::Command;
use crate::incident::{Incident, IncidentKey, digest};
use crate::kind::{Kind, Severity};
use crate::moment::{Moment, format_duration};
use crate::notification::{Notification, Status};
use crate::text::cut;

/// The time for which an unpublished summary is kept.
const UNSENT_MEMORY: Duration = Duration::from_secs(60 * 86_400);
/// The largest number of suppressed notifications that the summary lists.
const MAX_LINES: usize = 10;

/// The notifications that a rate limit counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum LimitScope {
    /// The notifications of one kind about one subject or group.
    #[default]
    Subject,
    /// The notifications of one kind about one account.
    Account,
}

/// The recent notifications of one kind about one subject, group or account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateLimiter {
    window: Option<Window>,
    /// Summaries that are not published yet.
    pub outbox: Vec<OutboxEntry>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Window {
    start: Moment,
    allowed: u32,
    /// The highest severity that was allowed.
    highest: Option<Severity>,
    suppressed: Option<Suppressed>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Suppressed {
    scope: LimitScope,
    count: u64,
    first: Moment,
    last: Moment,
    lines: Vec<String>,
    /// The most severe incident, for its location, subject and severity.
    worst: Incident,
}

impl RateLimiter {
    /// Returns true if a notification may be published now. Otherwise it is counted for the summary.
    pub fn allow(
        &mut self,
        notification: &Notification,
        scope: LimitScope,
        now: Moment,
        policy: &Policy,
    ) -> bool {
        let incident = &notification.incident;
        let new = Window { start: now, allowed: 0, highest: None, suppressed: None };
        let window = self.window.get_or_insert(new);
        let within = window.allowed < policy.max_per_window(scope);
        if within || window.highest.is_none_or(|highest| incident.severity > highest) {
            window.allowed = window.allowed.saturating_add(1);
            window.highest = window.highest.max(Some(incident.severity));
            return true;
        }
        let line =
            format!("{} {}: {}", notification.status.name(), incident.kind.name(), cut(&incident.name, 80));
        let suppressed = window.suppressed.get_or_insert_with(|| Suppressed {
            scope,
            count: 0,
            first: now,
            last: now,
            lines: Vec::new(),
            worst: incident.clone(),
        });
        suppressed.count += 1;
        suppressed.last = now;
        if suppressed.lines.len() < MAX_LINES && !suppressed.lines.contains(&line) {
            suppressed.lines.push(line);
        }
        if incident.severity > suppressed.worst.severity {
            suppressed.worst = incident.clone();
        }
        false
    }

    /// Ends the window if its time is over. Returns the summary of the suppressed notifications.
    pub fn summarize_if_due(
        &mut self,
        partition: &str,
        now: Moment,
        policy: &Policy,
    ) -> Option<Notification> {
        let window = self.window.take_if(|window| window.start.plus(policy.window) <= now)?;
        let suppressed = window.suppressed?;
        let Suppressed { count, first, last, .. } = suppressed;
        Some(Notification {
            id: digest(&[partition, "suppressed", &first.millis().to_string()]),
            thread: digest(&[partition, "suppressed"]),
            status: Status::Summary,
            incident: summary(&suppressed, policy),
            count,
            first,
            last,
            resolution: None,
        })
    }

    /// Returns the time at which there is work to do even if no event arrives.
    pub fn due(&self, policy: &Policy) -> Option<Moment> {
        let summary = self
            .window
            .as_ref()
            .filter(|window| window.suppressed.is_some())
            .map(|window| window.start.plus(policy.window));
        let unsent = self.outbox.iter().map(|entry| entry.claimed_until).min();
        summary.into_iter().chain(unsent).min()
    }

    /// Returns the time at which the state may be deleted.
    pub fn expires(&self, now: Moment, policy: &Policy) -> Moment {
        let unsent =
            self.window.as_ref().is_some_and(|window| window.suppressed.is_some()) || !self.outbox.is_empty();
        now.plus(policy.window).plus(if unsent { UNSENT_MEMORY } else { Duration::ZERO })
    }
}

/// Returns the incident that summarizes suppressed notifications.
fn summary(suppressed: &Suppressed, policy: &Policy) -> Incident {
    let Suppressed { scope, count, lines, worst, .. } = suppressed;
    let rest = count.saturating_sub(u64::try_from(lines.len()).unwrap_or(u64::MAX));
    let list = lines.join("; ");
    let more = if rest > 0 { format!("; and {rest} similar alerts") } else { String::new() };
    let account = &worst.location.account;
    let (subject, name, filter, value, impact) = match scope {
        LimitScope::Subject => (
            worst.rate_limit_key().to_owned(),
            worst.group.as_deref().unwrap_or(&worst.name).to_owned(),
            "--table-name \"$ALERTS_TABLE\" --filter-expression 'contains(body, :value)'",
            worst.rate_limit_key().to_owned(),
            "Either the subject changes its state again and again, or many resources fail at once.",
        ),
        LimitScope::Account => (
            format!("{} {account}", worst.kind.name()),
            format!("{} in account {account}", worst.kind.title()),
            "--table-name \"$ALERTS_TABLE\" --filter-expression 'begins_with(pk, :value)'",
            IncidentKey::prefix(worst.kind, account),
            "Many resources of the account fail at once, or somebody in the account sends events about \
             failures that do not exist.",
        ),
    };
    let values = serde_json::json!({":value": {"S": value}}).to_string();
    Incident::new(
        Kind::AlertsSuppressed,
        worst.severity,
        worst.location.clone(),
        &subject,
        &name,
        suppressed.first,
    )
    .what(&format!(
        "{count} more alerts were not sent one by one, because {} had been sent within {}: {list}{more}.",
        policy.max_per_window(*scope),
        format_duration(policy.window),
    ))
    .impact(impact)
    .action(
        "Read the suppressed incidents in the state table, then the runbook of their kind:",
        Command::aws("dynamodb", "scan").flag(filter).option("expression-attribute-values", &values),
    )
}
