//! `make verify-aws` against a local cloud, and its commands against the AWS CLI.

#![allow(clippy::unwrap_used)]

use std::{fs, path::Path, process::Output};

use cloud::{Cloud, Options, TARGET, setup::Environment, workspace};
use serde_json::Value;

/// Runs `verify-aws` in a local cloud and returns its output and its report.
fn verify(cloud: &Cloud, folder: &Path, words: &[&str]) -> (Output, Value) {
    let mut command = cloud.command(&workspace::built("verify-aws").unwrap().to_string_lossy());
    // So that the profiles need not be read, which takes a start of the AWS CLI each.
    command.env("AWS_REGION", cloud.region()).env("AWS_ENDPOINT_URL", cloud.endpoint());
    let output = command.args(words).arg("--folder").arg(folder).output().unwrap();
    let report = fs::read_to_string(folder.join("report.json")).unwrap_or_default();
    (output, serde_json::from_str(&report).unwrap_or_default())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A check of the kit whose assumed answer is wrong.
const PLANTED: &str = r#"
title: Planted
checks:
  - id: planted
    question: Does every secret have a PrimaryRegion?
    affects: nothing
    cost: { usd: 0.01, minutes: 2, source: test }
    steps:
      - run: aws secretsmanager create-secret --name ${prefix} --secret-string verify
        undo:
          - run: aws secretsmanager delete-secret --secret-id ${prefix} --force-delete-without-recovery
      - run: >-
          aws secretsmanager list-secrets --filters Key=name,Values=${prefix}
          --query 'SecretList[].[ARN,PrimaryRegion]'
        capture: listed
        until: [{ contains: "${prefix}" }]
    answers:
      - assumed: It has.
        when: [{ that: "${listed}", lacks: "null" }]
      - other: It has not.
        change: Change the check.
        when: [{ that: "${listed}", contains: "null" }]
"#;

#[test]
fn checks_answer_clean_up_and_say_what_was_planted() {
    let cloud = Cloud::start(&Options::default(), &|_| {}).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let ids = ["primary-region-of-secret", "partition-wildcard-in-source-arn", "msk-propagation"];
    let (output, report) = verify(&cloud, &folder.path().join("kit"), &ids);
    let printed = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{printed}\n{}", text(&output.stderr));
    assert_eq!(report["answered_by"], "the local cloud");
    assert_eq!(
        (&report["counts"]["as assumed"], &report["counts"]["needs AWS"]),
        (&2.into(), &1.into()),
        "{report}"
    );
    assert!(
        printed.contains("3 checks, answered by the local cloud: 2 as assumed, 0 other, 1 needs AWS"),
        "{printed}"
    );

    let planted = folder.path().join("planted.yaml");
    fs::write(&planted, PLANTED).unwrap();
    let planted_words = ["--catalog", planted.to_str().unwrap()];
    let (output, report) = verify(&cloud, &folder.path().join("planted"), &planted_words);
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
    let check = &report["checks"][0];
    assert_eq!(
        (&check["result"], &check["change"]),
        (&"other".into(), &"Change the check.".into()),
        "{report}"
    );
    // The ARN in the answer has the account and the name of the secret.
    assert!(check["seen"][0].as_str().unwrap().contains("<account of target>:<resource>"), "{report}");
    assert!(!report.to_string().contains(TARGET.account), "{report}");

    // Nothing is left, of the account or of the state.
    let account = cloud.account(TARGET);
    let secrets = account.json("secretsmanager", "ListSecrets", serde_json::json!({})).unwrap();
    assert_eq!(secrets["SecretList"], serde_json::json!([]));
    for run in ["kit", "planted"] {
        assert!(!folder.path().join(run).join("state.json").exists());
    }
}

#[test]
fn commands_of_checks_fit_the_aws_cli_and_its_models() {
    let commands = std::process::Command::new(workspace::built("verify-aws").unwrap())
        .arg("--commands")
        .output()
        .unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), &commands.stdout).unwrap();
    let python = Environment::Sam.ensure(&|_| {}).unwrap().program("python");
    let script = workspace::root().join("tests/verify_commands.py");
    let output =
        std::process::Command::new(python).arg(script).stdin(file.reopen().unwrap()).output().unwrap();
    let report = text(&output.stdout);
    assert!(output.status.success(), "{report}{}", text(&output.stderr));
    assert!(report.trim_end().ends_with("templates"), "{report}");
}
