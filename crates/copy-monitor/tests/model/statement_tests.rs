//! The life of a batch: its event does not come, it fails, it never ends, its result is gone. And
//! buckets that cannot be listed.

use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use copy_monitor::report::Outcome;
use test_support::faults::Fault;
use warehouse::batch::Progress;

use crate::drill::{Drill, MINUTE, Plan, Start};

/// A drill with a rejected file.
fn drill() -> Drill {
    let drill = Drill::new(1, 2);
    {
        let mut world = drill.shared.world();
        world.put("in1/bad");
        world.notice("in1/bad");
        world.reject(0, Some(Duration::ZERO));
    }
    drill
}

#[tokio::test(start_paused = true)]
async fn lost_event_is_made_up_for_by_next_tick_after_delay() {
    let drill = drill();
    drill.run(Start::Tick).await;
    drill.shared.world().run_batches();
    drill.shared.world().events.clear();
    drill.pass(MINUTE);
    assert_eq!(drill.run(Start::Tick).await.outcome, Outcome::OnTheWay);
    drill.pass(MINUTE * 5);
    assert_eq!(drill.run(Start::Tick).await.outcome, Outcome::Read);
    drill.every_rejected_file_has_one_alert();
    // The event comes after all.
    assert_eq!(drill.run(Start::End(0)).await.outcome, Outcome::Overtaken);
    assert_eq!(drill.alerts().len(), 1);
}

/// Polls a future so many times. Returns its output if it ended.
fn steps<F: Future>(mut future: Pin<&mut F>, number: usize) -> Option<F::Output> {
    let mut context = Context::from_waker(Waker::noop());
    (0..number).find_map(|_| match future.as_mut().poll(&mut context) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    })
}

#[tokio::test(start_paused = true)]
async fn event_before_batch_id_is_written_is_read() {
    let mut between = 0;
    'seeds: for seed in 0..30 {
        for number in 1..40 {
            let drill = Drill::new(seed, 2);
            let mut tick = pin!(drill.invoke(Start::Tick, Plan::new()));
            while drill.shared.world().batches.is_empty() {
                // Of a seed without a pause between the start and the save there is nothing to see.
                if steps(tick.as_mut(), 1).is_some() {
                    continue 'seeds;
                }
            }
            drill.shared.world().run_batches();
            let mut end = pin!(drill.invoke(Start::End(0), Plan::new()));
            let ended = steps(end.as_mut(), number);
            between += usize::from(ended.is_none());
            let started = tick.await.0.unwrap().unwrap();
            assert_eq!(started.outcome, Outcome::Started);
            let ended = match ended {
                Some(ended) => ended,
                None => end.await,
            };
            let outcome = ended.0.unwrap().unwrap().outcome;
            assert_eq!(outcome, Outcome::Read, "seed {seed}, after {number} steps");
        }
    }
    assert!(between > 300, "{between} ends were under way when the id was written");
}

#[tokio::test(start_paused = true)]
async fn forgotten_result_is_read_again_by_next_run() {
    let drill = drill();
    drill.run(Start::Tick).await;
    drill.shared.world().run_batches();
    drill.shared.world().events.clear();
    drill.pass(MINUTE * 60 * 25);
    assert_eq!(drill.run(Start::Tick).await.outcome, Outcome::Overtaken);
    drill.settle(1).await;
    drill.every_rejected_file_has_one_alert();
}

#[tokio::test(start_paused = true)]
async fn second_failed_batch_raises_alert_with_error_and_id() {
    let drill = drill();
    for run in 0..3 {
        drill.run(Start::Tick).await;
        drill.shared.world().batches[run].progress =
            Progress::Failed("permission denied for view".to_owned());
        assert_eq!(drill.run(Start::End(run)).await.outcome, Outcome::Failed);
        // Twice, as EventBridge may.
        assert_eq!(drill.run(Start::End(run)).await.outcome, Outcome::Overtaken);
        drill.pass(MINUTE * 5);
    }
    let alerts = drill.alerts();
    let [alert] = alerts.as_slice() else { panic!("{alerts:?}") };
    assert_eq!((alert.problem(), alert.text("cause")), ("views unreadable", "permission denied for view"));
    let command = "aws redshift-data describe-statement --region us-east-1 --id statement-1";
    assert_eq!(alert.text("command"), command);
    drill.settle(1).await;
    assert_eq!(drill.statuses("views unreadable"), ["opened", "resolved"]);
    drill.every_rejected_file_has_one_alert();
}

