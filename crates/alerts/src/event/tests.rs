use std::path::{Path, PathBuf};

use serde_json::json;

use super::*;
use crate::rules::evaluate;
use crate::state::Transition;

fn fixture(case: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events").join(case).with_extension("json");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap()
}

#[test]
fn missing_or_mistyped_member_is_named_without_its_value() {
    let mut event = fixture("states/execution-failed");
    event["detail"]["status"] = json!("hunter2");
    let unknown = parse(&event).unwrap_err();
    assert!(unknown.problem.contains("at `status`: unknown variant, expected one of"), "{}", unknown.problem);
    assert!(!unknown.problem.contains("hunter2"), "{}", unknown.problem);
    event["detail"]["status"] = json!("FAILED");
    event["detail"]["stateMachineArn"] = json!({"password": "hunter2"});
    let unknown = parse(&event).unwrap_err();
    assert!(
        unknown.problem.contains("at `stateMachineArn`: invalid type: map, expected a string"),
        "{}",
        unknown.problem
    );
    assert!(!unknown.raw.contains("hunter2"), "{}", unknown.raw);
    event.as_object_mut().unwrap().remove("account");
    assert!(parse(&event).unwrap_err().problem.contains("missing field `account`"));
}

#[test]
fn the_same_event_has_the_same_id_however_it_is_wrapped() {
    let plain = fixture("secretsmanager/rotation-failed");
    let id = parse(&plain).unwrap().id;
    let batch = deliveries(&fixture("sqs/batch"));
    assert_eq!(batch.items[0].parsed.as_ref().unwrap().id, id);
    let notification = json!({"Type": "Notification", "TopicArn": "arn:aws:sns:us-east-1:333333333333:t", "Message": plain.to_string()});
    let record = json!({"eventSource": "aws:sqs", "messageId": "m", "body": notification.to_string()});
    let wrapped = deliveries(&json!({"Records": [record]}));
    assert_eq!(wrapped.items[0].parsed.as_ref().unwrap().id, id);
}

#[test]
fn malformed_message_of_a_batch_spoils_no_other() {
    let batch = deliveries(&fixture("sqs/batch"));
    assert!(batch.answers_by_message);
    let recognized: Vec<bool> = batch.items.iter().map(|item| item.parsed.is_ok()).collect();
    assert_eq!(recognized, [true, true, true, true, false, false]);
    assert!(batch.items.iter().all(|item| item.message_id.is_some()));
    let problems: Vec<&str> = batch
        .items
        .iter()
        .filter_map(|item| item.parsed.as_ref().err())
        .map(|unknown| unknown.problem.as_str())
        .collect();
    assert_eq!(problems, ["not JSON: line 1 column 21", "the source and detail-type are not known"]);
}

#[test]
fn subscription_message_without_account_has_its_topics() {
    let delivery = deliveries(&fixture("redshift/subscription-error"));
    let event = delivery.items[0].parsed.as_ref().unwrap();
    assert_eq!(
        (event.location.account.as_str(), event.location.region.as_str()),
        ("222222222222", "us-east-1")
    );
    assert_eq!(event.time, Moment::parse("2026-03-01T02:58:07.053Z").unwrap());
}

#[test]
fn topic_name_is_bounded() {
    let mut notification = fixture("redshift/subscription-error")["Records"][0]["Sns"].clone();
    notification["Type"] = "Notification".into();
    notification["TopicArn"] =
        format!("arn:aws:sns:{}:{}:t", "r".repeat(300_000), "1".repeat(300_000)).into();
    let event = deliveries(&notification).items.remove(0).parsed.unwrap();
    assert!(event.location.account.len() < 100 && event.location.region.len() < 100, "{:?}", event.location);
}

