//! A flood: events that principals of one account forge, while another account has real failures.
//!
//! Each test run has a small flood. `SLUICE_SOAK_RUNS` makes it one of a hundred events for each of its
//! value: 10,000 is a million events. `SLUICE_SEED` is the seed.

use std::future::pending;

use alerts::message::Message;
use alerts::processor::FailureProcessor;
use serde_json::{Value, json};
use test_support::alerts::World;

use super::{Lookups, batch, fixture, handler, window};

/// The account whose principals put events on the bus.
const FLOODED: &str = "111111111111";
/// The other account.
const HONEST: &str = "222222222222";

/// An event that a principal of the account puts on its bus. The bus sets the envelope's account.
fn forged(random: &mut fastrand::Rng, number: usize) -> String {
    let mut event = fixture("lambda/on-failure-by-bus");
    event["id"] = json!(format!("forged-{number}"));
    event["time"] = json!(if random.bool() { "2099-01-01T00:00:00Z" } else { "1970-01-01T00:00:00Z" });
    let victim = format!("arn:aws:lambda:us-east-1:{HONEST}:function:orders");
    let context = &mut event["detail"]["requestContext"];
    context["functionArn"] = match random.u8(0..8) {
        // As if it were of the other account, or about the other account's secret.
        0 => json!(victim),
        1 => json!(format!("arn:aws:secretsmanager:us-east-1:{HONEST}:secret:orders")),
        2 => json!(["no text"]),
        _ => json!(format!("arn:aws:lambda:us-east-1:{FLOODED}:function:f{}", random.u32(0..1_000_000))),
    };
    event["detail"]["responsePayload"]["errorType"] = json!(format!("E{}", random.u8(..)));
    match random.u8(0..16) {
        // What a topic of the account publishes.
        0 => {
            let topic = format!("arn:aws:sns:us-east-1:{FLOODED}:t");
            let message = fixture("cloudwatch/alarm-ok").to_string().replace(FLOODED, HONEST);
            json!({"Type": "Notification", "TopicArn": topic, "Message": message}).to_string()
        }
        _ => event.to_string(),
    }
}

/// A stack of the other account that needs a person: a critical alert.
fn stuck_stack(number: usize) -> String {
    let mut event = fixture("cloudformation/stack-update-rollback-failed");
    event["account"] = json!(HONEST);
    event["id"] = json!(format!("real-{number}"));
    event["detail"]["stack-id"] =
        json!(format!("arn:aws:cloudformation:us-east-1:{HONEST}:stack/orders-{number}/{number}"));
    event.to_string()
}

/// The other account's own failed function, which the flood pretends to know.
fn failed_function() -> String {
    let mut event = fixture("lambda/on-failure-by-bus");
    event["account"] = json!(HONEST);
    event["detail"]["requestContext"]["functionArn"] =
        json!(format!("arn:aws:lambda:us-east-1:{HONEST}:function:orders"));
    event.to_string()
}

fn attribute(message: &Message, name: &str) -> String {
    message.attributes.iter().find(|(found, _)| *found == name).unwrap().1.clone()
}

fn body(message: &Message) -> Value {
    let protocols: Value = serde_json::from_str(&message.body).unwrap();
    serde_json::from_str(protocols["sqs"].as_str().unwrap()).unwrap()
}

#[tokio::test(start_paused = true)]
#[allow(clippy::print_stdout)]
async fn forged_events_delay_and_hide_no_alert_of_others() {
    let setting = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<usize>().ok());
    let size = setting("SLUICE_SOAK_RUNS").map_or(3000, |runs| runs * 100);
    let seed = setting("SLUICE_SEED").unwrap_or(1);
    println!("SLUICE_SEED={seed}, {size} forged events");
    let mut random = fastrand::Rng::with_seed(u64::try_from(seed).unwrap());
    let (world, lookups) = (World::default(), Lookups::default());
    let handler = handler(&world, FailureProcessor::new(&lookups));
    let mut real = 0;
    // The calls that an alert takes without a flood.
    let mut normal = None;
    // All within an hour, the window of the rate limits.
    for start in (0..size).step_by(10) {
        let minute = i64::try_from(start * 50 / size).unwrap();
        if start % (size / 10) == 0 {
            let (calls, published) = (world.calls().0, world.published().len());
            let (stats, _) = handler.handle(&batch(&[stuck_stack(real)]), window(minute), pending()).await;
            assert_eq!(stats.record.published, 1, "after {start} forged events");
            let message = world.published().pop().unwrap();
            assert_eq!(attribute(&message, "severity"), "critical");
            assert_eq!(attribute(&message, "account"), HONEST);
            assert_eq!(body(&message)["since"], body(&message)["last"], "after {start} forged events");
            let took = (world.calls().0 - calls, world.published().len() - published);
            assert_eq!(took, *normal.get_or_insert(took), "after {start} forged events");
            real += 1;
        }
        let bodies: Vec<String> = (start..start + 10).map(|number| forged(&mut random, number)).collect();
        let (stats, answer) = handler.handle(&batch(&bodies), window(minute), pending()).await;
        assert_eq!((stats.failed, answer), (0, Ok(json!({"batchItemFailures": []}))));
    }
    assert_eq!(real, 10);
    let (stats, _) = handler.handle(&batch(&[failed_function()]), window(51), pending()).await;
    assert_eq!(stats.record.published, 1);
    let message = world.published().pop().unwrap();
    assert_eq!(
        (attribute(&message, "status").as_str(), body(&message)["count"].as_u64()),
        ("opened", Some(1))
    );

    // What was forged is about the account that it came from, and within its limits.
    let of_flood: Vec<Message> =
        world.published().into_iter().filter(|message| attribute(message, "account") == FLOODED).collect();
    let of_kind = |kind: &str| of_flood.iter().filter(|message| attribute(message, "kind") == kind).count();
    assert_eq!(of_kind("function-failed"), 60);
    assert!(of_kind("unrecognized-events") <= 12, "{}", of_kind("unrecognized-events"));
    assert_eq!(of_kind("function-failed") + of_kind("unrecognized-events"), of_flood.len());
    assert_eq!(world.published().len(), of_flood.len() + real + 1);
    // Then one summary for people, and no recovery of anything.
    for minute in [61, 62] {
        let _ = handler.handle(&fixture("events/scheduled"), window(minute), pending()).await;
    }
    let summaries: Vec<Message> = world
        .published()
        .into_iter()
        .filter(|message| attribute(message, "kind") == "alerts-suppressed")
        .collect();
    let subjects: Vec<&str> = summaries.iter().map(|message| message.subject.as_str()).collect();
    assert_eq!(
        subjects,
        ["[ERROR] Alerts suppressed: Function failed in account 111111111111 (111111111111 us-east-1)"]
    );
    assert!(world.published().iter().all(|message| attribute(message, "status") != "resolved"));
    println!("{} messages, {} calls", world.published().len(), world.calls().0);
}
