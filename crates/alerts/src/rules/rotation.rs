//! Rotations: their outcomes, their durations, and other writers of secrets.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::principals::is_named;
use super::{account_of, secret_name};
use crate::command::Command;
use crate::event::{CloudTrailRecord, Detail, Event, Rotation, RotationOutcome};
use crate::incident::{Incident, IncidentKey};
use crate::kind::{Kind, Severity};
use crate::moment::{Moment, format_duration};
use crate::state::Observation;

/// Returns the observations of a rotation's outcome.
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
                .what("A rotation of this secret failed. Secrets Manager retries in the next window of the schedule.")
                .impact(if may_have_set(rotation) {
                    "The server may have the new password while AWSCURRENT still has the old one. Then clients cannot log in."
                } else {
                    "Clients still work: AWSCURRENT is unchanged. The credential is past its rotation deadline."
                })
                .action(
                    if may_have_set(rotation) {
                        "Check first that AWSCURRENT can log in (runbook: make repair-rotation). Fix the error in the function's log, then rotate again:"
                    } else {
                        "Fix the error in the log of the rotation function, then rotate again:"
                    },
                    rotate(event, secret),
                ),
        ),
        RotationOutcome::Abandoned => raised(
            begin(Kind::RotationAbandoned, Severity::Warning)
                .what(
                    "A new version was written during a rotation, so Secrets Manager removed AWSPENDING and abandoned the rotation.",
                )
                .impact(
                    "If the rotation had already set its password on the server, clients that read AWSCURRENT cannot log in.",
                )
                .action("Check that AWSCURRENT can log in (see the runbook), then rotate again:", rotate(event, secret)),
        ),
        RotationOutcome::TestFailed => raised(
            begin(Kind::RotationTestFailed, Severity::Warning)
                .what("The test of this secret's rotation failed: testSecret could not log in with the current value.")
                .impact("Nothing was changed. A rotation would fail in the same way.")
                .action(
                    "Fix the error in the function's log (network, permissions, keys of the secret), then test again:",
                    rotate(event, secret).flag("--no-rotate-immediately"),
                ),
        ),
        RotationOutcome::Succeeded => vec![
            cleared(Kind::RotationFailed, "a rotation succeeded"),
            cleared(Kind::RotationAbandoned, "a rotation succeeded"),
        ],
        RotationOutcome::TestSucceeded => vec![cleared(Kind::RotationTestFailed, "a test succeeded")],
        RotationOutcome::Started | RotationOutcome::TestStarted | RotationOutcome::Other => Vec::new(),
    }
}

/// Returns true if the failed step sets the password, or follows that step.
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

/// The starts and ends of the rotations of one secret, and the calls that enabled or disabled rotation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RotationHistory {
    /// Starts and ends, the oldest first, independent of the order in which they arrived.
    entries: Vec<HistoryEntry>,
    /// Calls; `true` for those that enable rotation.
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
    Started,
    Succeeded,
    Ended,
}

impl RotationHistory {
    /// The largest number of starts and ends: those of twenty rotations. As many calls.
    const MAX_ENTRIES: usize = 40;
    /// The smallest number of rotations that shows a usual duration.
    const MIN_ROTATIONS: usize = 5;
    /// The duration that is slow for any secret, without a history: a step of Lambda ends after 15
    /// minutes, and a rotation that needs no retry has taken seconds by then.
    const SLOW: Duration = Duration::from_secs(15 * 60);
    /// The longest rotation: Secrets Manager retries within a window of at most a day.
    const MAX_DURATION: Duration = Duration::from_secs(86_400);

    /// Adds an event. Returns false if the event is known.
    pub fn add(&mut self, outcome: RotationOutcome, at: Moment) -> bool {
        let what = match outcome {
            RotationOutcome::Started => RotationPhase::Started,
            RotationOutcome::Succeeded => RotationPhase::Succeeded,
            RotationOutcome::Failed | RotationOutcome::Abandoned => RotationPhase::Ended,
            _ => return false,
        };
        Self::insert(&mut self.entries, HistoryEntry { at, what })
    }

    /// Adds a call that enabled or disabled rotation. Returns false if the call is known.
    pub fn add_switch(&mut self, is_on: bool, at: Moment) -> bool {
        Self::insert(&mut self.switches, (at, is_on))
    }

    fn insert<T: Ord>(all: &mut Vec<T>, one: T) -> bool {
        let Err(location) = all.binary_search(&one) else { return false };
        all.insert(location, one);
        let excess = all.len().saturating_sub(Self::MAX_ENTRIES);
        all.drain(..excess);
        true
    }

    /// Returns true if rotation was disabled at that time. CloudTrail's times are whole seconds: a call in
    /// the same second may have been later.
    pub fn was_disabled_at(&self, then: Moment) -> bool {
        let before = self.switches.iter().rev().find(|(at, _)| *at < then);
        before.is_some_and(|(_, is_on)| !is_on)
    }

