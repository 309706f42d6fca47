//! Answers that a state machine gives later.

use std::time::Duration;

use custom_resource::{Attributes, CREATE_FAILED, Failure, HandlerError};
use serde_json::{Value, json};

use crate::support::events::{
    ID_A, ID_B, LOGICAL, REQUEST, SECRETS, STACK, create, delete, done, failed, success, update,
};
use crate::support::response_server::Reply;
use crate::support::thing::Does;
use crate::support::waits::Broken;
use crate::support::{Bench, PATIENT, Setup, much_later, now};

const TIME: Duration = Duration::from_secs(60);

fn waits(_: &str) -> Does {
    Does::Waits
}

/// A bench on which a request was handed to the state machine, and the ticket that it carries.
async fn waiting(event: Value, setup: Setup) -> (Bench, Value) {
    let bench = Bench::new(Setup { waits: setup.waits.or(Some(Broken::Nothing)), ..setup }).await;
    let returned = bench.deliver(&event, TIME).await.unwrap();
    assert_eq!(returned, Value::Null);
    assert_eq!(bench.server.bodies(), [Value::Null; 0], "nothing is answered while it waits");
    let ticket = bench.waits.started()[0].1["Ticket"].clone();
    (bench, ticket)
}

fn check(ticket: &Value) -> Value {
    json!({"Wait": "check", "Ticket": ticket})
}

fn give_up(ticket: &Value, error: &str, cause: &str) -> Value {
    json!({"Wait": "give-up", "Ticket": ticket, "Error": error, "Cause": cause})
}

fn told_by_method(create: fn() -> Does, check: fn() -> Does) -> Setup {
    Setup {
        does: Box::new(move |method| if method == "check" { check() } else { create() }),
        ..Setup::default()
    }
}

#[tokio::test]
async fn the_state_machine_gets_a_ticket_with_the_url_sealed_and_everything_else_it_needs() {
    let (bench, ticket) =
        waiting(create(json!({"Name": "a"})), told_by_method(|| Does::Waits, || Does::Well)).await;
    let (name, input) = bench.waits.started().remove(0);
    // The SHA-256 of stack id, NUL and request id: the same for every delivery.
    assert_eq!(name, "Thing-53702f6e9d06f7560e095883e9c729b7");
    let deadline = now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() + 20 * 60;
    assert_eq!(
        input,
        json!({"WaitSeconds": 30, "Ticket": {
            "SealedUrl": "sealed-0", "RequestId": REQUEST, "RequestType": "Create", "StackId": STACK,
            "LogicalResourceId": LOGICAL, "PhysicalResourceId": ID_A, "IdOnFailure": ID_A, "Deadline": deadline,
            "Progress": {"looks": 1},
        }})
    );
    assert_eq!(ticket, input["Ticket"]);
    bench.kept_secrets();
}

#[tokio::test]
async fn a_check_that_finds_it_ready_answers_and_ends_the_wait() {
    let ready = || Does::Ready(Attributes::none().with("Arn", "arn:x"));
    for (event, id, body) in [
        (create(json!({"Name": "a"})), "a of a Create", success(ID_A, json!({"Arn": "arn:x"}))),
        (
            update(ID_A, json!({"Name": "a"}), json!({"Name": "b"})),
            "b of a Update",
            success(ID_B, json!({"Arn": "arn:x"})),
        ),
        (delete(ID_A, json!({"Name": "a"})), "a of a Delete", done(ID_A)),
    ] {
        let (bench, ticket) = waiting(event, told_by_method(|| Does::Waits, ready)).await;
        let reply = bench.deliver(&check(&ticket), TIME).await.unwrap();
        assert_eq!(reply, json!({"Done": true}));
        assert_eq!(bench.server.bodies(), [body]);
        assert_eq!(bench.thing.calls()[1..], [format!("check {id} after 1")]);
        bench.kept_secrets();
    }
}

