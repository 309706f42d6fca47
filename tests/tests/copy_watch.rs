//! The copy monitor of `templates/copy-target.yaml`: what becomes of files is told at the hub, in another account.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use cloud::wait::{self, Seen};
use cloud::{Profile, SOURCE, TARGET};
use end_to_end::alerts::{Flow, Night, TARGET_STACK};
use end_to_end::{Grants, PATIENCE};
use serde_json::{Value, json};

const HEADER: &str = "id,name,value,timestamp\n";

/// A file whose third line has a word where a number belongs.
fn malformed() -> String {
    format!("{HEADER}1,kilo,1.50,2026-01-05 08:00:00\nsecret-row,lima,2.50,2026-01-05 08:00:00\n")
}

fn good(id: u32) -> String {
    format!("{HEADER}{id},mike,1.50,2026-01-05 08:00:00\n")
}

/// Waits until the table has so many rows.
fn until_loaded(flow: &Flow, rows: usize) {
    wait::until(&format!("{rows} rows"), PATIENCE, || {
        let found = flow.database.query("SELECT id FROM public.measurements")?.rows.len();
        Ok(if found == rows { Seen::Yes(()) } else { Seen::NotYet(format!("{found} rows")) })
    })
    .unwrap();
}

/// Kind and status of what the monitor told; the stacks' own deployment is told as well, as changes of the warehouse.
fn of_files(messages: &[Value]) -> Vec<String> {
    let own = messages.iter().filter(|one| one["kind"] != "warehouse-changed");
    own.map(|one| format!("{} {}", one["kind"].as_str().unwrap(), one["status"].as_str().unwrap())).collect()
}

