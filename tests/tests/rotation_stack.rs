//! The stack of `templates/rotation-sql.yaml`: Secrets Manager rotates a user of a real PostgreSQL
//! with the deployed function.

#![allow(clippy::unwrap_used)]

use crate::stage::{QUOTED, Stage, Target, USER};
use cloud::Options;
use cloud::wait::{self, Seen};
use end_to_end::{Grants, PATIENCE, STACK, log_of};
use local_servers::postgres::Login as Session;
use rotation::engine::Login;
use serde_json::{Value, json};

#[test]
fn postgres_user_rotates_and_only_newest_password_logs_in() {
    let stage = Stage::new();
    let first = stage.secret.value();
    stage.deploy(&[]);
    stage.secret.wait_for_another_password_than("first-password");
    let mut passwords = vec!["first-password".to_owned(), stage.secret.password()];
    for _ in 0..3 {
        stage.secret.rotate();
        stage.secret.wait_for_another_password_than(passwords.last().unwrap());
        passwords.push(stage.secret.password());
    }
    let (newest, older) = passwords.split_last().unwrap();
    assert_eq!(stage.try_password(&first, newest), Login::Accepted);
    for old in older {
        assert_eq!(stage.try_password(&first, old), Login::Refused);
    }
    assert_eq!(stage.secret.labels(), ["AWSCURRENT", "AWSPREVIOUS"]);

    // The rest of the secret is unchanged, except for the address that contains the password.
    let mut expected = first;
    expected["password"] = newest.as_str().into();
    let now = stage.secret.value();
    assert!(!now["url"].as_str().unwrap().contains("first-password"), "{}", now["url"]);
    expected["url"] = now["url"].clone();
    expected["rotation_mac"] = now["rotation_mac"].clone();
    assert_eq!(now, expected);

    // The server stores a verifier that the function computed; no log contains a password.
    let verifier: String = stage.target.runtime.block_on(async {
        let client = stage.target.server.connect("postgres", &Session::system()).await.unwrap();
        let sql = "SELECT rolpassword FROM pg_authid WHERE rolname = $1";
        client.query_one(sql, &[&USER]).await.unwrap().get(0)
    });
    assert!(verifier.starts_with("SCRAM-SHA-256$4096:"), "{verifier}");
    let log = stage.secret.rotation_log();
    for secret in passwords.iter().chain([&verifier]) {
        assert!(!log.contains(secret.as_str()), "the log shows a password");
    }
    for step in ["createSecret", "setSecret", "testSecret", "finishSecret"] {
        assert!(log.contains(step), "no record of {step}: {log}");
    }
    assert!(log.contains("CloudWatchMetrics") && log.contains("Sluice/Rotation"), "{log}");
}

/// AWS's pages disagree on whether AWSPENDING stays on the version that has become current; by
/// default it is gone in the local cloud.
#[test]
fn rotations_go_on_while_awspending_stays() {
    let environment = vec![("SLUICE_AWSPENDING_STAYS".to_owned(), "1".to_owned())];
    let stage = Stage::with(Target::new(), &Options { environment, ..Options::default() });
    let first = stage.secret.value();
    stage.deploy(&[]);
    stage.secret.wait_for_another_password_than("first-password");
    for _ in 0..2 {
        let before = stage.secret.password();
        stage.secret.rotate();
        stage.secret.wait_for_another_password_than(&before);
    }
    assert_eq!(stage.secret.labels(), ["AWSCURRENT", "AWSPENDING", "AWSPREVIOUS"]);
    assert_eq!(stage.try_password(&first, &stage.secret.password()), Login::Accepted);
}

#[test]
fn invalid_input_fails_with_name_and_leaves_secret_unchanged() {
    let stage = Stage::new();
    stage.deploy(&[("RotateImmediately", "false")]);
    let good = stage.secret.value();
    let with = |key: &str, value: Value| {
        let mut bad = good.clone();
        bad[key] = value;
        bad
    };
    let mut misspelt = good.clone();
    let user = misspelt.as_object_mut().unwrap().remove("username").unwrap();
    misspelt["userName"] = user;
    for (bad, name, part) in [
        (misspelt, "InvalidSecretValue", "no key `username`, but a key `userName`"),
        (with("engine", "oracle".into()), "InvalidSecretValue", "`postgres` or `aurora-postgresql`"),
        (with("ssl", false.into()), "InvalidSecretValue", "only sent over verified TLS"),
        (with("host", "localhost.invalid".into()), "ServerUnreachable", "localhost.invalid"),
        (
            with("password", "wrong-password".into()),
            "AllCredentialsRejected",
            "rejects the pending, the current and the previous password",
        ),
        (with("username", "nobody-there".into()), "AllCredentialsRejected", "`nobody-there`"),
    ] {
        // Also removes the label of the previous case's rotation.
        stage.secret.put(&bad);
        stage.secret.unstick();
        let seen = stage.secret.rotation_log().len();
        stage.secret.rotate();
        stage.secret.wait_for_log(seen, &[name, part]);
        assert_eq!(stage.secret.value(), bad, "{name}");
        assert_eq!(stage.try_password(&good, "first-password"), Login::Accepted, "{name}");
    }
    // The function sends no password to a server whose certificate it does not trust.
    stage.secret.put(&good);
    stage.secret.unstick();
    stage.deploy(&[("RotateImmediately", "false"), ("CaCertificates", "")]);
    let seen = stage.secret.rotation_log().len();
    stage.secret.rotate();
    stage.secret.wait_for_log(seen, &["CertificateNotTrusted"]);
    assert_eq!(stage.secret.value(), good);
    stage.cloud.check().unwrap();
}

