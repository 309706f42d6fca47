//! Thousands of rejected files at once.

use std::time::Duration;

use alerts::state::Policy;

use crate::drill::{Drill, MINUTE};

const FILES: usize = 10_000;

#[tokio::test(start_paused = true)]
async fn storm_of_rejected_files_raises_twelve_alerts_and_a_summary() {
    let mut drill = Drill::new(1, 1);
    drill.policy = Policy::default();
    (drill.settings.rows_per_run, drill.settings.pages_per_run) = (100_000, 50);
    drill.shared.world().page = 1000;
    drill.settle(2).await;
    {
        let mut world = drill.shared.world();
        for number in 0..FILES {
            let key = format!("in1/part-{number:05}.csv");
            world.put(&key);
            world.arrive(&key);
            world.reject(number, Some(Duration::ZERO));
        }
    }
    drill.calls.lock().unwrap().clear();
    drill.settle(1).await;
    let calls: u32 = drill
        .calls
        .lock()
        .unwrap()
        .iter()
        .filter(|(name, _)| name.starts_with("alerts"))
        .map(|(_, n)| n)
        .sum();
    // Many files share a read and a write.
    assert!(calls < 3000, "{calls} calls of DynamoDB for {FILES} files");
    // The job itself has a rate limit of its own.
    drill.shared.world().jobs[0].channel = "Inactive";
    drill.settle(1).await;
    let names: Vec<String> = drill.alerts().iter().map(|alert| alert.text("name").to_owned()).collect();
    assert_eq!(names.len(), 13, "{names:?}");
    assert_eq!(names[0], "job1_0a1b2c3d: in1/part-00000.csv");
    assert_eq!(names[12], "copy job job1_0a1b2c3d on cluster main");
    drill.pass(MINUTE * 60);
    drill.settle(2).await;
    let summaries = drill.about("suppressed");
    let [summary] = summaries.as_slice() else { panic!("{summaries:?}") };
    let what = summary.text("what");
    for part in ["9988", "part-00012.csv", "9978"] {
        assert!(what.contains(part), "{part}: {what}");
    }
    drill.settle(24).await;
    assert_eq!(drill.about("suppressed").len(), 1);
}
