//! Reads of secrets: denied, by a new reader, or more often than usual.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::principals::is_named;
use super::{account_of, rotation, secret_name};
use crate::command::Command;
use crate::event::{CloudTrailRecord, Event};
use crate::incident::{AccountRegion, Incident};
use crate::kind::{Kind, Severity};
use crate::moment::{Moment, format_duration};
use crate::state::{EventId, Observation};
use crate::text::cut;

/// The limits of usual access.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessRules {
    /// The largest usual number of reads of one secret by one role or user within an hour.
    pub max_reads_per_hour: u32,
    /// The time after the first read of a secret during which every reader counts as usual.
    pub learning: Duration,
    /// Roles and users that cause no alert: ARNs, or names in the secret's account. A `*` at the end
    /// is a wildcard.
    pub expected: Vec<String>,
}

impl Default for AccessRules {
    fn default() -> Self {
        Self {
            // One read every twelve seconds: a client without a cache.
            max_reads_per_hour: 300,
            learning: Duration::from_secs(14 * 86_400),
            expected: Vec::new(),
        }
    }
}

impl AccessRules {
    fn expects(&self, read: &SecretRead) -> bool {
        is_named(&self.expected, &read.by, account_of(&read.secret, &read.location))
    }
}

/// The recent reads of one secret.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadHistory {
    /// The time of the first read.
    since: Option<Moment>,
    /// The last read of each reader.
    readers: BTreeMap<String, Moment>,
    /// The number of reads by hour since 1970 and reader.
    hours: BTreeMap<i64, BTreeMap<String, u32>>,
}

/// A read of a secret, or an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretRead {
    /// The secret: the ARN or the name, as requested.
    pub secret: String,
    /// The role or user.
    pub by: String,
    /// The source address.
    pub from: String,
    /// The error, if access was denied.
    pub denied: Option<String>,
    /// The account and Region.
    pub location: AccountRegion,
    /// The time.
    pub at: Moment,
    /// The event's id.
    pub id: EventId,
}

impl SecretRead {
    /// Returns the read that an event reports, if any.
    pub fn of(event: &Event, record: &CloudTrailRecord) -> Option<Self> {
        // A call that failed for another reason, such as a missing secret, is not about permissions.
        if record.event_name != "GetSecretValue" || (record.error_code.is_some() && !record.was_denied()) {
            return None;
        }
        let denied = record.error_code.as_ref().map(|code| match &record.error_message {
            Some(message) => format!("{code}: {message}"),
            None => code.clone(),
        });
        Some(Self {
            secret: rotation::subject(record)?.to_owned(),
            by: cut(record.user_identity.principal(), 300),
            from: record.source_address.clone().unwrap_or_default(),
            denied,
            location: event.location.clone(),
            at: event.time,
            id: event.id.clone(),
        })
    }
}

impl ReadHistory {
    /// The largest number of readers of one secret that are remembered.
    const MAX_READERS: usize = 200;
    /// The number of hours that are counted: events may arrive late.
    const HOURS: i64 = 3;

    /// Adds new reads of one secret. Returns the observations that result.
    pub fn add(&mut self, reads: &[SecretRead], rules: &AccessRules) -> Vec<Observation> {
        reads.iter().flat_map(|read| self.add_one(read, rules)).collect()
    }

    fn add_one(&mut self, read: &SecretRead, rules: &AccessRules) -> Vec<Observation> {
        if rules.expects(read) {
            return Vec::new();
        }
        if let Some(denied) = &read.denied {
            return vec![Observation::firing(refused(read, denied), read.id.clone())];
        }
        let mut observations = Vec::new();
        let since = *self.since.get_or_insert(read.at);
        self.since = Some(since.min(read.at));
        let is_new = !self.readers.contains_key(&read.by);
        if is_new && read.at.since(since) > rules.learning {
            let id = EventId::of(&["reader", &read.secret, &read.by, &read.at.millis().to_string()]);
            observations.push(Observation::firing(by_new_reader(read, since), id));
        }
        if !is_new || self.readers.len() < Self::MAX_READERS {
            let last = self.readers.entry(read.by.clone()).or_insert(read.at);
            *last = (*last).max(read.at);
        }
        let hour = read.at.millis().div_euclid(3_600_000);
        let count = self.hours.entry(hour).or_default().entry(read.by.clone()).or_default();
        *count += 1;
        if *count == rules.max_reads_per_hour.saturating_add(1) {
            let id = EventId::of(&["volume", &read.secret, &read.by, &hour.to_string()]);
            observations.push(Observation::firing(too_often(read, rules.max_reads_per_hour), id));
        }
        let newest = self.hours.keys().next_back().copied().unwrap_or(hour);
        self.hours.retain(|found, _| *found > newest - Self::HOURS);
        observations
    }
}

