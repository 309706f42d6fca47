//! Logs and execution histories contain no response URL and no password after all functions have
//! run.

#![allow(clippy::unwrap_used)]

use cloud::{Cloud, Options, SOURCE, TARGET, kit};
use end_to_end::written;
use serde_json::{Value, json};

#[test]
fn no_log_or_history_contains_a_response_url_or_password() {
    let cloud = Cloud::start(&Options::default(), &|_| {}).unwrap();
    let warehouse = kit::warehouse(&cloud, &[]).unwrap();
    let target = kit::target(&cloud, &warehouse, &[SOURCE], &[]).unwrap();
    let source = kit::source(&cloud, SOURCE, &target, &[]).unwrap();
    kit::job(&cloud, "sluice-job", (&warehouse, &target, &source), &kit::SAMPLE_JOB).unwrap();
    // A failure logs more than a success.
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
    // The logs and histories exist.
    assert!(logs.iter().any(|line| line.contains("request received")), "no log of a function was found");
    assert!(histories.iter().any(|line| line.contains("SealedUrl")), "no history of a wait was found");
    for line in &lines {
        assert!(!line.contains("custom-resource-response"), "a response URL is in: {line}");
        assert!(!line.contains("X-Amz-Signature"), "a signature is in: {line}");
        assert!(!line.contains(password), "the password is in: {line}");
    }
}
