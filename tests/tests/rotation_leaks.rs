//! No log, statement, event, metric or history of a rotation contains a password.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::stage::{QUOTED, Stage, Target};
use end_to_end::{Grants, written};
use local_servers::postgres::{Flavour, Login as Session};
use serde_json::{Value, json};

/// A queue that receives every event of the account's default bus.
fn every_event(stage: &Stage) -> String {
    let account = &stage.secret.account;
    let statement = json!({
        "Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": "*",
    });
    let policy = json!({"Version": "2012-10-17", "Statement": [statement]}).to_string();
    let words = json!({"QueueName": "every-event", "Attributes": {"Policy": policy}});
    let queue = account.json("sqs", "CreateQueue", words).unwrap();
    let url = queue["QueueUrl"].as_str().unwrap().to_owned();
    let words = json!({"QueueUrl": url, "AttributeNames": ["QueueArn"]});
    let arn = account.json("sqs", "GetQueueAttributes", words).unwrap()["Attributes"]["QueueArn"].clone();
    let pattern = json!({"source": [{"prefix": ""}]}).to_string();
    account.json("events", "PutRule", json!({"Name": "every-event", "EventPattern": pattern})).unwrap();
    account
        .json("events", "PutTargets", json!({"Rule": "every-event", "Targets": [{"Id": "q", "Arn": arn}]}))
        .unwrap();
    url
}

/// All messages of a queue.
fn messages(stage: &Stage, url: &str) -> Vec<String> {
    let mut found = Vec::new();
    loop {
        let words = json!({"QueueUrl": url, "MaxNumberOfMessages": 10});
        let received = stage.secret.account.json("sqs", "ReceiveMessage", words).unwrap();
        let Some(batch) = received["Messages"].as_array().filter(|batch| !batch.is_empty()) else {
            return found;
        };
        found.extend(batch.iter().map(|message| format!("event {}", message["Body"].as_str().unwrap())));
    }
}

/// Stops the watcher when it goes out of scope.
struct Stopping<'a>(&'a AtomicBool);

impl Drop for Stopping<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Collects the statements that run on the server until `stop` is set.
fn watch_statements(stage: &Stage, stop: &AtomicBool) -> BTreeSet<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = stage.target.server.connect("postgres", &Session::system()).await.unwrap();
        let mut seen = BTreeSet::new();
        while !stop.load(Ordering::Relaxed) {
            // At the end of the test the server is stopped.
            let Ok(rows) = client.query("SELECT query FROM pg_stat_activity", &[]).await else { break };
            for row in rows {
                seen.insert(format!("activity {}", row.get::<_, Option<&str>>(0).unwrap_or_default()));
            }
            // Leaves processor time to the sessions that are watched.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        seen
    })
}

#[test]
fn no_log_or_event_of_rotations_contains_password_or_token() {
    // A server that logs every statement.
    let talkative = Flavour {
        settings: &["password_encryption=scram-sha-256", "log_statement=all", "log_min_messages=info"],
        ..Flavour::RDS
    };
    let stage = Stage::of(Target::with(talkative));
    let events = every_event(&stage);
    let mut secrets: BTreeSet<String> =
        ["first-password", "boss-password"].into_iter().map(str::to_owned).collect();
    let stop = AtomicBool::new(false);
    let mut lines: Vec<String> = std::thread::scope(|scope| {
        let statements = scope.spawn(|| watch_statements(&stage, &stop));
        // Also stops the watcher if a rotation fails the test.
        let stopping = Stopping(&stop);
        rotate_in_every_way(&stage, &mut secrets);
        drop(stopping);
        statements.join().unwrap().into_iter().collect()
    });
    lines.extend(written(&stage.secret.account));
    lines.extend(messages(&stage, &events));
    lines.extend(stage.target.server.log_text().lines().map(|line| format!("server {line}")));
    for file in ["gateway.log", "redshift.log"] {
        let text = std::fs::read_to_string(stage.cloud.logs().join(file)).unwrap_or_default();
        lines.extend(text.lines().map(|line| format!("{file} {line}")));
    }

    // The search covers every kind of source.
    for part in [
        "rotation step",
        "CloudWatchMetrics",
        "history ",
        "event ",
        "RotationFailed",
        "RotationSucceeded",
        "Secret Label Updated",
    ] {
        assert!(lines.iter().any(|line| line.contains(part)), "nothing with {part} was found");
    }
    let altered = lines.iter().filter(|line| line.starts_with("server ") && line.contains("ALTER ROLE"));
    assert!(
        altered.filter(|line| line.contains("PASSWORD 'SCRAM-SHA-256$")).count() >= 4,
        "the server's log has no statements"
    );
    assert!(secrets.len() >= 7, "{} secrets", secrets.len());
    for line in &lines {
        for secret in &secrets {
            // The server's superuser set the first passwords in clear text; no rotation did.
            let by_hand = line.starts_with("server ") || line.starts_with("activity ");
            let first = secret == "first-password" || secret == "boss-password";
            assert!(!line.contains(secret.as_str()) || (by_hand && first), "a password is in: {line}");
        }
        assert!(!line.contains("RotationToken"), "a rotation's token is in: {line}");
    }
}

/// Rotates with one user and with two, fails, and repairs; adds every password to `secrets`.
fn rotate_in_every_way(stage: &Stage, secrets: &mut BTreeSet<String>) {
    let password = |label: &str| {
        let found = stage.secret.call("GetSecretValue", json!({"VersionStage": label})).ok()?;
        let value: Value = serde_json::from_str(found["SecretString"].as_str()?).ok()?;
        value["password"].as_str().map(str::to_owned)
    };
    stage.deploy(&[]);
    stage.secret.wait_for_another_password_than("first-password");
    secrets.extend(password("AWSCURRENT"));
    stage.deploy(&[
        ("Strategy", "alternating-users"),
        ("AdminSecretArn", &stage.admin.arn),
        ("RotateImmediately", "false"),
    ]);
    for _ in 0..2 {
        stage.secret.wait_until_nothing_is_pending();
        let before = stage.secret.password();
        stage.secret.rotate();
        stage.secret.wait_for_another_password_than(&before);
        secrets.extend(password("AWSCURRENT"));
    }
    let role = stage.secret.account.physical_id("sluice-rotation", "RotationRole").unwrap();
    let grants = Grants::of(&stage.secret.account, &role);
    grants.put(&grants.without("secretsmanager:UpdateSecretVersionStage"));
    let seen = stage.secret.rotation_log().len();
    stage.secret.rotate();
    stage.secret.wait_until_it_stopped(seen);
    grants.put(&grants.document);
    secrets.extend(password("AWSPENDING"));
    let output =
        stage.cloud.command("scripts/repair-rotation").args(["--apply", "--quiet-minutes", "0"]).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // A rotation that cannot be repaired logs the longest error.
    stage.target.execute(&format!("ALTER ROLE {QUOTED} PASSWORD 'foreign-password'"));
    stage.secret.wait_until_nothing_is_pending();
    stage.rotate_without_a_server();
    secrets.extend(password("AWSPENDING"));
    secrets.extend(password("AWSCURRENT"));
}
