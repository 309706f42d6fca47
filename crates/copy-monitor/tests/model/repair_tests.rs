//! Files that are repaired, uploaded in parts, or rejected for a reason outside of them; and jobs that
//! are dropped on purpose.

use std::time::Duration;

use crate::drill::{Drill, MINUTE};

const HOUR: Duration = Duration::from_secs(3600);

/// Returns a drill whose job has loaded a file some hours ago.
async fn drill() -> Drill {
    let drill = Drill::new(1, 1);
    drill.shared.world().page = 3;
    drill.settle(1).await;
    arrive(&drill, "in1/good");
    drill.shared.world().load(0);
    drill.settle(40).await;
    assert_eq!(drill.alerts(), []);
    drill
}

/// Writes an object that Redshift notices. Returns the number of its row.
fn arrive(drill: &Drill, key: &str) -> usize {
    let mut world = drill.shared.world();
    world.put(key);
    world.notice(key);
    world.details.len() - 1
}

#[tokio::test(start_paused = true)]
async fn rejected_file_does_not_make_its_job_stale() {
    let drill = drill().await;
    let row = arrive(&drill, "in1/bad");
    drill.shared.world().reject(row, Some(Duration::ZERO));
    drill.settle(12 * 30).await;
    assert_eq!(drill.problems(), ["rejected"]);
    // Repaired under its own name, and loaded with the command of the alert.
    drill.shared.world().put("in1/bad");
    drill.shared.world().load_by_hand("in1/bad");
    drill.settle(12 * 30).await;
    assert_eq!(drill.statuses("rejected"), ["opened", "resolved"]);
    assert_eq!(drill.alerts().len(), 2);
    // A file that waits behind the rejected one is still found.
    arrive(&drill, "in1/waits");
    drill.settle(13).await;
    assert_eq!(drill.about("stale").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn overwritten_object_does_not_make_its_job_stale() {
    let drill = drill().await;
    drill.shared.world().put("in1/good");
    drill.settle(12 * 30).await;
    assert_eq!(drill.problems(), ["overwritten"]);
}

#[tokio::test(start_paused = true)]
async fn object_that_was_loaded_by_hand_is_neither_lost_nor_late() {
    let drill = drill().await;
    drill.shared.world().put("in1/by-hand");
    drill.pass(MINUTE * 2);
    drill.shared.world().load_by_hand("in1/by-hand");
    drill.settle(12 * 30).await;
    assert_eq!(drill.alerts(), []);
    // Its content is known, so an overwrite is found.
    drill.shared.world().put("in1/by-hand");
    drill.settle(12).await;
    assert_eq!(drill.keys("overwritten"), ["in1/by-hand"]);
}

#[tokio::test(start_paused = true)]
async fn copy_under_new_name_resolves_rejected_file() {
    let drill = drill().await;
    let row = arrive(&drill, "in1/bad");
    // A COPY of the key would load this one, too.
    arrive(&drill, "in1/bad.old");
    drill.shared.world().reject(row, Some(Duration::ZERO));
    drill.shared.world().load(row + 1);
    drill.settle(6).await;
    assert_eq!(
        drill.alerts()[0].text("command"),
        "aws s3 cp s3://a-bucket/in1/bad s3://a-bucket/in1/bad.reload"
    );
    let copy = arrive(&drill, "in1/bad.reload");
    drill.shared.world().load(copy);
    drill.settle(12).await;
    assert_eq!(drill.statuses("rejected"), ["opened", "resolved"]);
    assert_eq!(drill.alerts().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn cause_of_a_file_is_never_the_message_about_another() {
    let drill = drill().await;
    let message = |key: &str, cause: &str| format!("s3://a-bucket/{key}: {cause}");
    let missing = message("in1/a", "The specified key does not exist.");
    let denied = message("in1/b", "Access Denied");
    for (key, message) in [("in1/a", &missing), ("in1/b", &denied), ("in1/c", &denied)] {
        let row = arrive(&drill, key);
        let mut world = drill.shared.world();
        world.messages.insert(key.to_owned(), message.clone());
        world.reject(row, None);
    }
    drill.settle(6).await;
    let alerts = drill.about("rejected");
    let cause = |key: &str| {
        let alert = alerts.iter().find(|alert| alert.object_key() == key).unwrap();
        assert!(alert.text("action").contains("the file may be right"), "{alert:?}");
        alert.text("cause").to_owned()
    };
    assert_eq!(cause("in1/a"), missing);
    assert_eq!(cause("in1/b"), denied);
    assert_eq!(cause("in1/c"), "");
}

#[tokio::test(start_paused = true)]
async fn upload_of_hours_is_not_lost_and_its_event_makes_nothing_late() {
    let drill = drill().await;
    drill.shared.world().put_in_parts("in1/big", HOUR * 3);
    // The event arrives some minutes after the end of the upload.
    drill.settle(2).await;
    drill.shared.world().notice("in1/big");
    drill.shared.world().load(1);
    drill.settle(12 * 30).await;
    assert_eq!(drill.alerts(), []);
}

#[tokio::test(start_paused = true)]
async fn lost_upload_in_parts_is_found_after_the_grace_period() {
    let drill = drill().await;
    drill.shared.world().put_in_parts("in1/big", HOUR * 3);
    drill.settle(11).await;
    assert_eq!(drill.keys("never loaded"), Vec::<String>::new());
    drill.settle(10).await;
    assert_eq!(drill.keys("never loaded"), ["in1/big"]);
}

#[tokio::test(start_paused = true)]
async fn planned_teardown_raises_no_error_and_leaves_nothing_open() {
    let drill = drill().await;
    // The bucket goes first, then the last job.
    drill.shared.world().denied = Some("in1/".to_owned());
    drill.settle(3).await;
    drill.shared.world().jobs.clear();
    drill.settle(6).await;
    assert_eq!(drill.statuses("listing denied"), ["opened", "resolved"]);
    let gone = drill.about("gone");
    let [alert] = gone.as_slice() else { panic!("{gone:?}") };
    assert_eq!((alert.text("severity"), alert.text("kind")), ("warning", "copy-job-gone"));
    assert_eq!(drill.alerts().len(), 3);
}
