//! Runs of a check whose clock is late: their results arrive after those of later runs.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use alerts::incident::AccountRegion;
use alerts::kind::{Kind, Severity};
use alerts::moment::Moment;
use alerts::notifier::{InvocationWindow, Run};
use alerts::state::Policy;
use alerts::{Coverage, Incident, Notifier, Scope};
use test_support::alerts::World;
use tokio::time::Instant;

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

fn beginning() -> Moment {
    Moment::parse_sql("2026-03-01 03:05:00").unwrap()
}

fn inactive(at: Moment) -> Incident {
    let location = AccountRegion::new("222222222222", "us-east-1");
    let job = "copy job orders";
    Incident::new(Kind::CopyJobInactive, Severity::Error, location, job, job, at)
}

/// Runs a check whose clock shows this time, which found the job inactive or not.
async fn run(world: &World, at: Moment, is_inactive: bool) {
    let notifier = Notifier::new(world, world, Policy::default());
    let found: Vec<Incident> = is_inactive.then(|| inactive(at)).into_iter().collect();
    let scope = Scope::new("a-check", AccountRegion::new("222222222222", "us-east-1"));
    let window = InvocationWindow { now: at, deadline: at.plus(MINUTE) };
    let id = format!("{at} {is_inactive}");
    let run = Run { id: &id, window, until: Instant::now() + DAY };
    notifier.reconcile(&scope, &found, &Coverage::all("the job works again"), run).await.unwrap();
}

/// Publishes what is due five minutes later, as the schedule of the alerts does.
async fn sweep(world: &World, at: Moment) {
    let now = at.plus(MINUTE * 5);
    let window = InvocationWindow { now, deadline: now.plus(MINUTE) };
    Notifier::new(world, world, Policy::default()).sweep(window, 100).await.unwrap();
}

fn subjects(world: &World) -> Vec<String> {
    let of_job = |subject: String| subject.split(": copy job").next().unwrap().to_owned();
    world.published().into_iter().map(|message| of_job(message.subject)).collect()
}

#[tokio::test]
async fn end_before_its_beginning_is_left_to_the_next_run() {
    let world = World::default();
    run(&world, beginning(), true).await;
    // The clock of this run is an hour behind, so it may know less than the run before.
    run(&world, beginning().minus(MINUTE * 60), false).await;
    assert_eq!(subjects(&world), ["[ERROR] Copy job inactive"]);
    run(&world, beginning().plus(MINUTE), false).await;
    assert_eq!(subjects(&world), ["[ERROR] Copy job inactive", "[RESOLVED] Copy job inactive"]);
    // The same delay after the end opens nothing.
    run(&world, beginning().minus(MINUTE * 60), true).await;
    assert_eq!(subjects(&world).len(), 2);
}

#[tokio::test]
async fn condition_of_29_days_is_not_repeated_by_a_late_run_after_its_end() {
    let world = World::default();
    for day in 0..=28 {
        let at = beginning().plus(DAY * day);
        run(&world, at, true).await;
        sweep(&world, at).await;
    }
    let end = beginning().plus(DAY * 29);
    run(&world, end.plus(MINUTE), false).await;
    run(&world, end, true).await;
    sweep(&world, end).await;
    let still = |time| format!("[ERROR] Still: Copy job inactive, for {time}");
    let expected = [
        "[ERROR] Copy job inactive".to_owned(),
        still("24 h"),
        still("5 d"),
        still("12 d"),
        still("19 d"),
        still("26 d"),
        "[RESOLVED] Copy job inactive".to_owned(),
    ];
    assert_eq!(subjects(&world), expected);
    // A run whose clock is right opens a new incident.
    run(&world, end.plus(MINUTE * 2), true).await;
    assert_eq!(subjects(&world)[7..], ["[ERROR] Copy job inactive"]);
}
