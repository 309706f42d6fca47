//! Invocations of the four functions, with everything that can go wrong in them.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod flood;
mod storm;

use std::collections::HashMap;
use std::future::pending;
use std::path::Path;
use std::time::Duration;

use alerts::handler::Handler;
use alerts::incident::AccountRegion;
use alerts::lookup::{Queues, Secrets, Stacks};
use alerts::moment::Moment;
use alerts::notifier::{InvocationWindow, Notifier};
use alerts::processor::{
    AccessProcessor, DeadLetterProcessor, EventProcessor, FailureProcessor, RotationProcessor,
};
use alerts::rules::{
    AccessRules, QueueContents, QueuedMessage, RotationRules, RotationStatus, SecretRotation, StackEvent,
};
use alerts::state::Policy;
use lambda_kit::call::CallError;
use serde_json::{Value, json};
use test_support::alerts::World;
use test_support::faults::Fault;

/// The number of events that a handler processes together.
const CHUNK: usize = 50;

/// The data that lookups return.
#[derive(Default)]
struct Lookups {
    stacks: HashMap<String, Vec<StackEvent>>,
    status: Option<RotationStatus>,
    contents: Vec<QueueContents>,
    queues: Vec<String>,
}

fn refused() -> CallError {
    CallError::without_answer("sts:AssumeRole", "AccessDenied")
}

impl Stacks for &Lookups {
    async fn events(&self, stack: &str, _: Moment) -> Result<Vec<StackEvent>, CallError> {
        self.stacks.get(stack).cloned().ok_or_else(refused)
    }
}

impl Secrets for &Lookups {
    async fn rotation(&self, _: &str) -> Result<SecretRotation, CallError> {
        let function =
            Some("arn:aws:lambda:us-east-1:111111111111:function:sluice-rotation-RotationFunction".into());
        let found = |status| SecretRotation { status, function, is_guessed: false };
        self.status.map(found).ok_or_else(refused)
    }
}

impl Queues for &Lookups {
    fn urls(&self) -> &[String] {
        &self.queues
    }

    async fn inspect(&self, queue: &str) -> Result<QueueContents, CallError> {
        self.contents.iter().find(|contents| contents.queue == queue).cloned().ok_or_else(refused)
    }
}

