//! Failures of the alerting itself: each alarm of the hub fires for its own cause, is named on the
//! fallback topic, and returns to OK.

#![allow(clippy::unwrap_used)]

use cloud::wait::{self, Seen};
use end_to_end::PATIENCE;
use end_to_end::alerts::{ALARMS, AlertWorld, HUB, QUIET};
use serde_json::{Value, json};

/// Deploys a hub whose alarms have a minute of 1.2 s and a maximum event age of ten such minutes,
/// and waits until its schedules have run.
fn healthy_hub() -> AlertWorld {
    let world = AlertWorld::new(&[("SLUICE_METRIC_PERIOD_SCALE", "0.02")], &[("MaxEventAgeSeconds", "600")]);
    // Longer than an invocation on a slow machine. No event of this test needs a retry.
    world.retry_after(15);
    // The first run, and its period, are over before the second one, as in a schedule. Two runs at
    // the end of one period would show themselves to two alarms at the same time.
    world.run_schedules();
    wait::until("the first run is known", QUIET, || {
        world.evaluate_alarms();
        let known = ["SweepRunsAlarm", "DeadLetterCheckRunsAlarm"].map(|name| world.alarm(name));
        Ok(if known == ["OK", "OK"] { Seen::Yes(()) } else { Seen::NotYet(format!("{known:?}")) })
    })
    .unwrap();
    // The schedules have run twice: from now on their silence is an alarm.
    wait::until("the schedules have run", QUIET, || {
        world.run_schedules();
        let started = world.alarm("ChecksStartedAlarm") == "OK";
        // The spoke's alarm notifies, too, when it has its first data.
        let messages = world.fallback_messages();
        let spoke =
            messages.iter().any(|one| one["AlarmName"].to_string().contains("UndeliveredEventsAlarm"));
        Ok(if started && spoke {
            Seen::Yes(())
        } else {
            Seen::NotYet(format!("{messages:?}, {}", world.alarms()))
        })
    })
    .unwrap();
    // A new hub raises no alarm.
    assert_eq!(world.alarm("AlertingUnhealthyAlarm"), "OK", "{}", world.alarms());
    let messages = world.fallback_messages();
    assert!(messages.iter().all(|one| one["NewStateValue"] == "OK"), "{messages:?}");
    world
}

/// Waits for a message of this state on the fallback topic after the first `known`, and returns it.
fn wait_for_state(world: &AlertWorld, known: usize, state: &str) -> Value {
    wait::until(&format!("{state} on the fallback topic"), PATIENCE, || {
        world.run_schedules();
        let failures = world.fallback_messages();
        let found = failures.iter().skip(known).find(|one| one["NewStateValue"] == state).cloned();
        Ok(found.map_or_else(|| Seen::NotYet(format!("{failures:?}, {}", world.alarms())), Seen::Yes))
    })
    .unwrap()
}

/// Checks that `cause` makes one alarm fire, that the fallback topic names it, and that `fix`
/// returns it to OK.
fn fires_and_ends(world: &AlertWorld, alarm: &str, mut cause: impl FnMut(), fix: impl FnOnce()) {
    let known = world.fallback_messages().len();
    cause();
    let message = wait_for_state(world, known, "ALARM");
    let children = message["TriggeringChildren"].to_string();
    let arn = format!(
        "arn:aws:cloudwatch:{}:{}:alarm:{}",
        world.cloud.region(),
        HUB.account,
        world.resource(alarm)
    );
    assert!(children.contains(&arn), "{alarm}: {message}");
    let others = ALARMS.iter().filter(|other| **other != alarm && world.alarm(other) == "ALARM").count();
    assert_eq!(others, 0, "{alarm}: {}", world.alarms());
    fix();
    wait_for_state(world, known, "OK");
    assert_eq!(world.alarm(alarm), "OK", "{}", world.alarms());
    assert_eq!(world.fallback_messages().len(), known + 2, "{alarm}: {:?}", world.fallback_messages());
}

/// Returns an event that raises an alert.
fn event(subject: &str) -> String {
    let sample: Value = serde_json::from_str(include_str!("../../events/backup/job-failed.json")).unwrap();
    let mut event = sample;
    event["id"] = subject.into();
    event["detail"]["resourceArn"] = format!("arn:aws:rds:us-east-1:111111111111:cluster:{subject}").into();
    event.to_string()
}

fn send(world: &AlertWorld, queue: &str, body: &str) {
    let words = json!({"QueueUrl": world.resource(queue), "MessageBody": body});
    world.hub.json("sqs", "SendMessage", words).unwrap();
}

#[test]
fn each_hub_alarm_fires_for_its_cause_and_recovers() {
    let world = healthy_hub();

    // No function receives the events of the queue.
    let enable = |enabled: bool| {
        let path = format!("/2015-03-31/event-source-mappings/{}", world.resource("FailureFunctionQueue"));
        world
            .hub
            .rest("lambda", "PUT", &path, &[], json!({"Enabled": enabled}).to_string().as_bytes())
            .unwrap();
    };
    let late = || {
        enable(false);
        send(&world, "FailureEventsQueue", &event("late"));
    };
    fires_and_ends(&world, "EventAgeAlarm", late, || enable(true));

    // A function fails before it processes its event.
    let function = world.resource("AccessFunction");
    let path = format!("/2015-03-31/functions/{function}/configuration");
    let found = world.hub.rest("lambda", "GET", &path, &[], b"").unwrap().json();
    let whole = found["Environment"]["Variables"].clone();
    let set = |variables: &Value| {
        let words = json!({"Environment": {"Variables": variables}}).to_string();
        world.hub.rest("lambda", "PUT", &path, &[], words.as_bytes()).unwrap();
    };
    let broken = || {
        let mut less = whole.clone();
        less.as_object_mut().unwrap().remove("STATE_TABLE");
        set(&less);
        let answer = world.hub.invoke(&function, &json!({})).unwrap();
        assert!(answer.json()["errorMessage"].is_string(), "{:?}", answer.json());
    };
    fires_and_ends(&world, "FunctionErrorsAlarm", broken, || set(&whole));

    // A subscriber of the alerts does not allow deliveries from SNS.
    let words = json!({"QueueName": "closed"});
    let url = world.hub.json("sqs", "CreateQueue", words).unwrap()["QueueUrl"].as_str().unwrap().to_owned();
    let closed = world.queue_arn(&url);
    let words =
        [("TopicArn", world.outputs["TopicArn"].as_str()), ("Protocol", "sqs"), ("Endpoint", &closed)];
    let subscription = world.hub.query("sns", "Subscribe", &words).unwrap().text("SubscriptionArn").unwrap();
    let undelivered = || send(&world, "FailureEventsQueue", &event("undelivered"));
    let unsubscribe = || {
        world.hub.query("sns", "Unsubscribe", &[("SubscriptionArn", &subscription)]).unwrap();
    };
    fires_and_ends(&world, "DeliveryFailedAlarm", undelivered, unsubscribe);

    // The late event and the one that a subscriber did not receive were sent to the other
    // subscribers.
    world.wait_until_processed();
    let alerts: Vec<Value> =
        world.messages().into_iter().filter(|one| one["kind"] == "backup-failed").collect();
    assert_eq!(alerts.len(), 2, "{alerts:?}");
}