    /// Returns true if the secret has rotated.
    pub fn has_rotations(&self) -> bool {
        !self.entries.is_empty()
    }

    /// Returns the end of each successful rotation and its duration in seconds.
    fn took(&self) -> Vec<(Moment, u64)> {
        let pairs = self.entries.windows(2).filter(|pair| {
            (pair[0].what, pair[1].what) == (RotationPhase::Started, RotationPhase::Succeeded)
        });
        let took = pairs.map(|pair| (pair[1].at, pair[1].at.since(pair[0].at)));
        took.filter(|(_, took)| *took <= Self::MAX_DURATION)
            .map(|(end, took)| (end, took.as_secs()))
            .collect()
    }

    /// Returns the duration of the rotation that ended then, and the usual duration if it is known, if
    /// it took more than three times the median of those before and more than a minute longer, or, for
    /// want of enough rotations before, [`Self::SLOW`].
    fn slow(&self, end: Moment) -> Option<(Duration, Option<Duration>)> {
        let all = self.took();
        let at = all.iter().position(|(found, _)| *found == end)?;
        let took = all[at].1;
        let mut before: Vec<u64> = all[..at].iter().map(|(_, seconds)| *seconds).collect();
        if before.len() < Self::MIN_ROTATIONS {
            return (took >= Self::SLOW.as_secs()).then(|| (Duration::from_secs(took), None));
        }
        before.sort_unstable();
        let usual = before[before.len() / 2];
        (took > usual * 3 && took > usual + 60)
            .then(|| (Duration::from_secs(took), Some(Duration::from_secs(usual))))
    }
}

/// Returns the observation of a slow rotation. The result for the same event is always the same.
pub fn slow_rotation(event: &Event, history: &RotationHistory) -> Option<Observation> {
    let Detail::Rotation(Rotation { outcome: RotationOutcome::Succeeded, secret, .. }) = &event.detail else {
        return None;
    };
    let (took, usual) = history.slow(event.time)?;
    let name = format!("secret {}", secret_name(secret));
    let took = format_duration(took);
    let what = match usual {
        Some(usual) => {
            format!(
                "A rotation succeeded, but took {took}. Earlier rotations took {} (median).",
                format_duration(usual)
            )
        }
        None => {
            let limit = format_duration(RotationHistory::SLOW);
            format!(
                "A rotation succeeded, but took {took}. The limit for a secret with few earlier rotations is {limit}."
            )
        }
    };
    let incident = Incident::new(Kind::RotationSlow, Severity::Warning, event.location.clone(), secret, &name, event.time)
        .what(&what)
        .impact("Between setSecret and finishSecret, clients with the old credential may be refused. This period was longer than usual.")
        .action(
            "Read in the function's log which step took the time and whether a step was retried. Details of the secret:",
            Command::aws("secretsmanager", "describe-secret").option("secret-id", secret).option("region", &event.location.region),
        );
    Some(Observation::firing(incident, event.id.clone()))
}

/// The callers that may write into secrets that rotate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RotationRules {
    /// The allowed roles and users: ARNs, or names in the secret's account. A `*` at the end is a
    /// wildcard. The secret's own rotation function is always allowed.
    pub writers: Vec<String>,
}

/// The rotation of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretRotation {
    /// The status.
    pub status: RotationStatus,
    /// The ARN of the rotation function, if there is one and it could be read.
    pub function: Option<String>,
    /// True if the secret could not be read, and the status is that of its history.
    pub is_guessed: bool,
}

/// A write into a secret that only its rotation makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Write<'a> {
    /// Of the value that clients read.
    Current,
    /// Of the value that a rotation uses next.
    Pending,
    /// Of a label of AWS.
    Label(&'a str),
}

/// The rotation status of a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RotationStatus {
    /// Rotation is enabled.
    Enabled,
    /// Rotation is disabled and was enabled before. It may have been enabled at the time of a write.
    Disabled,
    /// The secret does not rotate, so that writes are expected.
    NotRotating,
    /// The status could not be read.
    Unknown,
}

impl RotationRules {
    fn allow(&self, event: &Event, record: &CloudTrailRecord) -> bool {
        let account = account_of(subject(record).unwrap_or_default(), &event.location);
        record.user_identity.invoked_by.as_deref() == Some("secretsmanager.amazonaws.com")
            || is_named(&self.writers, record.user_identity.principal(), account)
    }
}

/// The tag that states whether a secret should rotate: `on` or `off`.
pub const ROTATION_TAG: &str = "sluice:rotation";

/// Returns true if a call enabled rotation, false if it disabled rotation.
pub fn rotation_switch(record: &CloudTrailRecord) -> Option<bool> {
    match record.event_name.as_str() {
        _ if record.error_code.is_some() => None,
        "RotateSecret" => Some(true),
        "CancelRotateSecret" => Some(false),
        _ => None,
    }
}

