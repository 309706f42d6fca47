//! Arbitrary bytes at the door of the alerts' functions: never a panic, always the same answer, however the event was wrapped, and whatever
//! follows from it is a message that holds.
//!
//! Used by the fuzz target `alert_event` and by the replay of its corpus. The crate that uses it has the modules of crates/alerts at its root,
//! `shell`, and `message_check`.

use serde_json::{Value, json};

use crate::arn::Arn;
use crate::event::{Delivery, Detail, Event, Item, Receiver};
use crate::incident::{AccountRegion, Incident};
use crate::kind::{Kind, Severity};
use crate::message_check::{holds, is_remembered, notification};
use crate::moment::Moment;
use crate::notification::{Resolution, Status};
use crate::rules::{
    AccessRules, Cause, Operation, QueueContents, QueuedMessage, ReadHistory, RotationHistory, RotationRules,
    RotationStatus, SecretRead, SecretRotation, dead_letters, evaluate, evaluate_with, secret_call,
    slow_rotation, unrecognized_event,
};
use crate::state::{Observation, Transition};

/// Where the functions run, and when.
fn here() -> (AccountRegion, Moment) {
    (AccountRegion::new("333333333333", "us-east-1"), Moment::from_millis(1_772_334_000_000))
}

fn deliveries(payload: &Value) -> Delivery {
    let (place, now) = here();
    Receiver { account: &place.account, now }.deliveries(payload)
}

pub fn check_bytes(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let payload = serde_json::from_str::<Value>(&text).ok();
    if let Some(payload) = &payload {
        let delivery = deliveries(payload);
        assert_eq!(delivery, deliveries(payload), "the same payload is understood in two ways");
        let records = payload.get("Records").and_then(Value::as_array);
        // One item is one answer: a queue would take what is missing for done.
        assert_eq!(delivery.items.len(), records.map_or(1, Vec::len));
        for (at, item) in delivery.items.iter().enumerate() {
            let record = records.and_then(|records| records.get(at));
            if record.is_some_and(|record| record["eventSource"] == "aws:sqs") {
                assert!(delivery.answers_by_message);
                assert_eq!(
                    item.message_id.as_deref(),
                    record.and_then(|record| record["messageId"].as_str())
                );
            }
            follows(item);
        }
    }
    wrapped(&text, payload.as_ref());
    let contents = QueueContents {
        queue: "arn:aws:sqs:us-east-1:333333333333:failed".into(),
        count: 1,
        messages: vec![
            QueuedMessage {
                id: "m".into(),
                sent: None,
                body: text.clone().into_owned(),
                attributes: [].into(),
            },
            QueuedMessage {
                id: "n".into(),
                sent: None,
                body: String::new(),
                attributes: ["ERROR_CODE", "ERROR_MESSAGE", "RULE_ARN", "TARGET_ARN"]
                    .map(|name| (name.to_owned(), text.clone().into_owned()))
                    .into(),
            },
        ],
        destination: None,
    };
    let (place, now) = here();
    for observation in dead_letters(&contents, &place, now) {
        is_told(&observation);
    }
}

/// An event from a queue is the same event without one. From a topic it is a message of an event
/// subscription about the topic's account, or nothing.
fn wrapped(text: &str, payload: Option<&Value>) {
    let queue = |body: &str| json!({"Records": [{"eventSource": "aws:sqs", "messageId": "m", "body": body}, {"eventSource": "aws:sqs", "messageId": "n"}]});
    let parsed = |payload: &Value| deliveries(payload).items.remove(0).parsed;
    let from_queue = parsed(&queue(text));
    assert_eq!(deliveries(&queue(text)).items.len(), 2);
    match payload {
        Some(payload) if payload.get("Records").and_then(Value::as_array).is_none() => {
            assert_eq!(parsed(payload), from_queue)
        }
        Some(_) => {}
        None => assert!(from_queue.is_err(), "not JSON, and understood: {text}"),
    }
    // By a topic with a name that is as long as anybody likes, too.
    let long = format!("arn:aws:sns:{text}:{text}:t");
    for topic in ["arn:aws:sns:us-east-1:111111111111:t", "none", &long] {
        let sns = json!({"Type": "Notification", "TopicArn": topic, "Message": text});
        let of_queue = deliveries(&queue(&sns.to_string())).items.remove(0);
        let record = json!({"Records": [{"EventSource": "aws:sns", "Sns": sns}]});
        assert_eq!(parsed(&record), of_queue.parsed);
        if let Ok(event) = &of_queue.parsed {
            let Detail::Database(_) = &event.detail else { panic!("from a topic: {:?}", event.detail) };
            let account = topic.parse::<Arn>().unwrap_or_else(|error| panic!("{error}: {text}")).account;
            assert_eq!(event.location.account, AccountRegion::new(&account, "").account);
        }
        follows(&of_queue);
    }
}

