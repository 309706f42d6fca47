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

fn receiver() -> Receiver<'static> {
    Receiver { account: "111111111111", now: Moment::parse("2026-03-01T03:00:00Z").unwrap() }
}

fn parse_here(value: &Value) -> Parsed {
    parse(value, "111111111111")
}

#[test]
fn missing_or_mistyped_member_is_named_without_its_value() {
    let mut event = fixture("states/execution-failed");
    event["detail"]["status"] = json!("hunter2");
    let unknown = parse_here(&event).unwrap_err();
    assert!(unknown.problem.contains("at `status`: unknown variant, expected one of"), "{}", unknown.problem);
    assert!(!unknown.problem.contains("hunter2"), "{}", unknown.problem);
    event["detail"]["status"] = json!("FAILED");
    event["detail"]["stateMachineArn"] = json!({"password": "hunter2"});
    let unknown = parse_here(&event).unwrap_err();
    assert!(
        unknown.problem.contains("at `stateMachineArn`: invalid type: map, expected a string"),
        "{}",
        unknown.problem
    );
    assert!(!unknown.raw.contains("hunter2"), "{}", unknown.raw);
    event.as_object_mut().unwrap().remove("account");
    assert!(parse_here(&event).unwrap_err().problem.contains("missing field `account`"));
}

fn notification(topic: &str, message: &Value) -> Value {
    json!({"Type": "Notification", "TopicArn": topic, "Message": message.to_string()})
}

fn in_queue(body: &Value) -> Parsed {
    let record = json!({"eventSource": "aws:sqs", "messageId": "m", "body": body.to_string()});
    receiver().deliveries(&json!({"Records": [record]})).items.remove(0).parsed
}

const TOPIC: &str = "arn:aws:sns:us-east-1:222222222222:t";

#[test]
fn event_in_a_queue_is_the_same_event() {
    let plain = fixture("secretsmanager/rotation-failed");
    assert_eq!(in_queue(&plain), parse_here(&plain));
}

#[test]
fn event_in_a_notification_is_not_recognized() {
    // A publisher of the topic writes it, so it may name any account.
    for sample in ["secretsmanager/rotation-failed", "lambda/on-failure", "lambda/on-failure-by-bus"] {
        let event = fixture(sample);
        let once = notification(TOPIC, &event);
        for wrapped in [notification(TOPIC, &once), once] {
            let unknown = in_queue(&wrapped).unwrap_err();
            assert_eq!(unknown.account.as_deref(), Some("222222222222"), "{sample}");
            assert!(unknown.problem.starts_with("a notification of a topic, expected"), "{unknown:?}");
            let sns = json!({"Records": [{"EventSource": "aws:sns", "Sns": wrapped}]});
            assert_eq!(receiver().deliveries(&sns).items[0].parsed, Err(unknown));
        }
    }
}

#[test]
fn subscription_message_about_another_account_is_refused() {
    let message = json!({"Event Source": "db-instance", "Source ID": "orders", "Event ID": "RDS-EVENT-0031",
        "Source ARN": "arn:aws:rds:us-east-1:111111111111:db:orders", "Event Time": "2026-03-01 02:58:07", "Event Message": "m"});
    let unknown = in_queue(&notification(TOPIC, &message)).unwrap_err();
    assert_eq!(unknown.problem, "its `Source ARN` is of another account than the topic");
    assert_eq!(unknown.account.as_deref(), Some("222222222222"));
    let own = notification("arn:aws:sns:us-east-1:111111111111:t", &message);
    assert_eq!(in_queue(&own).unwrap().location.account, "111111111111");
    // And without a topic nobody says whose message it is.
    assert_eq!(
        in_queue(&message).unwrap_err().problem,
        "the message of an event subscription without its topic"
    );
    for topic in ["t", "arn:aws:sqs:us-east-1:111111111111:t"] {
        let unknown = in_queue(&notification(topic, &message)).unwrap_err();
        assert_eq!(unknown.problem, "its `TopicArn` is not the ARN of a topic");
    }
}