#[tokio::test]
async fn a_check_that_finds_it_under_way_hands_back_the_ticket_with_its_progress_and_answers_nothing() {
    let (bench, ticket) =
        waiting(create(json!({"Name": "a"})), told_by_method(|| Does::Waits, || Does::Waits)).await;
    let reply = bench.deliver(&check(&ticket), TIME).await.unwrap();
    let mut expected = ticket.clone();
    expected["Progress"] = json!({"looks": 2});
    assert_eq!(reply, json!({"Done": false, "WaitSeconds": 30, "Ticket": expected}));
    // And once more with the ticket it gave.
    let reply = bench.deliver(&check(&reply["Ticket"]), TIME).await.unwrap();
    assert_eq!(reply["Ticket"]["Progress"], json!({"looks": 3}));
    assert_eq!(bench.server.bodies(), [Value::Null; 0]);
    assert_eq!(bench.thing.calls()[1..], ["check a of a Create after 1", "check a of a Create after 2"]);
    bench.kept_secrets();
}

#[tokio::test]
async fn a_check_that_fails_answers_the_id_of_what_there_is() {
    for (event, id) in [
        (create(json!({"Name": "a"})), ID_A),
        // The old one stays in service when a replacement fails.
        (update(ID_A, json!({"Name": "a"}), json!({"Name": "b"})), ID_A),
        (delete(ID_A, json!({"Name": "a"})), ID_A),
    ] {
        let fails = || Does::Fails(Failure::new("the service says: no"));
        let (bench, ticket) = waiting(event, told_by_method(|| Does::Waits, fails)).await;
        let reply = bench.deliver(&check(&ticket), TIME).await.unwrap();
        assert_eq!(reply, json!({"Done": true}));
        assert_eq!(bench.server.bodies(), [failed(id, "the service says: no")]);
        bench.kept_secrets();
    }
}

#[tokio::test]
async fn a_check_that_panics_or_hangs_is_answered() {
    let panics = || Does::Panics("hunter2");
    let (bench, ticket) = waiting(create(json!({"Name": "a"})), told_by_method(|| Does::Waits, panics)).await;
    assert_eq!(bench.deliver(&check(&ticket), TIME).await.unwrap(), json!({"Done": true}));
    let reason = "the function of this custom resource panicked; this is a defect in it. Its log says where.";
    assert_eq!(bench.server.bodies(), [failed(ID_A, reason)]);
    bench.kept_secrets();

    let (bench, ticket) =
        waiting(create(json!({"Name": "a"})), told_by_method(|| Does::Waits, || Does::Hangs)).await;
    assert_eq!(bench.deliver(&check(&ticket), Duration::from_secs(1)).await.unwrap(), json!({"Done": true}));
    let reason = "the function's time ran out before the work was done. What it did so far may be there; \
                  give the function a longer timeout, or repeat the operation.";
    assert_eq!(bench.server.bodies(), [failed(ID_A, reason)]);
}

#[tokio::test]
async fn a_state_machine_that_gives_up_makes_the_function_answer_with_error_and_cause() {
    for (error, cause, why) in [
        ("States.Timeout", "the task took too long", "States.Timeout: the task took too long"),
        ("States.TaskFailed", "", "States.TaskFailed"),
    ] {
        let (bench, ticket) =
            waiting(create(json!({"Name": "a"})), told_by_method(|| Does::Waits, || Does::Well)).await;
        let reply = bench.deliver(&give_up(&ticket, error, cause), TIME).await.unwrap();
        assert_eq!(reply, json!({"Done": true}));
        let reason = format!("waiting for this resource failed in the state machine: {why}");
        assert_eq!(bench.server.bodies(), [failed(ID_A, &reason)]);
        assert_eq!(bench.thing.calls(), ["create a"], "giving up does not look again");
        bench.kept_secrets();
    }
}

#[tokio::test]
async fn a_ticket_whose_deadline_has_passed_is_answered_as_a_failure_with_what_was_last_seen() {
    // The ticket is handed over by one clock and comes back by another.
    let (bench, ticket) =
        waiting(create(json!({"Name": "a"})), told_by_method(|| Does::Waits, || Does::Waits)).await;
    let late = Bench { handler: bench.handler.telling_time_by(much_later), ..bench };
    let deadline = much_later() + TIME;
    let reply = late.handler.handle(check(&ticket), deadline).await.unwrap();
    assert_eq!(reply, json!({"Done": true}));
    assert_eq!(late.server.bodies(), [failed(ID_A, "not ready after 20 minutes; last seen: {\"looks\":2}")]);
    late.kept_secrets();
}

