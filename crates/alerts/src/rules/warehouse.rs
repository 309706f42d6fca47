//! Redshift: statements, integrations, and calls that change what the flow of files stands on.

use super::last_part;
use crate::command::Command;
use crate::event::{Integration, Event, Statement, StatementState, CloudTrailRecord};
use crate::incident::{Incident, IncidentKey};
use crate::kind::{Kind, Severity};
use crate::state::Observation;

/// How the names of the copy monitor's own statements begin. It tells itself, once, when they fail; each run's has another name, so here
/// every one would be an incident of its own.
pub const MONITOR_STATEMENT_PREFIX: &str = "sluice-copy-monitor.";

pub(super) fn statement(event: &Event, statement: &Statement) -> Vec<Observation> {
    let warehouse = event.resources.first().map_or("unknown warehouse", String::as_str);
    let named = statement.statement_name.as_deref().filter(|name| !name.is_empty());
    if named.is_some_and(|name| name.starts_with(MONITOR_STATEMENT_PREFIX)) {
        return Vec::new();
    }
    // Statements of one name repeat each other; one without a name stands for itself.
    let detail = named.unwrap_or(&statement.statement_id);
    let happened = match statement.state {
        StatementState::Failed => "failed",
        StatementState::Aborted => "was stopped before its end",
        StatementState::Finished => {
            let key = IncidentKey::new(Kind::StatementFailed, &event.location, warehouse, Some(detail));
            return named
                .map(|_| {
                    Observation::resolved(
                        key,
                        "a later statement of this name finished",
                        event.id.clone(),
                        event.time,
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
    let incident = Incident::new(Kind::StatementFailed, Severity::Error, event.location.clone(), warehouse, &name, event.time)
        .what(&format!("A statement of the Data API, run by {by}, {happened}."))
        .impact("What it was to read or change did not happen. The event does not say why; only the role that ran it may ask.")
        .action(
            "Ask for the error, as the role that ran it, within 24 hours:",
            Command::aws("redshift-data", "describe-statement")
                .option("id", &statement.statement_id)
                .option("region", &event.location.region)
                .flag("--query '[Status,Error,QueryString]'"),
        )
        .dedup_key(detail);
    vec![Observation::firing(incident, event.id.clone())]
}

pub(super) fn integration(event: &Event, integration: &Integration) -> Vec<Observation> {
    let arn = event.resources.first().map_or("unknown integration", String::as_str);
    let status = integration.integration_status.as_deref().unwrap_or("unknown status");
    let severity = match integration.severity.to_ascii_lowercase().as_str() {
        "error" | "critical" => Severity::Error,
        "warning" => Severity::Warning,
        _ if ["ACTIVE", "SYNCING"].iter().any(|good| status.eq_ignore_ascii_case(good)) => {
            let key = IncidentKey::new(Kind::IntegrationFailed, &event.location, arn, None);
            return vec![Observation::resolved(
                key,
                &format!("the integration is {status}"),
                event.id.clone(),
                event.time,
            )];
        }
        _ => return Vec::new(),
    };
    let name = last_part(arn);
    let between = match (&integration.source_arn, &integration.destination_arn) {
        (Some(source), Some(destination)) => format!(" It leads from {source} to {destination}."),
        _ => String::new(),
    };
    let incident = Incident::new(Kind::IntegrationFailed, severity, event.location.clone(), arn, name, event.time)
        .what(&format!("Redshift reports a problem of an integration, now {status}.{between}"))
        .impact("Files or changes that arrive are not loaded while it is not active. What arrives meanwhile is not loaded later by itself.")
        .cause(integration.event_description.as_deref())
        .action(
            "Read its errors, mend them (usually the warehouse's or the bucket's policy), and check the copy jobs behind it:",
            Command::aws("redshift", "describe-integrations").option("integration-arn", arn).option("region", &event.location.region),
        );
    vec![Observation::firing(incident, event.id.clone())]
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

pub(super) fn call(event: &Event, record: &CloudTrailRecord) -> Vec<Observation> {
    let Some((operation, severity, did, follows)) = CALLS.iter().find(|(name, ..)| *name == record.event_name)
    else {
        return Vec::new();
    };
    if record.error_code.is_some() {
        return Vec::new();
    }
    let subject = ["integrationArn", "integrationIdentifier", "resourceArn", "clusterIdentifier"]
        .iter()
        .find_map(|name| record.asked(name).or_else(|| record.answered(name)))
        .unwrap_or("unknown warehouse");
    let name = format!("{operation} of {} by {}", last_part(subject), record.user_identity.name());
    let incident = Incident::new(
        Kind::WarehouseChanged,
        *severity,
        event.location.clone(),
        subject,
        &name,
        event.time,
    )
    .what(&format!("{} {did} ({operation}).", record.user_identity.behind()))
    .impact(follows)
    .action(
        "If that was not meant, ask who did it and deploy the stack that owns it again. Who did what lately:",
        Command::aws("cloudtrail", "lookup-events")
            .option("lookup-attributes", &format!("AttributeKey=EventName,AttributeValue={operation}"))
            .option("region", &event.location.region),
    )
    .dedup_key(operation);
    vec![Observation::firing(incident, event.id.clone())]
}