#[test]
fn every_permission_of_the_rotation_is_required() {
    let stage = Stage::new();
    stage.deploy(&[("RotateImmediately", "false")]);
    let works =
        |value: &Value| stage.try_password(value, value["password"].as_str().unwrap()) == Login::Accepted;
    assert_eq!(stage.secret.every_grant_is_needed(&[], &works), 5);
}

#[test]
fn alternating_users_keep_previous_credential_valid() {
    let stage = Stage::new();
    let first = stage.secret.value();
    stage.deploy(&[("Strategy", "alternating-users"), ("AdminSecretArn", &stage.admin.arn)]);
    let mut values = vec![first];
    for turn in 0..4 {
        if turn > 0 {
            stage.secret.rotate();
        }
        stage.secret.wait_for_another_password_than(values[turn]["password"].as_str().unwrap());
        values.push(stage.secret.value());
        for (age, value) in values.iter().rev().enumerate() {
            let expected = if age < 2 { Login::Accepted } else { Login::Refused };
            let password = value["password"].as_str().unwrap();
            assert_eq!(stage.try_password(value, password), expected, "turn {turn}, {age} rotations old");
        }
    }
    let clone = format!("{USER}_clone");
    let users: Vec<_> = values.iter().map(|value| value["username"].as_str().unwrap()).collect();
    assert_eq!(users, [USER, &clone, USER, &clone, USER]);
    // The admin's password is only in its own secret.
    assert!(!stage.secret.rotation_log().contains("boss-password"));
    assert_eq!(stage.admin.value(), stage.target.admin());
}

#[test]
fn every_kind_of_consumer_is_notified_of_current_version() {
    let stage = Stage::new();
    let account = &stage.secret.account;
    let consumers = account.deploy_text("consumers", include_str!("../consumers.yaml"), &[]).unwrap();
    let parameters = [
        ("SecretArn", stage.secret.arn.as_str()),
        ("ConsumerTopicArn", &consumers["TopicArn"]),
        ("ConsumerBusArn", &consumers["BusArn"]),
        ("ConsumerStateMachineArn", &consumers["MachineArn"]),
        ("ConsumerFunctionArn", &consumers["FunctionArn"]),
    ];
    account.deploy("sluice-consumers", "rotation-consumers", &parameters).unwrap();
    stage.deploy(&[]);
    stage.secret.wait_for_another_password_than("first-password");
    let versions = stage.secret.versions();
    let current = versions.iter().find(|(_, labels)| labels.contains(&"AWSCURRENT".to_owned())).unwrap().0;
    let notifies = |text: &str| {
        let value: Value = serde_json::from_str(text).unwrap();
        value["secret"] == stage.secret.arn.as_str()
            && value["version"] == current.as_str()
            && value["time"].is_string()
    };
    let (mut by_topic, mut by_bus) = (Vec::new(), Vec::new());
    wait::until("all four consumers are notified", PATIENCE, || {
        let words = json!({"QueueUrl": consumers["QueueUrl"], "MaxNumberOfMessages": 10});
        let received = account.json("sqs", "ReceiveMessage", words)?;
        for message in received["Messages"].as_array().into_iter().flatten() {
            let body: Value = serde_json::from_str(message["Body"].as_str().unwrap()).unwrap();
            match body["Message"].as_str() {
                Some(text) => by_topic.push(text.to_owned()),
                None => by_bus.push(body),
            }
        }
        let listed =
            account.json("states", "ListExecutions", json!({"stateMachineArn": consumers["MachineArn"]}))?;
        let started = listed["executions"].as_array().map(Vec::len).unwrap_or_default();
        let log = log_of(&stage.secret.account, &consumers["LogGroup"]);
        let all = !by_topic.is_empty() && !by_bus.is_empty() && started > 0 && log.contains("NOTIFIED");
        let seen = format!("topic {by_topic:?}, bus {by_bus:?}, {started} executions, log {log}");
        Ok(if all { Seen::Yes(()) } else { Seen::NotYet(seen) })
    })
    .unwrap();
    // One notification each: only the move of AWSCURRENT counts.
    assert!(by_topic.len() == 1 && notifies(&by_topic[0]), "{by_topic:?}");
    assert_eq!(by_bus.len(), 1);
    let detail = &by_bus[0]["detail"];
    assert_eq!((&detail["labelUpdated"], &detail["versionId"]), (&json!("AWSCURRENT"), &json!(current)));
    let listed = account
        .json("states", "ListExecutions", json!({"stateMachineArn": consumers["MachineArn"]}))
        .unwrap();
    let execution = listed["executions"][0]["executionArn"].clone();
    let described = account.json("states", "DescribeExecution", json!({"executionArn": execution})).unwrap();
    assert!(notifies(described["input"].as_str().unwrap()), "{described}");
    let log = log_of(&stage.secret.account, &consumers["LogGroup"]);
    let line = log.lines().find_map(|line| line.split_once("NOTIFIED ")).unwrap().1;
    assert!(notifies(line.trim()), "{log}");
}

