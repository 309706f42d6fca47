//! The event patterns of the templates, checked with every sample event.
//!
//! The spoke's rules select the events (`templates/alerts-spoke.yaml`); the hub's rules route them to
//! queues (`templates/alerts-hub.yaml`). The tests read the patterns from the templates themselves.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::path::Path;

use alerts::event::{Detail, parse};
use alerts::rules::evaluate;
use serde_json::{Value, json};

/// Returns true if an event matches a pattern, for the operators that the patterns use.
/// Source: "Creating Amazon EventBridge event patterns" and "Comparison operators".
fn matches(pattern: &Value, event: &Value) -> bool {
    let Value::Object(members) = pattern else { panic!("a pattern is an object: {pattern}") };
    members.iter().all(|(name, wanted)| match (name.as_str(), wanted) {
        ("$or", Value::Array(choices)) => choices.iter().any(|choice| matches(choice, event)),
        (_, Value::Object(_)) => {
            event.get(name).is_some_and(|value| value.is_object() && matches(wanted, value))
        }
        (_, Value::Array(choices)) => {
            let found: Vec<&Value> = match event.get(name) {
                Some(Value::Array(values)) => values.iter().collect(),
                Some(value) => vec![value],
                None => Vec::new(),
            };
            choices.iter().any(|choice| one(choice, &found))
        }
        _ => panic!("neither an object nor an array at {name}: {wanted}"),
    })
}

fn one(choice: &Value, found: &[&Value]) -> bool {
    let Value::Object(operator) = choice else { return found.contains(&choice) };
    let (name, argument) = operator.iter().next().expect("an operator");
    let any = |test: &dyn Fn(&str) -> bool| found.iter().any(|value| value.as_str().is_some_and(test));
    let text = argument.as_str().unwrap_or_default();
    match name.as_str() {
        "exists" => argument.as_bool() == Some(!found.is_empty()),
        "prefix" => any(&|value| value.starts_with(text)),
        "suffix" => any(&|value| value.ends_with(text)),
        "anything-but" => {
            let excluded = argument.as_array().expect("a list of values");
            found.iter().any(|value| !excluded.contains(value))
        }
        "equals-ignore-case" => any(&|value| value.eq_ignore_ascii_case(text)),
        other => panic!("the operator {other} is not known to this test"),
    }
}

fn read(folder: &str) -> BTreeMap<String, Value> {
    let mut files = BTreeMap::new();
    for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.extension().is_some_and(|extension| extension == "json") {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            files.insert(name, serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap());
        }
    }
    files
}

/// The properties of a template's rules that have an event pattern, by the rules' logical ids.
fn rules(template: &str) -> BTreeMap<String, Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../templates");
    let text = std::fs::read_to_string(folder.join(template)).unwrap();
    // Tags such as !Ref are ignored: no pattern contains one.
    let template: Value = serde_saphyr::from_str(&text).unwrap();
    let resources = template["Resources"].as_object().unwrap();
    let rules = resources.iter().filter(|(_, one)| one["Type"] == "AWS::Events::Rule");
    let rules = rules.map(|(id, one)| (id.clone(), one["Properties"].clone()));
    rules.filter(|(_, rule)| !rule["EventPattern"].is_null()).collect()
}

fn patterns(template: &str) -> BTreeMap<String, Value> {
    rules(template).into_iter().map(|(id, rule)| (id, rule["EventPattern"].clone())).collect()
}

/// The patterns of the rules that forward events to the hub.
fn spoke() -> BTreeMap<String, Value> {
    let mut patterns = patterns("alerts-spoke.yaml");
    patterns.remove("AllStatementsRule").expect("the rule of SqlStatements=all");
    patterns
}

/// The patterns of a spoke with `SqlStatements=all`.
fn spoke_of_all_statements() -> BTreeMap<String, Value> {
    let mut patterns = patterns("alerts-spoke.yaml");
    patterns.remove("StatementsRule").expect("the rule of SqlStatements=sluice");
    patterns
}

/// The patterns of the rules that route forwarded events to queues.
fn hub() -> BTreeMap<String, Value> {
    patterns("alerts-hub.yaml")
}

/// Every sample event that has EventBridge's envelope.
fn events() -> Vec<(String, Value)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events");
    let mut events = Vec::new();
    for folder in
        std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir())
    {
        for (name, value) in read(folder.to_str().unwrap()) {
            if value.get("detail-type").is_some() {
                events.push((format!("{}/{name}", folder.file_name().unwrap().to_str().unwrap()), value));
            }
        }
    }
    events.sort_by(|one, other| one.0.cmp(&other.0));
    events
}

