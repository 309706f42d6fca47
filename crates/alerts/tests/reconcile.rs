//! Checks that run again and again: what they found, how much they covered, and what is notified.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use alerts::incident::AccountRegion;
use alerts::kind::{Kind, Severity};
use alerts::moment::Moment;
use alerts::notifier::{InvocationWindow, OpenIncident, ReconcileError, ReconcileStats, RecordError, Run};
use alerts::state::{EventId, Policy};
use alerts::store::StoreError;
use alerts::{Coverage, Incident, Notifier, Observation, Scope};
use lambda_kit::call::CallError;
use lambda_kit::error::chain;
use test_support::alerts::World;
use test_support::faults::Fault;
use tokio::time::Instant;

const HOUR: Duration = Duration::from_secs(3600);

fn at(hours: u32) -> Moment {
    Moment::BEGINNING.plus(HOUR * 480_000).plus(HOUR * hours)
}

fn location() -> AccountRegion {
    AccountRegion::new("222222222222", "us-east-1")
}

fn scope() -> Scope {
    Scope::new("a-check", location())
}

fn incident(subject: &str) -> Incident {
    let name = format!("secret {subject}");
    Incident::new(Kind::RotationOverdue, Severity::Warning, location(), subject, &name, at(0))
}

fn window(now: Moment) -> InvocationWindow {
    InvocationWindow { now, deadline: now.plus(Duration::from_secs(60)) }
}

fn notifier(world: &World) -> Notifier<&World, &World> {
    Notifier::new(world, world, Policy::default())
}

/// Runs a check with this id at this time, which found these incidents.
async fn run_as(
    world: &World,
    id: &str,
    now: Moment,
    found: &[Incident],
    coverage: Coverage<'_>,
) -> Result<ReconcileStats, ReconcileError> {
    let run = Run { id, window: window(now), until: Instant::now() + HOUR };
    notifier(world).reconcile(&scope(), found, &coverage, run).await
}

/// Runs a complete check at an hour.
async fn run(world: &World, hour: u32, found: &[Incident]) -> ReconcileStats {
    let id = format!("run {hour}");
    run_as(world, &id, at(hour), found, Coverage::all("not found any more")).await.unwrap()
}

/// Returns status and name of each message.
fn messages(world: &World) -> Vec<String> {
    let attribute = |message: &alerts::message::Message, name: &str| {
        message.attributes.iter().find(|(found, _)| *found == name).unwrap().1.clone()
    };
    let name = |subject: &str| subject.rsplit(": ").next().unwrap().split(" (").next().unwrap().to_owned();
    world
        .published()
        .iter()
        .map(|message| format!("{} {}", attribute(message, "status"), name(&message.subject)))
        .collect()
}

#[tokio::test]
async fn problem_is_opened_once_and_resolved_when_it_is_not_found() {
    let world = World::default();
    let both = [incident("a"), incident("b")];
    assert_eq!(run(&world, 0, &both).await.open, 2);
    run(&world, 1, &both).await;
    let stats = run(&world, 2, &both[..1]).await;
    assert_eq!((stats.open, stats.resolved, stats.record.published), (1, 1, 1));
    run(&world, 3, &both[..1]).await;
    assert_eq!(messages(&world), ["opened secret a", "opened secret b", "resolved secret b"]);
}

#[tokio::test]
async fn repeated_run_counts_once() {
    let world = World::default();
    for _ in 0..3 {
        run(&world, 0, &[incident("a")]).await;
    }
    for _ in 0..3 {
        run(&world, 1, &[]).await;
    }
    assert_eq!(messages(&world), ["opened secret a", "resolved secret a"]);
}

