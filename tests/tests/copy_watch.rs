//! The copy monitor of `templates/copy-target.yaml`: it sends alerts about files to the hub in
//! another account.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use cloud::wait::{self, Seen};
use cloud::{Profile, SOURCE, TARGET};
use end_to_end::alerts::{AlertWorld, Flow, TARGET_STACK};
use end_to_end::{Grants, PATIENCE};
use serde_json::{Value, json};

const HEADER: &str = "id,name,value,timestamp\n";

/// Returns a file whose third line has a word in a column of numbers.
fn malformed() -> String {
    format!("{HEADER}1,kilo,1.50,2026-01-05 08:00:00\nsecret-row,lima,2.50,2026-01-05 08:00:00\n")
}

fn good(id: u32) -> String {
    format!("{HEADER}{id},mike,1.50,2026-01-05 08:00:00\n")
}

/// Waits until the table has this number of rows.
fn wait_for_rows(flow: &Flow, rows: usize) {
    wait::until(&format!("{rows} rows"), PATIENCE, || {
        let found = flow.database.query("SELECT id FROM public.measurements")?.rows.len();
        Ok(if found == rows { Seen::Yes(()) } else { Seen::NotYet(format!("{found} rows")) })
    })
    .unwrap();
}

/// Returns kind and status of the alerts, without those about the deployment of the stacks, which
/// changes the warehouse.
fn of_files(messages: &[Value]) -> Vec<String> {
    let alerts = messages.iter().filter(|one| one["kind"] != "warehouse-changed");
    alerts
        .map(|one| format!("{} {}", one["kind"].as_str().unwrap(), one["status"].as_str().unwrap()))
        .collect()
}

/// Runs the command of an alert with the credentials of an account. Returns what it prints.
fn run(world: &AlertWorld, profile: Profile, command: &str) -> String {
    let output =
        world.cloud.command("bash").args(["-c", command]).env("AWS_PROFILE", profile.name).output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat()
}

#[test]
fn rejected_file_raises_one_alert_with_its_load_command() {
    let world = AlertWorld::new(&[], &[]);
    let flow = Flow::with_monitor(&world, &[]);
    // Files go to the ledger at once instead of after 15 minutes.
    flow.set_environment(&world, &[("VIEW_DELAY_MINUTES", "0")]);
    flow.put(&world, "good.csv", &good(7), "I");
    flow.put(&world, "it's bad.csv", &malformed(), "E");
    let began = Instant::now();
    flow.run_monitor(&world);
    let alert = world.alert("file-rejected", "opened", TARGET);
    assert!(began.elapsed() < Duration::from_secs(30), "alert after {:?}", began.elapsed());
    assert_eq!(alert["subject"], format!("s3://{}/it's bad.csv", flow.bucket), "{alert}");
    let (what, cause) = (alert["what"].as_str().unwrap(), alert["cause"].as_str().unwrap());
    assert!(what.contains("line 3, column id") && cause.contains("Invalid digit"), "{alert}");

    // Further runs raise no further alert, also when two run at the same time.
    flow.run_monitor(&world);
    world.cloud.fire(TARGET, TARGET_STACK, "MonitorSchedule").unwrap();
    flow.run_monitor(&world);
    assert_eq!(of_files(&world.messages()), ["file-rejected opened"]);

    // A reload before the file is fixed fails again. The command prints it, and an alert is sent.
    let printed = run(&world, TARGET, alert["command"].as_str().unwrap());
    assert!(printed.contains("FAILED"), "{printed}");
    let again = world.alert("statement-failed", "opened", TARGET);
    assert!(again["what"].as_str().unwrap().starts_with("The reload of a rejected file"), "{again}");

    // The file is fixed under its key, and loaded with the command of the alert.
    world.cloud.account(SOURCE).put_object(&flow.bucket, "it's bad.csv", good(8).as_bytes()).unwrap();
    let printed = run(&world, TARGET, alert["command"].as_str().unwrap());
    assert!(printed.contains("FINISHED"), "{printed}");
    world.alert("statement-failed", "resolved", TARGET);
    wait_for_rows(&flow, 2);
    flow.run_monitor(&world);
    let end = world.alert("file-rejected", "resolved", TARGET);
    assert_eq!(end["thread"], alert["thread"]);
    for messages in [world.messages(), world.endpoint.messages()] {
        assert_eq!(
            of_files(&messages),
            [
                "file-rejected opened",
                "statement-failed opened",
                "statement-failed resolved",
                "file-rejected resolved"
            ]
        );
    }

    // No alert and no log contains the content of the file.
    let all = world.messages().iter().map(Value::to_string).collect::<String>();
    assert!(!all.contains("kilo") && !all.contains("lima"), "{all}");
    assert!(!flow.log(&world).contains("lima"));
}