fn fixture(case: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events").join(case).with_extension("json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn window(minute: i64) -> InvocationWindow {
    let now = Moment::parse("2026-03-01T03:00:00Z")
        .unwrap()
        .plus(Duration::from_secs(60 * u64::try_from(minute).unwrap()));
    InvocationWindow { now, deadline: now.plus(Duration::from_secs(30)) }
}

fn handler<D: EventProcessor>(world: &World, processor: D) -> Handler<&World, &World, D> {
    let notifier = Notifier::new(world, world, Policy::default());
    Handler::new(
        notifier,
        processor,
        AccountRegion::new("333333333333", "us-east-1"),
        "sluice-hub-OnFailure".into(),
        "alerts".into(),
    )
}

fn subjects(world: &World) -> Vec<String> {
    world.published().into_iter().map(|message| message.subject).collect()
}

fn mail(world: &World, number: usize) -> String {
    let body: Value = serde_json::from_str(&world.published()[number].body).unwrap();
    body["email"].as_str().unwrap().to_owned()
}

fn batch(bodies: &[String]) -> Value {
    let records: Vec<Value> = bodies
        .iter()
        .enumerate()
        .map(|(number, body)| json!({"eventSource": "aws:sqs", "messageId": format!("m{number}"), "body": body}))
        .collect();
    json!({"Records": records})
}

#[tokio::test]
async fn unrecognized_events_are_one_incident_for_each_account() {
    let (world, lookups) = (World::default(), Lookups::default());
    let handler = handler(&world, FailureProcessor::new(&lookups));
    let (stats, answer) = handler.handle(&fixture("sqs/batch"), window(0), pending()).await;
    assert_eq!(answer, Ok(json!({"batchItemFailures": []})));
    assert_eq!((stats.events, stats.unrecognized, stats.failed, stats.record.published), (6, 2, 0, 6));
    let unknown: Vec<String> =
        subjects(&world).into_iter().filter(|subject| subject.contains("Unrecognized")).collect();
    // A message that is cut off names no account.
    let of = |account: &str| {
        format!("[WARNING] Unrecognized events: at sluice-hub-OnFailure ({account} us-east-1)")
    };
    assert_eq!(unknown, [of("333333333333"), of("222222222222")]);
    let kept: Vec<String> = world
        .memory()
        .all()
        .into_iter()
        .filter(|(key, body)| {
            key.partition.contains("unrecognized-events")
                && key.sort.starts_with("event|")
                && !body.is_empty()
        })
        .map(|(_, body)| body)
        .collect();
    assert_eq!(kept.len(), 2, "{kept:?}");
    assert!(
        kept.iter().any(|raw| raw.contains("Capacity Change"))
            && kept.iter().all(|raw| !raw.contains("NEVERSHOWN"))
    );
}

#[tokio::test]
async fn only_messages_without_a_published_alert_are_redelivered() {
    // The third call, after the read and the transaction, publishes the first alert.
    let world = World::new(HashMap::from([(2, Fault::Fails)]));
    let lookups = Lookups::default();
    let handler = handler(&world, FailureProcessor::new(&lookups));
    let bodies = ["states/execution-failed", "backup/job-failed"].map(|case| fixture(case).to_string());
    let (stats, answer) = handler.handle(&batch(&bodies), window(0), pending()).await;
    assert_eq!(answer, Ok(json!({"batchItemFailures": [{"itemIdentifier": "m0"}]})));
    assert_eq!(stats.failed, 1);
    let (_, answer) = handler.handle(&batch(&bodies[..1]), window(1), pending()).await;
    assert_eq!(answer, Ok(json!({"batchItemFailures": []})));
    assert_eq!(subjects(&world).len(), 2);
}

#[tokio::test]
async fn failure_without_a_queue_fails_the_invocation_with_its_reason() {
    let world = World::new(HashMap::from([(0, Fault::Fails)]));
    let lookups = Lookups::default();
    let handler = handler(&world, FailureProcessor::new(&lookups));
    let (_, answer) = handler.handle(&fixture("states/execution-failed"), window(0), pending()).await;
    assert_eq!(answer, Err("the state of the alerts could not be read or written: call: refused".to_owned()));
    let (_, answer) = handler.handle(&fixture("states/execution-failed"), window(1), pending()).await;
    assert_eq!(answer, Ok(Value::Null));
}

/// Stacks that never respond.
struct Silent;

impl Stacks for Silent {
    async fn events(&self, _: &str, _: Moment) -> Result<Vec<StackEvent>, CallError> {
        pending().await
    }
}

#[tokio::test]
async fn events_that_time_out_are_redelivered() {
    let world = World::default();
    let handler = handler(&world, FailureProcessor::new(Silent));
    let bodies: Vec<String> = std::iter::repeat_n(fixture("states/execution-failed").to_string(), CHUNK)
        .chain([fixture("cloudformation/stack-update-rollback").to_string()])
        .collect();
    let mut polls = 0;
    let over = std::future::poll_fn(|context| {
        polls += 1;
        context.waker().wake_by_ref();
        if polls > 1000 { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    });
    let (stats, answer) = handler.handle(&batch(&bodies), window(0), over).await;
    // The first chunk was done, the second was not.
    assert_eq!(answer, Ok(json!({"batchItemFailures": [{"itemIdentifier": format!("m{CHUNK}")}]})));
    assert_eq!((stats.failed, subjects(&world).len()), (1, 1));
}

#[tokio::test]
async fn stack_is_notified_once_per_operation_with_its_first_cause() {
    const STACK: &str = "arn:aws:cloudformation:us-east-1:222222222222:stack/sluice-target/0f4b2c1e-1111-4aaa-8bbb-0123456789ab";
    let event = |resource: &str, status: &str, reason: &str| StackEvent {
        id: resource.into(),
        resource: resource.into(),
        kind: "AWS::S3::Bucket".into(),
        physical_id: resource.into(),
        status: status.into(),
        reason: reason.into(),
        token: Some("deploy-4711".into()),
        at: None,
    };
    let events = vec![
        event("Other", "UPDATE_FAILED", "Resource update cancelled"),
        event("Bucket", "CREATE_FAILED", "the name is taken"),
    ];
    let lookups = Lookups { stacks: HashMap::from([(STACK.to_owned(), events)]), ..Lookups::default() };
    let world = World::default();
    let subject = handler(&world, FailureProcessor::new(&lookups));
    for (minute, case) in
        ["stack-update-rollback", "resource-update-failed", "resource-cancelled", "stack-update-rollback"]
            .iter()
            .enumerate()
    {
        let minute = i64::try_from(minute).unwrap();
        let (_, answer) =
            subject.handle(&fixture(&format!("cloudformation/{case}")), window(minute), pending()).await;
        assert_eq!(answer, Ok(Value::Null));
    }
    assert_eq!(subjects(&world), ["[ERROR] Stack failed: sluice-target (222222222222 us-east-1)"]);
    assert!(
        mail(&world, 0).contains("Cause:    Bucket (AWS::S3::Bucket): the name is taken\n"),
        "{}",
        mail(&world, 0)
    );
    // Without the role, the alert has the cause that the event states.
    let (world, lookups) = (World::default(), Lookups::default());
    let subject = handler(&world, FailureProcessor::new(&lookups));
    subject.handle(&fixture("cloudformation/stack-update-rollback"), window(0), pending()).await.1.unwrap();
    assert!(mail(&world, 0).contains("failed to update: [NamespacePolicy]"), "{}", mail(&world, 0));
    // The next deployment that succeeds resolves it.
    subject.handle(&fixture("cloudformation/stack-update-complete"), window(1), pending()).await.1.unwrap();
    assert!(subjects(&world)[1].starts_with("[RESOLVED] Stack failed"), "{:?}", subjects(&world));
}

#[tokio::test]
async fn operation_without_token_is_notified_once_with_its_cause() {
    // As CloudFormation sends it then.
    let without = |case: &str, at: &str| {
        let mut event = fixture(&format!("cloudformation/{case}"));
        event["id"] = format!("{case} {at}").into();
        event["time"] = at.into();
        event["detail"]["client-request-token"] = "".into();
        event
    };
    let stack = without("stack-update-rollback", "")["detail"]["stack-id"].as_str().unwrap().to_owned();
    let event = |at: &str, resource: &str, status: &str, reason: &str| StackEvent {
        id: format!("{status} {at}"),
        resource: resource.into(),
        kind: "AWS::S3::Bucket".into(),
        physical_id: if resource == "sluice-target" { stack.clone() } else { resource.into() },
        status: status.into(),
        reason: reason.into(),
        token: None,
        at: Moment::parse(at),
    };
    let events = vec![
        event("2026-03-01T03:30:02.900Z", "Bucket", "UPDATE_FAILED", "the name is still taken"),
        event("2026-03-01T03:30:00.100Z", "sluice-target", "UPDATE_IN_PROGRESS", "User Initiated"),
        event("2026-03-01T03:00:02.900Z", "Bucket", "UPDATE_FAILED", "the name is taken"),
        event("2026-03-01T03:00:00.100Z", "sluice-target", "UPDATE_IN_PROGRESS", "User Initiated"),
    ];
    let lookups = Lookups { stacks: HashMap::from([(stack, events)]), ..Lookups::default() };
    let world = World::default();
    let subject = handler(&world, FailureProcessor::new(&lookups));
    let notified = async |case: &str, at: &str| {
        let before = subjects(&world).len();
        // Half an hour and an hour later, when a second occurrence would be repeated.
        for minute in [30, 60] {
            let (_, answer) = subject.handle(&without(case, at), window(minute), pending()).await;
            assert_eq!(answer, Ok(Value::Null));
        }
        subjects(&world).len() - before
    };
    assert_eq!(notified("stack-update-rollback", "2026-03-01T03:00:03Z").await, 1);
    assert!(
        mail(&world, 0).contains("Cause:    Bucket (AWS::S3::Bucket): the name is taken\n"),
        "{}",
        mail(&world, 0)
    );
    assert_eq!(notified("resource-update-failed", "2026-03-01T03:00:02Z").await, 0);
    assert_eq!(notified("stack-update-rollback", "2026-03-01T03:00:09Z").await, 0);
    assert_eq!(notified("stack-update-rollback", "2026-03-01T03:30:03Z").await, 1);
    assert!(
        mail(&world, 1).contains("Cause:    Bucket (AWS::S3::Bucket): the name is still taken\n"),
        "{}",
        mail(&world, 1)
    );
}

#[tokio::test]
async fn execution_that_fails_in_the_second_of_a_success_is_notified() {
    let ended = |id: &str, status: &str, millis: i64| {
        let mut event = fixture("states/execution-failed");
        event["id"] = id.into();
        event["detail"]["status"] = status.into();
        let second = event["detail"]["stopDate"].as_i64().unwrap();
        event["detail"]["stopDate"] = (second + millis).into();
        event
    };
    let (world, lookups) = (World::default(), Lookups::default());
    let subject = handler(&world, FailureProcessor::new(&lookups));
    for event in [ended("1", "FAILED", 100), ended("2", "SUCCEEDED", 200), ended("3", "FAILED", 300)] {
        assert_eq!(subject.handle(&event, window(0), pending()).await.1, Ok(Value::Null));
    }
    // Before the success, and a time that cannot be.
    for event in [ended("4", "FAILED", 150), ended("5", "SUCCEEDED", 3_600_000)] {
        assert_eq!(subject.handle(&event, window(0), pending()).await.1, Ok(Value::Null));
    }
    let notified = subjects(&world);
    assert_eq!(notified.len(), 3, "{notified:?}");
    assert!(
        notified[0].starts_with("[ERROR]")
            && notified[1].starts_with("[RESOLVED]")
            && notified[2].starts_with("[ERROR]"),
        "{notified:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn alert_is_sent_without_a_cause_that_does_not_arrive_in_time() {
    let world = World::default();
    let handler = handler(&world, FailureProcessor::new(Silent));
    let bodies = [
        "cloudformation/stack-update-rollback",
        "cloudformation/stack-create-rollback",
        "states/execution-failed",
    ];
    let begun = tokio::time::Instant::now();
    let (_, answer) =
        handler.handle(&batch(&bodies.map(|case| fixture(case).to_string())), window(0), pending()).await;
    assert_eq!(answer, Ok(json!({"batchItemFailures": []})));
    assert_eq!(begun.elapsed(), Duration::from_secs(15), "all lookups together");
    assert_eq!(subjects(&world).len(), 2, "both operations are of one stack: {:?}", subjects(&world));
}

#[tokio::test]
async fn value_written_by_hand_is_notified_if_the_secret_may_rotate() {
    let rules = RotationRules::default;
    for (status, count) in
        [(Some(RotationStatus::Enabled), 1), (Some(RotationStatus::NotRotating), 0), (None, 1)]
    {
        let (world, lookups) = (World::default(), Lookups { status, ..Lookups::default() });
        let subject = handler(&world, RotationProcessor::new(&world, &lookups, rules()));
        for case in ["put-secret-value-by-hand", "put-secret-value-by-rotation", "update-secret-description"]
        {
            subject
                .handle(&fixture(&format!("secretsmanager/{case}")), window(0), pending())
                .await
                .1
                .unwrap();
        }
        assert_eq!(subjects(&world).len(), count, "{status:?}");
    }
}

#[tokio::test]
async fn pending_value_and_label_by_others_than_rotation_are_notified() {
    let function = "arn:aws:lambda:us-east-1:111111111111:function:";
    let (rotation, other) =
        (format!("{function}sluice-rotation-RotationFunction"), format!("{function}theirs"));
    let service = "secretsmanager.amazonaws.com";
    for (name, status, spoil, expected) in [
        (
            "the rotation function",
            Some(RotationStatus::Enabled),
            json!({"inScopeOf": {"credentialsIssuedTo": rotation}}),
            0,
        ),
        (
            "its alias",
            Some(RotationStatus::Enabled),
            json!({"inScopeOf": {"credentialsIssuedTo": format!("{rotation}:live")}}),
            0,
        ),
        ("Secrets Manager", Some(RotationStatus::Enabled), json!({"invokedBy": service}), 0),
        ("a session that is named like the function", Some(RotationStatus::Enabled), json!({}), 1),
        (
            "another function",
            Some(RotationStatus::Enabled),
            json!({"inScopeOf": {"credentialsIssuedTo": other}}),
            1,
        ),
        // The hub could not read which function rotates.
        ("a function, unread", None, json!({"inScopeOf": {"credentialsIssuedTo": other}}), 0),
        ("a session, unread", None, json!({}), 1),
        ("a secret that does not rotate", Some(RotationStatus::NotRotating), json!({}), 0),
    ] {
        for case in ["put-secret-value-by-rotation", "update-secret-version-stage"] {
            let mut event = fixture(&format!("secretsmanager/{case}"));
            let identity = event["detail"]["userIdentity"].as_object_mut().unwrap();
            identity.remove("inScopeOf");
            identity.extend(spoil.as_object().unwrap().clone());
            let (world, lookups) = (World::default(), Lookups { status, ..Lookups::default() });
            let subject = handler(&world, RotationProcessor::new(&world, &lookups, RotationRules::default()));
            subject.handle(&event, window(0), pending()).await.1.unwrap();
            assert_eq!(subjects(&world).len(), expected, "{name}, {case}: {:?}", subjects(&world));
        }
    }
}

/// Sends calls in this order and returns how often a value written by hand was notified.
async fn written_beside(status: Option<RotationStatus>, calls: &[(&str, &str)], at_once: bool) -> usize {
    let (world, lookups) = (World::default(), Lookups { status, ..Lookups::default() });
    let subject = handler(&world, RotationProcessor::new(&world, &lookups, RotationRules::default()));
    let event = |(case, time): &(&str, &str)| {
        let mut event = fixture(&format!("secretsmanager/{case}"));
        event["id"] = json!(format!("{case} {time}"));
        event["detail"]["eventTime"] = json!(format!("2026-03-01T{time}Z"));
        event
    };
    let events: Vec<Value> = calls.iter().map(event).collect();
    if at_once {
        let bodies: Vec<String> = events.iter().map(Value::to_string).collect();
        let (_, answer) = subject.handle(&batch(&bodies), window(0), pending()).await;
        assert_eq!(answer, Ok(json!({"batchItemFailures": []})));
    } else {
        for event in events {
            subject.handle(&event, window(0), pending()).await.1.unwrap();
        }
    }
    subjects(&world).iter().filter(|subject| subject.contains("Secret changed by hand")).count()
}

#[tokio::test]
async fn value_written_by_hand_before_rotation_is_disabled_is_notified() {
    let written = ("put-secret-value-by-hand", "02:58:07");
    let off = |time| ("cancel-rotate-secret", time);
    let on = |time| ("rotate-secret", time);
    for at_once in [false, true] {
        let notified = async |calls: &[(&str, &str)]| {
            written_beside(Some(RotationStatus::Disabled), calls, at_once).await
        };
        // Whichever event arrives first, also in the same second.
        for time in ["02:58:07", "02:58:30"] {
            assert_eq!(notified(&[written, off(time)]).await, 1, "{time}");
            assert_eq!(notified(&[off(time), written]).await, 1, "{time}");
        }
        assert_eq!(notified(&[off("02:00:00"), on("02:30:00"), off("02:59:00"), written]).await, 1);
        // Rotation was disabled already: then anybody may write.
        assert_eq!(notified(&[off("02:58:06"), written]).await, 0);
        assert_eq!(notified(&[off("02:59:00"), off("02:00:00"), written]).await, 0);
        // A call whose event arrives later is known only in the same delivery.
        assert_eq!(notified(&[written, off("02:58:06")]).await, usize::from(!at_once));
    }
    // A secret that cannot be read is known from calls; one that never rotated does not matter.
    assert_eq!(written_beside(None, &[off("02:00:00"), written], false).await, 0);
    assert_eq!(written_beside(None, &[off("02:59:00"), written], false).await, 1);
    assert_eq!(
        written_beside(Some(RotationStatus::NotRotating), &[written, off("02:59:00")], false).await,
        0
    );
}

#[tokio::test]
async fn failed_resolved_and_slow_rotations_are_notified() {
    let (world, lookups) = (World::default(), Lookups::default());
    let subject = handler(&world, RotationProcessor::new(&world, &lookups, RotationRules::default()));
    let send = async |case: &str, day: i64, time: &str| {
        let mut event = fixture(&format!("secretsmanager/{case}"));
        event["id"] = json!(format!("{case}-{day}"));
        event["detail"]["eventTime"] = json!(format!("2026-03-{day:02}T{time}Z"));
        // Everything is delivered twice.
        for minute in [0, 1] {
            subject.handle(&event, window(day * 1440 + minute), pending()).await.1.unwrap();
        }
    };
    for day in 1..=5 {
        send("rotation-succeeded", day, "03:00:10").await;
        send("rotation-started", day, "03:00:00").await;
    }
    assert_eq!(subjects(&world), [""; 0]);
    send("rotation-started", 6, "03:00:00").await;
    send("rotation-succeeded", 6, "03:20:00").await;
    assert_eq!(subjects(&world), ["[WARNING] Rotation slow: secret app (111111111111 us-east-1)"]);
    assert!(
        mail(&world, 0).contains("took 20 min. Earlier rotations took 10 s (median)"),
        "{}",
        mail(&world, 0)
    );
    send("rotation-failed", 7, "03:00:00").await;
    send("rotation-succeeded", 7, "09:00:00").await;
    let notified = subjects(&world);
    assert!(
        notified[1].starts_with("[ERROR] Rotation failed")
            && notified[2].starts_with("[RESOLVED] Rotation failed"),
        "{notified:?}"
    );
    assert!(mail(&world, 2).contains("after 6 h"), "{}", mail(&world, 2));
    assert_eq!(notified.len(), 3);
}

#[tokio::test]
async fn crash_before_a_read_is_committed_neither_loses_nor_repeats_it() {
    let denied = fixture("secretsmanager/get-secret-value-denied");
    let world = World::default();
    let subject = handler(&world, AccessProcessor::new(&world, AccessRules::default()));
    subject.handle(&denied, window(0), pending()).await.1.unwrap();
    let (calls, _) = world.calls();
    for at in 0..calls {
        for fault in Fault::ALL {
            let world = World::new(HashMap::from([(at, fault)]));
            let subject = handler(&world, AccessProcessor::new(&world, AccessRules::default()));
            for minute in 0..4 {
                world.revive();
                let (_, answer) = subject.handle(&denied, window(minute), pending()).await;
                if !world.is_dead() && answer.is_ok() {
                    break;
                }
            }
            let notified = world.published();
            let same = notified.iter().all(|message| message.attributes == notified[0].attributes);
            assert!((1..=2).contains(&notified.len()) && same, "{fault:?} at {at}: {notified:?}");
        }
    }
}

#[tokio::test]
async fn dead_letter_queues_are_inspected_and_keep_their_messages() {
    let message = |id: &str| QueuedMessage {
        id: id.into(),
        sent: None,
        body: "{}".into(),
        attributes: Default::default(),
    };
    let contents = |count, messages| QueueContents {
        queue: "arn:aws:sqs:us-east-1:333333333333:alerts-failed".into(),
        count,
        messages,
        destination: None,
    };
    let queues = vec!["arn:aws:sqs:us-east-1:333333333333:alerts-failed".to_owned()];
    let world = World::default();
    let location = AccountRegion::new("333333333333", "us-east-1");
    let filled = Lookups {
        contents: vec![contents(2, vec![message("1"), message("2")])],
        queues: queues.clone(),
        ..Lookups::default()
    };
    let subject = handler(&world, DeadLetterProcessor::new(&filled, location.clone()));
    for minute in [0, 5] {
        subject.handle(&fixture("events/scheduled"), window(minute), pending()).await.1.unwrap();
    }
    let kept = subject.handle(&batch(&["{}".to_owned()]), window(6), pending()).await.1;
    assert_eq!(kept, Ok(json!({"batchItemFailures": [{"itemIdentifier": "m0"}]})));
    let empty = Lookups { contents: vec![contents(0, vec![])], queues: queues.clone(), ..Lookups::default() };
    let subject = handler(&world, DeadLetterProcessor::new(&empty, location));
    subject.handle(&fixture("events/scheduled"), window(10), pending()).await.1.unwrap();
    let notified: Vec<String> =
        subjects(&world).into_iter().filter(|subject| subject.contains("Undelivered")).collect();
    assert_eq!(
        notified,
        [
            "[ERROR] Undelivered messages: in alerts-failed (333333333333 us-east-1)",
            "[RESOLVED] Undelivered messages: in alerts-failed (333333333333 us-east-1)",
        ]
    );
    // A deleted queue fails the invocation, and the others are inspected all the same.
    let world = World::default();
    let gone = vec!["arn:aws:sqs:us-east-1:333333333333:gone".to_owned(), queues[0].clone()];
    let filled =
        Lookups { contents: vec![contents(1, vec![message("3")])], queues: gone, ..Lookups::default() };
    let subject =
        handler(&world, DeadLetterProcessor::new(&filled, AccountRegion::new("333333333333", "us-east-1")));
    let (_, answer) = subject.handle(&fixture("events/scheduled"), window(20), pending()).await;
    assert!(answer.unwrap_err().starts_with("the data that this event refers to could not be read"));
    assert_eq!(subjects(&world).len(), 1);
}

#[tokio::test]
async fn no_secret_of_a_sample_event_is_in_a_message_or_the_state() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events");
    let (world, lookups) = (World::default(), Lookups::default());
    let failure = handler(&world, FailureProcessor::new(&lookups));
    let rotation = handler(&world, RotationProcessor::new(&world, &lookups, RotationRules::default()));
    let access = handler(&world, AccessProcessor::new(&world, AccessRules::default()));
    let mut events = 0;
    for folder in
        std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir())
    {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            let value: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
            let _ = failure.handle(&value, window(events), pending()).await;
            let _ = rotation.handle(&value, window(events), pending()).await;
            let _ = access.handle(&value, window(events), pending()).await;
            events += 1;
        }
    }
    let everything = format!("{:?}{:?}", world.published(), world.memory().all());
    assert!(events > 70 && world.published().len() > 30, "{events} {}", world.published().len());
    for secret in ["NEVERSHOWN", "X-Amz-Signature=", "RotationToken\\\":\\\"0f1e"] {
        assert!(!everything.contains(secret), "{secret}");
    }
}