#[tokio::test(start_paused = true)]
async fn concurrent_runs_notify_once() {
    let world = World::default();
    let found = [incident("a"), incident("b"), incident("c")];
    let one = async |id: &str| {
        for attempt in 0.. {
            assert!(attempt < 5, "{id} never succeeds");
            let coverage = Coverage::all("not found any more");
            if run_as(&world, id, at(0), &found, coverage).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::join!(one("first"), one("second"), one("third"));
    let mut opened = messages(&world);
    opened.sort_unstable();
    assert_eq!(opened, ["opened secret a", "opened secret b", "opened secret c"]);
    // Runs that finish at the same time resolve once, too.
    let end = async |id: &str| {
        for _ in 0..5 {
            let coverage = Coverage::all("not found any more");
            if run_as(&world, id, at(1), &[], coverage).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::join!(end("fourth"), end("fifth"));
    assert_eq!(messages(&world).len(), 6);
}

#[tokio::test]
async fn late_run_neither_reopens_nor_resolves() {
    let world = World::default();
    run(&world, 0, &[incident("a")]).await;
    run(&world, 2, &[]).await;
    // A run of the hour before, which still found it.
    run(&world, 1, &[incident("a")]).await;
    assert_eq!(messages(&world), ["opened secret a", "resolved secret a"]);
    run(&world, 4, &[incident("a")]).await;
    // A run of the hour before, which did not find it.
    run(&world, 3, &[]).await;
    run(&world, 5, &[incident("a")]).await;
    assert_eq!(messages(&world)[2..], ["opened secret a"]);
}

#[tokio::test]
async fn coverage_limits_what_is_resolved() {
    let world = World::default();
    let both = [incident("a"), incident("b")];
    run(&world, 0, &both).await;
    run_as(&world, "none", at(1), &[], Coverage::none()).await.unwrap();
    assert_eq!(messages(&world).len(), 2);
    let a_only = |open: &OpenIncident| (open.subject == "a").then_some("it rotated");
    let stats = run_as(&world, "a only", at(2), &[], Coverage::of(a_only)).await.unwrap();
    assert_eq!((stats.open, stats.resolved), (1, 1));
    assert_eq!(messages(&world)[2..], ["resolved secret a"]);
    assert!(world.published()[2].body.contains("it rotated at"), "{:?}", world.published()[2]);
    // Another scope covers nothing of this one.
    let other = Scope::new("another-check", location());
    let run = Run { id: "other", window: window(at(3)), until: Instant::now() + HOUR };
    notifier(&world).reconcile(&other, &[], &Coverage::all("gone"), run).await.unwrap();
    assert_eq!(messages(&world).len(), 3);
}

#[tokio::test]
async fn grace_delays_the_alert_until_the_problem_persists() {
    let world = World::default();
    let found = [incident("a").grace(HOUR * 2), incident("b").grace(Duration::from_micros(1))];
    run(&world, 0, &found).await;
    assert_eq!(messages(&world), [""; 0]);
    run(&world, 1, &found).await;
    assert_eq!(messages(&world), ["opened secret b"]);
    run(&world, 2, &found).await;
    assert_eq!(messages(&world)[1..], ["opened secret a"]);
    // It has existed since it was found first.
    let since = format!("Since:    {}", at(0));
    assert!(world.published()[1].body.contains(&since), "{:?}", world.published()[1]);
    run(&world, 3, &[]).await;
    assert_eq!(messages(&world).len(), 4);
    // A problem that ends within its grace period is not notified, and starts a new one later.
    run(&world, 4, &found[..1]).await;
    run(&world, 5, &[]).await;
    run(&world, 6, &found[..1]).await;
    run(&world, 7, &found[..1]).await;
    assert_eq!(messages(&world).len(), 4);
    run(&world, 8, &found[..1]).await;
    assert_eq!(messages(&world)[4..], ["opened secret a"]);
}

#[tokio::test]
async fn check_without_changes_costs_one_read_and_one_write() {
    let world = World::default();
    let calls = |before: usize| world.store_calls() - before;
    run(&world, 0, &[]).await;
    assert_eq!(world.store_calls(), 1, "nothing found and nothing open");
    let found: Vec<Incident> =
        (0..80).map(|number| incident(&format!("s{number}")).group("secrets")).collect();
    run(&world, 1, &found).await;
    let before = world.store_calls();
    run(&world, 2, &found).await;
    assert_eq!(calls(before), 2, "80 open incidents");
    assert_eq!(world.published().len(), 12);
}

#[tokio::test]
async fn one_new_problem_costs_five_calls_and_one_observation_three() {
    let world = World::default();
    run(&world, 0, &[incident("a")]).await;
    // The scope is read and written; the incident is read, written and removed from the outbox.
    assert_eq!(world.store_calls(), 5);
    let before = world.store_calls();
    let observation = Observation::firing(incident("b"), EventId::of(&["b"]));
    notifier(&world).record(&[observation], window(at(1))).await.remove(0).unwrap();
    assert_eq!(world.store_calls() - before, 3);
}

#[tokio::test]
async fn many_observations_share_their_calls() {
    let world = World::default();
    let observation = |number: u32| {
        let incident = incident(&format!("file {number}")).group("files of a job");
        Observation::firing(incident, EventId::of(&["file", &number.to_string()]))
    };
    let observations: Vec<Observation> = (0..1000).map(observation).collect();
    let results = notifier(&world).record(&observations, window(at(0))).await;
    assert!(results.iter().all(Result::is_ok));
    assert_eq!(messages(&world).len(), 12);
    // 49 incidents, their events and one rate limiter are 99 items: 21 batches of a read and a
    // transaction, and a removal for each of the twelve that are published.
    assert_eq!(world.store_calls(), 54);
}

#[tokio::test]
async fn recorded_event_is_known_for_as_long_as_it_is_remembered() {
    let world = World::default();
    let day = HOUR * 24;
    let observation = |subject: &str| Observation::firing(incident(subject), EventId::of(&[subject]));
    let known = [observation("a"), observation("b").remembered_for(day * 400)];
    assert!(notifier(&world).record(&known, window(at(0))).await.iter().all(Result::is_ok));
    let events: Vec<_> =
        ["a", "b", "c"].map(|subject| (incident(subject).key(), EventId::of(&[subject]))).into();
    let recorded =
        async |days: u32| notifier(&world).recorded(&events, at(0).plus(day * days)).await.unwrap();
    assert_eq!(recorded(14).await, [true, true, false]);
    assert_eq!(recorded(16).await, [false, true, false]);
    assert_eq!(recorded(399).await, [false, true, false]);
    assert_eq!(recorded(401).await, [false, false, false]);
}

#[tokio::test]
async fn open_incidents_are_kept_for_months_and_spread_over_items() {
    let world = World::default();
    let found: Vec<Incident> = (0..1000).map(|number| incident(&format!("arn:s{number}"))).collect();
    run(&world, 0, &found).await;
    let documents =
        world.memory().all().into_iter().filter(|(key, _)| key.partition.starts_with("open|")).count();
    assert_eq!(documents, 16);
    for day in 1..200 {
        run(&world, day * 24, &found[..1]).await;
    }
    assert_eq!(run(&world, 200 * 24, &[]).await.resolved, 1);
}

#[tokio::test]
async fn unreadable_open_incidents_are_reset() {
    let world = World::default();
    run(&world, 0, &[incident("a")]).await;
    for (key, _) in world.memory().all() {
        if key.partition.starts_with("open|") {
            world.memory().corrupt(&key, "{");
        }
    }
    // The incident is still known, so that nothing is notified twice.
    run(&world, 1, &[incident("a")]).await;
    run(&world, 2, &[]).await;
    assert_eq!(messages(&world), ["opened secret a", "resolved secret a"]);
}

#[tokio::test]
async fn run_without_time_left_states_its_progress() {
    let world = World::default();
    let run = Run { id: "run", window: window(at(0)), until: Instant::now() };
    let found: Vec<Incident> = (0..50).map(|number| incident(&format!("s{number}"))).collect();
    let error = notifier(&world).reconcile(&scope(), &found, &Coverage::none(), run).await.unwrap_err();
    assert_eq!(error.to_string(), "timed out after 40 of 50 incidents; increase the function's timeout");
    assert_eq!(messages(&world).len(), 40);
}

#[tokio::test(start_paused = true)]
async fn incidents_of_a_crashed_run_are_resolved_by_the_next_one() {
    // Two transactions: one incident, its event and its rate limiter are three of 100 items.
    let found: Vec<Incident> = (0..34).map(|number| incident(&format!("s{number}"))).collect();
    let quiet = World::default();
    run(&quiet, 0, &found).await;
    let mut half = 0;
    for call in (0..quiet.calls().0).step_by(5) {
        for fault in [Fault::DiesBefore, Fault::DiesAfter] {
            let world = World::new(HashMap::from([(call, fault)]));
            // Nobody repeats the run.
            let coverage = Coverage::all("not found any more");
            let _ = run_as(&world, "crashed", at(0), &found, coverage).await;
            world.revive();
            let recorded = world.memory().all().iter().filter(|(key, _)| key.sort == "incident").count();
            half += usize::from(recorded > 0 && recorded < found.len());
            run(&world, 1, &[]).await;
            notifier(&world).sweep(window(at(2)), 100).await.unwrap();
            let of = |status: &str| {
                let all: BTreeSet<String> =
                    messages(&world).into_iter().filter(|message| message.starts_with(status)).collect();
                all.len()
            };
            assert_eq!(of("opened"), of("resolved"), "{fault:?} at call {call}");
        }
    }
    assert!(half > 0, "no crash came between two transactions");
}

#[test]
fn errors_state_what_failed_with_their_causes() {
    let call = || CallError::without_answer("dynamodb:TransactWriteItems", "throttled");
    let store = || StoreError::Call(call());
    for (error, sentence) in [
        (
            RecordError::from(store()),
            "the state of the alerts could not be read or written: dynamodb:TransactWriteItems: throttled",
        ),
        (
            RecordError::Publish(Arc::new(CallError::without_answer("sns:Publish", "closed"))),
            "the alert could not be published; it stays in the outbox and will be retried: \
             sns:Publish: closed",
        ),
        (
            RecordError::Busy,
            "another invocation is publishing the alert of this event; the event is delivered again to \
             find out whether that succeeded",
        ),
        (
            RecordError::lookup(CallError::without_answer("sts:AssumeRole", "denied")),
            "the data that this event refers to could not be read: sts:AssumeRole: denied",
        ),
        (RecordError::Contended, "other invocations changed the state of this incident 12 times in a row"),
        (RecordError::OutboxFull, "outbox full for this incident; the event stays in the queue"),
    ] {
        assert_eq!(chain(&error), sentence);
    }
    let error = ReconcileError::Record { failed: 1, of: 3, first: RecordError::Contended };
    assert_eq!(
        chain(&error),
        "1 of 3 incidents could not be recorded: other invocations changed the state of this incident \
         12 times in a row"
    );
    assert_eq!(
        chain(&ReconcileError::Store(StoreError::Conflict)),
        "the open incidents of the check could not be read or written: another invocation wrote an item \
         of the state at the same time"
    );
}