#[tokio::test(start_paused = true)]
async fn batch_that_never_ends_is_cancelled_and_read_by_next_run() {
    let drill = drill();
    drill.run(Start::Tick).await;
    drill.pass(MINUTE * 30);
    assert_eq!(drill.run(Start::Tick).await.outcome, Outcome::OnTheWay);
    drill.pass(MINUTE * 31);
    assert_eq!(drill.run(Start::Tick).await.outcome, Outcome::Failed);
    assert!(matches!(drill.shared.world().batches[0].progress, Progress::Aborted(_)));
    drill.settle(1).await;
    drill.every_rejected_file_has_one_alert();
    // A single failed run raises no alert.
    assert_eq!(drill.about("views unreadable").len(), 0);
}

#[tokio::test(start_paused = true)]
async fn foreign_event_changes_nothing() {
    let drill = drill();
    drill.run(Start::Tick).await;
    drill.shared.world().run_batches();
    let before = drill.shared.table().documents.clone();
    for (name, id) in [
        ("sluice-copy-monitor.other.1", "statement-0"),
        ("sluice-copy-monitor.main.2", "statement-0"),
        ("sluice-copy-monitor.main.1", "statement-7"),
        ("sluice-copy-monitor.main.1", "statement-0:3"),
        ("nightly", "statement-0"),
    ] {
        let report = drill.complete(name, id).await;
        assert_eq!(report.outcome, Outcome::Overtaken, "{name} {id}");
    }
    assert_eq!(drill.shared.table().documents, before);
}

#[tokio::test(start_paused = true)]
async fn run_without_written_batch_id_is_found_by_its_event() {
    let drill = drill();
    // The calls are: find due alerts, read the document, write the run, start the statement. It
    // dies after that.
    let (result, _) = drill.invoke(Start::Tick, Plan::from([(3, Fault::DiesAfter)])).await;
    assert!(result.is_none());
    drill.shared.world().run_batches();
    let part = drill.complete("sluice-copy-monitor.main.1", "statement-0:3").await;
    assert_eq!(part.outcome, Outcome::Overtaken);
    assert_eq!(drill.run(Start::End(0)).await.outcome, Outcome::Read);
    drill.every_rejected_file_has_one_alert();
}

#[tokio::test(start_paused = true)]
async fn denied_listing_raises_one_alert_and_other_jobs_are_listed() {
    let drill = drill();
    drill.settle(1).await;
    {
        let mut world = drill.shared.world();
        world.denied = Some("in1/".to_owned());
        world.put("in2/lost");
    }
    drill.settle(20).await;
    assert_eq!(drill.about("never loaded").len(), 1);
    let alerts = drill.about("listing denied");
    let [alert] = alerts.as_slice() else { panic!("{alerts:?}") };
    assert_eq!(alert.text("cause"), "s3:ListBucket: AccessDenied: Access Denied");
    drill.shared.world().denied = None;
    drill.settle(5).await;
    assert_eq!(drill.statuses("listing denied"), ["opened", "resolved"]);
}

#[tokio::test(start_paused = true)]
async fn deleted_objects_do_not_hide_objects_between_them() {
    let drill = Drill::new(1, 1);
    drill.shared.world().page = 10;
    drill.settle(1).await;
    for number in 0..40 {
        let mut world = drill.shared.world();
        let key = format!("in1/{number:02}");
        world.put(&key);
        world.notice(&key);
        world.load(number);
    }
    drill.settle(12).await;
    {
        let mut world = drill.shared.world();
        world.objects.retain(|key, _| key.ends_with("00") || key.ends_with("39"));
        world.put("in1/20-lost");
        world.put("in1/39");
    }
    // The ledger has 40 entries between the first and the last object, more than are read in a row.
    drill.settle(30).await;
    let (never, overwritten) = (drill.keys("never loaded"), drill.keys("overwritten"));
    assert_eq!((never, overwritten), (vec!["in1/20-lost".to_owned()], vec!["in1/39".to_owned()]));
    assert!(drill.calls.lock().unwrap().contains_key("entries_of"));
}
