//! Rotations: how they went, how long they took, and who else wrote.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::secret_name;
use crate::command::Command;
use crate::event::{Detail, Event, Rotation, RotationOutcome, CloudTrailRecord};
use crate::incident::{Incident, IncidentKey};
use crate::kind::{Kind, Severity};
use crate::moment::{Moment, format_duration};
use crate::state::Observation;

/// How a rotation went.
pub(super) fn outcome(event: &Event, rotation: &Rotation) -> Vec<Observation> {
    let secret = &rotation.secret;
    let begin = |kind, severity| {
        let name = format!("secret {}", secret_name(secret));
        Incident::new(kind, severity, event.location.clone(), secret, &name, event.time)
            .cause(rotation.error.as_deref())
    };
    let raised = |incident: Incident| vec![Observation::firing(incident, event.id.clone())];
    let cleared = |kind, how: &str| {
        let key = IncidentKey::new(kind, &event.location, secret, None);
        Observation::resolved(key, how, event.id.clone(), event.time)
    };
    match rotation.outcome {
        RotationOutcome::Failed => raised(
            begin(Kind::RotationFailed, Severity::Error)
                .what("Secrets Manager gave up a rotation of this secret. It tries again at the next window of the schedule.")
                .impact(if may_have_set(rotation) {
                    "The new password may be set on the server while AWSCURRENT still has the old one: then clients are refused. Check \
                     first that AWSCURRENT logs in (runbook)."
                } else {
                    "Clients go on with the current value, which still works. The credential gets older than it should."
                })
                .action(
                    if may_have_set(rotation) {
                        "Ask the server which credential it takes (runbook: make repair-rotation). Mend the step's error in the function's log, \
                         then start the rotation again:"
                    } else {
                        "Mend the step's error in the log of the rotation function, then start the rotation again:"
                    },
                    rotate(event, secret),
                ),
        ),
        RotationOutcome::Abandoned => raised(
            begin(Kind::RotationAbandoned, Severity::Warning)
                .what(
                    "A new version was written while a rotation was under way, so Secrets Manager took AWSPENDING away and gave the \
                     rotation up.",
                )
                .impact(
                    "If the rotation had set its password on the server before, clients that read AWSCURRENT are refused now.",
                )
                .action("Check that AWSCURRENT logs in (runbook), then start the rotation again:", rotate(event, secret)),
        ),
        RotationOutcome::TestFailed => raised(
            begin(Kind::RotationTestFailed, Severity::Warning)
                .what("The try-out of this secret's rotation failed: testSecret could not log in with the current value.")
                .impact("Nothing was changed. A real rotation would fail the same way.")
                .action(
                    "Mend what the function's log says (network, permissions, keys of the secret), then try again:",
                    rotate(event, secret).flag("--no-rotate-immediately"),
                ),
        ),
        RotationOutcome::Succeeded => vec![
            cleared(Kind::RotationFailed, "a rotation succeeded"),
            cleared(Kind::RotationAbandoned, "a rotation succeeded"),
        ],
        RotationOutcome::TestSucceeded => vec![cleared(Kind::RotationTestFailed, "a try-out succeeded")],
        RotationOutcome::Started | RotationOutcome::TestStarted | RotationOutcome::Other => Vec::new(),
    }
}

/// Whether the step that failed is one that sets the password, or one after it.
fn may_have_set(rotation: &Rotation) -> bool {
    rotation.error.as_ref().is_none_or(|error| {
        ["setSecret", "testSecret", "finishSecret"].iter().any(|step| error.contains(step))
    })
}

fn rotate(event: &Event, secret: &str) -> Command {
    Command::aws("secretsmanager", "rotate-secret")
        .option("secret-id", secret)
        .option("region", &event.location.region)
}

/// When the rotations of one secret began and ended, and when rotation was turned on and off.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RotationHistory {
    /// The oldest first. What follows from them does not depend on the order in which they came.
    entries: Vec<HistoryEntry>,
    /// The same of calls, `true` for those that turn rotation on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    switches: Vec<(Moment, bool)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct HistoryEntry {
    at: Moment,
    what: RotationPhase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum RotationPhase {
    Began,
    Succeeded,
    GaveUp,
}

impl RotationHistory {
    /// Most begins and ends that are remembered: those of twenty rotations. As many calls.
    const MOST: usize = 40;
    /// Fewer rotations than these say nothing about what is usual.
    const FEWEST: usize = 5;
    /// Longer ago than this a begin does not belong to an end: Secrets Manager repeats within a window of at most a day.
    const LONGEST: Duration = Duration::from_secs(86_400);