#[tokio::test]
async fn a_resource_that_is_ready_after_its_deadline_is_still_a_success() {
    let (bench, ticket) =
        waiting(create(json!({"Name": "a"})), told_by_method(|| Does::Waits, || Does::Well)).await;
    let late = Bench { handler: bench.handler.telling_time_by(much_later), ..bench };
    late.handler.handle(check(&ticket), much_later() + TIME).await.unwrap();
    assert_eq!(late.server.bodies(), [done(ID_A)]);
}

#[tokio::test]
async fn the_same_event_twice_starts_one_wait_and_both_invocations_succeed() {
    let setup = Setup { does: Box::new(waits), waits: Some(Broken::Nothing), ..Setup::default() };
    let bench = Bench::new(setup).await;
    let event = create(json!({"Name": "a"}));
    let (first, second) = tokio::join!(bench.deliver(&event, TIME), bench.deliver(&event, TIME));
    assert_eq!((first.unwrap(), second.unwrap()), (Value::Null, Value::Null));
    assert_eq!(bench.waits.attempts(), 2, "both asked for the start under one name");
    assert_eq!(bench.waits.started().len(), 1);
    assert_eq!(bench.server.bodies(), [Value::Null; 0]);
}

#[tokio::test]
async fn a_duplicate_that_arrives_after_the_wait_finds_it_ready_and_answers_the_same() {
    let asked = std::sync::atomic::AtomicU32::new(0);
    let setup = Setup {
        does: Box::new(move |_| match asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            0 => Does::Waits,
            _ => Does::Ready(Attributes::none().with("Arn", "arn:x")),
        }),
        ..Setup::default()
    };
    let event = create(json!({"Name": "a"}));
    let (bench, ticket) = waiting(event.clone(), setup).await;
    bench.deliver(&check(&ticket), TIME).await.unwrap();
    bench.deliver(&event, TIME).await.unwrap();
    assert_eq!(bench.server.bodies(), vec![success(ID_A, json!({"Arn": "arn:x"})); 2]);
}

#[tokio::test]
async fn an_answer_that_cannot_be_delivered_makes_the_state_machine_call_again_and_then_arrives() {
    let setup = Setup {
        replies: vec![Reply::Status(500); 4],
        policy: PATIENT,
        ..told_by_method(|| Does::Waits, || Does::Well)
    };
    let (bench, ticket) = waiting(create(json!({"Name": "a"})), setup).await;
    let error = bench.deliver(&check(&ticket), TIME).await.unwrap_err();
    assert!(matches!(error, HandlerError::NotDelivered(_)), "{error:?}");
    let reply = bench.deliver(&check(&ticket), TIME).await.unwrap();
    assert_eq!(reply, json!({"Done": true}));
    assert_eq!(bench.server.bodies(), vec![done(ID_A); 5]);
    bench.kept_secrets();
}

#[tokio::test]
async fn an_answer_that_is_refused_for_good_ends_the_wait() {
    let setup = Setup { replies: vec![Reply::Status(403)], ..told_by_method(|| Does::Waits, || Does::Well) };
    let (bench, ticket) = waiting(create(json!({"Name": "a"})), setup).await;
    assert_eq!(bench.deliver(&check(&ticket), TIME).await.unwrap(), json!({"Done": true}));
    assert_eq!(bench.server.bodies(), [done(ID_A)]);
}

