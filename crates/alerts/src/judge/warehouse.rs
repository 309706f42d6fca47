//! Redshift: statements, integrations, and calls that change what the flow of files stands on.

use super::last_part;
use crate::command::Command;
use crate::event::{Integration, Known, Statement, StatementState, Trail};
use crate::incident::{Incident, Key};
use crate::kind::{Kind, Severity};
use crate::state::Signal;

/// How the names of the copy monitor's own statements begin. It tells itself, once, when they fail; each run's has another name, so here
/// every one would be an incident of its own.
pub const MONITOR_STATEMENTS: &str = "sluice-copy-monitor.";

pub(super) fn statement(known: &Known, statement: &Statement) -> Vec<Signal> {
    let warehouse = known.resources.first().map_or("unknown warehouse", String::as_str);
    let named = statement.statement_name.as_deref().filter(|name| !name.is_empty());
    if named.is_some_and(|name| name.starts_with(MONITOR_STATEMENTS)) {
        return Vec::new();
    }
    // Statements of one name repeat each other; one without a name stands for itself.
    let detail = named.unwrap_or(&statement.statement_id);
    let happened = match statement.state {
        StatementState::Failed => "failed",
        StatementState::Aborted => "was stopped before its end",
        StatementState::Finished => {
            let key = Key::new(Kind::StatementFailed, &known.place, warehouse, Some(detail));
            return named
                .map(|_| {
                    Signal::cleared(
                        key,
                        "a later statement of this name finished",
                        known.id.clone(),
                        known.time,
                    )
                })
                .into_iter()
                .collect();
        }
    };
    let name = match named {
        Some(name) => format!("{name} on {}", last_part(warehouse)),
        None => format!("{} on {}", statement.statement_id, last_part(warehouse)),
    };
    let by = statement.principal.as_deref().unwrap_or("somebody unknown");
    let incident = Incident::new(Kind::StatementFailed, Severity::Error, known.place.clone(), warehouse, &name, known.time)
        .what(&format!("A statement of the Data API, run by {by}, {happened}."))
        .impact("What it was to read or change did not happen. The event does not say why; only the role that ran it may ask.")
        .remedy(
            "Ask for the error, as the role that ran it, within 24 hours:",
            Command::aws("redshift-data", "describe-statement")
                .option("id", &statement.statement_id)
                .option("region", &known.place.region)
                .flag("--query '[Status,Error,QueryString]'"),
        )
        .told_apart_by(detail);
    vec![Signal::raised(incident, known.id.clone())]
}

pub(super) fn integration(known: &Known, integration: &Integration) -> Vec<Signal> {
    let arn = known.resources.first().map_or("unknown integration", String::as_str);
    let status = integration.integration_status.as_deref().unwrap_or("unknown status");
    let severity = match integration.severity.to_ascii_lowercase().as_str() {
        "error" | "critical" => Severity::Error,
        "warning" => Severity::Warning,
        _ if ["ACTIVE", "SYNCING"].iter().any(|good| status.eq_ignore_ascii_case(good)) => {
            let key = Key::new(Kind::IntegrationFailed, &known.place, arn, None);
            return vec![Signal::cleared(
                key,
                &format!("the integration is {status}"),
                known.id.clone(),
                known.time,
            )];
        }
        _ => return Vec::new(),
    };
    let name = last_part(arn);
    let between = match (&integration.source_arn, &integration.destination_arn) {
        (Some(source), Some(destination)) => format!(" It leads from {source} to {destination}."),
        _ => String::new(),
    };
    let incident = Incident::new(Kind::IntegrationFailed, severity, known.place.clone(), arn, name, known.time)
        .what(&format!("Redshift reports a problem of an integration, now {status}.{between}"))
        .impact("Files or changes that arrive are not loaded while it is not active. What arrives meanwhile is not loaded later by itself.")
        .cause(integration.event_description.as_deref())
        .remedy(
            "Read its errors, mend them (usually the warehouse's or the bucket's policy), and check the copy jobs behind it:",
            Command::aws("redshift", "describe-integrations").option("integration-arn", arn).option("region", &known.place.region),
        );
    vec![Signal::raised(incident, known.id.clone())]
}

/// Calls after which files may stop flowing: the operation, what it did, what follows.
const CALLS: [(&str, Severity, &str, &str); 8] = [
    (
        "DeleteIntegration",
        Severity::Error,
        "deleted an integration",
        "Files of its bucket are not loaded any more.",
    ),
    (
        "ModifyIntegration",
        Severity::Info,
        "changed an integration",
        "Its name or description changed; loading goes on.",
    ),
    (
        "DeleteResourcePolicy",
        Severity::Error,
        "deleted the policy of a namespace",
        "Integrations of every source lose their permission.",
    ),
    (
        "PutResourcePolicy",
        Severity::Info,
        "changed the policy of a namespace",
        "Sources that it does not name any more stop loading.",
    ),
    (
        "DeleteCluster",
        Severity::Critical,
        "deleted a cluster",
        "Its data is gone unless a final snapshot was made.",
    ),
    ("PauseCluster", Severity::Warning, "paused a cluster", "Nothing is loaded until it is resumed."),
    (
        "ModifyClusterIamRoles",
        Severity::Warning,
        "changed the roles of a cluster",
        "A COPY JOB whose role was taken away fails with every file.",
    ),
    (
        "DisableLogging",
        Severity::Warning,
        "turned the audit log of a cluster off",
        "What users do is not recorded any more.",
    ),
];

pub(super) fn call(known: &Known, trail: &Trail) -> Vec<Signal> {
    let Some((operation, severity, did, follows)) = CALLS.iter().find(|(name, ..)| *name == trail.event_name)
    else {
        return Vec::new();
    };
    if trail.error_code.is_some() {
        return Vec::new();
    }
    let subject = ["integrationArn", "integrationIdentifier", "resourceArn", "clusterIdentifier"]
        .iter()
        .find_map(|name| trail.asked(name).or_else(|| trail.answered(name)))
        .unwrap_or("unknown warehouse");
    let name = format!("{operation} of {} by {}", last_part(subject), trail.user_identity.name());
    let incident = Incident::new(
        Kind::WarehouseChanged,
        *severity,
        known.place.clone(),
        subject,
        &name,
        known.time,
    )
    .what(&format!("{} {did} ({operation}).", trail.user_identity.behind()))
    .impact(follows)
    .remedy(
        "If that was not meant, ask who did it and deploy the stack that owns it again. Who did what lately:",
        Command::aws("cloudtrail", "lookup-events")
            .option("lookup-attributes", &format!("AttributeKey=EventName,AttributeValue={operation}"))
            .option("region", &known.place.region),
    )
    .told_apart_by(operation);
    vec![Signal::raised(incident, known.id.clone())]
}
