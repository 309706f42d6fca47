//! Redshift: statements, integrations, and calls that change what loading files depends on.

use super::last_part;
use crate::command::Command;
use crate::event::{CloudTrailRecord, Event, Integration, Statement, StatementState};
use crate::incident::{Incident, IncidentKey};
use crate::kind::{Kind, Severity};
use crate::state::Observation;

/// The prefix of the names of the copy monitor's own statements. The monitor itself reports their
/// failures: the statements of each run have another name, so that here each would be an incident.
pub const MONITOR_STATEMENT_PREFIX: &str = "sluice-copy-monitor.";

/// The prefix of the names of statements that load a rejected file again: the command in the alert
/// about the file gives them this name.
pub const RELOAD_STATEMENT_PREFIX: &str = "sluice-reload.";

pub(super) fn statement(event: &Event, statement: &Statement) -> Vec<Observation> {
    let warehouse = event.resources.first().map_or("unknown warehouse", String::as_str);
    let named = statement.statement_name.as_deref().filter(|name| !name.is_empty());
    if named.is_some_and(|name| name.starts_with(MONITOR_STATEMENT_PREFIX)) {
        return Vec::new();
    }
    // Statements of one name are repetitions; a statement without a name is unique.
    let detail = named.unwrap_or(&statement.statement_id);
    let happened = match statement.state {
        StatementState::Failed => "failed",
        StatementState::Aborted => "was aborted",
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
    let by = statement.principal.as_deref().unwrap_or("an unknown principal");
    let is_reload = named.is_some_and(|name| name.starts_with(RELOAD_STATEMENT_PREFIX));
    let (subject, impact, action) = if is_reload {
        (
            "The reload of a rejected file",
            "The rows of the file are still not in the table. The event does not contain the error; only the role that ran the statement can read it.",
            "Read the error with the role that ran the statement, within 24 hours. Fix its cause, then run the command in the alert about the file again:",
        )
    } else {
        (
            "A statement of the Data API",
            "The statement had no effect. The event does not contain the error; only the role that ran the statement can read it.",
            "Read the error with the role that ran the statement, within 24 hours:",
        )
    };
    let incident = Incident::new(
        Kind::StatementFailed,
        Severity::Error,
        event.location.clone(),
        warehouse,
        &name,
        event.time,
    )
    .what(&format!("{subject}, run by {by}, {happened}."))
    .impact(impact)
    .action(
        action,
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
        (Some(source), Some(destination)) => format!(" Its source is {source}, its target {destination}."),
        _ => String::new(),
    };
    let incident = Incident::new(Kind::IntegrationFailed, severity, event.location.clone(), arn, name, event.time)
        .what(&format!("Redshift reports a problem of an integration. Its status is {status}.{between}"))
        .impact("While the integration is not active, new files and changes are not loaded, and are not loaded later automatically.")
        .cause(integration.event_description.as_deref())
        .action(
            "Read the integration's errors, fix them (usually the policy of the warehouse or the bucket), then check its copy jobs:",
            Command::aws("redshift", "describe-integrations").option("integration-arn", arn).option("region", &event.location.region),
        );
    vec![Observation::firing(incident, event.id.clone())]
}

/// The calls that may stop files from being loaded: operation, severity, effect and impact.
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
        "Its name or description changed; loading continues.",
    ),
    (
        "DeleteResourcePolicy",
        Severity::Error,
        "deleted the policy of a namespace",
        "Integrations of all sources lose their permission.",
    ),
    (
        "PutResourcePolicy",
        Severity::Info,
        "changed the policy of a namespace",
        "Sources that the policy no longer names stop loading.",
    ),
    (
        "DeleteCluster",
        Severity::Critical,
        "deleted a cluster",
        "Its data is lost unless a final snapshot was created.",
    ),
    ("PauseCluster", Severity::Warning, "paused a cluster", "No files are loaded until it is resumed."),
    (
        "ModifyClusterIamRoles",
        Severity::Warning,
        "changed the roles of a cluster",
        "A copy job whose role was removed fails for every file.",
    ),
    (
        "DisableLogging",
        Severity::Warning,
        "disabled the audit log of a cluster",
        "The activity of users is not recorded any more.",
    ),
];

pub(super) fn call(event: &Event, record: &CloudTrailRecord) -> Vec<Observation> {
    let Some((operation, severity, did, follows)) =
        CALLS.iter().find(|(name, ..)| *name == record.event_name)
    else {
        return Vec::new();
    };
    if record.error_code.is_some() {
        return Vec::new();
    }
    let subject = ["integrationArn", "integrationIdentifier", "resourceArn", "clusterIdentifier"]
        .iter()
        .find_map(|name| record.request(name).or_else(|| record.response(name)))
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
    .what(&format!("{} {did} ({operation}).", record.user_identity.principal()))
    .impact(follows)
    .action(
        "If the change is not intended, ask the caller and deploy the owning stack again. Recent calls:",
        Command::aws("cloudtrail", "lookup-events")
            .option("lookup-attributes", &format!("AttributeKey=EventName,AttributeValue={operation}"))
            .option("region", &event.location.region),
    )
    .dedup_key(operation);
    vec![Observation::firing(incident, event.id.clone())]
}
