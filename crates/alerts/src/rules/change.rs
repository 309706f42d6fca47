//! Changes of security groups.

use super::ranges::cover_every_address;
use crate::command::Command;
use crate::event::{CloudTrailRecord, Event, GroupRule, SecurityGroup};
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
    let group = record.security_group();
    let subject = match &group {
        SecurityGroup::Id(name) | SecurityGroup::Name(name) => name.as_str(),
        SecurityGroup::Unknown => "unknown group",
    };
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
    let dedup_key = format!("{operation}{}", if open.is_some() { " open" } else { "" });
    let incident = Incident::new(
        Kind::SecurityGroupChanged,
        severity,
        event.location.clone(),
        subject,
        &format!("{subject}{} by {}", if open.is_some() { " opened to every address" } else { "" }, record.user_identity.name()),
        event.time,
    )
    .what(&format!("{who} called {operation}{}.", if open.is_some() { " and opened the group to every address" } else { "" }))
    .impact(&impact)
    .action(
        "Read the current rules. Remove rules that should not exist (see the runbook) and deploy the stack that owns the group:",
        current_rules(&group, record).option("region", &event.location.region),
    )
    .dedup_key(&match group {
        // Two groups that cannot be told apart are not a repetition of one incident.
        SecurityGroup::Unknown => format!("{dedup_key} {}", event.id.as_str()),
        _ => dedup_key,
    });
    vec![Observation::firing(incident, event.id.clone())]
}

/// Returns the command that shows the rules of a group, or the call if the group is not known.
fn current_rules(group: &SecurityGroup, record: &CloudTrailRecord) -> Command {
    match group {
        SecurityGroup::Id(id) => Command::aws("ec2", "describe-security-group-rules")
            .option("filters", &format!("Name=group-id,Values={id}")),
        SecurityGroup::Name(name) => {
            Command::aws("ec2", "describe-security-groups").option("group-names", name)
        }
        SecurityGroup::Unknown => Command::aws("cloudtrail", "lookup-events").option(
            "lookup-attributes",
            &format!("AttributeKey=EventName,AttributeValue={}", record.event_name),
        ),
    }
}

/// Returns the ports that a call opened to every address, in words.
fn opened(record: &CloudTrailRecord) -> Option<String> {
    match record.event_name.as_str() {
        "ModifySecurityGroupRules" => {
            // Rules of this call have another form; the addresses are the same.
            let ranges = texts(&record.request_parameters);
            cover_every_address(ranges).then(|| "see the current rules".to_owned())
        }
        "AuthorizeSecurityGroupIngress" => {
            let rules = record.group_rules();
            let mut open: Vec<String> = Vec::new();
            for rule in rules.iter().filter(|rule| is_open(rule, &rules)) {
                let ports = ports(rule);
                if !open.contains(&ports) {
                    open.push(ports);
                }
            }
            (!open.is_empty()).then(|| open.join(", "))
        }
        _ => None,
    }
}

/// Returns true if the rules of one call open the ports of this rule to every address, alone or
/// together: `0.0.0.0/1` and `128.0.0.0/1` are every address.
fn is_open(rule: &GroupRule, all: &[GroupRule]) -> bool {
    let opening = all.iter().filter(|other| covers_ports(other, rule));
    cover_every_address(opening.flat_map(|other| other.ranges.iter().map(String::as_str)))
}

/// Returns true if a rule allows every port of another one.
fn covers_ports(rule: &GroupRule, other: &GroupRule) -> bool {
    if rule.protocol == "-1" {
        return true;
    }
    protocol(rule) == protocol(other)
        && match (rule.ports, other.ports) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some((from, to)), Some((first, last))) => from <= first && last <= to,
        }
}

