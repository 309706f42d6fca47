//! Waits in a state machine.

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

/// Returns a bench with a waiting request, and its ticket.
async fn waiting(event: Value, setup: Setup) -> (Bench, Value) {
    let bench = Bench::new(Setup { waits: setup.waits.or(Some(Broken::Nothing)), ..setup }).await;
    let returned = bench.deliver(&event, TIME).await.unwrap();
    assert_eq!(returned, Value::Null);
    assert_eq!(bench.server.bodies(), [Value::Null; 0], "no response while it waits");
    let ticket = bench.waits.started()[0].1["Ticket"].clone();
    (bench, ticket)
}

fn check(ticket: &Value) -> Value {
    json!({"Wait": "check", "Ticket": ticket})
}

fn give_up(ticket: &Value, error: &str, cause: &str) -> Value {
    json!({"Wait": "give-up", "Ticket": ticket, "Error": error, "Cause": cause})
}

fn by_method(create: fn() -> Does, check: fn() -> Does) -> Setup {
    Setup {
        does: Box::new(move |method| if method == "check" { check() } else { create() }),
        ..Setup::default()
    }
}

#[tokio::test]
async fn ticket_holds_the_sealed_url_and_the_request() {
    let (bench, ticket) =
        waiting(create(json!({"Name": "a"})), by_method(|| Does::Waits, || Does::Well)).await;
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
async fn check_of_a_ready_resource_responds_and_ends_the_wait() {
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
        let (bench, ticket) = waiting(event, by_method(|| Does::Waits, ready)).await;
        let reply = bench.deliver(&check(&ticket), TIME).await.unwrap();
        assert_eq!(reply, json!({"Done": true}));
        assert_eq!(bench.server.bodies(), [body]);
        assert_eq!(bench.thing.calls()[1..], [format!("check {id} after 1")]);
        bench.kept_secrets();
    }
}

#[tokio::test]
async fn check_of_a_waiting_resource_returns_the_ticket_with_progress() {
    let (bench, ticket) =
        waiting(create(json!({"Name": "a"})), by_method(|| Does::Waits, || Does::Waits)).await;
    let reply = bench.deliver(&check(&ticket), TIME).await.unwrap();
    let mut expected = ticket.clone();
    expected["Progress"] = json!({"looks": 2});
    // The URL is bound to the whole ticket, so it is sealed again.
    expected["SealedUrl"] = json!("sealed-1");
    assert_eq!(reply, json!({"Done": false, "WaitSeconds": 30, "Ticket": expected}));
    // And once more with the ticket it gave.
    let reply = bench.deliver(&check(&reply["Ticket"]), TIME).await.unwrap();
    assert_eq!(reply["Ticket"]["Progress"], json!({"looks": 3}));
    assert_eq!(bench.server.bodies(), [Value::Null; 0]);
    assert_eq!(bench.thing.calls()[1..], ["check a of a Create after 1", "check a of a Create after 2"]);
    bench.kept_secrets();
}

#[tokio::test]
async fn failed_check_responds_with_the_id_of_the_resource() {
    for (event, id) in [
        (create(json!({"Name": "a"})), ID_A),
        // The old one stays in service when a replacement fails.
        (update(ID_A, json!({"Name": "a"}), json!({"Name": "b"})), ID_A),
        (delete(ID_A, json!({"Name": "a"})), ID_A),
    ] {
        let fails = || Does::Fails(Failure::new("the service says: no"));
        let (bench, ticket) = waiting(event, by_method(|| Does::Waits, fails)).await;
        let reply = bench.deliver(&check(&ticket), TIME).await.unwrap();
        assert_eq!(reply, json!({"Done": true}));
        assert_eq!(bench.server.bodies(), [failed(id, "the service says: no")]);
        bench.kept_secrets();
    }
}