#[test]
fn overwritten_and_unnoticed_objects_raise_alerts_with_commands() {
    let world = AlertWorld::new(&[], &[]);
    let settings = r#"{"Default": {"GraceSeconds": 0}}"#;
    let flow = Flow::with_monitor(&world, &[("MonitorJobSettings", settings)]);
    flow.set_environment(&world, &[("VIEW_DELAY_MINUTES", "0")]);
    let source = world.cloud.account(SOURCE);
    flow.put(&world, "day-1.csv", &good(1), "I");
    // The first run finds the job, and does not evaluate the files that were there before.
    flow.run_monitor(&world);
    flow.put(&world, "day-2.csv", &good(2), "I");
    flow.run_monitor(&world);

    // Auto-copy ignores new content under a loaded key.
    source.put_object(&flow.bucket, "day-2.csv", good(22).as_bytes()).unwrap();
    // The event of an object is lost: the bucket has no notification.
    let path = format!("/{}?notification", flow.bucket);
    let before = source.rest("s3", "GET", &path, &[], &[]).unwrap();
    source.rest("s3", "PUT", &path, &[], b"<NotificationConfiguration/>").unwrap();
    source.put_object(&flow.bucket, "day-3.csv", good(3).as_bytes()).unwrap();
    flow.run_monitor(&world);
    // Only a view that was read after the upload shows that the object is missing.
    flow.run_monitor(&world);
    let overwritten = world.alert("object-overwritten", "opened", TARGET);
    let lost = world.alert("file-never-loaded", "opened", TARGET);
    source.rest("s3", "PUT", &path, &[], &before.body).unwrap();
    assert_eq!(overwritten["subject"], format!("s3://{}/day-2.csv", flow.bucket));
    assert_eq!(lost["subject"], format!("s3://{}/day-3.csv", flow.bucket));

    // Each command loads the missing rows, and a further run raises no alert again.
    for alert in [&overwritten, &lost] {
        run(&world, SOURCE, alert["command"].as_str().unwrap());
    }
    wait_for_rows(&flow, 4);
    flow.run_monitor(&world);
    let mut alerts = of_files(&world.messages());
    alerts.sort_unstable();
    assert_eq!(alerts, ["file-never-loaded opened", "object-overwritten opened"]);
}

#[test]
fn blind_monitor_raises_alert_and_stopped_one_raises_alarm() {
    let world = AlertWorld::new(&[("SLUICE_METRIC_PERIOD_SCALE", "0.002")], &[]);
    let flow = Flow::with_monitor(&world, &[("MonitorIntervalMinutes", "5")]);
    let target = world.cloud.account(TARGET);
    flow.run_monitor(&world);

    // Without the bucket's permission to list it, the monitor raises an alert after two runs. The
    // alert is resolved when the permission is back.
    let source = world.cloud.account(SOURCE);
    let policy = source.rest("s3", "GET", &format!("/{}?policy", flow.bucket), &[], &[]).unwrap();
    let mut without: Value = policy.json();
    without["Statement"]
        .as_array_mut()
        .unwrap()
        .retain(|one| !one["Sid"].as_str().unwrap().contains("CopyMonitorLists"));
    let put = |document: &Value| {
        source
            .rest("s3", "PUT", &format!("/{}?policy", flow.bucket), &[], document.to_string().as_bytes())
            .unwrap();
    };
    put(&without);
    flow.run_monitor(&world);
    let is_failed = |one: &Value| one["kind"] == "copy-monitor-failed";
    assert!(!world.messages().iter().any(is_failed), "{:?}", world.messages());
    // A second run is one that is more than a second later.
    wait::until("the alert of the second run", PATIENCE, || {
        flow.run_monitor(&world);
        let messages = world.messages();
        Ok(if messages.iter().any(is_failed) { Seen::Yes(()) } else { Seen::NotYet(format!("{messages:?}")) })
    })
    .unwrap();
    let alert = world.alert("copy-monitor-failed", "opened", TARGET);
    assert!(alert["cause"].as_str().unwrap().contains("s3:ListBucket"), "{alert}");
    put(&policy.json());
    flow.run_monitor(&world);
    world.alert("copy-monitor-failed", "resolved", TARGET);

    // The schedule does not start the monitor for three of its periods, which are 0.6 s here.
    let alarm = target.physical_id(TARGET_STACK, "MonitorNotRunningAlarm").unwrap();
    let message = wait::until("the alarm about the missing runs", PATIENCE, || {
        world.control("tick", &json!({}));
        let failures = world.fallback_messages();
        let is = |one: &&Value| one["AlarmName"] == alarm.as_str() && one["NewStateValue"] == "ALARM";
        Ok(failures.iter().find(is).cloned().map_or_else(|| Seen::NotYet(format!("{failures:?}")), Seen::Yes))
    })
    .unwrap();
    assert_eq!(message["AWSAccountId"], TARGET.account, "{message}");
    wait::until("the alarm is OK after a run", PATIENCE, || {
        flow.run_monitor(&world);
        world.control("tick", &json!({}));
        let failures = world.fallback_messages();
        let is = |one: &Value| one["AlarmName"] == alarm.as_str() && one["NewStateValue"] == "OK";
        Ok(if failures.iter().any(is) { Seen::Yes(()) } else { Seen::NotYet(format!("{failures:?}")) })
    })
    .unwrap();
}