/// Returns the secret of a call, as named in the request or the response.
pub fn subject(record: &CloudTrailRecord) -> Option<&str> {
    // Before February 2024 some responses had `aRN`.
    record
        .response("arn")
        .or_else(|| record.response("aRN"))
        .or_else(|| record.response("ARN"))
        .or_else(|| record.request("secretId"))
}

/// Returns true if a caller that is not in the rules wrote what only a rotation writes. The caller may
/// still be the secret's rotation function.
pub fn is_unexpected_write(event: &Event, record: &CloudTrailRecord, rules: &RotationRules) -> bool {
    written(record).is_some() && !rules.allow(event, record)
}

/// Returns true if the call came from the secret's rotation function. If that is not known, any function
/// of the secret's account counts.
fn is_by_rotation(event: &Event, record: &CloudTrailRecord, rotation: &SecretRotation) -> bool {
    let Some(caller) = record.user_identity.function() else { return false };
    let (caller, function) = (unqualified(caller), rotation.function.as_deref().map(unqualified));
    match function {
        Some(function) => caller == function,
        None => {
            let account = account_of(subject(record).unwrap_or_default(), &event.location);
            rotation.is_guessed && caller.split(':').nth(4) == Some(account)
        }
    }
}

/// Returns a function's ARN without a version or alias.
fn unqualified(function: &str) -> &str {
    function.match_indices(':').nth(6).map_or(function, |(at, _)| &function[..at])
}

/// Returns the observations of a call to Secrets Manager: a value written by hand, rotation disabled or
/// enabled, a secret deleted or restored.
pub fn secret_call(
    event: &Event,
    record: &CloudTrailRecord,
    rules: &RotationRules,
    rotation: &SecretRotation,
) -> Vec<Observation> {
    let status = rotation.status;
    let Some(secret) = subject(record).filter(|_| record.error_code.is_none()) else { return Vec::new() };
    let who = record.user_identity.principal();
    let begin = |kind, severity| {
        let name = format!("secret {}", secret_name(secret));
        Incident::new(kind, severity, event.location.clone(), secret, &name, event.time)
    };
    let cleared = |kind, how: &str| {
        vec![Observation::resolved(
            IncidentKey::new(kind, &event.location, secret, None),
            how,
            event.id.clone(),
            event.time,
        )]
    };
    let here =
        |command: Command| command.option("secret-id", secret).option("region", &event.location.region);
    let incident = match record.event_name.as_str() {
        "PutSecretValue" | "UpdateSecret" | "UpdateSecretVersionStage" => {
            let unexpected = status != RotationStatus::NotRotating
                && is_unexpected_write(event, record, rules)
                && !is_by_rotation(event, record, rotation);
            let Some(write) = written(record).filter(|_| unexpected) else { return Vec::new() };
            let sentence = match status {
                RotationStatus::Enabled => "The secret rotates.",
                RotationStatus::Disabled => "The secret rotated; its rotation is disabled now.",
                RotationStatus::NotRotating | RotationStatus::Unknown => "The rotation status of the secret could not be read.",
            };
            let rotate = here(Command::aws("secretsmanager", "rotate-secret"));
            let incident = begin(Kind::SecretChangedByHand, Severity::Warning);
            match write {
                Write::Current => incident
                    .what(&format!("{who} wrote a value into this secret ({}). {sentence}", record.event_name))
                    .impact(
                        "If the value was not also set on the server, clients cannot log in any more. The schedule counts the change as a rotation, and a rotation in progress is abandoned.",
                    )
                    .action(
                        if status == RotationStatus::Disabled {
                            "Ask the caller about both changes. If they are not intended, rotate the secret, which creates a working credential and enables rotation again:"
                        } else {
                            "Ask the caller. If the change is not intended, rotate the secret, which creates a working credential:"
                        },
                        rotate,
                    ),
                Write::Pending => {
                    let version = record.request("clientRequestToken").or_else(|| record.response("versionId"));
                    let remove = here(Command::aws("secretsmanager", "update-secret-version-stage"))
                        .option("version-stage", PENDING)
                        .option("remove-from-version-id", version.unwrap_or("VERSION"));
                    incident
                        .what(&format!("{who} stored a value under AWSPENDING in this secret (PutSecretValue). {sentence}"))
                        .impact(
                            "Only the rotation function stores such values. It rejects this one (PendingNotCreatedHere), and rotations fail until the label is removed. Whoever wrote it may have tried to choose the next credential.",
                        )
                        .action(
                            "Ask the caller. If the value is not intended, take the permission to write from the caller, remove the label, then rotate the secret:",
                            remove,
                        )
                }
                Write::Label(label) => incident
                    .what(&format!("{who} moved the label {label} of this secret ({}). {sentence}", record.event_name))
                    .impact(
                        "After a move of AWSCURRENT, clients read another value, which the server may not accept. After a move of AWSPENDING or AWSPREVIOUS, a rotation in progress may fail.",
                    )
                    .action(
                        "Ask the caller. If the move is not intended, check that AWSCURRENT can log in (see the runbook), then rotate the secret:",
                        rotate,
                    ),
            }
        }
        "CancelRotateSecret" => begin(Kind::RotationDisabled, Severity::Warning)
            .what(&format!("{who} disabled the rotation of this secret (CancelRotateSecret)."))
            .impact("The secret does not rotate any more. A version with the label AWSPENDING may remain and block the next rotation.")
            .action("If this is intended, set the tag sluice:rotation to off. If not, enable rotation again:", here(Command::aws("secretsmanager", "rotate-secret"))),
        "RotateSecret" => return cleared(Kind::RotationDisabled, "rotation was enabled again"),
        "DeleteSecret" => begin(Kind::SecretDeleted, Severity::Error)
            .what(&format!("{who} marked this secret for deletion (DeleteSecret)."))
            .impact("No client can read the secret any more, because every read returns an error.")
            .action(
                "If this is not intended, restore the secret. A secret that was deleted without a recovery window is lost.",
                here(Command::aws("secretsmanager", "restore-secret")),
            ),
        "RestoreSecret" => return cleared(Kind::SecretDeleted, "the secret was restored"),
        _ => return Vec::new(),
    };
    vec![Observation::firing(incident, event.id.clone())]
}

