//! One problem after the other, without faults.

use std::time::Duration;

use copy_monitor::ports::{Document, FileState};
use copy_monitor::report::Outcome;

use crate::drill::{Drill, MINUTE, Start};
use crate::world::World;

fn drill() -> Drill {
    let drill = Drill::new(1, 2);
    drill.shared.world().page = 3;
    drill
}

/// Writes an object that Redshift notices. Returns the number of its row.
fn arrive(world: &mut World, key: &str) -> usize {
    world.put(key);
    world.notice(key);
    world.details.len() - 1
}

#[tokio::test(start_paused = true)]
async fn rejected_file_raises_alert_with_command_that_loads_it() {
    let drill = drill();
    let row = arrive(&mut drill.shared.world(), "in1/it's.csv");
    drill.shared.world().reject(row, Some(Duration::ZERO));
    let started = drill.run(Start::Tick).await;
    assert_eq!((started.outcome, started.notified), (Outcome::Started, 0));
    drill.shared.world().run_batches();
    let read = drill.run(Start::End(0)).await;
    assert_eq!((read.outcome, read.notified), (Outcome::Read, 1));
    drill.every_rejected_file_has_one_alert();
    let command = "id=$(aws redshift-data execute-statement --region us-east-1 --cluster-identifier main --database dev \
                   --secret-arn arn:aws:secretsmanager:us-east-1:222222222222:secret:w --sql $'COPY \"public\".\"t\" \
                   FROM \\'s3://a-bucket/in1/it\\'\\'s.csv\\' IAM_ROLE \\'arn:aws:iam::222222222222:role/copy\\' \
                   FORMAT AS CSV' --statement-name sluice-reload.job1_0a1b2c3d.";
    let given = drill.alerts()[0].text("command").to_owned();
    let (id, wait) = given.strip_prefix(command).unwrap().split_once(" --with-event ").unwrap();
    assert!(id.len() == 16 && id.bytes().all(|digit| digit.is_ascii_hexdigit()), "{given}");
    assert_eq!(
        wait,
        "--query Id --output text) && while s=$(aws redshift-data describe-statement --region us-east-1 --id \"$id\" \
         --query '[Status,Error]' --output text) && echo \"$s\" && [[ $s =~ ^(SUBMITTED|PICKED|STARTED) ]]; do sleep 1; done"
    );
    // Later runs read the same row, and nothing new is published.
    drill.settle(5).await;
    assert_eq!(drill.alerts().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn copy_that_would_load_another_key_is_not_given() {
    let drill = drill();
    {
        let mut world = drill.shared.world();
        let row = arrive(&mut world, "in1/a");
        arrive(&mut world, "in1/a.old");
        world.reject(row, Some(Duration::ZERO));
    }
    drill.round().await;
    let command = "aws s3 cp s3://a-bucket/in1/a s3://a-bucket/in1/a.reload";
    assert_eq!(drill.alerts()[0].text("command"), command);
}

#[tokio::test(start_paused = true)]
async fn manual_load_resolves_rejected_file() {
    let drill = drill();
    let row = arrive(&mut drill.shared.world(), "in1/a");
    drill.shared.world().reject(row, Some(Duration::ZERO));
    drill.settle(2).await;
    drill.shared.world().load_by_hand("in1/other");
    drill.settle(2).await;
    assert_eq!(drill.alerts().len(), 1);
    drill.shared.world().load_by_hand("in1/a");
    drill.settle(3).await;
    assert_eq!(drill.statuses("rejected"), ["opened", "resolved"]);
    let alerts = drill.alerts();
    assert_eq!((alerts.len(), alerts[1].thread()), (2, alerts[0].thread()));
}

#[tokio::test(start_paused = true)]
async fn clock_behind_redshift_resolves_rejected_file() {
    let mut drill = drill();
    let row = arrive(&mut drill.shared.world(), "in1/a");
    drill.shared.world().reject(row, Some(Duration::ZERO));
    drill.settle(5).await;
    drill.shared.world().load_by_hand("in1/a");
    // By the monitor's clock, Redshift will reject the file in a few minutes.
    drill.behind = MINUTE * 35;
    drill.settle(1).await;
    assert_eq!(drill.statuses("rejected"), ["opened", "resolved"]);
    let resolved = &drill.about("rejected")[1];
    assert_eq!(resolved.resolved_at(), Some(resolved.since()));
}

#[tokio::test(start_paused = true)]
async fn lost_and_overwritten_objects_raise_one_alert_each() {
    let drill = drill();
    drill.shared.world().put("in1/older-than-the-monitor");
    drill.settle(1).await;
    {
        let mut world = drill.shared.world();
        world.put("in1/lost");
        world.put("in1/folder/");
        world.objects.get_mut("in1/folder/").unwrap().size = 0;
        world.put("elsewhere/not-a-jobs");
        let row = arrive(&mut world, "in2/a");
        world.load(row);
    }
    drill.settle(2).await;
    drill.shared.world().put("in2/a");
    drill.settle(40).await;
    assert_eq!(drill.keys("overwritten"), ["in2/a"]);
    assert_eq!(drill.keys("never loaded"), ["in1/lost"]);
    drill.nothing_was_published_twice();
}

#[tokio::test(start_paused = true)]
async fn job_is_stale_until_newest_object_is_loaded() {
    let drill = drill();
    drill.settle(1).await;
    let row = arrive(&mut drill.shared.world(), "in1/a");
    drill.shared.world().load(row);
    // A day without files is not stale.
    drill.settle(12 * 24).await;
    assert_eq!(drill.about("stale").len(), 0);
    let waits = arrive(&mut drill.shared.world(), "in1/b");
    drill.settle(11).await;
    assert_eq!(drill.about("stale").len(), 0);
    // Newer files do not make it younger.
    arrive(&mut drill.shared.world(), "in1/c");
    drill.settle(2).await;
    assert_eq!(drill.about("stale").len(), 1);
    assert_eq!(drill.about("files waiting").len(), 1);
    drill.shared.world().load(waits);
    let newest = drill.shared.world().details.len() - 1;
    drill.shared.world().load(newest);
    drill.settle(2).await;
    assert_eq!(drill.statuses("stale"), ["opened", "resolved"]);
    let what = drill.about("stale")[0].text("what").to_owned();
    assert!(what.contains("the limit of 60 min") && what.contains("The newest loaded object"), "{what}");
}

#[tokio::test(start_paused = true)]
async fn conditions_of_jobs_raise_and_resolve_alerts() {
    let drill = drill();
    drill.settle(1).await;
    {
        let mut world = drill.shared.world();
        (world.jobs[0].channel, world.jobs[1].channel) = ("Inactive", "Pending");
        world.jobs[1].auto = false;
    }
    drill.settle(1).await;
    assert_eq!(drill.problems(), ["AUTO off", "integration inactive"]);
    // An integration may be pending for the job's grace period, an hour.
    drill.settle(10).await;
    assert_eq!(drill.problems().len(), 2);
    drill.settle(4).await;
    assert_eq!(drill.problems(), ["AUTO off", "integration inactive", "integration missing"]);
    drill.shared.world().jobs.iter_mut().for_each(|job| job.channel = "Established");
    drill.settle(1).await;
    for problem in ["integration inactive", "integration missing"] {
        assert_eq!(drill.statuses(problem), ["opened", "resolved"]);
    }
    assert_eq!(drill.alerts().len(), 5);
    drill.shared.world().jobs.remove(1);
    drill.settle(3).await;
    // The job is gone, and with it the condition that was open.
    assert_eq!(drill.statuses("AUTO off"), ["opened", "resolved"]);
    assert_eq!(drill.about("gone")[0].text("subject"), "copy job job2_0a1b2c3d on cluster main");
    assert_eq!(drill.alerts().len(), 7);
}

#[tokio::test(start_paused = true)]
async fn job_that_stays_inactive_is_repeated_after_1_4_and_7_days() {
    let drill = drill();
    drill.settle(1).await;
    drill.shared.world().jobs[0].channel = "Inactive";
    drill.settle(14 * 12 * 24).await;
    drill.shared.world().jobs[0].channel = "Established";
    drill.settle(2).await;
    let alerts = drill.alerts();
    let days: Vec<_> = alerts
        .iter()
        .map(|alert| {
            let since = alert.published.since(alerts[0].published).as_secs();
            (alert.status(), since / 86_400, since % 86_400 <= 900)
        })
        .collect();
    let expected = [("opened", 0), ("repeated", 1), ("repeated", 5), ("repeated", 12), ("resolved", 14)];
    assert_eq!(days, expected.map(|(status, day)| (status, day, true)));
    assert!(alerts.iter().all(|alert| alert.thread() == alerts[0].thread()), "{alerts:?}");
}

#[tokio::test(start_paused = true)]
async fn restricted_reader_raises_alert_and_concludes_nothing() {
    let drill = drill();
    drill.settle(2).await;
    drill.shared.world().sees_all = false;
    // While it is blind a file fails and another one is never noticed.
    let row = arrive(&mut drill.shared.world(), "in1/bad");
    drill.shared.world().reject(row, Some(Duration::ZERO));
    drill.shared.world().put("in1/lost");
    drill.settle(20).await;
    assert_eq!(drill.problems(), ["access restricted"]);
    let command = drill.alerts()[0].text("command").to_owned();
    assert!(command.contains("--sql 'ALTER USER \"reader\" SYSLOG ACCESS UNRESTRICTED' "), "{command}");
    drill.shared.world().sees_all = true;
    drill.settle(20).await;
    assert_eq!(drill.about("rejected").len(), 1);
    assert_eq!(drill.about("never loaded").len(), 1);
    assert_eq!(drill.about("gone").len(), 0);
    assert_eq!(drill.statuses("access restricted"), ["opened", "resolved"]);
}

#[tokio::test(start_paused = true)]
async fn unreadable_views_raise_one_alert_until_readable() {
    let drill = drill();
    drill.settle(1).await;
    drill.shared.world().paused = true;
    drill.settle(6).await;
    drill.shared.world().paused = false;
    drill.settle(2).await;
    assert_eq!(drill.statuses("views unreadable"), ["opened", "resolved"]);
}

#[tokio::test(start_paused = true)]
async fn file_that_waited_for_days_is_followed_to_its_end() {
    let drill = drill();
    drill.settle(1).await;
    let (fails, loads) = {
        let mut world = drill.shared.world();
        (arrive(&mut world, "in1/fails"), arrive(&mut world, "in1/loads"))
    };
    for number in 0..40 {
        let row = arrive(&mut drill.shared.world(), &format!("in2/{number:03}"));
        drill.shared.world().load(row);
        drill.settle(20).await;
    }
    drill.shared.world().reject(fails, Some(Duration::ZERO));
    drill.shared.world().load(loads);
    drill.settle(30).await;
    assert_eq!(drill.about("rejected").len(), 1);
    drill.every_rejected_file_has_one_alert();
    let state = drill.shared.table().files[&(100_001, "in1/loads".to_owned())].state;
    assert_eq!(state, FileState::Loaded);
    // So an overwritten object is found, too.
    drill.shared.world().put("in1/loads");
    drill.settle(20).await;
    assert_eq!(drill.about("overwritten").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn unreadable_document_is_reset_and_nothing_is_published_twice() {
    let drill = drill();
    let row = arrive(&mut drill.shared.world(), "in1/bad");
    drill.shared.world().reject(row, Some(Duration::ZERO));
    drill.settle(2).await;
    for name in ["views", "sweep"] {
        let mut table = drill.shared.table();
        let revision = table.documents[name].revision;
        table.documents.insert(name.to_owned(), Document { revision, body: "{".to_owned() });
    }
    let row = arrive(&mut drill.shared.world(), "in1/worse");
    drill.shared.world().reject(row, Some(Duration::ZERO));
    drill.settle(3).await;
    assert_eq!(drill.keys("rejected"), ["in1/bad", "in1/worse"]);
    drill.nothing_was_published_twice();
}

#[tokio::test(start_paused = true)]
async fn new_rejected_file_costs_five_calls_of_dynamodb() {
    let drill = drill();
    drill.settle(1).await;
    // Another file, so that the sweep compares the same page with the ledger before and after.
    let row = arrive(&mut drill.shared.world(), "in1/good");
    drill.shared.world().load(row);
    drill.settle(6).await;
    // The calls of DynamoDB in so many rounds of five minutes each.
    let cost = async |rounds| -> u32 {
        const OTHERS: [&str; 5] = ["start", "progress", "page", "list", "publish"];
        drill.calls.lock().unwrap().clear();
        drill.settle(rounds).await;
        let calls = drill.calls.lock().unwrap();
        calls.iter().filter(|(action, _)| !OTHERS.contains(*action)).map(|(_, count)| count).sum()
    };
    let (one, five) = (cost(1).await, cost(5).await);
    assert_eq!(five, one * 5);
    let row = arrive(&mut drill.shared.world(), "in1/worse");
    drill.shared.world().reject(row, Some(Duration::ZERO));
    // A read whether it is known, a read and a transaction of the alerts, the removal from the
    // outbox.
    let alert = cost(1).await - one;
    // The view shows the file to three more runs, which read whether it is known, as they do for
    // all files together. Then its row goes to the ledger.
    let ledger = cost(5).await - five - 3;
    assert_eq!((alert, ledger), (4, 1));
    assert_eq!(drill.keys("rejected"), ["in1/worse"]);
}
