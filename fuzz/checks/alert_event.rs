//! Arbitrary bytes at the door of the alerts' functions: never a panic, always the same answer, however the event was wrapped, and whatever
//! follows from it is a message that holds.
//!
//! Used by the fuzz target `alert_event` and by the replay of its corpus. The crate that uses it has the modules of crates/alerts at its root,
//! `shell`, and `message_check`.

use serde_json::{Value, json};

use crate::announcement::{End, Status};
use crate::event::{Event, Item, Known, deliveries};
use crate::incident::{Incident, Place};
use crate::judge::{
    AccessRules, Cause, Held, HeldMessage, History, Operation, Reading, Readings, Rotated, RotationRules,
    dead_letters, judge, judge_with, secret_call, slow, unknown_event,
};
use crate::kind::{Kind, Severity};
use crate::message_check::{announcement, holds, is_remembered};
use crate::moment::Moment;
use crate::state::{Edge, Signal};

/// Where the functions run, and when.
fn here() -> (Place, Moment) {
    (Place::new("333333333333", "us-east-1"), Moment::from_millis(1_772_334_000_000))
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
    let held = Held {
        queue: "arn:aws:sqs:us-east-1:333333333333:failed".into(),
        count: 1,
        messages: vec![
            HeldMessage {
                id: "m".into(),
                sent: None,
                body: text.clone().into_owned(),
                attributes: [].into(),
            },
            HeldMessage {
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
    for signal in dead_letters(&held, &place, now) {
        is_told(&signal);
    }
}

/// The same event from a queue, from a topic, and from a topic by way of a queue: it is the same event.
fn wrapped(text: &str, payload: Option<&Value>) {
    let queue = |body: &str| json!({"Records": [{"eventSource": "aws:sqs", "messageId": "m", "body": body}, {"eventSource": "aws:sqs", "messageId": "n"}]});
    // A topic of the same account and Region as nothing: it adds nothing to the place.
    let notification = json!({"Type": "Notification", "TopicArn": "none", "Message": text}).to_string();
    let topic = json!({"Records": [{"EventSource": "aws:sns", "Sns": {"Message": text}}]});
    let parsed = |payload: &Value| deliveries(payload).items.remove(0).parsed;
    let from_queue = parsed(&queue(text));
    assert_eq!(deliveries(&queue(text)).items.len(), 2);
    assert_eq!(parsed(&topic), from_queue);
    let is_notification = payload.is_some_and(|payload| payload.get("TopicArn").is_some());
    if !is_notification {
        assert_eq!(parsed(&queue(&notification)), from_queue);
    }
    match payload {
        Some(payload) if payload.get("Records").and_then(Value::as_array).is_none() => {
            assert_eq!(parsed(payload), from_queue)
        }
        Some(_) => {}
        None => assert!(from_queue.is_err(), "not JSON, and understood: {text}"),
    }
    // By a topic with a name that is as long as anybody likes.
    let arn = format!("arn:aws:sns:{text}:{text}:t");
    let notification = json!({"Type": "Notification", "TopicArn": arn, "Message": text}).to_string();
    for item in deliveries(&queue(&notification)).items {
        follows(&item);
    }
}

/// What the functions make of an event: each of them, with whatever it may look up or be set to.
fn follows(item: &Item) {
    let (place, now) = here();
    let signals = match &item.parsed {
        Err(unknown) => {
            assert!(unknown.problem.chars().count() <= 340, "{}", unknown.problem);
            assert!(unknown.raw.len() <= 4 * 4100, "{}", unknown.raw.len());
            vec![unknown_event(unknown, &place, "sluice-OnFailure", "sluice-Alerts", now)]
        }
        Ok(known) => {
            assert!(
                known.place.account.chars().count() <= 60 && known.place.region.chars().count() <= 80,
                "{:?}",
                known.place
            );
            understood(known)
        }
    };
    for signal in &signals {
        is_told(signal);
    }
}

fn understood(known: &Known) -> Vec<Signal> {
    let mut signals = judge(known);
    assert_eq!(signals, judge(known), "the same event is judged in two ways");
    match &known.event {
        Event::SecretCall(trail) => {
            let by_role = RotationRules { writers: vec!["sluice-*".into(), String::new()] };
            for rules in [RotationRules::default(), by_role] {
                for rotated in [Rotated::Yes, Rotated::TurnedOff, Rotated::No, Rotated::Unknown] {
                    signals.extend(secret_call(known, trail, &rules, rotated));
                }
            }
            let learned =
                AccessRules { reads_per_hour: 1, learning: std::time::Duration::ZERO, expected: Vec::new() };
            let reading = Reading::of(known, trail);
            let mut readings = Readings::default();
            if let Some(reading) = &reading {
                let by = "the first".to_owned();
                let first = Reading { by, at: Moment::BEGINNING, denied: None, ..reading.clone() };
                signals.extend(readings.note(&[first], &learned));
            }
            for _ in 0..3 {
                signals.extend(readings.note(reading.as_slice(), &learned));
            }
            let stored = serde_json::to_string(&readings).expect("readers are JSON");
            assert_eq!(serde_json::from_str::<Readings>(&stored).ok(), Some(readings));
        }
        Event::Rotation(rotation) => {
            let mut history = History::default();
            history.note(rotation.outcome, known.time);
            assert!(!history.note(rotation.outcome, known.time), "the same event counts twice");
            signals.extend(slow(known, &history));
        }
        Event::Stack(_) | Event::StackResource(_) => {
            let words = known.resources.first().cloned().unwrap_or_default();
            let cause = Cause { resource: words.clone(), kind: words.clone(), reason: words.clone() };
            signals.extend(judge_with(known, &Operation { begun_by: Some(words), cause: Some(cause) }));
        }
        _ => {}
    }
    signals
}

/// Every signal becomes a message that holds, at every point of an incident's life.
fn is_told(signal: &Signal) {
    match &signal.edge {
        Edge::Raised(incident) => {
            assert_eq!(signal.key, incident.key());
            for status in [Status::Opened, Status::Repeated] {
                holds(&announcement(incident.as_ref().clone(), status, None));
            }
            is_remembered(incident);
            let words = incident.command.as_deref().map(crate::shell::words);
            if let Some(Ok(words)) = &words {
                assert_eq!(words.first().map(Vec::as_slice), Some(&b"aws"[..]), "{:?}", incident.command);
            }
        }
        Edge::Cleared(how) => {
            let (place, now) = here();
            let incident = Incident::new(Kind::Alarm, Severity::Error, place, "arn", "name", now);
            let end = End { at: signal.at, how: how.clone() };
            for status in [Status::Recovered, Status::Passed] {
                holds(&announcement(incident.clone(), status, Some(end.clone())));
            }
        }
    }
}