/// Runs a command of a message as people of an account would.
fn run(night: &Night, profile: Profile, command: &str) {
    let output =
        night.cloud.command("bash").args(["-c", command]).env("AWS_PROFILE", profile.name).output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_file_that_was_refused_is_told_once_at_the_hub_with_the_command_that_loads_it_and_so_is_its_end() {
    let night = Night::new(&[], &[]);
    let flow = Flow::watched_by(&night, &[]);
    // Files go to the ledger at once, not after a quarter of an hour.
    flow.set(&night, &[("VIEW_DELAY_MINUTES", "0")]);
    flow.put(&night, "good.csv", &good(7), "I");
    flow.put(&night, "it's bad.csv", &malformed(), "E");
    let began = Instant::now();
    flow.look(&night);
    let told = night.told("file-rejected", "opened", TARGET);
    assert!(began.elapsed() < Duration::from_secs(30), "told after {:?}", began.elapsed());
    assert_eq!(told["subject"], format!("s3://{}/it's bad.csv", flow.bucket), "{told}");
    let (what, cause) = (told["what"].as_str().unwrap(), told["cause"].as_str().unwrap());
    assert!(what.contains("line 3, column id") && cause.contains("Invalid digit"), "{told}");

    // Looking again tells nothing new, also when two runs come at once.
    flow.look(&night);
    night.cloud.fire(TARGET, TARGET_STACK, "MonitorSchedule").unwrap();
    flow.look(&night);
    assert_eq!(of_files(&night.messages()), ["file-rejected opened"]);

    // The file is mended in its place, and loaded by the message's own command.
    night.cloud.account(SOURCE).put_object(&flow.bucket, "it's bad.csv", good(8).as_bytes()).unwrap();
    run(&night, TARGET, told["command"].as_str().unwrap());
    until_loaded(&flow, 2);
    flow.look(&night);
    let end = night.told("file-rejected", "resolved", TARGET);
    assert_eq!(end["thread"], told["thread"]);
    for messages in [night.messages(), night.endpoint.messages()] {
        assert_eq!(of_files(&messages), ["file-rejected opened", "file-rejected resolved"]);
    }

    // Neither the row nor anything else of the file left the warehouse.
    let all = night.messages().iter().map(Value::to_string).collect::<String>();
    assert!(!all.contains("kilo") && !all.contains("lima"), "{all}");
    assert!(!flow.log(&night).contains("lima"));
}

#[test]
fn a_key_that_was_overwritten_and_an_object_that_was_never_noticed_are_told_with_commands_that_load_them() {
    let night = Night::new(&[], &[]);
    let settings = r#"{"Default": {"GraceSeconds": 0}}"#;
    let flow = Flow::watched_by(&night, &[("MonitorJobSettings", settings)]);
    flow.set(&night, &[("VIEW_DELAY_MINUTES", "0")]);
    let source = night.cloud.account(SOURCE);
    flow.put(&night, "day-1.csv", &good(1), "I");
    // The first look is the monitor's first sight of the job: what was there before is not judged.
    flow.look(&night);
    flow.put(&night, "day-2.csv", &good(2), "I");
    flow.look(&night);

    // A new content under a loaded name: auto-copy ignores it.
    source.put_object(&flow.bucket, "day-2.csv", good(22).as_bytes()).unwrap();
    // An object whose event is lost: the bucket tells nobody.
    let path = format!("/{}?notification", flow.bucket);
    let before = source.rest("s3", "GET", &path, &[], &[]).unwrap();
    source.rest("s3", "PUT", &path, &[], b"<NotificationConfiguration/>").unwrap();
    source.put_object(&flow.bucket, "day-3.csv", good(3).as_bytes()).unwrap();
    flow.look(&night);
    // Whether the view has no trace of an object is only known once it was read after the object came.
    flow.look(&night);
    let overwritten = night.told("object-overwritten", "opened", TARGET);
    let lost = night.told("file-never-loaded", "opened", TARGET);
    source.rest("s3", "PUT", &path, &[], &before.body).unwrap();
    assert_eq!(overwritten["subject"], format!("s3://{}/day-2.csv", flow.bucket));
    assert_eq!(lost["subject"], format!("s3://{}/day-3.csv", flow.bucket));

    // Each command loads what is missing; once more, nothing is told twice.
    for told in [&overwritten, &lost] {
        run(&night, SOURCE, told["command"].as_str().unwrap());
    }
    until_loaded(&flow, 4);
    flow.look(&night);
    let mut told = of_files(&night.messages());
    told.sort_unstable();
    assert_eq!(told, ["file-never-loaded opened", "object-overwritten opened"]);
}

#[test]
fn a_monitor_that_cannot_see_says_so_and_one_that_stands_still_is_told_on_the_second_topic() {
    let night = Night::new(&[("SLUICE_METRIC_PERIOD_SCALE", "0.002")], &[]);
    let flow = Flow::watched_by(&night, &[("MonitorIntervalMinutes", "5")]);
    let target = night.cloud.account(TARGET);
    flow.look(&night);

    // The bucket's policy does not let the monitor list it any more: told after two runs in a row, and over when it does again.
    let source = night.cloud.account(SOURCE);
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
    flow.look(&night);
    flow.look(&night);
    let told = night.told("copy-monitor-failed", "opened", TARGET);
    assert!(told["cause"].as_str().unwrap().contains("s3:ListBucket"), "{told}");
    put(&policy.json());
    flow.look(&night);
    night.told("copy-monitor-failed", "resolved", TARGET);

    // Nobody starts it: no run within three of its periods, which are 0.6 s here.
    let alarm = target.physical_id(TARGET_STACK, "MonitorNotRunningAlarm").unwrap();
    let told = wait::until("silence is told", PATIENCE, || {
        night.ask("tick", &json!({}));
        let failures = night.failures();
        let is = |one: &&Value| one["AlarmName"] == alarm.as_str() && one["NewStateValue"] == "ALARM";
        Ok(failures.iter().find(is).cloned().map_or_else(|| Seen::NotYet(format!("{failures:?}")), Seen::Yes))
    })
    .unwrap();
    assert_eq!(told["AWSAccountId"], TARGET.account, "{told}");
    wait::until("it looks again, and so it is told", PATIENCE, || {
        flow.look(&night);
        night.ask("tick", &json!({}));
        let failures = night.failures();
        let is = |one: &Value| one["AlarmName"] == alarm.as_str() && one["NewStateValue"] == "OK";
        Ok(if failures.iter().any(is) { Seen::Yes(()) } else { Seen::NotYet(format!("{failures:?}")) })
    })
    .unwrap();
}

/// What a usual run does not do, and where it is proved instead.
const SPARED: [(&str, &str); 4] = [
    // The tables' key: the local cloud checks no keys behind DynamoDB (docs/not-verified-on-aws.md).
    ("UseKey", "kms:Decrypt"),
    ("UseKey", "kms:GenerateDataKey"),
    // Only for a statement that ran for an hour: crates/copy-monitor/tests/model/statement_tests.rs.
    ("FollowOwnStatements", "redshift-data:CancelStatement"),
    // Lambda itself does this, after the function failed.
    ("SendFailedRuns", "events:PutEvents"),
];

#[test]
fn every_grant_of_the_monitor_is_needed() {
    // An invocation that may not publish an alert keeps its claim until its time is over. Lambda repeats
    // it when the grants are there again.
    let night = Night::new(&[("LAMBDA_ASYNC_RETRY_BASE_SECONDS", "5")], &[]);
    let flow = Flow::watched_by(&night, &[]);
    let target = night.cloud.account(TARGET);
    // No run waits for an event: an invocation that was refused what it needed to read a result may have been the event's last.
    flow.set(&night, &[("VIEW_DELAY_MINUTES", "0"), ("EVENT_DELAY_MINUTES", "0")]);
    let role = target.physical_id(TARGET_STACK, "MonitorRole").unwrap();
    let grants = Grants::of(&target, &role);
    let denials = |action: &str| {
        let refused = |line: &&str| {
            line.contains(action) && (line.contains("not authorized") || line.contains("AccessDenied"))
        };
        flow.log(&night).lines().filter(refused).count()
    };
    let mut taken = BTreeSet::new();
    let mut pairs = grants.pairs();
    // First, while the rate limit of the job is not reached: a suppressed alert is not published.
    pairs.sort_by_key(|(sid, _)| sid != "Publish" && sid != "UseTopicKey");
    let mut number = 0;
    // Something to find, to report and to store.
    let mut put = || {
        number += 1;
        flow.put(&night, &format!("good-{number}.csv"), &good(number), "I");
        flow.put(&night, &format!("bad-{number}.csv"), &malformed(), "E");
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
            // An invocation from before may have done already what was to be refused.
            if there.elapsed() > Duration::from_secs(5) {
                there = put();
            }
            night.cloud.fire(TARGET, TARGET_STACK, "MonitorSchedule").unwrap();
            let named = denials(&action) > seen;
            Ok(if named { Seen::Yes(()) } else { Seen::NotYet(flow.log(&night)) })
        })
        .unwrap();
        grants.put(&grants.document);
        flow.look(&night);
        taken.insert((sid, action));
    }
    assert_eq!(taken.len(), 16, "{taken:?}");
}