/// The rules that an event matches.
fn matching(rules: &BTreeMap<String, Value>, event: &Value) -> Vec<String> {
    rules.iter().filter(|(_, pattern)| matches(pattern, event)).map(|(id, _)| id.clone()).collect()
}

#[test]
fn events_with_alerts_match_one_rule_of_the_spoke() {
    let spoke = spoke();
    // A statement without a name does not belong to Sluice: see SqlStatements below.
    let others = ["redshift-data/statement-failed-without-name"];
    let mut alerting = 0;
    for (name, event) in events() {
        let found = matching(&spoke, &event);
        assert!(found.len() <= 1, "{name}: {found:?}");
        let has_alert = parse(&event, "111111111111").is_ok_and(|event| match event.detail {
            Detail::SecretCall(_) => !name.ends_with("description"),
            _ => !evaluate(&event).is_empty(),
        });
        if has_alert && !others.contains(&name.as_str()) {
            assert_eq!(found.len(), 1, "{name} is matched by no rule");
            alerting += 1;
        }
    }
    assert!(alerting > 40, "{alerting}");
}

#[test]
fn every_rule_matches_a_sample() {
    for (template, rules, number) in [("spoke", spoke(), 14), ("hub", hub(), 4)] {
        assert_eq!(rules.len(), number, "{template}");
        let matched: Vec<String> = events().iter().flat_map(|(_, event)| matching(&rules, event)).collect();
        for name in rules.keys() {
            assert!(matched.contains(name), "{name} of the {template} matches nothing in events/");
        }
    }
}

#[test]
fn forwarded_events_are_routed_to_the_queue_of_their_function() {
    let (spoke, hub) = (spoke(), hub());
    let mut routed: BTreeMap<&str, usize> = BTreeMap::new();
    for (name, event) in events() {
        let found = matching(&hub, &event);
        assert!(found.len() <= 1, "{name}: {found:?}");
        let forwarded = matching(&spoke, &event);
        let Some(rule) = forwarded.first() else { continue };
        let expected = match rule.as_str() {
            "RotationsRule" | "SecretCallsRule" => "RotationEventsRule",
            "SecretReadsRule" => "AccessEventsRule",
            "FunctionsRule" => "CustomEventsRule",
            _ => "FailureEventsRule",
        };
        assert_eq!(found, [expected], "{name}, which {rule} forwards");
        *routed.entry(expected).or_default() += 1;
    }
    assert_eq!(routed.len(), 4, "{routed:?}");
}

#[test]
fn sources_and_detail_types_that_no_spoke_forwards_are_dropped() {
    let hub = hub();
    let events: BTreeMap<String, Value> = events().into_iter().collect();
    for name in ["events/scheduled", "lambda/on-success-by-bus", "unknown/of-tomorrow"] {
        assert_eq!(matching(&hub, &events[name]), Vec::<String>::new(), "{name}");
    }
    for (name, pointer, value) in [
        ("secretsmanager/rotation-failed", "/source", json!("my.app")),
        ("secretsmanager/rotation-failed", "/detail-type", json!("AWS Console Sign In via CloudTrail")),
        ("states/execution-failed", "/detail-type", json!("Step Functions Execution Status change")),
        ("ec2/authorize-ingress-open", "/detail-type", json!("EC2 Instance State-change Notification")),
        ("redshift/integration-error", "/detail-type", json!("Redshift Cluster Event")),
        ("lambda/on-failure-by-bus", "/source", json!("aws.lambda")),
    ] {
        let mut event = events[name].clone();
        assert_eq!(matching(&hub, &event).len(), 1, "{name}");
        *event.pointer_mut(pointer).unwrap() = value;
        assert_eq!(matching(&hub, &event), Vec::<String>::new(), "{name} {pointer}");
    }
}