#[test]
fn event_id_is_found_however_the_link_ends() {
    let body = |link: &str| {
        json!({"Event Source": "cluster", "Resource": "main", "Event Time": "2026-03-01 02:58:07.053", "Severity": "ERROR",
            "Category": ["Pending"], "About this Event": link, "Event Message": "m"})
    };
    for link in [
        "http://example.com/events.html#REDSHIFT-EVENT-3519 ",
        "http://example.com/events.html#redshift-event-messages REDSHIFT-EVENT-3519",
    ] {
        let Detail::Database(database) = parse(&body(link)).unwrap().detail else { panic!("{link}") };
        assert_eq!((database.engine, database.event_id.as_str()), (Engine::Redshift, "REDSHIFT-EVENT-3519"));
    }
}

#[test]
fn the_time_of_an_event_is_the_most_exact_that_it_states() {
    assert_eq!(parse(&fixture("cloudwatch/alarm")).unwrap().time.millis() % 1000, 989);
}

/// Every sample of an event that this crate reads: all but the requests that functions of other crates get.
fn samples() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events");
    let mut found = Vec::new();
    for folder in
        std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir())
    {
        found.extend(std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()));
    }
    found.sort();
    found
}

#[test]
fn any_value_is_parsed_without_a_panic_and_none_is_lost() {
    let (mut cases, mut unknown) = (0, 0);
    for path in samples() {
        let text = std::fs::read_to_string(&path).unwrap();
        let value: Value = serde_json::from_str(&text).unwrap();
        let mut spoilt = vec![
            json!(null),
            json!([]),
            json!({}),
            json!("x"),
            json!({"Records": []}),
            json!({"Records": [1, null]}),
        ];
        // Without each of its members, and with another type in place of each.
        for pointer in pointers(&value, String::new()) {
            for other in [json!(null), json!(7), json!("\u{202e}@here"), json!({"a": []})] {
                let mut changed = value.clone();
                *changed.pointer_mut(&pointer).unwrap() = other;
                spoilt.push(changed);
            }
        }
        // Cut off, as a message of a queue.
        for end in (0..text.len()).step_by(97).filter(|end| text.is_char_boundary(*end)) {
            spoilt.push(
                json!({"Records": [{"eventSource": "aws:sqs", "messageId": "m", "body": text[..end]}]}),
            );
        }
        for payload in spoilt {
            let records = payload.get("Records").and_then(Value::as_array).map_or(1, Vec::len);
            let delivery = deliveries(&payload);
            assert_eq!(delivery.items.len(), records, "{payload}");
            for item in delivery.items {
                cases += 1;
                match item.parsed {
                    Ok(event) => drop(evaluate(&event)),
                    Err(_) => unknown += 1,
                }
            }
        }
    }
    assert!(unknown > cases / 10, "{unknown} of {cases}");
}

fn pointers(value: &Value, at: String) -> Vec<String> {
    let mut all = Vec::new();
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let name = name.replace('~', "~0").replace('/', "~1");
                all.extend(pointers(member, format!("{at}/{name}")));
            }
        }
        Value::Array(members) => {
            for (number, member) in members.iter().enumerate() {
                all.extend(pointers(member, format!("{at}/{number}")));
            }
        }
        _ => {}
    }
    all.push(at);
    all
}

#[test]
fn credentials_of_an_event_are_neither_stored_nor_published() {
    let mut named = 0;
    for path in samples() {
        let value: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        for item in deliveries(&value).items {
            let text = match &item.parsed {
                Ok(event) => {
                    let mut text = String::new();
                    for observation in evaluate(event) {
                        if let Transition::Firing(incident) = &observation.transition {
                            named += 1;
                            text.push_str(&serde_json::to_string(incident).unwrap());
                        }
                    }
                    text
                }
                Err(unknown) => format!("{unknown:?}"),
            };
            assert!(
                !text.contains("NEVERSHOWN") && !text.contains("X-Amz-Signature=e"),
                "{}: {text}",
                path.display()
            );
        }
    }
    assert!(named > 30, "{named}");
}
