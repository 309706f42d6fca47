//! The monitor does not run for longer than the views keep their rows.

use std::time::Duration;

use lambda_kit::moment::Moment;

use crate::drill::Drill;

const DAY: Duration = Duration::from_secs(86_400);

#[tokio::test(start_paused = true)]
async fn outage_longer_than_view_retention_raises_history_unknown() {
    let drill = Drill::new(3, 1);
    drill.settle(3).await;
    // Ten days without the monitor: one file was loaded on the first day, one lost then, one lost
    // yesterday.
    let from = drill.shared.world().now;
    {
        let mut world = drill.shared.world();
        world.put("in1/loaded");
        world.notice("in1/loaded");
        world.load(0);
        world.put("in1/lost-early");
    }
    drill.pass(DAY * 9);
    drill.shared.world().put("in1/lost-late");
    {
        let mut world = drill.shared.world();
        world.put("in1/bad-late");
        world.notice("in1/bad-late");
        let row = world.details.len() - 1;
        world.reject(row, Some(Duration::ZERO));
    }
    drill.pass(DAY);
    drill.settle(40).await;

    let unknown = drill.about("history unknown");
    let [alert] = unknown.as_slice() else { panic!("{unknown:?}") };
    let what = alert.text("what");
    let (_, period) = what.split_once("The load status of files from ").unwrap();
    let (gap, to) = period.trim_end_matches(" is unknown.").split_once(" to ").unwrap();
    let moment = |text: &str| Moment::parse_sql(text.trim_end_matches(" UTC")).unwrap();
    let (gap, to) = (moment(gap), moment(to));
    assert!(gap <= from && gap.plus(DAY) > from, "{gap} {from}");
    assert!(to > gap.plus(DAY * 2), "{gap} {to}");
    assert!(alert.text("command").contains("BETWEEN"), "{alert:?}");
    // One of the two objects of that period was loaded. Neither is said to be missing, and only the
    // first one is named.
    assert_eq!(drill.about("object unknown").len(), 1);
    assert_eq!(drill.keys("never loaded"), ["in1/lost-late"]);
    drill.every_rejected_file_has_one_alert();
    drill.nothing_was_published_twice();
}

#[tokio::test(start_paused = true)]
async fn outage_shorter_than_view_retention_misses_nothing() {
    let drill = Drill::new(4, 1);
    drill.settle(3).await;
    for number in 0..20 {
        let mut world = drill.shared.world();
        let key = format!("in1/{number}");
        world.put(&key);
        if number % 4 != 0 {
            world.notice(&key);
            let row = world.details.len() - 1;
            if number % 4 == 1 { world.reject(row, Some(Duration::ZERO)) } else { world.load(row) }
        }
        world.pass(DAY / 4);
    }
    drill.settle(60).await;
    assert_eq!(drill.about("history unknown").len() + drill.about("object unknown").len(), 0);
    assert_eq!(drill.about("rejected").len(), 5);
    assert_eq!(drill.about("never loaded").len(), 5);
    drill.every_rejected_file_has_one_alert();
}

#[tokio::test(start_paused = true)]
async fn object_older_than_ledger_memory_is_not_checked() {
    let mut drill = Drill::new(5, 1);
    drill.settings.ledger_memory = DAY * 60;
    drill.settle(3).await;
    {
        let mut world = drill.shared.world();
        world.put("in1/old");
        world.notice("in1/old");
        world.load(0);
    }
    drill.settle(5).await;
    // The entry ran out, the object is still there.
    for _ in 0..65 {
        drill.pass(DAY);
        drill.round().await;
    }
    drill.shared.table().files.clear();
    drill.settle(20).await;
    assert_eq!(drill.alerts(), []);
}