/// Returns every text of a value.
fn texts(value: &serde_json::Value) -> Vec<&str> {
    match value {
        serde_json::Value::String(text) => vec![text],
        serde_json::Value::Array(items) => items.iter().flat_map(texts).collect(),
        serde_json::Value::Object(map) => map.values().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}

/// Returns the ports of a rule in words.
fn ports(rule: &GroupRule) -> String {
    let protocol = protocol(rule);
    if protocol == "-1" {
        return "every protocol and port".to_owned();
    }
    match rule.ports {
        Some((from, to)) if from == to => format!("{protocol} port {from}"),
        Some((from, to)) => format!("{protocol} ports {from} to {to}"),
        None => protocol.to_owned(),
    }
}

/// Returns the name of a rule's protocol. EC2 accepts the numbers of protocols. Source: IANA,
/// "Assigned Internet Protocol Numbers".
fn protocol(rule: &GroupRule) -> &str {
    match rule.protocol.as_str() {
        "1" => "icmp",
        "6" => "tcp",
        "17" => "udp",
        "58" => "icmpv6",
        name => name,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::evaluate;
    use super::*;
    use crate::event::parse;

    fn incident_of(request: &Value, id: &str) -> Incident {
        let path = format!("{}/../../events/ec2/authorize-ingress-flat.json", env!("CARGO_MANIFEST_DIR"));
        let mut event: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        event["id"] = json!(id);
        // EventBridge's envelope and CloudTrail's record may have null for what is empty.
        event["resources"] = Value::Null;
        event["detail"]["requestParameters"] = request.clone();
        event["detail"]["responseElements"] = json!({"_return": true});
        let observation = evaluate(&parse(&event, "111111111111").unwrap()).remove(0);
        observation.incident().unwrap().clone()
    }

    #[test]
    fn flat_form_opens_a_group_as_the_listed_form_does() {
        let flat = json!({"groupId": "sg-1", "ipPermissions": {}, "ipProtocol": "6", "fromPort": 22, "toPort": 22, "cidrIp": "0.0.0.0/0"});
        let incident = incident_of(&flat, "1");
        assert_eq!(incident.severity, Severity::Error);
        assert!(incident.impact.ends_with("can connect: tcp port 22."), "{}", incident.impact);
        let closed = json!({"groupId": "sg-1", "ipPermissions": null, "ipProtocol": "tcp", "fromPort": 22, "toPort": 22, "cidrIp": "10.0.0.0/8"});
        assert_eq!(incident_of(&closed, "1").severity, Severity::Info);
    }

    #[test]
    fn ranges_of_one_call_open_a_group_together() {
        let v4 = |ports: i64, protocol: &str, range: &str| json!({"ipProtocol": protocol, "fromPort": ports, "toPort": ports, "ipRanges": {"items": [{"cidrIp": range}]}});
        let listed = |rules: Value| json!({"groupId": "sg-1", "ipPermissions": {"items": rules}});
        let halves = ["0.0.0.0/1", "128.0.0.0/1"];
        let both = json!({"ipProtocol": "tcp", "fromPort": 22, "toPort": 22,
            "ipv6Ranges": {"items": [{"cidrIpv6": "8000::/1"}, {"cidrIpv6": "::/1"}]}});
        let all = json!({"ipProtocol": "-1", "ipRanges": {"items": [{"cidrIp": "128.0.0.0/1"}]}});
        for (rules, ports) in [
            (json!([v4(22, "tcp", halves[0]), v4(22, "6", halves[1])]), Some("tcp port 22.")),
            (json!([both]), Some("tcp port 22.")),
            (json!([v4(22, "tcp", halves[0]), all]), Some("tcp port 22.")),
            (json!([v4(22, "tcp", halves[0]), v4(23, "tcp", halves[1])]), None),
            (json!([v4(22, "tcp", halves[0]), v4(22, "udp", halves[1])]), None),
            (json!([v4(22, "tcp", halves[0]), v4(22, "tcp", "128.0.0.0/2")]), None),
        ] {
            let incident = incident_of(&listed(rules.clone()), "1");
            match ports {
                Some(ports) => assert!(
                    incident.severity == Severity::Error
                        && incident.impact.ends_with(&format!("can connect: {ports}")),
                    "{rules}: {}",
                    incident.impact
                ),
                None => assert_eq!(incident.severity, Severity::Info, "{rules}"),
            }
        }
    }

    #[test]
    fn groups_by_name_are_incidents_of_their_own() {
        let named = |name: &str| {
            incident_of(&json!({"groupName": name, "ipProtocol": "-1", "cidrIp": "0.0.0.0/0"}), "1")
        };
        let (web, mail) = (named("web servers"), named("mail"));
        assert_ne!(web.key(), mail.key());
        assert_eq!(web.subject, "web servers");
        let command = web.command.unwrap();
        assert!(
            command.starts_with("aws ec2 describe-security-groups --group-names 'web servers'"),
            "{command}"
        );
        // Without a name, two calls are about two groups as far as is known.
        let unknown = |id| incident_of(&json!(null), id).key();
        assert_ne!(unknown("1"), unknown("2"));
        assert_eq!(unknown("1"), unknown("1"));
    }
}
