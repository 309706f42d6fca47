//! Who reads secrets: denied, by somebody new, more often than usual.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{rotation, secret_name};
use crate::command::Command;
use crate::event::{Event, CloudTrailRecord};
use crate::incident::{Incident, AccountRegion};
use crate::kind::{Kind, Severity};
use crate::moment::{Moment, format_duration};
use crate::state::{EventId, Observation};
use crate::text::cut;

/// What is unusual.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessRules {
    /// Reads of one secret by one role or user within an hour that are usual.
    pub reads_per_hour: u32,
    /// For how long after the first read of a secret anybody who reads it is taken for usual.
    pub learning: std::time::Duration,
    /// Roles and users about whom nobody is told, by ARN or name. A `*` at the end stands for the rest.
    pub expected: Vec<String>,
}

impl Default for AccessRules {
    fn default() -> Self {
        Self {
            // One every twelve seconds: a client that does not cache.
            reads_per_hour: 300,
            learning: std::time::Duration::from_secs(14 * 86_400),
            expected: Vec::new(),
        }
    }
}

impl AccessRules {
    fn expects(&self, behind: &str) -> bool {
        let name = behind.rsplit('/').next().unwrap_or(behind);
        self.expected.iter().any(|expected| match expected.strip_suffix('*') {
            Some(beginning) => behind.starts_with(beginning) || name.starts_with(beginning),
            None => behind == expected || name == expected,
        })
    }
}

/// What is remembered of the reads of one secret.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadHistory {
    /// The first read that was seen.
    since: Option<Moment>,
    /// Who read it, and when last.
    readers: BTreeMap<String, Moment>,
    /// Reads by hour since 1970 and reader.
    hours: BTreeMap<i64, BTreeMap<String, u32>>,
}

/// A read, or an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretRead {
    /// The secret, as it was asked for: ARN or name.
    pub secret: String,
    /// The role or user.
    pub by: String,
    /// From where.
    pub from: String,
    /// Whether it was denied, and in which words.
    pub denied: Option<String>,
    /// Where.
    pub location: AccountRegion,
    /// When.
    pub at: Moment,
    /// The event.
    pub id: EventId,
}

impl SecretRead {
    /// The read that an event is about, if it is about one.
    pub fn of(event: &Event, record: &CloudTrailRecord) -> Option<Self> {
        // A call that failed for another reason, such as a secret that does not exist, says nothing about permissions.
        if record.event_name != "GetSecretValue" || (record.error_code.is_some() && !record.was_denied()) {
            return None;
        }
        let denied = record.error_code.as_ref().map(|code| match &record.error_message {
            Some(message) => format!("{code}: {message}"),
            None => code.clone(),
        });
        Some(Self {
            secret: rotation::subject(record)?.to_owned(),
            by: cut(record.user_identity.behind(), 300),
            from: record.source_address.clone().unwrap_or_default(),
            denied,
            location: event.location.clone(),
            at: event.time,
            id: event.id.clone(),
        })
    }
}

impl ReadHistory {
    /// Most readers of one secret that are remembered.
    const MOST_READERS: usize = 200;
    /// Hours that are counted: events come late, but hardly later.
    const HOURS: i64 = 3;

    /// Takes in reads of one secret that were not taken in before; returns what there is to tell.
    pub fn add(&mut self, readings: &[SecretRead], rules: &AccessRules) -> Vec<Observation> {
        readings.iter().flat_map(|reading| self.one(reading, rules)).collect()
    }

    fn one(&mut self, reading: &SecretRead, rules: &AccessRules) -> Vec<Observation> {
        if rules.expects(&reading.by) {
            return Vec::new();
        }
        if let Some(denied) = &reading.denied {
            return vec![Observation::firing(refused(reading, denied), reading.id.clone())];
        }
        let mut observations = Vec::new();
        let since = *self.since.get_or_insert(reading.at);
        self.since = Some(since.min(reading.at));
        let is_new = !self.readers.contains_key(&reading.by);
        if is_new && reading.at.since(since) > rules.learning {
            let id = EventId::of(&["reader", &reading.secret, &reading.by, &reading.at.millis().to_string()]);
            observations.push(Observation::firing(by_a_stranger(reading, since), id));
        }
        if !is_new || self.readers.len() < Self::MOST_READERS {
            let last = self.readers.entry(reading.by.clone()).or_insert(reading.at);
            *last = (*last).max(reading.at);
        }
        let hour = reading.at.millis().div_euclid(3_600_000);
        let count = self.hours.entry(hour).or_default().entry(reading.by.clone()).or_default();
        *count += 1;
        if *count == rules.reads_per_hour.saturating_add(1) {
            let id = EventId::of(&["volume", &reading.secret, &reading.by, &hour.to_string()]);
            observations.push(Observation::firing(too_often(reading, rules.reads_per_hour), id));
        }
        let newest = self.hours.keys().next_back().copied().unwrap_or(hour);
        self.hours.retain(|found, _| *found > newest - Self::HOURS);
        observations
    }
}