    /// Takes in an event about the secret. Whether that changed anything is returned: the same event twice does not.
    pub fn add(&mut self, outcome: RotationOutcome, at: Moment) -> bool {
        let what = match outcome {
            RotationOutcome::Started => RotationPhase::Began,
            RotationOutcome::Succeeded => RotationPhase::Succeeded,
            RotationOutcome::Failed | RotationOutcome::Abandoned => RotationPhase::GaveUp,
            _ => return false,
        };
        Self::insert(&mut self.entries, HistoryEntry { at, what })
    }

    /// Takes in that rotation was turned on or off. Whether that changed anything is returned.
    pub fn add_switch(&mut self, is_on: bool, at: Moment) -> bool {
        Self::insert(&mut self.switches, (at, is_on))
    }

    fn insert<T: Ord>(all: &mut Vec<T>, one: T) -> bool {
        let Err(location) = all.binary_search(&one) else { return false };
        all.insert(location, one);
        let excess = all.len().saturating_sub(Self::MOST);
        all.drain(..excess);
        true
    }

    /// Whether it is known that rotation was off then. CloudTrail's times are whole seconds: what happened in the same one may have come later.
    pub fn was_disabled_at(&self, then: Moment) -> bool {
        let before = self.switches.iter().rev().find(|(at, _)| *at < then);
        before.is_some_and(|(_, is_on)| !is_on)
    }

    /// Whether any rotation was seen.
    pub fn has_rotations(&self) -> bool {
        !self.entries.is_empty()
    }

    /// The end of each rotation that succeeded, and the seconds since it began. What was given up says nothing about how long one takes.
    fn took(&self) -> Vec<(Moment, u64)> {
        let pairs = self
            .entries
            .windows(2)
            .filter(|pair| (pair[0].what, pair[1].what) == (RotationPhase::Began, RotationPhase::Succeeded));
        let took = pairs.map(|pair| (pair[1].at, pair[1].at.since(pair[0].at)));
        took.filter(|(_, took)| *took <= Self::LONGEST).map(|(end, took)| (end, took.as_secs())).collect()
    }

    /// How long the rotation took that ended then, and how long those before it usually did, if it took much longer: three times the median
    /// and a minute more.
    fn slow(&self, end: Moment) -> Option<(Duration, Duration)> {
        let all = self.took();
        let at = all.iter().position(|(found, _)| *found == end)?;
        let mut before: Vec<u64> = all[..at].iter().map(|(_, seconds)| *seconds).collect();
        if before.len() < Self::FEWEST {
            return None;
        }
        before.sort_unstable();
        let (took, usual) = (all[at].1, before[before.len() / 2]);
        (took > usual * 3 && took > usual + 60)
            .then(|| (Duration::from_secs(took), Duration::from_secs(usual)))
    }
}

/// What a rotation that ended says about its duration. The answer to the same event is always the same.
pub fn slow_rotation(event: &Event, history: &RotationHistory) -> Option<Observation> {
    let Detail::Rotation(Rotation { outcome: RotationOutcome::Succeeded, secret, .. }) = &event.detail else {
        return None;
    };
    let (took, usual) = history.slow(event.time)?;
    let name = format!("secret {}", secret_name(secret));
    let incident = Incident::new(Kind::RotationSlow, Severity::Warning, event.location.clone(), secret, &name, event.time)
        .what(&format!("A rotation succeeded, but took {}. Those before took {} (median).", format_duration(took), format_duration(usual)))
        .impact("Between setSecret and finishSecret a client that read the secret before may be refused. That time was longer than usual.")
        .action(
            "Read in the function's log which step took the time, and whether Secrets Manager had to repeat one:",
            Command::aws("secretsmanager", "describe-secret").option("secret-id", secret).option("region", &event.location.region),
        );
    Some(Observation::firing(incident, event.id.clone()))
}

/// Who may write into rotated secrets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RotationRules {
    /// ARNs or names of roles that write on purpose, such as the rotation functions'. A `*` at the end stands for the rest.
    pub writers: Vec<String>,
}

/// Whether a secret rotates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RotationStatus {
    /// It does.
    Enabled,
    /// It did, and is turned off by now. It may have been on when something was written.
    Disabled,
    /// It does not: then anybody who may write may write.
    NotRotating,
    /// It could not be found out.
    Unknown,
}