const PENDING: &str = "AWSPENDING";

/// Returns what a call wrote. A version with other labels or a new description is nothing.
fn written(record: &CloudTrailRecord) -> Option<Write<'_>> {
    if record.error_code.is_some() {
        return None;
    }
    let labels = record.request_parameters.get("versionStages").and_then(serde_json::Value::as_array);
    let has = |wanted: &str| labels.is_some_and(|labels| labels.iter().any(|label| label == wanted));
    match record.event_name.as_str() {
        "PutSecretValue" if labels.is_none() || has("AWSCURRENT") => Some(Write::Current),
        "PutSecretValue" if has(PENDING) => Some(Write::Pending),
        "PutSecretValue" if has("AWSPREVIOUS") => Some(Write::Label("AWSPREVIOUS")),
        // UpdateSecret creates a version only if it was given a value; then the response has its id.
        "UpdateSecret" => record.response("versionId").map(|_| Write::Current),
        "UpdateSecretVersionStage" => {
            record.request("versionStage").filter(|label| label.starts_with("AWS")).map(Write::Label)
        }
        _ => None,
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
    fn rotation_is_slow_compared_with_the_secrets_own_history() {
        assert_eq!(history(&[10, 10, 10, 10, 899]).slow(at(400_899)), None);
        let slow = history(&[10, 12, 11, 10, 13, 900]).slow(at(500_900)).unwrap();
        assert_eq!(slow, (Duration::from_secs(900), Some(Duration::from_secs(11))));
        // Three times a few seconds is no reason for an alert.
        assert_eq!(history(&[10, 12, 11, 10, 13, 60]).slow(at(500_060)), None);
        assert_eq!(history(&[600, 600, 600, 600, 600, 1700]).slow(at(501_700)), None);
    }

    #[test]
    fn rotation_of_15_minutes_is_slow_without_a_history() {
        assert_eq!(history(&[900]).slow(at(900)), Some((Duration::from_secs(900), None)));
        assert_eq!(
            history(&[10, 10, 10, 10, 4000]).slow(at(404_000)),
            Some((Duration::from_secs(4000), None))
        );
        assert_eq!(history(&[899]).slow(at(899)), None);
        // A secret whose rotations are always as long has its own limit.
        assert_eq!(history(&[950, 950, 950, 950, 950, 960]).slow(at(500_960)), None);
    }

    #[test]
    fn starts_and_ends_pair_in_any_order_of_arrival() {
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
    fn disabled_periods_follow_from_calls_in_any_order() {
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
            // Within the second of a call the order is unknown.
            assert_eq!(off, [101, 200, 301], "{order:?}");
            assert!(!history.has_rotations());
        }
        // As it was stored before there were any.
        assert_eq!(
            serde_json::from_str::<RotationHistory>(r#"{"entries":[]}"#).unwrap(),
            RotationHistory::default()
        );
    }

    #[test]
    fn failed_rotation_has_no_duration() {
        let mut history = RotationHistory::default();
        history.add(RotationOutcome::Started, at(0));
        history.add(RotationOutcome::Failed, at(50));
        history.add(RotationOutcome::Started, at(1000));
        history.add(RotationOutcome::Succeeded, at(1010));
        assert_eq!(history.took(), [(at(1010), 10)]);
    }
}
