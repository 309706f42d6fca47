//! The monitor stands still for longer than the views remember.

use std::time::Duration;

use super::drill::Drill;
use crate::finding::Problem;

const DAY: Duration = Duration::from_secs(86_400);

#[tokio::test]
async fn after_an_outage_longer_than_the_views_remember_what_cannot_be_known_is_unknown_and_never_lost() {
    let drill = Drill::new(3, 1);
    drill.settle(3).await;
    // Ten days without the monitor: one file was loaded on the first day, one lost then, one lost yesterday.
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
        world.refuse(row, Some(Duration::ZERO));
    }
    drill.pass(DAY);
    drill.settle(40).await;

    let unknown = drill.of_kind("Unknown");
    let [finding] = unknown.as_slice() else { panic!("{unknown:?}") };
    let Problem::Unknown { from: gap, to } = finding.problem else { unreachable!() };
    assert!(gap <= from && gap.plus(DAY) > from, "{gap} {from}");
    assert!(to > gap.plus(DAY * 2), "{gap} {to}");
    assert!(finding.command.last().unwrap().contains("BETWEEN"), "{:?}", finding.command);
    // Of the two objects from that time one was loaded: nobody says that it was not, and only the first one is named.
    assert_eq!(drill.of_kind("UnknownFile").len(), 1);
    let never: Vec<_> = drill
        .of_kind("NeverLoaded")
        .iter()
        .map(|finding| finding.problem.file().unwrap().key.clone())
        .collect();
    assert_eq!(never, ["in1/lost-late"]);
    drill.every_failure_was_told_once();
    drill.nothing_came_twice();
}

#[tokio::test]
async fn after_an_outage_shorter_than_the_views_remember_nothing_is_unknown() {
    let drill = Drill::new(4, 1);
    drill.settle(3).await;
    for number in 0..20 {
        let mut world = drill.shared.world();
        let key = format!("in1/{number}");
        world.put(&key);
        if number % 4 != 0 {
            world.notice(&key);
            let row = world.details.len() - 1;
            if number % 4 == 1 { world.refuse(row, Some(Duration::ZERO)) } else { world.load(row) }
        }
        world.pass(DAY / 4);
    }
    drill.settle(60).await;
    assert_eq!(drill.of_kind("Unknown").len() + drill.of_kind("UnknownFile").len(), 0);
    assert_eq!(drill.of_kind("FileInError").len(), 5);
    assert_eq!(drill.of_kind("NeverLoaded").len(), 5);
    drill.every_failure_was_told_once();
}

#[tokio::test]
async fn an_object_older_than_the_ledgers_memory_is_not_judged() {
    let mut drill = Drill::new(5, 1);
    drill.settings.memory = DAY * 60;
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
    assert_eq!(drill.told(), []);
}
