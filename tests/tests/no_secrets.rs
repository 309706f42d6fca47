//! Nothing secret in logs and histories: no response URL, no password, anywhere, after everything has run once.

#![allow(clippy::unwrap_used)]

use cloud::aws::Account;
use cloud::{Cloud, Options, SOURCE, TARGET, kit};
use serde_json::{Value, json};

/// Every page of a list operation of the JSON services.
fn all(account: &Account, service: &str, action: &str, input: Value, list: &str) -> Vec<Value> {
    let mut found = Vec::new();
    let mut input = input;
    loop {
        let mut answer = account.json(service, action, input.clone()).unwrap();
        found.extend(answer[list].as_array().cloned().unwrap_or_default());
        match answer["nextToken"].take() {
            Value::String(token) => input["nextToken"] = token.into(),
            _ => return found,
        }
    }
}

/// Every log line and every execution history of an account.
fn written(account: &Account) -> Vec<String> {
    let mut lines = Vec::new();
    for group in all(account, "logs", "DescribeLogGroups", json!({}), "logGroups") {
        let words = json!({"logGroupName": group["logGroupName"]});
        for event in all(account, "logs", "FilterLogEvents", words, "events") {
            lines.push(format!("{} {}", group["logGroupName"], event["message"]));
        }
    }
    for machine in all(account, "states", "ListStateMachines", json!({}), "stateMachines") {
        let words = json!({"stateMachineArn": machine["stateMachineArn"]});
        for execution in all(account, "states", "ListExecutions", words, "executions") {
            let words = json!({"executionArn": execution["executionArn"]});
            let events = all(account, "states", "GetExecutionHistory", words, "events");
            lines.push(format!("history {}", Value::from(events)));
        }
    }
    lines
}

#[test]
fn no_log_line_and_no_history_holds_a_response_url_or_a_password() {
    let cloud = Cloud::start(&Options::default(), &|_| {}).unwrap();
    let warehouse = kit::warehouse(&cloud, &[]).unwrap();
    let target = kit::target(&cloud, &warehouse, &[SOURCE], &[]).unwrap();
    let source = kit::source(&cloud, SOURCE, &target, &[]).unwrap();
    kit::job(&cloud, "sluice-job", (&warehouse, &target, &source), &kit::SAMPLE_JOB).unwrap();
    // A failure says more than a success.
    let mut wrong = kit::SAMPLE_JOB.to_vec();
    wrong.push(("SourcePrefix", "elsewhere/"));
    kit::job(&cloud, "sluice-job", (&warehouse, &target, &source), &wrong).unwrap_err();
    let account = cloud.account(TARGET);
    let secret = account
        .json("secretsmanager", "GetSecretValue", json!({"SecretId": warehouse["SecretArn"]}))
        .unwrap();
    let secret: Value = serde_json::from_str(secret["SecretString"].as_str().unwrap()).unwrap();
    let password = secret["password"].as_str().unwrap();
    assert!(password.len() >= 8);

    let mut lines = written(&account);
    lines.extend(written(&cloud.account(SOURCE)));
    let (logs, histories): (Vec<_>, Vec<_>) = lines.iter().partition(|line| !line.starts_with("history "));
    // What is searched is really there.
    assert!(logs.iter().any(|line| line.contains("request received")), "no log of a function was found");
    assert!(histories.iter().any(|line| line.contains("SealedUrl")), "no history of a wait was found");
    for line in &lines {
        assert!(!line.contains("custom-resource-response"), "a response URL is in: {line}");
        assert!(!line.contains("X-Amz-Signature"), "a signature is in: {line}");
        assert!(!line.contains(password), "the password is in: {line}");
    }
}
