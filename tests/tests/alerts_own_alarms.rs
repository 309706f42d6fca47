//! What goes wrong with the alerts themselves: each alarm of the hub fires for its own cause, is named to a subscriber of the second topic, and ends.

#![allow(clippy::unwrap_used)]

use cloud::wait::{self, Seen};
use end_to_end::PATIENCE;
use end_to_end::alerts::{ALARMS, HUB, Night, QUIET};
use serde_json::{Value, json};

/// A night whose alarms have a minute of 1.2 s; "late" are ten of them. All is well.
fn quiet() -> Night {
    let night = Night::new(&[("SLUICE_METRIC_PERIOD_SCALE", "0.02")], &[("MaxEventAgeSeconds", "600")]);
    // Longer than an invocation takes on a slow machine: nothing here has to be tried again soon.
    night.retry_after(15);
    // Nobody hears of an alarm that is OK from the beginning, so wait for the ones that are not: nobody has looked for what is due yet.
    // For the message, too, which comes after the state.
    wait::until("all is well, and the second topic has told so", QUIET, || {
        night.pulse();
        let failures = night.failures();
        let told = failures.last().is_some_and(|last| last["NewStateValue"] == "OK");
        let quiet = told && night.alarm("AlertingUnhealthyAlarm") == "OK";
        Ok(if quiet { Seen::Yes(()) } else { Seen::NotYet(format!("{failures:?}, {}", night.alarms())) })
    })
    .unwrap();
    night
}

/// Waits until the second topic tells something after what it has told, and gives it.
fn told_after(night: &Night, known: usize, state: &str) -> Value {
    wait::until(&format!("the second topic tells {state}"), PATIENCE, || {
        night.pulse();
        let failures = night.failures();
        let found = failures.iter().skip(known).find(|one| one["NewStateValue"] == state).cloned();
        Ok(found.map_or_else(|| Seen::NotYet(format!("{failures:?}, {}", night.alarms())), Seen::Yes))
    })
    .unwrap()
}

/// What is wrong makes one alarm fire, which the second topic names; what mends it ends that.
fn fires_and_ends(night: &Night, alarm: &str, mut wrong: impl FnMut(), mend: impl FnOnce()) {
    let known = night.failures().len();
    wrong();
    let told = told_after(night, known, "ALARM");
    let children = told["TriggeringChildren"].to_string();
    let arn = format!(
        "arn:aws:cloudwatch:{}:{}:alarm:{}",
        night.cloud.region(),
        HUB.account,
        night.resource(alarm)
    );
    assert!(children.contains(&arn), "{alarm}: {told}");
    let others = ALARMS.iter().filter(|other| **other != alarm && night.alarm(other) == "ALARM").count();
    assert_eq!(others, 0, "{alarm}: {}", night.alarms());
    mend();
    told_after(night, known, "OK");
    assert_eq!(night.alarm(alarm), "OK", "{}", night.alarms());
    assert_eq!(night.failures().len(), known + 2, "{alarm}: {:?}", night.failures());
}

/// An event that somebody is told of.
fn event(subject: &str) -> String {
    let sample: Value = serde_json::from_str(include_str!("../../events/backup/job-failed.json")).unwrap();
    let mut event = sample;
    event["id"] = subject.into();
    event["detail"]["resourceArn"] = format!("arn:aws:rds:us-east-1:111111111111:cluster:{subject}").into();
    event.to_string()
}

fn send(night: &Night, queue: &str, body: &str) {
    let words = json!({"QueueUrl": night.resource(queue), "MessageBody": body});
    night.hub.json("sqs", "SendMessage", words).unwrap();
}

#[test]
fn each_alarm_of_the_hub_fires_for_its_own_cause_is_named_on_the_second_topic_and_ends() {
    let night = quiet();

    // Nobody takes events out of their queue.
    let enable = |enabled: bool| {
        let path = format!("/2015-03-31/event-source-mappings/{}", night.resource("FailureFunctionQueue"));
        night
            .hub
            .rest("lambda", "PUT", &path, &[], json!({"Enabled": enabled}).to_string().as_bytes())
            .unwrap();
    };
    let late = || {
        enable(false);
        send(&night, "FailureEventsQueue", &event("late"));
    };
    fires_and_ends(&night, "EventAgeAlarm", late, || enable(true));

    // A function ends with an error before it can say anything.
    let function = night.resource("AccessFunction");
    let path = format!("/2015-03-31/functions/{function}/configuration");
    let found = night.hub.rest("lambda", "GET", &path, &[], b"").unwrap().json();
    let whole = found["Environment"]["Variables"].clone();
    let set = |variables: &Value| {
        let words = json!({"Environment": {"Variables": variables}}).to_string();
        night.hub.rest("lambda", "PUT", &path, &[], words.as_bytes()).unwrap();
    };
    let broken = || {
        let mut less = whole.clone();
        less.as_object_mut().unwrap().remove("STATE_TABLE");
        set(&less);
        let answer = night.hub.invoke(&function, &json!({})).unwrap();
        assert!(answer.json()["errorMessage"].is_string(), "{:?}", answer.json());
    };
    fires_and_ends(&night, "FunctionErrorsAlarm", broken, || set(&whole));

    // A subscriber of the alerts does not let SNS in.
    let words = json!({"QueueName": "closed"});
    let url = night.hub.json("sqs", "CreateQueue", words).unwrap()["QueueUrl"].as_str().unwrap().to_owned();
    let closed = night.queue_arn(&url);
    let words =
        [("TopicArn", night.outputs["TopicArn"].as_str()), ("Protocol", "sqs"), ("Endpoint", &closed)];
    let subscription = night.hub.query("sns", "Subscribe", &words).unwrap().text("SubscriptionArn").unwrap();
    let undelivered = || send(&night, "FailureEventsQueue", &event("undelivered"));
    let unsubscribe = || {
        night.hub.query("sns", "Unsubscribe", &[("SubscriptionArn", &subscription)]).unwrap();
    };
    fires_and_ends(&night, "UndeliveredAlarm", undelivered, unsubscribe);

    // What was late and what one subscriber did not get was told to the others.
    night.wait_until_worked_off();
    let told: Vec<Value> =
        night.messages().into_iter().filter(|one| one["kind"] == "backup-failed").collect();
    assert_eq!(told.len(), 2, "{told:?}");
}