impl RotationRules {
    fn allow(&self, record: &CloudTrailRecord) -> bool {
        let (behind, name) = (record.user_identity.behind(), record.user_identity.name());
        record.user_identity.invoked_by.as_deref() == Some("secretsmanager.amazonaws.com")
            || self.writers.iter().any(|writer| match writer.strip_suffix('*') {
                Some(beginning) => behind.starts_with(beginning) || name.starts_with(beginning),
                None => behind == writer || name == writer,
            })
    }
}

/// The tag that says whether a secret is to be rotated: `on` or `off`.
pub const ROTATION_TAG: &str = "sluice:rotation";

/// Whether a call turned rotation on (`true`) or off.
pub fn rotation_switch(record: &CloudTrailRecord) -> Option<bool> {
    match record.event_name.as_str() {
        _ if record.error_code.is_some() => None,
        "RotateSecret" => Some(true),
        "CancelRotateSecret" => Some(false),
        _ => None,
    }
}

/// The secret that a call is about, as the call or its answer names it.
pub fn subject(record: &CloudTrailRecord) -> Option<&str> {
    // Before February 2024 some answers said `aRN`.
    record
        .answered("arn")
        .or_else(|| record.answered("aRN"))
        .or_else(|| record.answered("ARN"))
        .or_else(|| record.asked("secretId"))
}

/// Whether a call wrote what clients read, by somebody who is not expected to.
pub fn changes_a_value(record: &CloudTrailRecord, rules: &RotationRules) -> bool {
    let writes = matches!(record.event_name.as_str(), "PutSecretValue" | "UpdateSecret");
    writes && record.error_code.is_none() && writes_current(record) && !rules.allow(record)
}

/// What a call to Secrets Manager says: a value written by hand, rotation turned off or on, a secret deleted or restored.
pub fn secret_call(event: &Event, record: &CloudTrailRecord, rules: &RotationRules, rotated: RotationStatus) -> Vec<Observation> {
    let Some(secret) = subject(record).filter(|_| record.error_code.is_none()) else { return Vec::new() };
    let who = record.user_identity.behind();
    let begin = |kind, severity| {
        let name = format!("secret {}", secret_name(secret));
        Incident::new(kind, severity, event.location.clone(), secret, &name, event.time)
    };
    let cleared = |kind, how: &str| {
        vec![Observation::resolved(IncidentKey::new(kind, &event.location, secret, None), how, event.id.clone(), event.time)]
    };
    let here = |command: Command| command.option("secret-id", secret).option("region", &event.location.region);
    let incident = match record.event_name.as_str() {
        "PutSecretValue" | "UpdateSecret" if rotated != RotationStatus::NotRotating && changes_a_value(record, rules) => {
            let known_rotated = match rotated {
                RotationStatus::Enabled => "This secret rotates.",
                RotationStatus::Disabled => "This secret rotated; its rotation is turned off by now.",
                RotationStatus::NotRotating | RotationStatus::Unknown => "Whether this secret rotates could not be read.",
            };
            begin(Kind::SecretChangedByHand, Severity::Warning)
                .what(&format!("{who} wrote a value into this secret ({}). {known_rotated}", record.event_name))
                .impact(
                    "If the value was not set on the server too, clients are refused from now on. The schedule counts the change as a \
                     rotation. A rotation that was under way is abandoned.",
                )
                .action(
                    if rotated == RotationStatus::Disabled {
                        "Ask who did both. If it was a mistake, let the rotation make a credential that works everywhere; that turns it on again:"
                    } else {
                        "Ask who did it. If it was a mistake, let the rotation make a credential that works everywhere:"
                    },
                    here(Command::aws("secretsmanager", "rotate-secret")),
                )
        }
        "CancelRotateSecret" => begin(Kind::RotationDisabled, Severity::Warning)
            .what(&format!("{who} turned the rotation of this secret off (CancelRotateSecret)."))
            .impact("It does not rotate any more. A version that carried AWSPENDING may be left behind and block the next rotation.")
            .action("If it was meant, set the tag sluice:rotation to off. If not, turn it on again:", here(Command::aws("secretsmanager", "rotate-secret"))),
        "RotateSecret" => return cleared(Kind::RotationDisabled, "rotation was turned on again"),
        "DeleteSecret" => begin(Kind::SecretDeleted, Severity::Error)
            .what(&format!("{who} marked this secret for deletion (DeleteSecret)."))
            .impact("From now on nobody can read it: every client that asks for it gets an error.")
            .action(
                "If that was not meant, restore it. One deleted without a recovery window is gone.",
                here(Command::aws("secretsmanager", "restore-secret")),
            ),
        "RestoreSecret" => return cleared(Kind::SecretDeleted, "the secret was restored"),
        _ => return Vec::new(),
    };
    vec![Observation::firing(incident, event.id.clone())]
}

