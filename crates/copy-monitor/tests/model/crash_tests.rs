//! A death, a lost answer or an error at every single call.

use std::time::Duration;

use lambda_kit::faults::Fault;

use super::drill::{Drill, Plan, Start};

/// A day in which everything happens, in five invocations: the monitor's first run, a run with failures and a manual load, a listing.
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
                world.refuse(first, Some(Duration::ZERO));
                world.refuse(first + 1, Some(Duration::ZERO));
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

pub(super) async fn day(at: Option<(usize, usize, Fault)>) -> (Drill, Vec<usize>) {
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
        // Lambda runs an asynchronous invocation again that failed; one that died from its time limit, too.
        if !again.is_empty() && !matches!(result, Some(Ok(_))) {
            drill.run(start).await;
        }
    }
    drill.settle(30).await;
    (drill, calls)
}

fn check(drill: &Drill) {
    drill.every_failure_was_told_once();
    drill.nothing_came_twice();
    drill.lasting_problems_begin_and_end_in_turn();
    let count = |kind: &str| drill.of_kind(kind).len();
    // `in1/bad` and `in1/odd`, and that `in1/odd` was loaded by hand.
    assert_eq!(count("FileInError"), 3);
    assert_eq!((count("NeverLoaded"), count("Overwritten"), count("JobInactive")), (1, 1, 1));
}

#[tokio::test]
async fn a_fault_at_any_call_loses_no_finding_and_tells_none_twice() {
    let (drill, calls) = day(None).await;
    check(&drill);
    let mut all = 0;
    for (step, made) in calls.iter().enumerate() {
        for call in 0..*made {
            for fault in Fault::ALL {
                let (drill, _) = day(Some((step, call, fault))).await;
                let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check(&drill)));
                assert!(checked.is_ok(), "{fault:?} at call {call} of step {step}");
                all += 1;
            }
        }
    }
    // The day has enough calls for this to mean something: about 75, with four faults each.
    assert!(all > 250, "{all}");
}
