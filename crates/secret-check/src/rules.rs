//! The judgement, without a call.

use std::time::{Duration, SystemTime};

use crate::finding::{Finding, Problem};
use crate::secret::{Details, Secret};

pub use alerts::rules::ROTATION_TAG;

/// The tag that says that nobody has to read a secret: `expected`.
pub const UNUSED_TAG: &str = "sluice:unused";

/// How much is too much.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// The account.
    pub account: String,
    /// The Region.
    pub region: String,
    /// How long after its time a rotation is overdue.
    pub overdue_after: Duration,
    /// How long a version may be pending. A rotation is retried within its window, which is at most a day.
    pub stuck_after: Duration,
    /// How long a secret may be unread; zero: for ever.
    pub unused_after: Duration,
    /// How long a replica may be in progress.
    pub replica_after: Duration,
}

impl Rules {
    /// The defaults: an hour, a day, 90 days, an hour.
    pub fn new(account: String, region: String) -> Self {
        let hours = |hours: u64| Duration::from_secs(hours * 3600);
        Self {
            account,
            region,
            overdue_after: hours(1),
            stuck_after: hours(24),
            unused_after: hours(90 * 24),
            replica_after: hours(1),
        }
    }
}

/// What has to be asked before a secret is judged to its end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Questions {
    /// When its pending version was made.
    pub pending_version: bool,
    /// Its details.
    pub details: bool,
}

/// Whether that much time has passed.
fn passed(since: SystemTime, time: Duration, now: SystemTime) -> bool {
    now.duration_since(since).is_ok_and(|passed| passed >= time)
}

/// What the listing says of a secret, and what has to be asked.
pub fn evaluate(rules: &Rules, secret: &Secret, now: SystemTime) -> (Vec<Finding>, Questions) {
    let mut questions = Questions::default();
    if secret.deleted.is_some() {
        // Whatever else is wrong with it does not matter any more. When it will be deleted is in its details.
        questions.details = true;
        return (Vec::new(), questions);
    }
    let mut found = Vec::new();
    if !secret.is_replica(&rules.region) {
        found.extend(overdue(rules, secret, now));
        found.extend(rotation_off(rules, secret, now));
        if let Some(version) = secret.pending() {
            // The label was there at the last change at the latest, so this is enough, and only a younger change leaves a question.
            match secret.last_changed.filter(|changed| passed(*changed, rules.stuck_after, now)) {
                Some(changed) => found.push(stuck(rules, secret, version, changed, now)),
                None => questions.pending_version = true,
            }
        }
        questions.details = secret.primary_region.is_some();
    }
    found.extend(unused(rules, secret, now));
    (found, questions)
}

fn overdue(rules: &Rules, secret: &Secret, now: SystemTime) -> Option<Finding> {
    let due = secret.next_rotation.filter(|_| secret.rotates)?;
    passed(due, rules.overdue_after, now).then(|| {
        let problem = Problem::Overdue { last_rotated: secret.last_rotated };
        finding(rules, secret, problem, "", due, now, &["rotate-secret"])
    })
}

fn rotation_off(rules: &Rules, secret: &Secret, now: SystemTime) -> Option<Finding> {
    let wish = secret.tags.get(ROTATION_TAG).map(String::as_str);
    let was_on = secret.has_rotation_function || secret.last_rotated.is_some();
    let off = !secret.rotates && (wish == Some("on") || (was_on && wish != Some("off")));
    off.then(|| {
        let problem = Problem::RotationOff { wanted_by_tag: wish == Some("on") };
        let since = secret.last_changed.or(secret.created).unwrap_or(now);
        // With its own function and schedule, where it has them, rotation only has to be turned on.
        let command: &[&str] =
            if secret.has_rotation_function { &["rotate-secret"] } else { &["describe-secret"] };
        finding(rules, secret, problem, "", since, now, command)
    })
}

fn unused(rules: &Rules, secret: &Secret, now: SystemTime) -> Option<Finding> {
    let expected = secret.tags.get(UNUSED_TAG).is_some_and(|tag| tag == "expected");
    if expected || secret.owning_service.is_some() || rules.unused_after.is_zero() {
        return None;
    }
    // A secret that was never read is as old as itself. The day of the last read begins at midnight: it may be a day younger.
    let (since, allowed) = match secret.last_accessed {
        Some(day) => (day, rules.unused_after + Duration::from_secs(86_400)),
        None => (secret.created?, rules.unused_after),
    };
    passed(since, allowed, now).then(|| {
        let problem = Problem::Unused { last_accessed: secret.last_accessed };
        finding(rules, secret, problem, "", since, now, &["describe-secret"])
    })
}

fn stuck(rules: &Rules, secret: &Secret, version: &str, since: SystemTime, now: SystemTime) -> Finding {
    let problem = Problem::Stuck { version: version.to_owned() };
    // What to do depends on which password the server takes; `make repair-rotation` finds out.
    finding(rules, secret, problem, version, since, now, &["list-secret-version-ids"])
}

/// The rest of the judgement on the pending version, once it is known when it was made (`None`: that is not shown).
pub fn judge_pending(
    rules: &Rules,
    secret: &Secret,
    created: Option<SystemTime>,
    now: SystemTime,
) -> Option<Finding> {
    let (version, created) = (secret.pending()?, created?);
    passed(created, rules.stuck_after, now).then(|| stuck(rules, secret, version, created, now))
}

/// The rest of the judgement with a secret's details.
pub fn judge_details(rules: &Rules, secret: &Secret, details: &Details, now: SystemTime) -> Vec<Finding> {
    if let Some(marked) = secret.deleted {
        let problem = Problem::ScheduledForDeletion { deletion: details.deletion };
        return vec![finding(rules, secret, problem, "", marked.min(now), now, &["restore-secret"])];
    }
    let changed = secret.last_changed.unwrap_or(now);
    details
        .replicas
        .iter()
        .filter(|replica| match replica.status.as_str() {
            "InSync" => false,
            "Failed" => true,
            // On the way, or in a state that a later version adds.
            _ => passed(changed, rules.replica_after, now),
        })
        .map(|replica| {
            let problem = Problem::ReplicaOutOfSync {
                replica_region: replica.region.clone(),
                status: replica.status.clone(),
                message: replica.message.clone(),
            };
            let mut found = finding(
                rules,
                secret,
                problem,
                &replica.region,
                changed,
                now,
                &["replicate-secret-to-regions"],
            );
            found.command.extend(["--add-replica-regions".to_owned(), format!("Region={}", replica.region)]);
            found.command.push("--force-overwrite-replica-secret".to_owned());
            found
        })
        .collect()
}

fn finding(
    rules: &Rules,
    secret: &Secret,
    problem: Problem,
    which: &str,
    since: SystemTime,
    noticed: SystemTime,
    action: &[&str],
) -> Finding {
    let command = ["aws", "secretsmanager"].iter().chain(action).copied().chain([
        "--region",
        rules.region.as_str(),
        "--secret-id",
        secret.arn.as_str(),
    ]);
    Finding {
        id: format!("{}:{}:{which}", problem.kind(), secret.arn),
        command: command.map(str::to_owned).collect(),
        problem,
        arn: secret.arn.clone(),
        name: secret.name.clone(),
        account: rules.account.clone(),
        region: rules.region.clone(),
        since,
        noticed,
    }
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