#[tokio::test]
async fn a_wait_that_cannot_be_handed_over_is_answered_at_once_with_the_real_id() {
    for (broken, cause) in [
        (Broken::Seal, "AccessDeniedException: kms:Encrypt"),
        (Broken::Start, "AccessDeniedException: states:StartExecution"),
    ] {
        let setup = Setup { does: Box::new(waits), waits: Some(broken), ..Setup::default() };
        let bench = Bench::new(setup).await;
        bench.deliver(&create(json!({"Name": "a"})), TIME).await.unwrap();
        let reason = format!("the wait could not be handed to the state machine: {cause}");
        assert_eq!(bench.server.bodies(), [failed(ID_A, &reason)]);
        bench.kept_secrets();
    }
}

#[tokio::test]
async fn a_provider_that_waits_without_a_state_machine_is_answered_as_a_failure() {
    let bench = Bench::new(Setup { does: Box::new(waits), ..Setup::default() }).await;
    bench.deliver(&create(json!({"Name": "a"})), TIME).await.unwrap();
    assert_eq!(bench.server.bodies(), [failed(ID_A, "this function has no state machine to wait with")]);
}

#[tokio::test]
async fn a_ticket_that_does_not_open_is_an_error_so_that_the_state_machine_tries_again() {
    let (bench, ticket) =
        waiting(create(json!({"Name": "a"})), told_by_method(|| Does::Waits, || Does::Well)).await;
    for (field, value) in [("SealedUrl", "sealed-7"), ("RequestId", "another request")] {
        let mut forged = ticket.clone();
        forged[field] = json!(value);
        let error = bench.deliver(&check(&forged), TIME).await.unwrap_err();
        assert!(matches!(error, HandlerError::NotDelivered(_)), "{error:?}");
    }
    assert_eq!(bench.server.bodies(), [Value::Null; 0]);
}

#[tokio::test]
async fn a_ticket_with_an_id_that_is_not_ours_is_answered_as_a_failure_without_the_provider() {
    let (bench, mut ticket) =
        waiting(create(json!({"Name": "a"})), told_by_method(|| Does::Waits, || Does::Well)).await;
    ticket["PhysicalResourceId"] = json!("elsewhere:e48ac103:a");
    bench.deliver(&check(&ticket), TIME).await.unwrap();
    assert_eq!(bench.server.bodies(), [failed(ID_A, "the state machine handed back an id that is not ours")]);
    assert_eq!(bench.thing.calls(), ["create a"]);
}

#[tokio::test]
async fn a_function_that_could_not_start_tells_the_state_machine_to_call_again() {
    // It has nothing to open the URL with. Another instance of the function may have.
    let (_, ticket) =
        waiting(create(json!({"Name": "a"})), told_by_method(|| Does::Waits, || Does::Well)).await;
    let bench = Bench::new(Setup { start: Err(Failure::new("no key")), ..Setup::default() }).await;
    for call in [check(&ticket), give_up(&ticket, "States.Timeout", "")] {
        let error = bench.deliver(&call, TIME).await.unwrap_err();
        let HandlerError::NotDelivered(source) = error else { panic!("{error:?}") };
        assert_eq!(source.to_string(), "the function of this custom resource could not start: no key");
    }
}

#[tokio::test]
async fn the_url_is_in_no_log_ticket_reply_or_error_whatever_happens() {
    // `kept_secrets` is the proof in every other test; this one proves that it would notice.
    assert!(SECRETS.contains(&"hunter2"));
    let (bench, ticket) =
        waiting(create(json!({"Name": "a"})), told_by_method(|| Does::Waits, || Does::Well)).await;
    tracing::info!(url = bench.server.url(), "a leak");
    let noticed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| bench.kept_secrets()));
    assert!(noticed.is_err(), "a URL in the log is noticed");
    assert!(!ticket.to_string().contains("http"), "{ticket}");
}

#[tokio::test]
async fn a_failed_create_that_never_got_to_wait_still_answers_the_marker() {
    let setup = told_by_method(|| Does::Fails(Failure::new("no")), || Does::Well);
    let bench = Bench::new(Setup { waits: Some(Broken::Nothing), ..setup }).await;
    bench.deliver(&create(json!({"Name": "a"})), TIME).await.unwrap();
    assert_eq!(bench.server.bodies(), [failed(CREATE_FAILED, "no")]);
    assert_eq!(bench.waits.attempts(), 0);
}