/// Whether a call changes what clients read: a version under other labels does not, nor a description.
fn writes_current(record: &CloudTrailRecord) -> bool {
    let labels = record.request_parameters.get("versionStages").and_then(serde_json::Value::as_array);
    match (record.event_name.as_str(), labels) {
        ("PutSecretValue", Some(labels)) => labels.iter().any(|label| label == "AWSCURRENT"),
        ("PutSecretValue", None) => true,
        // UpdateSecret makes a version only where it was given a value; then the answer names the version.
        _ => record.answered("versionId").is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Moment {
        Moment::from_millis(seconds * 1000)
    }

    fn history(durations: &[i64]) -> RotationHistory {
        let mut history = RotationHistory::default();
        for (number, took) in durations.iter().enumerate() {
            let begin = i64::try_from(number).unwrap() * 100_000;
            history.add(RotationOutcome::Started, at(begin));
            history.add(RotationOutcome::Succeeded, at(begin + took));
        }
        history
    }

    #[test]
    fn a_rotation_is_slow_against_the_secrets_own_history_and_only_when_there_is_one() {
        assert_eq!(history(&[10, 10, 10, 10, 900]).slow(at(400_900)), None);
        let slow = history(&[10, 12, 11, 10, 13, 900]).slow(at(500_900)).unwrap();
        assert_eq!(slow, (Duration::from_secs(900), Duration::from_secs(11)));
        // Three times a few seconds is nothing to wake anybody for.
        assert_eq!(history(&[10, 12, 11, 10, 13, 60]).slow(at(500_060)), None);
        assert_eq!(history(&[600, 600, 600, 600, 600, 1700]).slow(at(501_700)), None);
    }

    #[test]
    fn begins_and_ends_pair_in_whatever_order_and_however_often_they_come() {
        let mut events = vec![];
        for number in 0..4 {
            events.push((RotationOutcome::Started, at(number * 1000)));
            events.push((RotationOutcome::Succeeded, at(number * 1000 + 10 + number)));
        }
        let mut in_order = RotationHistory::default();
        for (outcome, at) in &events {
            in_order.add(*outcome, *at);
        }
        for seed in 0..200 {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut shuffled: Vec<_> = events.iter().chain(&events).copied().collect();
            random.shuffle(&mut shuffled);
            let mut found = RotationHistory::default();
            for (outcome, at) in shuffled {
                found.add(outcome, at);
            }
            assert_eq!(found, in_order, "seed {seed}");
        }
        assert_eq!(in_order.took().iter().map(|(_, seconds)| *seconds).collect::<Vec<_>>(), [10, 11, 12, 13]);
    }

    #[test]
    fn whether_rotation_was_off_at_a_time_follows_from_the_calls_in_whatever_order_they_come() {
        let calls = [(100, false), (200, true), (300, false)];
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
            let mut history = RotationHistory::default();
            for number in order {
                let (seconds, is_on) = calls[number];
                assert!(history.add_switch(is_on, at(seconds)) && !history.add_switch(is_on, at(seconds)));
            }
            let off: Vec<i64> = [99, 100, 101, 200, 201, 300, 301]
                .into_iter()
                .filter(|seconds| history.was_disabled_at(at(*seconds)))
                .collect();
            // In the second of a call nobody knows which was first.
            assert_eq!(off, [101, 200, 301], "{order:?}");
            assert!(!history.has_rotations());
        }
        // As it was stored before there were any.
        assert_eq!(serde_json::from_str::<RotationHistory>(r#"{"entries":[]}"#).unwrap(), RotationHistory::default());
    }

    #[test]
    fn a_begin_that_ended_in_failure_pairs_with_nothing() {
        let mut history = RotationHistory::default();
        history.add(RotationOutcome::Started, at(0));
        history.add(RotationOutcome::Failed, at(50));
        history.add(RotationOutcome::Started, at(1000));
        history.add(RotationOutcome::Succeeded, at(1010));
        assert_eq!(history.took(), [(at(1010), 10)]);
    }
}
