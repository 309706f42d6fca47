//! The rules: from the data of a secret to incidents, without a call.

use std::time::Duration;

use alerts::Incident;
use alerts::command::Command;
use alerts::incident::AccountRegion;
use alerts::kind::{Kind, Severity};
use alerts::moment::Moment;

use crate::secret::{Details, Replica, Secret};

pub use alerts::rules::ROTATION_TAG;

/// The tag that states that a secret may be unused: `expected`.
pub const UNUSED_TAG: &str = "sluice:unused";

/// The limits of the check in one account and Region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// The account and Region.
    pub location: AccountRegion,
    /// The time after its due date at which a rotation is overdue.
    pub overdue_after: Duration,
    /// The time for which a version may be pending. Secrets Manager retries a rotation within its
    /// window, which is at most a day.
    pub stuck_after: Duration,
    /// The time for which a secret may be unread; zero disables the rule.
    pub unused_after: Duration,
    /// The time for which a replica may be in progress.
    pub replica_after: Duration,
}

impl Rules {
    /// Creates the default limits: an hour, a day, 90 days, an hour.
    pub fn new(location: AccountRegion) -> Self {
        let hours = |hours: u64| Duration::from_secs(hours * 3600);
        Self {
            location,
            overdue_after: hours(1),
            stuck_after: hours(24),
            unused_after: hours(90 * 24),
            replica_after: hours(1),
        }
    }
}

/// The further data that the evaluation of a secret needs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lookups {
    /// The creation time of its pending version.
    pub pending_version: bool,
    /// Its details.
    pub details: bool,
}

/// Returns true if that much time has passed.
fn passed(since: Moment, time: Duration, now: Moment) -> bool {
    since <= now && now.since(since) >= time
}

/// Evaluates the listing of a secret. Returns the incidents and the further data that is needed.
pub fn evaluate(rules: &Rules, secret: &Secret, now: Moment) -> (Vec<Incident>, Lookups) {
    let mut lookups = Lookups::default();
    if secret.deleted.is_some() {
        // Other problems of the secret do not matter any more. Its details have the time of deletion.
        lookups.details = true;
        return (Vec::new(), lookups);
    }
    let mut found = Vec::new();
    if !secret.is_replica(&rules.location.region) {
        found.extend(overdue(rules, secret, now));
        found.extend(rotation_disabled(rules, secret, now));
        if let Some(version) = secret.pending() {
            // The version has had the label since the last change at least, so that an old change is
            // enough. After a recent change, the version's own age is needed.
            match secret.last_changed.filter(|changed| passed(*changed, rules.stuck_after, now)) {
                Some(changed) => found.push(stuck(rules, secret, version, changed, now)),
                None => lookups.pending_version = true,
            }
        }
        lookups.details = secret.primary_region.is_some();
    }
    found.extend(unused(rules, secret, now));
    (found, lookups)
}

fn overdue(rules: &Rules, secret: &Secret, now: Moment) -> Option<Incident> {
    let due = secret.next_rotation.filter(|_| secret.rotates)?;
    let last = match secret.last_rotated {
        Some(last) => format!("The last rotation was at {last}."),
        None => "The secret has never rotated.".to_owned(),
    };
    passed(due, rules.overdue_after, now).then(|| {
        incident(rules, secret, Kind::RotationOverdue, Severity::Warning, now)
            .what(&format!("The next rotation was due by {due}. {last}"))
            .impact(
                "The credential is past its rotation deadline. Either every rotation fails, or none \
                 starts.",
            )
            .action(
                "Rotate the secret. An error appears at once or in the log of the rotation function:",
                command(rules, secret, "rotate-secret"),
            )
    })
}

fn rotation_disabled(rules: &Rules, secret: &Secret, now: Moment) -> Option<Incident> {
    let tag = secret.tags.get(ROTATION_TAG).map(String::as_str);
    let was_enabled = secret.has_rotation_function || secret.last_rotated.is_some();
    let disabled = !secret.rotates && (tag == Some("on") || (was_enabled && tag != Some("off")));
    disabled.then(|| {
        let changed = secret.last_changed.or(secret.created).unwrap_or(now);
        let reason = if tag == Some("on") {
            "The tag sluice:rotation is on, but rotation is disabled."
        } else {
            "Rotation was enabled before and is disabled now."
        };
        // With its own function and schedule, rotation only has to be enabled.
        let operation = if secret.has_rotation_function { "rotate-secret" } else { "describe-secret" };
        // As severe as the call that disables rotation, which `on-rotation` reports: both are one
        // incident.
        incident(rules, secret, Kind::RotationDisabled, Severity::Warning, now)
            .what(&format!("{reason} The secret was last changed at {changed}."))
            .impact("The credential does not change any more.")
            .action(
                "Enable rotation, or set the tag sluice:rotation to off if it is disabled on purpose:",
                command(rules, secret, operation),
            )
    })
}

