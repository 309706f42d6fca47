//! What a finding means for people on call.

use std::time::SystemTime;

use alerts::command::Command;
use alerts::incident::{Incident, AccountRegion};
use alerts::kind::{Kind, Severity};
use alerts::moment::Moment;

use crate::finding::{Finding, Problem};

/// What is wrong, and how soon somebody has to act.
pub(crate) fn kind(problem: &Problem) -> (Kind, Severity) {
    match problem {
        Problem::Overdue { .. } => (Kind::RotationOverdue, Severity::Warning),
        Problem::Stuck { .. } => (Kind::RotationStuck, Severity::Error),
        // As severe as the calls that did them, which `on-rotation` tells: each is one incident.
        Problem::RotationOff { .. } => (Kind::RotationDisabled, Severity::Warning),
        Problem::Unused { .. } => (Kind::SecretUnused, Severity::Info),
        Problem::ReplicaOutOfSync { .. } => (Kind::ReplicaOutOfSync, Severity::Error),
        Problem::ScheduledForDeletion { .. } => (Kind::SecretDeleted, Severity::Error),
    }
}

/// Whether a check has to ask for more than the listing to find this.
pub(crate) fn is_asked_for(kind: Kind) -> bool {
    [Kind::RotationStuck, Kind::ReplicaOutOfSync, Kind::SecretDeleted].contains(&kind)
}

/// The incident of a finding. It occurs at the moment of the check: since when it is so stands in its text, because a
/// secret that was well in between may have the same old date again.
pub(crate) fn incident(finding: &Finding, now: Moment) -> Incident {
    let (kind, severity) = kind(&finding.problem);
    let location = AccountRegion::new(&finding.account, &finding.region);
    let since = Moment::from_system(finding.since);
    let (what, impact, action) = text(&finding.problem, since);
    let cause = match &finding.problem {
        Problem::ReplicaOutOfSync { message, .. } => message.as_deref(),
        _ => None,
    };
    let name = format!("secret {}", finding.name);
    let incident = Incident::new(kind, severity, location, &finding.arn, &name, now)
        .what(&what)
        .impact(impact)
        .cause(cause)
        .action(action, Command::from_words(&finding.command))
        // A thousand secrets that are overdue have one cause.
        .group(&format!("all secrets in {}: {}", finding.region, kind.name()));
    match &finding.problem {
        Problem::Stuck { version } => incident.dedup_key(version),
        Problem::ReplicaOutOfSync { replica_region, .. } => incident.dedup_key(replica_region),
        _ => incident,
    }
}

fn text(problem: &Problem, since: Moment) -> (String, &'static str, &'static str) {
    let day = |time: &SystemTime| Moment::from_system(*time).to_string();
    match problem {
        Problem::Overdue { last_rotated } => (
            format!(
                "Its next rotation was due by {since}; {}.",
                match last_rotated {
                    Some(last) => format!("the last one was at {}", day(last)),
                    None => "it was never rotated".to_owned(),
                }
            ),
            "The credential gets older than it should. Every rotation fails, or none is begun.",
            "Rotate it; the error comes at once or stands in the function's log:",
        ),
        Problem::Stuck { version } => (
            format!("Version {version} has carried AWSPENDING since {since}: a rotation stopped half-way."),
            "The current credential works, but no other rotation begins. The server may have the new password already.",
            "See the versions, then let make repair-rotation find out which password the server takes:",
        ),
        Problem::RotationOff { wanted_by_tag } => (
            if *wanted_by_tag {
                format!(
                    "Its tag sluice:rotation says on, and rotation is off. It was changed last at {since}."
                )
            } else {
                format!("Rotation was on once and is off now. It was changed last at {since}.")
            },
            "The credential stays the same for ever.",
            "InvocationWindow rotation on, or set the tag sluice:rotation to off if that is meant:",
        ),
        Problem::Unused { last_accessed } => (
            match last_accessed {
                Some(_) => format!("Nobody has read it since {since}."),
                None => format!("Nobody has ever read it. It was made at {since}."),
            },
            "A credential that nobody needs can only leak.",
            "Ask its owner; set the tag sluice:unused to expected if it has to stay:",
        ),
        Problem::ReplicaOutOfSync { replica_region, status, .. } => (
            format!("Its replica in {replica_region} is {status}. The secret was changed last at {since}."),
            "Clients in that Region may get the old credential, or none.",
            "Mend the cause, then replicate it once more:",
        ),
        Problem::ScheduledForDeletion { deletion } => (
            format!(
                "It is marked for deletion since {since}{}.",
                deletion.as_ref().map(|at| format!(" and will be gone at {}", day(at))).unwrap_or_default()
            ),
            "Nobody can read it: every client that asks for it gets an error.",
            "If that was not meant, restore it:",
        ),
    }
}

#[cfg(test)]
#[path = "incident_tests.rs"]
mod tests;