/// Actions that a regular run does not call, with the tests that cover them.
const SPARED: [(&str, &str); 5] = [
    // Only if the ledger has more than three pages of entries between the keys of a page of the
    // bucket, see crates/copy-monitor/tests/adapters.rs.
    ("ReadAndWriteLedger", "dynamodb:BatchGetItem"),
    // The tables' key: the local cloud checks no keys behind DynamoDB
    // (docs/not-verified-on-aws.md).
    ("UseKey", "kms:Decrypt"),
    ("UseKey", "kms:GenerateDataKey"),
    // Only for a statement that ran for an hour, see
    // crates/copy-monitor/tests/model/statement_tests.rs.
    ("FollowOwnStatements", "redshift-data:CancelStatement"),
    // Lambda calls this itself, after the function failed.
    ("SendFailedRuns", "events:PutEvents"),
];

#[test]
fn every_grant_of_the_monitor_is_needed() {
    // An invocation that may not publish an alert keeps its claim until it times out. Lambda
    // repeats it when the permission is restored.
    let world = AlertWorld::new(&[("LAMBDA_ASYNC_RETRY_BASE_SECONDS", "5")], &[]);
    let flow = Flow::with_monitor(&world, &[]);
    let target = world.cloud.account(TARGET);
    // No run waits for an event, because the last invocation for an event may have been denied
    // access to its result.
    flow.set_environment(&world, &[("VIEW_DELAY_MINUTES", "0"), ("EVENT_DELAY_MINUTES", "0")]);
    let role = target.physical_id(TARGET_STACK, "MonitorRole").unwrap();
    let grants = Grants::of(&target, &role);
    let denials = |action: &str| {
        let refused = |line: &&str| {
            line.contains(action) && (line.contains("not authorized") || line.contains("AccessDenied"))
        };
        flow.log(&world).lines().filter(refused).count()
    };
    let mut taken = BTreeSet::new();
    let mut pairs = grants.pairs();
    // These are first, before the rate limit of the job is reached: a suppressed alert is not
    // published.
    pairs.sort_by_key(|(sid, _)| sid != "Publish" && sid != "UseTopicKey");
    let mut number = 0;
    // Files to load, to report and to store.
    let mut put = || {
        number += 1;
        flow.put(&world, &format!("good-{number}.csv"), &good(number), "I");
        flow.put(&world, &format!("bad-{number}.csv"), &malformed(), "E");
        Instant::now()
    };
    for (sid, action) in pairs {
        if SPARED.contains(&(sid.as_str(), action.as_str())) {
            continue;
        }
        let mut there = put();
        let seen = denials(&action);
        grants.put(&grants.without_all(&[(&sid, &action)]));
        wait::until(&format!("the log names {action} of {sid}"), PATIENCE, || {
            // An earlier invocation may already have processed the files.
            if there.elapsed() > Duration::from_secs(5) {
                there = put();
            }
            world.cloud.fire(TARGET, TARGET_STACK, "MonitorSchedule").unwrap();
            let named = denials(&action) > seen;
            Ok(if named { Seen::Yes(()) } else { Seen::NotYet(flow.log(&world)) })
        })
        .unwrap();
        grants.put(&grants.document);
        flow.run_monitor(&world);
        taken.insert((sid, action));
    }
    assert_eq!(taken.len(), 15, "{taken:?}");
}