fn unused(rules: &Rules, secret: &Secret, now: Moment) -> Option<Incident> {
    let expected = secret.tags.get(UNUSED_TAG).is_some_and(|tag| tag == "expected");
    if expected || secret.owning_service.is_some() || rules.unused_after.is_zero() {
        return None;
    }
    // Without a read, the age of the secret counts. The day of the last read starts at midnight: the
    // read itself may be a day younger.
    let (since, allowed) = match secret.last_accessed {
        Some(day) => (day, rules.unused_after + Duration::from_secs(86_400)),
        None => (secret.created?, rules.unused_after),
    };
    let what = match secret.last_accessed {
        Some(_) => format!("No client has read the secret since {since}."),
        None => format!("No client has ever read the secret. It was created at {since}."),
    };
    passed(since, allowed, now).then(|| {
        incident(rules, secret, Kind::SecretUnused, Severity::Info, now)
            .what(&what)
            .impact("An unused credential is a risk without a benefit.")
            .action(
                "Ask the owner whether the secret is needed. If it is, set the tag sluice:unused to \
                 expected. Details:",
                command(rules, secret, "describe-secret"),
            )
    })
}

fn stuck(rules: &Rules, secret: &Secret, version: &str, since: Moment, now: Moment) -> Incident {
    incident(rules, secret, Kind::RotationStuck, Severity::Error, now)
        .dedup_key(version)
        .what(&format!(
            "The version {version} has had the label AWSPENDING since {since}: a rotation stopped \
             before it was complete."
        ))
        .impact(
            "AWSCURRENT usually still works, but no other rotation starts. The server may already have \
             the new password.",
        )
        // The action depends on the password that the server accepts; `make repair-rotation` finds out.
        .action(
            "List the versions, then run make repair-rotation, which finds out which password the \
             server accepts:",
            command(rules, secret, "list-secret-version-ids"),
        )
}

/// Evaluates the pending version of a secret with its creation time, if that is known.
pub fn evaluate_pending(
    rules: &Rules,
    secret: &Secret,
    created: Option<Moment>,
    now: Moment,
) -> Option<Incident> {
    let (version, created) = (secret.pending()?, created?);
    passed(created, rules.stuck_after, now).then(|| stuck(rules, secret, version, created, now))
}

/// Evaluates the details of a secret.
pub fn evaluate_details(rules: &Rules, secret: &Secret, details: &Details, now: Moment) -> Vec<Incident> {
    if let Some(marked) = secret.deleted {
        return vec![scheduled_for_deletion(rules, secret, marked.min(now), details, now)];
    }
    let changed = secret.last_changed.unwrap_or(now);
    let out_of_sync = |replica: &&Replica| match replica.status.as_str() {
        "InSync" => false,
        "Failed" => true,
        // In progress, or a status that a later version adds.
        _ => passed(changed, rules.replica_after, now),
    };
    let replicas = details.replicas.iter().filter(out_of_sync);
    replicas.map(|replica| replica_out_of_sync(rules, secret, replica, changed, now)).collect()
}

fn scheduled_for_deletion(
    rules: &Rules,
    secret: &Secret,
    marked: Moment,
    details: &Details,
    now: Moment,
) -> Incident {
    let deletion = details.deletion.map(|at| format!(" It will be deleted at {at}.")).unwrap_or_default();
    incident(rules, secret, Kind::SecretDeleted, Severity::Error, now)
        .what(&format!("The secret has been marked for deletion since {marked}.{deletion}"))
        .impact("No client can read the secret, because every read returns an error.")
        .action(
            "If the deletion is not intended, restore the secret:",
            command(rules, secret, "restore-secret"),
        )
}

fn replica_out_of_sync(
    rules: &Rules,
    secret: &Secret,
    replica: &Replica,
    changed: Moment,
    now: Moment,
) -> Incident {
    let Replica { region, status, message } = replica;
    let command = command(rules, secret, "replicate-secret-to-regions")
        .option("add-replica-regions", &format!("Region={region}"))
        .flag("--force-overwrite-replica-secret");
    incident(rules, secret, Kind::ReplicaOutOfSync, Severity::Error, now)
        .dedup_key(region)
        .what(&format!(
            "The replica in {region} has the status {status}. The secret was last changed at {changed}."
        ))
        .impact("Clients in that Region may read the old credential, or none.")
        .cause(message.as_deref())
        .action("Fix the cause, then replicate the secret again:", command)
}

fn command(rules: &Rules, secret: &Secret, operation: &'static str) -> Command {
    Command::aws("secretsmanager", operation)
        .option("region", &rules.location.region)
        .option("secret-id", &secret.arn)
}

/// Returns an incident of a secret. It occurs at the time of the check: a secret may have a problem with
/// the same old date again after it was healthy.
fn incident(rules: &Rules, secret: &Secret, kind: Kind, severity: Severity, now: Moment) -> Incident {
    let location = rules.location.clone();
    // A thousand overdue secrets have one cause.
    let group = format!("{} of secrets in {}", kind.name(), location.region);
    let name = format!("secret {}", secret.name);
    Incident::new(kind, severity, location, &secret.arn, &name, now).group(&group)
}
