//! A crash, a lost response or an error at every single call, those of the alert pipeline included.

use std::time::Duration;

use test_support::faults::Fault;

use crate::drill::{Drill, Plan, Start};

/// Prepares a step of a day in which everything happens: the first run, a run with rejected files
/// and a manual load, a listing.
fn prepare(step: usize, drill: &Drill) -> Option<Start> {
    let mut world = drill.shared.world();
    match step {
        0 => Some(Start::Tick),
        1 | 3 => {
            if step == 3 {
                world.put("in1/lost");
                for key in ["in1/bad", "in1/odd", "in1/good", "in1/waits"] {
                    world.put(key);
                    world.notice(key);
                }
                let first = world.details.len() - 4;
                world.reject(first, Some(Duration::ZERO));
                world.reject(first + 1, Some(Duration::ZERO));
                world.load(first + 2);
                world.jobs[0].channel = "Inactive";
            }
            world.run_batches();
            world.events.pop_front().map(Start::End)
        }
        2 => {
            world.pass(Duration::from_secs(7200));
            Some(Start::Tick)
        }
        _ => {
            world.pass(Duration::from_secs(7200));
            // Written over after its load.
            if step == 4 {
                world.put("in1/good");
                world.load_by_hand("in1/odd");
            }
            Some(Start::Tick)
        }
    }
}

const STEPS: usize = 6;

async fn day(at: Option<(usize, usize, Fault)>) -> (Drill, Vec<usize>) {
    let drill = Drill::new(7, 1);
    drill.shared.world().page = 3;
    let mut calls = Vec::new();
    for step in 0..STEPS {
        let Some(start) = prepare(step, &drill) else {
            calls.push(0);
            continue;
        };
        let plan = match at {
            Some((faulty, call, fault)) if faulty == step => Plan::from([(call, fault)]),
            _ => Plan::new(),
        };
        let again = plan.clone();
        let (result, made) = drill.invoke(start, plan).await;
        calls.push(made);
        // Lambda repeats an asynchronous invocation that failed or reached its time limit.
        if !again.is_empty() && !matches!(result, Some(Ok(_))) {
            drill.run(start).await;
        }
    }
    drill.settle(30).await;
    (drill, calls)
}

/// Checks the alerts of a day with one fault against those of the day without.
fn check(drill: &Drill, expected: &[String]) {
    drill.every_rejected_file_has_one_alert();
    drill.nothing_was_published_twice();
    drill.conditions_begin_and_end_in_turn();
    drill.conditions_are_published_in_turn();
    let count = |problem: &str| drill.about(problem).len();
    // `in1/bad` and `in1/odd`, and that `in1/odd` was loaded manually.
    assert_eq!(count("rejected"), 3);
    assert_eq!((count("never loaded"), count("overwritten")), (1, 1));
    let inactive = drill.about("integration inactive");
    assert_eq!(inactive.iter().filter(|alert| alert.is_start()).count(), 1);
    // A fault may make two runs in a row fail, which is an alert of its own, with its end.
    let (unreadable, others): (Vec<String>, Vec<String>) =
        drill.unique().into_iter().partition(|alert| alert.starts_with("views unreadable"));
    assert_eq!(others, expected);
    assert!(matches!(unreadable.len(), 0 | 2), "{unreadable:?}");
    // The only possible duplicate: published, but not removed from the outbox.
    let published = drill.alerts().len();
    assert!(published <= others.len() + unreadable.len() + 1, "{published} messages");
}

#[tokio::test(start_paused = true)]
async fn fault_at_any_call_loses_no_alert_and_repeats_none() {
    let (drill, calls) = day(None).await;
    let expected = drill.unique();
    assert_eq!(drill.alerts().len(), expected.len());
    check(&drill, &expected);
    let mut all = 0;
    for (step, made) in calls.iter().enumerate() {
        for call in 0..*made {
            for fault in Fault::ALL {
                let (drill, _) = day(Some((step, call, fault))).await;
                let checked =
                    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check(&drill, &expected)));
                assert!(checked.is_ok(), "{fault:?} at call {call} of step {step}");
                all += 1;
            }
        }
    }
    // About 85 calls, with four faults each: otherwise nothing is proved.
    assert!(all > 300, "{all}");
}