#[tokio::test]
async fn check_that_panics_or_hangs_has_a_response() {
    let panics = || Does::Panics("hunter2");
    let (bench, ticket) = waiting(create(json!({"Name": "a"})), by_method(|| Does::Waits, panics)).await;
    assert_eq!(bench.deliver(&check(&ticket), TIME).await.unwrap(), json!({"Done": true}));
    let reason = "the function of this custom resource panicked, which is a bug; its log shows the place";
    assert_eq!(bench.server.bodies(), [failed(ID_A, reason)]);
    bench.kept_secrets();

    let (bench, ticket) =
        waiting(create(json!({"Name": "a"})), by_method(|| Does::Waits, || Does::Hangs)).await;
    assert_eq!(bench.deliver(&check(&ticket), Duration::from_secs(1)).await.unwrap(), json!({"Done": true}));
    let reason = "the function timed out before the work was done, and part of it may be done; \
                  give the function a longer timeout, or repeat the operation";
    assert_eq!(bench.server.bodies(), [failed(ID_A, reason)]);
}

#[tokio::test]
async fn give_up_responds_with_error_and_cause() {
    for (error, cause, why) in [
        ("States.Timeout", "the task took too long", "States.Timeout: the task took too long"),
        ("States.TaskFailed", "", "States.TaskFailed"),
    ] {
        let (bench, ticket) =
            waiting(create(json!({"Name": "a"})), by_method(|| Does::Waits, || Does::Well)).await;
        let reply = bench.deliver(&give_up(&ticket, error, cause), TIME).await.unwrap();
        assert_eq!(reply, json!({"Done": true}));
        let reason = format!("waiting for this resource failed in the state machine: {why}");
        assert_eq!(bench.server.bodies(), [failed(ID_A, &reason)]);
        assert_eq!(bench.thing.calls(), ["create a"], "giving up does not check again");
        bench.kept_secrets();
    }
}

#[tokio::test]
async fn expired_ticket_fails_with_the_last_progress() {
    // The wait starts by one clock and its check runs by another.
    let (bench, ticket) =
        waiting(create(json!({"Name": "a"})), by_method(|| Does::Waits, || Does::Waits)).await;
    let late = Bench { handler: bench.handler.with_clock(much_later), ..bench };
    let deadline = much_later() + TIME;
    let reply = late.handler.handle(check(&ticket), deadline).await.unwrap();
    assert_eq!(reply, json!({"Done": true}));
    assert_eq!(
        late.server.bodies(),
        [failed(ID_A, "not ready after 20 minutes; last progress: {\"looks\":2}")]
    );
    late.kept_secrets();
}

#[tokio::test]
async fn resource_that_is_ready_after_its_deadline_is_a_success() {
    let (bench, ticket) =
        waiting(create(json!({"Name": "a"})), by_method(|| Does::Waits, || Does::Well)).await;
    let late = Bench { handler: bench.handler.with_clock(much_later), ..bench };
    late.handler.handle(check(&ticket), much_later() + TIME).await.unwrap();
    assert_eq!(late.server.bodies(), [done(ID_A)]);
}