/// What the functions make of an event: each of them, with whatever it may look up or be set to.
fn follows(item: &Item) {
    let (place, now) = here();
    let observations = match &item.parsed {
        Err(unknown) => {
            assert!(unknown.problem.chars().count() <= 340, "{}", unknown.problem);
            assert!(unknown.raw.len() <= 4 * 4100, "{}", unknown.raw.len());
            vec![unrecognized_event(unknown, &place, "sluice-OnFailure", "sluice-Alerts", now)]
        }
        Ok(event) => {
            assert!(
                event.location.account.chars().count() <= 60 && event.location.region.chars().count() <= 80,
                "{:?}",
                event.location
            );
            assert!(event.time <= now.plus(std::time::Duration::from_secs(300)), "{:?}", event.time);
            if let Detail::FunctionFailure(failure) = &event.detail {
                let arn = &failure.request_context.function_arn;
                let arn: Arn = arn.parse().unwrap_or_else(|error| panic!("{error}"));
                assert_eq!(AccountRegion::new(&arn.account, &arn.region), event.location);
            }
            recognized(event)
        }
    };
    for observation in &observations {
        is_told(observation);
    }
}

fn recognized(event: &Event) -> Vec<Observation> {
    let mut observations = evaluate(event);
    assert_eq!(observations, evaluate(event), "the same event is judged in two ways");
    match &event.detail {
        Detail::SecretCall(record) => {
            let by_role = RotationRules { writers: vec!["sluice-*".into(), String::new()] };
            for rules in [RotationRules::default(), by_role] {
                for rotated in [
                    RotationStatus::Enabled,
                    RotationStatus::Disabled,
                    RotationStatus::NotRotating,
                    RotationStatus::Unknown,
                ] {
                    for is_guessed in [false, true] {
                        let rotation = SecretRotation { status: rotated, function: None, is_guessed };
                        observations.extend(secret_call(event, record, &rules, &rotation));
                    }
                }
            }
            let learned = AccessRules {
                max_reads_per_hour: 1,
                learning: std::time::Duration::ZERO,
                expected: Vec::new(),
            };
            let reading = SecretRead::of(event, record);
            let mut history = ReadHistory::default();
            if let Some(reading) = &reading {
                let by = "the first".to_owned();
                let first = SecretRead { by, at: Moment::BEGINNING, denied: None, ..reading.clone() };
                observations.extend(history.add(&[first], &learned));
            }
            for _ in 0..3 {
                observations.extend(history.add(reading.as_slice(), &learned));
            }
            let stored = serde_json::to_string(&history).expect("readers are JSON");
            assert_eq!(serde_json::from_str::<ReadHistory>(&stored).ok(), Some(history));
        }
        Detail::Rotation(rotation) => {
            let mut history = RotationHistory::default();
            history.add(rotation.outcome, event.time);
            assert!(!history.add(rotation.outcome, event.time), "the same event counts twice");
            observations.extend(slow_rotation(event, &history));
        }
        Detail::Stack(_) | Detail::StackResource(_) => {
            let words = event.resources.first().cloned().unwrap_or_default();
            let cause = Cause { resource: words.clone(), kind: words.clone(), reason: words.clone() };
            observations
                .extend(evaluate_with(event, &Operation { begun_by: Some(words), cause: Some(cause) }));
        }
        _ => {}
    }
    observations
}

/// Every observation becomes a message that holds, at every point of an incident's life.
fn is_told(observation: &Observation) {
    match &observation.transition {
        Transition::Firing(incident) => {
            assert_eq!(observation.key, incident.key());
            for status in [Status::Opened, Status::Repeated] {
                holds(&notification(incident.as_ref().clone(), status, None));
            }
            is_remembered(incident);
            let words = incident.command.as_deref().map(crate::shell::words);
            if let Some(Ok(words)) = &words {
                assert_eq!(words.first().map(Vec::as_slice), Some(&b"aws"[..]), "{:?}", incident.command);
            }
        }
        Transition::Resolved(how) => {
            let (place, now) = here();
            let incident = Incident::new(Kind::Alarm, Severity::Error, place, "arn", "name", now);
            let end = Resolution { at: observation.at, how: how.clone() };
            for status in [Status::Resolved, Status::Transient] {
                holds(&notification(incident.clone(), status, Some(end.clone())));
            }
        }
    }
}