fn begin(kind: Kind, severity: Severity, reading: &SecretRead) -> Incident {
    let who = reading.by.rsplit('/').next().unwrap_or(&reading.by);
    let name = format!("secret {} by {who}", secret_name(&reading.secret));
    Incident::new(kind, severity, reading.location.clone(), &reading.secret, &name, reading.at)
        .dedup_key(&reading.by)
}

fn look_up(reading: &SecretRead) -> Command {
    Command::aws("cloudtrail", "lookup-events")
        .option("lookup-attributes", &format!("AttributeKey=ResourceName,AttributeValue={}", reading.secret))
        .flag("--max-results 50")
        .option("region", &reading.location.region)
}

fn refused(reading: &SecretRead, denied: &str) -> Incident {
    begin(Kind::SecretAccessDenied, Severity::Warning, reading)
        .what(&format!("{} tried to read this secret from {} and was refused.", reading.by, reading.from))
        .impact(
            "Either a client lacks its permission and does not work, or somebody tries what they may not. The secret was not read.",
        )
        .cause(Some(denied))
        .action("Find out which of the two it is. What this caller did lately:", look_up(reading))
}

fn by_a_stranger(reading: &SecretRead, since: Moment) -> Incident {
    begin(Kind::SecretAccessUnusual, Severity::Warning, reading)
        .what(&format!(
            "{} read this secret from {}, for the first time in {}.",
            reading.by,
            reading.from,
            format_duration(reading.at.since(since))
        ))
        .impact("If this is not a new client or a person with a reason, the credential is known to somebody who should not have it.")
        .action("Ask its owner. If nobody knows why, rotate the secret (runbook). Who read it lately:", look_up(reading))
}

fn too_often(reading: &SecretRead, usual: u32) -> Incident {
    begin(Kind::SecretAccessUnusual, Severity::Warning, reading)
        .what(&format!("{} read this secret more than {usual} times within an hour, from {}.", reading.by, reading.from))
        .impact("A client that does not cache costs money and can be throttled; a loop of failing logins looks the same.")
        .action("Let the client cache the value. Who read it lately:", look_up(reading))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400_000;

    fn reading(by: &str, at: i64, denied: bool) -> SecretRead {
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
    fn a_refused_read_is_told_by_secret_and_caller() {
        let observations = ReadHistory::default()
            .add(&[reading("app", 0, true), reading("other", 1, true)], &AccessRules::default());
        assert_eq!(names(&observations), ["secret app by app", "secret app by other"]);
        assert_ne!(observations[0].key, observations[1].key);
    }

    #[test]
    fn a_reader_is_new_only_after_a_time_of_learning_and_only_once() {
        let rules = AccessRules::default();
        let mut readings = ReadHistory::default();
        assert_eq!(readings.add(&[reading("app", 0, false), reading("job", 13 * DAY, false)], &rules), []);
        let observations =
            readings.add(&[reading("app", 20 * DAY, false), reading("stranger", 20 * DAY, false)], &rules);
        assert_eq!(names(&observations), ["secret app by stranger"]);
        assert_eq!(readings.add(&[reading("stranger", 21 * DAY, false)], &rules), []);
    }

    #[test]
    fn too_many_reads_within_an_hour_are_told_once_an_hour_and_expected_readers_never() {
        let rules =
            AccessRules { reads_per_hour: 3, expected: vec!["backup-*".into()], ..AccessRules::default() };
        let mut readings = ReadHistory::default();
        let reads =
            |by: &str, from: i64| (0..6).map(|number| reading(by, from + number, false)).collect::<Vec<_>>();
        assert_eq!(names(&readings.add(&reads("app", 0), &rules)), ["secret app by app"]);
        assert_eq!(names(&readings.add(&reads("app", 3_600_000), &rules)), ["secret app by app"]);
        assert_eq!(readings.add(&reads("backup-7", 0), &rules), []);
        readings.add(&reads("app", 30 * 3_600_000), &rules);
        assert_eq!(readings.hours.len(), 1, "old hours are forgotten");
    }
}
