//! The event patterns of the templates against every sample event.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::path::Path;

use alerts::event::{Detail, parse};
use alerts::rules::evaluate;
use serde_json::{Value, json};

/// Whether an event matches a pattern, for the operators that the patterns use.
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

fn patterns() -> BTreeMap<String, Value> {
    read(concat!(env!("CARGO_MANIFEST_DIR"), "/patterns"))
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

fn matching(event: &Value) -> Vec<String> {
    patterns().into_iter().filter(|(_, pattern)| matches(pattern, event)).map(|(name, _)| name).collect()
}

#[test]
fn every_event_that_something_is_told_about_is_matched_by_exactly_one_rule() {
    // A statement without a name is none of this kit's.
    let others = ["redshift-data/statement-failed-without-name"];
    let mut told = 0;
    for (name, event) in events() {
        let found = matching(&event);
        assert!(found.len() <= 1, "{name}: {found:?}");
        let is_told = parse(&event).is_ok_and(|event| match event.detail {
            Detail::SecretCall(_) => !name.ends_with("description"),
            _ => !evaluate(&event).is_empty(),
        });
        if is_told && !others.contains(&name.as_str()) {
            assert_eq!(found.len(), 1, "{name} is matched by no rule");
            told += 1;
        }
    }
    assert!(told > 40, "{told}");
}

#[test]
fn every_rule_matches_some_sample() {
    let matched: Vec<String> = events().iter().flat_map(|(_, event)| matching(event)).collect();
    for (name, _) in patterns() {
        assert!(matched.contains(&name), "{name} matches nothing in events/");
    }
}

#[test]
fn what_nobody_needs_to_hear_of_starts_no_function() {
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
        assert_eq!(matching(&events[name]), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn near_misses_do_not_match() {
    let events: BTreeMap<String, Value> = events().into_iter().collect();
    let changed = |name: &str, pointer: &str, value: Value| {
        let mut event = events[name].clone();
        assert!(!matching(&event).is_empty(), "{name}");
        *event.pointer_mut(pointer).unwrap() = value;
        matching(&event)
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
        // Only Lambda itself says `lambda`; what services say about functions is `aws.lambda`.
        ("lambda/on-failure-by-bus", "/source", json!("aws.lambda")),
        ("lambda/on-failure-by-bus", "/detail-type", json!("Lambda Function Invocation Result - Success")),
    ] {
        assert_eq!(changed(name, pointer, value), Vec::<String>::new(), "{name} {pointer}");
    }
    let mut refused = events["redshift/delete-integration"].clone();
    refused["detail"]["errorCode"] = json!("AccessDenied");
    assert_eq!(matching(&refused), Vec::<String>::new());
}
