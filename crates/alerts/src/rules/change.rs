//! Changes of security groups.

use serde_json::Value;

use crate::command::Command;
use crate::event::{CloudTrailRecord, Event};
use crate::incident::Incident;
use crate::kind::{Kind, Severity};
use crate::state::Observation;

const OPERATIONS: [&str; 7] = [
    "AuthorizeSecurityGroupIngress",
    "AuthorizeSecurityGroupEgress",
    "RevokeSecurityGroupIngress",
    "RevokeSecurityGroupEgress",
    "CreateSecurityGroup",
    "DeleteSecurityGroup",
    "ModifySecurityGroupRules",
];

pub(super) fn security_group(event: &Event, record: &CloudTrailRecord) -> Vec<Observation> {
    let operation = record.event_name.as_str();
    if !OPERATIONS.contains(&operation) || record.error_code.is_some() {
        return Vec::new();
    }
    let group = group(record);
    let open = opened(record);
    let who = record.user_identity.principal();
    let (severity, impact) = match &open {
        Some(ports) => (
            Severity::Error,
            format!("Everybody on the internet who can reach the network can connect: {ports}."),
        ),
        None if operation.contains("Revoke") || operation.starts_with("Delete") => {
            (Severity::Info, "Connections that these rules allowed are refused from now on.".to_owned())
        }
        None => (Severity::Info, "The set of allowed connections has changed.".to_owned()),
    };
    let incident = Incident::new(
        Kind::SecurityGroupChanged,
        severity,
        event.location.clone(),
        group,
        &format!("{group}{} by {}", if open.is_some() { " opened to every address" } else { "" }, record.user_identity.name()),
        event.time,
    )
    .what(&format!("{who} called {operation}{}.", if open.is_some() { " and opened the group to every address" } else { "" }))
    .impact(&impact)
    .action(
        "Read the current rules. Remove rules that should not exist (see the runbook) and deploy the stack that owns the group:",
        Command::aws("ec2", "describe-security-group-rules")
            .option("filters", &format!("Name=group-id,Values={group}"))
            .option("region", &event.location.region),
    )
    .dedup_key(&format!("{operation}{}", if open.is_some() { " open" } else { "" }));
    vec![Observation::firing(incident, event.id.clone())]
}

/// Returns the group from the request, or from the response to a creation.
fn group(record: &CloudTrailRecord) -> &str {
    record
        .request("groupId")
        .or_else(|| record.response("groupId"))
        .or_else(|| {
            let request = record.request_parameters.get("ModifySecurityGroupRulesRequest")?;
            request.get("GroupId").and_then(Value::as_str)
        })
        .unwrap_or("unknown group")
}

/// Returns the ports that a call opened to every address, in words.
fn opened(record: &CloudTrailRecord) -> Option<String> {
    let name = record.event_name.as_str();
    if name == "ModifySecurityGroupRules" {
        let text = record.request_parameters.to_string();
        // Rules of this call have another form; the addresses are the same.
        return (text.contains("\"0.0.0.0/0\"") || text.contains("\"::/0\""))
            .then(|| "see the current rules".to_owned());
    }
    if name != "AuthorizeSecurityGroupIngress" {
        return None;
    }
    let items = |value: &Value, list: &str| -> Vec<Value> {
        value
            .get(list)
            .and_then(|list| list.get("items"))
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default()
    };
    let mut ports = Vec::new();
    for permission in items(&record.request_parameters, "ipPermissions") {
        let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        let everyone = items(&permission, "ipRanges")
            .iter()
            .any(|range| text(range, "cidrIp").as_deref() == Some("0.0.0.0/0"))
            || items(&permission, "ipv6Ranges")
                .iter()
                .any(|range| text(range, "cidrIpv6").as_deref() == Some("::/0"));
        if everyone {
            let port = |name: &str| permission.get(name).and_then(Value::as_i64);
            let protocol = text(&permission, "ipProtocol").unwrap_or_default();
            ports.push(match (protocol.as_str(), port("fromPort"), port("toPort")) {
                ("-1", ..) => "every protocol and port".to_owned(),
                (protocol, Some(from), Some(to)) if from == to => format!("{protocol} port {from}"),
                (protocol, Some(from), Some(to)) => format!("{protocol} ports {from} to {to}"),
                (protocol, ..) => protocol.to_owned(),
            });
        }
    }
    (!ports.is_empty()).then(|| ports.join(", "))
}