#[test]
fn record_of_another_accounts_function_is_refused() {
    for (pointer, value) in [
        ("/detail/requestContext/functionArn", "arn:aws:lambda:us-east-1:222222222222:function:f"),
        ("/detail/requestContext/functionArn", "arn:aws:lambda:eu-west-1:111111111111:function:f"),
        ("/account", "222222222222"),
    ] {
        let mut event = fixture("lambda/on-failure-by-bus");
        *event.pointer_mut(pointer).unwrap() = json!(value);
        let unknown = parse_here(&event).unwrap_err();
        assert!(unknown.problem.contains("not a function of the event's account and Region"), "{unknown:?}");
        assert_eq!(unknown.account.as_deref(), event["account"].as_str());
    }
    // Without an envelope, only a function of the receiver's account.
    let record = fixture("lambda/on-failure");
    assert!(parse(&record, "111111111111").is_ok());
    let unknown = parse(&record, "333333333333").unwrap_err();
    assert!(unknown.problem.contains("must be a function of this account"), "{unknown:?}");
}

#[test]
fn record_of_something_else_than_a_function_is_refused() {
    for arn in [
        "arn:aws:secretsmanager:us-east-1:111111111111:secret:app",
        "arn:aws:cloudformation:us-east-1:111111111111:stack/s/1",
        "arn:aws:lambda:us-east-1:111111111111:layer:f",
        "arn:aws:lambda:us-east-1:111111111111:function:",
        ":::::::::",
    ] {
        let mut event = fixture("lambda/on-failure-by-bus");
        event["detail"]["requestContext"]["functionArn"] = json!(arn);
        let unknown = parse_here(&event).unwrap_err();
        assert!(unknown.problem.contains("`functionArn` is not the ARN of a function"), "{arn}: {unknown:?}");
    }
}

#[test]
fn time_in_the_future_is_limited_to_five_minutes() {
    let limit = Moment::parse("2026-03-01T03:05:00Z").unwrap();
    let recovery = |time: &str| {
        let mut event = fixture("cloudwatch/alarm-ok");
        event["detail"]["state"]["timestamp"] = json!(format!("{time}+0000"));
        in_queue(&event).unwrap().time
    };
    assert_eq!(recovery("2099-01-01T00:00:00.000"), limit);
    assert_eq!(recovery("2026-03-01T03:04:00.000").millis(), limit.millis() - 60_000);
    let message = json!({"Event Source": "cluster", "Resource": "main", "Event Time": "2099-01-01 00:00:00.0", "Severity": "ERROR",
        "About this Event": "#REDSHIFT-EVENT-3519", "Event Message": "m"});
    assert_eq!(in_queue(&notification(TOPIC, &message)).unwrap().time, limit);
    let mut event = fixture("unknown/of-tomorrow");
    event["time"] = json!("2099-01-01T00:00:00Z");
    assert_eq!(in_queue(&event).unwrap_err().time, Some(limit));
}

#[test]
fn malformed_message_of_a_batch_spoils_no_other() {
    let batch = receiver().deliveries(&fixture("sqs/batch"));
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
    let delivery = receiver().deliveries(&fixture("redshift/subscription-error"));
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
    let event = receiver().deliveries(&notification).items.remove(0).parsed.unwrap();
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
        let event = in_queue(&notification(TOPIC, &body(link))).unwrap();
        let Detail::Database(database) = event.detail else { panic!("{link}") };
        assert_eq!((database.engine, database.event_id.as_str()), (Engine::Redshift, "REDSHIFT-EVENT-3519"));
    }
}

#[test]
fn the_time_of_an_event_is_the_most_exact_that_it_states() {
    assert_eq!(parse_here(&fixture("cloudwatch/alarm")).unwrap().time.millis() % 1000, 989);
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
            let delivery = receiver().deliveries(&payload);
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
        for item in receiver().deliveries(&value).items {
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
