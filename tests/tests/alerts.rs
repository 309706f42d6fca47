//! The stacks of `templates/alerts-hub.yaml` and `templates/alerts-spoke.yaml`: what fails in any account is told once, at the hub.

#![allow(clippy::unwrap_used)]

use cloud::{SOURCE, TARGET};
use end_to_end::alerts::Night;
use serde_json::{Value, json};

/// A state machine that ends as its definition says; its role may do nothing.
fn machine(night: &Night, profile: cloud::Profile, name: &str, definition: &Value) -> String {
    let account = night.cloud.account(profile);
    let trust = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "states.amazonaws.com"}, "Action": "sts:AssumeRole"}]});
    let words = [("RoleName", name), ("AssumeRolePolicyDocument", &trust.to_string())];
    let role = account.query("iam", "CreateRole", &words).unwrap().text("Arn").unwrap();
    let words = json!({"name": name, "roleArn": role, "definition": definition.to_string()});
    let made = account.json("states", "CreateStateMachine", words).unwrap();
    made["stateMachineArn"].as_str().unwrap().to_owned()
}

fn start(night: &Night, profile: cloud::Profile, machine: &str) {
    let words = json!({"stateMachineArn": machine});
    night.cloud.account(profile).json("states", "StartExecution", words).unwrap();
}

fn slow() -> Value {
    json!({"StartAt": "Wait", "TimeoutSeconds": 1, "States": {"Wait": {"Type": "Wait", "Seconds": 600, "End": true}}})
}

#[test]
fn what_fails_in_any_account_is_told_once_and_so_is_its_end() {
    let night = Night::new(&[], &[]);
    let machine = machine(&night, SOURCE, "nightly", &slow());
    start(&night, SOURCE, &machine);
    let told = night.told("execution-failed", "opened", SOURCE);
    assert_eq!((&told["subject"], &told["name"]), (&json!(machine), &json!("nightly")), "{told}");
    let _ = TARGET;
}