#[test]
fn events_without_alerts_are_not_forwarded() {
    let spoke = spoke();
    let silent = [
        "backup/job-running",
        "cloudformation/stack-update-in-progress",
        "cloudwatch/alarm-insufficient-data",
        "cloudwatch/alarm-muted",
        "events/scheduled",
        "lambda/on-success-by-bus",
        "rds/instance-backup",
        "redshift/describe-clusters",
        "redshift/integration-configuration",
        "redshift-data/statement-failed-without-name",
        "secretsmanager/secret-label-updated",
        "states/execution-running",
        "unknown/of-tomorrow",
    ];
    let events: BTreeMap<String, Value> = events().into_iter().collect();
    for name in silent {
        assert_eq!(matching(&spoke, &events[name]), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn statements_of_others_are_forwarded_if_the_parameter_is_all() {
    let (own, all) = (spoke(), spoke_of_all_statements());
    let events: BTreeMap<String, Value> = events().into_iter().collect();
    let failed = &events["redshift-data/statement-failed"];
    let mut scheduled = failed.clone();
    scheduled["detail"]["statementName"] = json!("QS2-nightly-refresh");
    let mut without_name = failed.clone();
    without_name["detail"].as_object_mut().unwrap().remove("statementName");
    for event in [&scheduled, &without_name, &events["redshift-data/statement-failed-without-name"]] {
        assert_eq!(matching(&own, event), Vec::<String>::new(), "{event}");
        assert_eq!(matching(&all, event), ["AllStatementsRule"], "{event}");
        assert_eq!(matching(&hub(), event), ["FailureEventsRule"], "{event}");
        assert_eq!(evaluate(&parse(event, "111111111111").unwrap()).len(), 1, "{event}");
    }
    // Those of Sluice are forwarded in both cases, once.
    for name in ["statement-failed", "statement-finished", "reload-failed"] {
        let event = &events[&format!("redshift-data/{name}")];
        assert_eq!(matching(&own, event), ["StatementsRule"], "{name}");
        assert_eq!(matching(&all, event), ["AllStatementsRule"], "{name}");
    }
    let mut running = failed.clone();
    running["detail"]["state"] = json!("STARTED");
    assert_eq!(matching(&all, &running), Vec::<String>::new());
}

#[test]
fn parameter_chooses_one_of_two_rules_for_statements() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../templates");
    let text = std::fs::read_to_string(folder.join("alerts-spoke.yaml")).unwrap();
    let template: Value = serde_saphyr::from_str(&text).unwrap();
    for (rule, condition, value) in [
        ("StatementsRule", "ForwardsOwnStatements", "sluice"),
        ("AllStatementsRule", "ForwardsAllStatements", "all"),
    ] {
        assert_eq!(template["Resources"][rule]["Condition"], condition);
        assert_eq!(template["Conditions"][condition], json!(["SqlStatements", value]));
    }
    assert_eq!(template["Parameters"]["SqlStatements"]["AllowedValues"], json!(["sluice", "all"]));
    assert_eq!(template["Parameters"]["SqlStatements"]["Default"], "sluice");
}

#[test]
fn near_misses_are_not_forwarded() {
    let spoke = spoke();
    let events: BTreeMap<String, Value> = events().into_iter().collect();
    let changed = |name: &str, pointer: &str, value: Value| {
        let mut event = events[name].clone();
        assert!(!matching(&spoke, &event).is_empty(), "{name}");
        *event.pointer_mut(pointer).unwrap() = value;
        matching(&spoke, &event)
    };
    for (name, pointer, value) in [
        ("secretsmanager/rotation-failed", "/source", json!("my.app")),
        ("secretsmanager/rotation-failed", "/detail/eventName", json!("ReplicationFailed")),
        ("states/execution-failed", "/detail-type", json!("Step Functions Execution Status change")),
        ("redshift-data/statement-failed", "/detail/statementName", json!("report-sluice-")),
        (
            "cloudformation/stack-update-rollback",
            "/detail/status-details/status",
            json!("ROLLBACK_IN_PROGRESS_X"),
        ),
        ("redshift/integration-error", "/detail/severity", json!("Info")),
        ("ec2/authorize-ingress-open", "/detail/eventName", json!("DescribeSecurityGroups")),
        // Lambda's destinations have the source `lambda`; the service's other events have `aws.lambda`.
        ("lambda/on-failure-by-bus", "/source", json!("aws.lambda")),
        ("lambda/on-failure-by-bus", "/detail-type", json!("Lambda Function Invocation Result - Success")),
    ] {
        assert_eq!(changed(name, pointer, value), Vec::<String>::new(), "{name} {pointer}");
    }
    let mut denied = events["redshift/delete-integration"].clone();
    denied["detail"]["errorCode"] = json!("AccessDenied");
    assert_eq!(matching(&spoke, &denied), Vec::<String>::new());
}

#[test]
fn only_rules_for_reads_match_read_only_calls() {
    for (template, expected) in
        [("alerts-spoke.yaml", "SecretReadsRule"), ("alerts-hub.yaml", "AccessEventsRule")]
    {
        let rules = rules(template);
        let all = "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS";
        let found: Vec<&String> =
            rules.iter().filter(|(_, rule)| rule["State"] == all).map(|(id, _)| id).collect();
        assert_eq!(found, [expected], "{template}");
    }
}

#[test]
fn every_rule_has_one_target_with_a_dead_letter_queue() {
    for template in ["alerts-spoke.yaml", "alerts-hub.yaml"] {
        for (id, rule) in rules(template) {
            let targets = rule["Targets"].as_array().unwrap();
            assert_eq!(targets.len(), 1, "{id} of {template}");
            assert!(targets[0]["DeadLetterConfig"].is_object(), "{id} of {template}");
        }
    }
}