#[tokio::test]
async fn duplicate_events_start_one_wait() {
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
async fn duplicate_after_the_wait_has_the_same_response() {
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
async fn undelivered_response_of_a_wait_is_sent_by_the_next_call() {
    let setup = Setup {
        replies: vec![Reply::Status(500); 4],
        policy: PATIENT,
        ..by_method(|| Does::Waits, || Does::Well)
    };
    let (bench, ticket) = waiting(create(json!({"Name": "a"})), setup).await;
    let error = bench.deliver(&check(&ticket), TIME).await.unwrap_err();
    assert!(matches!(error, HandlerError::ResponseNotDelivered(_)), "{error:?}");
    let reply = bench.deliver(&check(&ticket), TIME).await.unwrap();
    assert_eq!(reply, json!({"Done": true}));
    assert_eq!(bench.server.bodies(), vec![done(ID_A); 5]);
    bench.kept_secrets();
}

#[tokio::test]
async fn response_that_is_rejected_for_good_ends_the_wait() {
    let setup = Setup { replies: vec![Reply::Status(403)], ..by_method(|| Does::Waits, || Does::Well) };
    let (bench, ticket) = waiting(create(json!({"Name": "a"})), setup).await;
    assert_eq!(bench.deliver(&check(&ticket), TIME).await.unwrap(), json!({"Done": true}));
    assert_eq!(bench.server.bodies(), [done(ID_A)]);
}

#[tokio::test]
async fn wait_that_cannot_start_fails_with_the_real_id() {
    for (broken, cause) in [
        (Broken::Seal, "AccessDeniedException: kms:Encrypt"),
        (Broken::Start, "AccessDeniedException: states:StartExecution"),
    ] {
        let setup = Setup { does: Box::new(waits), waits: Some(broken), ..Setup::default() };
        let bench = Bench::new(setup).await;
        bench.deliver(&create(json!({"Name": "a"})), TIME).await.unwrap();
        let reason = format!("the waiting state machine could not be started: {cause}");
        assert_eq!(bench.server.bodies(), [failed(ID_A, &reason)]);
        bench.kept_secrets();
    }
}

#[tokio::test]
async fn wait_without_a_state_machine_is_a_failure() {
    let bench = Bench::new(Setup { does: Box::new(waits), ..Setup::default() }).await;
    bench.deliver(&create(json!({"Name": "a"})), TIME).await.unwrap();
    assert_eq!(bench.server.bodies(), [failed(ID_A, "this function has no state machine for waits")]);
}

#[tokio::test]
async fn ticket_that_does_not_open_fails_the_invocation() {
    let (bench, ticket) =
        waiting(create(json!({"Name": "a"})), by_method(|| Does::Waits, || Does::Well)).await;
    for (field, value) in [
        ("SealedUrl", json!("sealed-7")),
        ("RequestId", json!("another request")),
        ("RequestType", json!("Delete")),
        ("StackId", json!("arn:aws:cloudformation:us-east-1:111111111111:stack/other/1")),
        ("LogicalResourceId", json!("Other")),
        ("PhysicalResourceId", json!("conformance:e48ac103:b")),
        ("IdOnFailure", json!("conformance:e48ac103:b")),
        ("Deadline", json!(1_900_000_000)),
        ("Progress", json!({"looks": 7})),
    ] {
        let mut forged = ticket.clone();
        forged[field] = value;
        for call in [check(&forged), give_up(&forged, "States.Timeout", "")] {
            let error = bench.deliver(&call, TIME).await.unwrap_err();
            assert!(matches!(error, HandlerError::ResponseNotDelivered(_)), "{field}: {error:?}");
        }
    }
    assert_eq!(bench.thing.calls(), ["create a"], "a ticket that does not open is not acted on");
    assert_eq!(bench.server.bodies(), [Value::Null; 0]);
}

#[tokio::test]
async fn failed_start_makes_the_state_machine_call_again() {
    // This instance cannot open the URL. Another instance of the function may be able to.
    let (_, ticket) = waiting(create(json!({"Name": "a"})), by_method(|| Does::Waits, || Does::Well)).await;
    let bench = Bench::new(Setup { start: Err(Failure::new("no key")), ..Setup::default() }).await;
    for call in [check(&ticket), give_up(&ticket, "States.Timeout", "")] {
        let error = bench.deliver(&call, TIME).await.unwrap_err();
        let HandlerError::ResponseNotDelivered(source) = error else { panic!("{error:?}") };
        assert_eq!(source.to_string(), "the function of this custom resource could not start: no key");
    }
}

#[tokio::test]
async fn url_in_a_log_is_noticed_by_these_tests() {
    // Every other test calls `kept_secrets`; this one proves that it notices a leak.
    assert!(SECRETS.contains(&"hunter2"));
    let (bench, ticket) =
        waiting(create(json!({"Name": "a"})), by_method(|| Does::Waits, || Does::Well)).await;
    tracing::info!(url = bench.server.url(), "a leak");
    let noticed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| bench.kept_secrets()));
    assert!(noticed.is_err(), "a URL in the log is noticed");
    assert!(!ticket.to_string().contains("http"), "{ticket}");
}

#[tokio::test]
async fn failed_create_before_a_wait_returns_the_marker() {
    let setup = by_method(|| Does::Fails(Failure::new("no")), || Does::Well);
    let bench = Bench::new(Setup { waits: Some(Broken::Nothing), ..setup }).await;
    bench.deliver(&create(json!({"Name": "a"})), TIME).await.unwrap();
    assert_eq!(bench.server.bodies(), [failed(CREATE_FAILED, "no")]);
    assert_eq!(bench.waits.attempts(), 0);
}