fn begin(kind: Kind, severity: Severity, read: &SecretRead) -> Incident {
    let who = read.by.rsplit('/').next().unwrap_or(&read.by);
    let name = format!("secret {} by {who}", secret_name(&read.secret));
    Incident::new(kind, severity, read.location.clone(), &read.secret, &name, read.at).dedup_key(&read.by)
}

fn look_up(read: &SecretRead) -> Command {
    Command::aws("cloudtrail", "lookup-events")
        .option("lookup-attributes", &format!("AttributeKey=ResourceName,AttributeValue={}", read.secret))
        .flag("--max-results 50")
        .option("region", &read.location.region)
}

fn refused(read: &SecretRead, denied: &str) -> Incident {
    begin(Kind::SecretAccessDenied, Severity::Warning, read)
        .what(&format!("{} tried to read this secret from {}. Access was denied.", read.by, read.from))
        .impact(
            "Either a client lacks a permission and does not work, or an unauthorized caller tries to read the secret. The secret was not read.",
        )
        .cause(Some(denied))
        .action("Find out which of the two it is. Recent calls about the secret:", look_up(read))
}

fn by_new_reader(read: &SecretRead, since: Moment) -> Incident {
    begin(Kind::SecretAccessUnusual, Severity::Warning, read)
        .what(&format!(
            "{} read this secret from {}, for the first time in {}.",
            read.by,
            read.from,
            format_duration(read.at.since(since))
        ))
        .impact("If this is neither a new client nor an authorized person, treat the credential as compromised.")
        .action("Ask the owner of the secret. If the read is not authorized, rotate the secret (see the runbook). Recent calls:", look_up(read))
}

fn too_often(read: &SecretRead, usual: u32) -> Incident {
    begin(Kind::SecretAccessUnusual, Severity::Warning, read)
        .what(&format!("{} read this secret more than {usual} times within an hour, from {}.", read.by, read.from))
        .impact("A client without a cache costs money and may be throttled. A loop of failing logins looks the same.")
        .action("Make the client cache the value. Recent calls:", look_up(read))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400_000;

    fn read(by: &str, at: i64, denied: bool) -> SecretRead {
        SecretRead {
            secret: "arn:aws:secretsmanager:us-east-1:111111111111:secret:app-AbCdEf".into(),
            by: format!("arn:aws:iam::111111111111:role/{by}"),
            from: "10.0.0.7".into(),
            denied: denied.then(|| "AccessDenied: not authorized".to_owned()),
            location: AccountRegion::new("111111111111", "us-east-1"),
            at: Moment::from_millis(at),
            id: EventId::of(&[by, &at.to_string()]),
        }
    }

    fn names(observations: &[Observation]) -> Vec<String> {
        observations
            .iter()
            .filter_map(|observation| match &observation.transition {
                crate::state::Transition::Firing(incident) => Some(incident.name.clone()),
                crate::state::Transition::Resolved(_) => None,
            })
            .collect()
    }

    #[test]
    fn denied_read_is_reported_by_secret_and_caller() {
        let observations = ReadHistory::default()
            .add(&[read("app", 0, true), read("other", 1, true)], &AccessRules::default());
        assert_eq!(names(&observations), ["secret app by app", "secret app by other"]);
        assert_ne!(observations[0].key, observations[1].key);
    }

    #[test]
    fn new_reader_is_reported_once_after_the_learning_period() {
        let rules = AccessRules::default();
        let mut history = ReadHistory::default();
        assert_eq!(history.add(&[read("app", 0, false), read("job", 13 * DAY, false)], &rules), []);
        let observations =
            history.add(&[read("app", 20 * DAY, false), read("stranger", 20 * DAY, false)], &rules);
        assert_eq!(names(&observations), ["secret app by stranger"]);
        assert_eq!(history.add(&[read("stranger", 21 * DAY, false)], &rules), []);
    }

    #[test]
    fn too_many_reads_are_reported_once_an_hour() {
        let rules = AccessRules {
            max_reads_per_hour: 3,
            expected: vec!["backup-*".into()],
            ..AccessRules::default()
        };
        let mut history = ReadHistory::default();
        let reads =
            |by: &str, from: i64| (0..6).map(|number| read(by, from + number, false)).collect::<Vec<_>>();
        assert_eq!(names(&history.add(&reads("app", 0), &rules)), ["secret app by app"]);
        assert_eq!(names(&history.add(&reads("app", 3_600_000), &rules)), ["secret app by app"]);
        assert_eq!(history.add(&reads("backup-7", 0), &rules), []);
        history.add(&reads("app", 30 * 3_600_000), &rules);
        assert_eq!(history.hours.len(), 1, "old hours are forgotten");
    }
}