#[test]
fn unfinished_rotation_is_repaired_as_the_server_accepts() {
    let stage = Stage::new();
    stage.deploy(&[("RotateImmediately", "false")]);
    let first = stage.secret.value();
    let role = stage.secret.account.physical_id(STACK, "RotationRole").unwrap();
    let grants = Grants::of(&stage.secret.account, &role);
    let repair = |words: &[&str]| {
        let words: Vec<_> = words.iter().copied().chain(["--quiet-minutes", "0"]).collect();
        repair(&stage, &words)
    };
    let (ok, text) = repair(&[]);
    assert!(ok && text.contains("Nothing") && text.contains("no rotation was interrupted"), "{text}");

    // The password is set but the label is not moved: clients cannot log in until the repair.
    stop_without(&stage, &grants, "secretsmanager:UpdateSecretVersionStage");
    assert_eq!(stage.try_password(&first, "first-password"), Login::Refused);
    let (ok, text) = repair(&[]);
    assert!(ok && text.contains("Promote") && text.contains("dry run"), "{text}");
    assert_eq!(stage.secret.password(), "first-password", "a dry run changes nothing");
    let (ok, text) = repair(&["--apply"]);
    assert!(ok && text.contains("promoted"), "{text}");
    let second = stage.secret.password();
    assert_eq!(stage.try_password(&first, &second), Login::Accepted);
    assert_eq!(stage.secret.labels(), ["AWSCURRENT", "AWSPREVIOUS"]);

    // A new password was stored but never set.
    stage.secret.call("CancelRotateSecret", json!({})).unwrap();
    stage.rotate_without_a_server();
    let (ok, text) = repair(&["--apply"]);
    assert!(ok && text.contains("Drop") && text.contains("dropped"), "{text}");
    assert_eq!((stage.secret.password(), stage.secret.labels().len()), (second.clone(), 2));

    // Somebody restored the password before the current one.
    stage.rotate_without_a_server();
    stage.target.execute(&format!("ALTER ROLE {QUOTED} PASSWORD 'first-password'"));
    let (ok, text) = repair(&["--apply"]);
    assert!(ok && text.contains("Resume") && text.contains("resumed"), "{text}");
    stage.secret.wait_for_another_password_than(&second);
    assert_eq!(stage.try_password(&first, &stage.secret.password()), Login::Accepted);

    // Somebody set a password that no version contains.
    stage.rotate_without_a_server();
    stage.target.execute(&format!("ALTER ROLE {QUOTED} PASSWORD 'foreign'"));
    let before = stage.secret.versions();
    let (ok, text) = repair(&["--apply"]);
    assert!(
        !ok && text.contains("Sluice.NeedsAnAdministrator") && text.contains("as an administrator"),
        "{text}"
    );
    assert_eq!(stage.secret.versions(), before);

    // A secret that changed a moment ago is left alone.
    let (ok, text) = self::repair(&stage, &["--apply"]);
    assert!(!ok && text.contains("Sluice.MayBeRunning"), "{text}");
    let (ok, text) = self::repair(&stage, &["--apply", "no-such-stack"]);
    assert!(!ok && text.contains("cannot read stack 'no-such-stack'"), "{text}");
}

/// Rotates without one permission of the function's role until Secrets Manager gives up.
fn stop_without(stage: &Stage, grants: &Grants, action: &str) {
    grants.put(&grants.without(action));
    let seen = stage.secret.rotation_log().len();
    stage.secret.rotate();
    stage.secret.wait_until_it_stopped(seen);
    grants.put(&grants.document);
}

/// Runs `scripts/repair-rotation` with the AWS CLI; returns its success and its output.
fn repair(stage: &Stage, words: &[&str]) -> (bool, String) {
    let output = stage.cloud.command("scripts/repair-rotation").args(words).output().unwrap();
    let text =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    (output.status.success(), text)
}
