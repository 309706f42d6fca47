//! One thing after the other, without faults.

use std::time::Duration;

use super::drill::{Drill, Start};
use super::world::World;
use crate::finding::{Problem, Turn};
use crate::report::Outcome;

fn drill() -> Drill {
    let drill = Drill::new(1, 2);
    drill.shared.world().page = 3;
    drill
}

/// Puts an object that Redshift notices; gives the number of its row.
fn arrive(world: &mut World, key: &str) -> usize {
    world.put(key);
    world.notice(key);
    world.details.len() - 1
}

#[tokio::test]
async fn a_file_in_error_is_told_with_line_column_cause_and_the_command_that_loads_it() {
    let drill = drill();
    let row = arrive(&mut drill.shared.world(), "in1/it's.csv");
    drill.shared.world().refuse(row, Some(Duration::ZERO));
    let started = drill.run(Start::Tick).await;
    assert_eq!((started.outcome, started.told), (Outcome::Started, 0));
    drill.shared.world().run_batches();
    let read = drill.run(Start::End(0)).await;
    assert_eq!((read.outcome, read.told), (Outcome::Read, 1));
    drill.every_failure_was_told_once();
    let finding = &drill.told()[0];
    assert_eq!(finding.job.as_deref(), Some("job1_0a1b2c3d"));
    assert_eq!(
        finding.command[..11],
        [
            "aws",
            "redshift-data",
            "execute-statement",
            "--region",
            "us-east-1",
            "--cluster-identifier",
            "main",
            "--database",
            "dev",
            "--secret-arn",
            "arn:aws:secretsmanager:us-east-1:222222222222:secret:w"
        ]
    );
    assert_eq!(
        finding.command[11..],
        [
            "--sql",
            "COPY \"public\".\"t\" FROM 's3://a-bucket/in1/it''s.csv' IAM_ROLE 'arn:aws:iam::222222222222:role/copy' FORMAT AS CSV"
        ]
    );
    // Again and again, and nothing new.
    drill.settle(5).await;
    assert_eq!(drill.told().len(), 1);
}

#[tokio::test]
async fn a_copy_is_not_given_where_it_would_load_another_key_too() {
    let drill = drill();
    {
        let mut world = drill.shared.world();
        let row = arrive(&mut world, "in1/a");
        arrive(&mut world, "in1/a.old");
        world.refuse(row, Some(Duration::ZERO));
    }
    drill.round().await;
    let told = drill.of_kind("FileInError");
    assert_eq!(told[0].command, ["aws", "s3", "cp", "s3://a-bucket/in1/a", "s3://a-bucket/in1/a.reload"]);
}

#[tokio::test]
async fn a_file_that_is_loaded_by_hand_is_told_as_over() {
    let drill = drill();
    let row = arrive(&mut drill.shared.world(), "in1/a");
    drill.shared.world().refuse(row, Some(Duration::ZERO));
    drill.settle(2).await;
    drill.shared.world().load_by_hand("in1/other");
    drill.settle(2).await;
    assert_eq!(drill.told().len(), 1);
    drill.shared.world().load_by_hand("in1/a");
    drill.settle(3).await;
    let told = drill.told();
    assert_eq!(told.len(), 2);
    assert_eq!((told[1].turn, told[1].id.clone()), (Turn::Over, format!("{}:over", told[0].id)));
}

#[tokio::test]
async fn an_object_without_a_trace_and_an_overwritten_key_are_told_once() {
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
    let told: Vec<_> = drill
        .told()
        .iter()
        .map(|finding| (finding.problem.kind(), finding.problem.file().map(|file| file.key.clone())))
        .collect();
    assert!(told.contains(&("Overwritten", Some("in2/a".to_owned()))), "{told:?}");
    assert!(told.contains(&("NeverLoaded", Some("in1/lost".to_owned()))), "{told:?}");
    let files = told.iter().filter(|(_, file)| file.is_some()).count();
    assert_eq!(files, 2, "{told:?}");
}

#[tokio::test]
async fn a_job_whose_newest_object_waits_too_long_is_stale_until_a_newer_one_is_loaded() {
    let drill = drill();
    drill.settle(1).await;
    let row = arrive(&mut drill.shared.world(), "in1/a");
    drill.shared.world().load(row);
    // A day without files is not stale.
    drill.settle(12 * 24).await;
    assert_eq!(drill.of_kind("Stale").len(), 0);
    let waits = arrive(&mut drill.shared.world(), "in1/b");
    drill.settle(11).await;
    assert_eq!(drill.of_kind("Stale").len(), 0);
    // Newer files do not make it younger.
    arrive(&mut drill.shared.world(), "in1/c");
    drill.settle(2).await;
    assert_eq!(drill.of_kind("Stale").len(), 1);
    assert_eq!(drill.of_kind("FilesWaiting").len(), 1);
    drill.shared.world().load(waits);
    let newest = drill.shared.world().details.len() - 1;
    drill.shared.world().load(newest);
    drill.settle(2).await;
    let stale = drill.of_kind("Stale");
    assert_eq!((stale.len(), stale[1].turn), (2, Turn::Over));
    let Problem::Stale { newest_loaded, limit_seconds: 3600, .. } = &stale[0].problem else {
        panic!("{stale:?}")
    };
    assert!(newest_loaded.is_some());
}

#[tokio::test]
async fn jobs_that_are_inactive_without_integration_by_hand_or_gone_are_told() {
    let drill = drill();
    drill.settle(1).await;
    {
        let mut world = drill.shared.world();
        (world.jobs[0].channel, world.jobs[1].channel) = ("Inactive", "Pending");
        world.jobs[1].auto = false;
    }
    drill.settle(1).await;
    // Several are told at the same time, in any order.
    let kinds = |drill: &Drill| {
        let mut kinds: Vec<_> = drill.told().iter().map(|finding| finding.problem.kind()).collect();
        kinds.sort_unstable();
        kinds
    };
    assert_eq!(kinds(&drill), ["JobInactive", "JobNotAutomatic"]);
    // An integration may be pending for the job's grace, an hour.
    drill.settle(10).await;
    assert_eq!(kinds(&drill).len(), 2);
    drill.settle(4).await;
    assert_eq!(kinds(&drill), ["JobInactive", "JobNotAutomatic", "JobWithoutIntegration"]);
    drill.shared.world().jobs.iter_mut().for_each(|job| job.channel = "Established");
    drill.settle(1).await;
    let mut over: Vec<_> =
        drill.told()[3..].iter().map(|finding| (finding.problem.kind(), finding.turn)).collect();
    over.sort_by_key(|(kind, _)| *kind);
    assert_eq!(over, [("JobInactive", Turn::Over), ("JobWithoutIntegration", Turn::Over)]);
    drill.shared.world().jobs.remove(1);
    drill.settle(3).await;
    assert_eq!(drill.told().len(), 6);
    assert_eq!(drill.of_kind("JobGone")[0].job.as_deref(), Some("job2_0a1b2c3d"));
}

#[tokio::test]
async fn a_job_that_stays_inactive_is_told_each_day_until_it_works_again() {
    let drill = drill();
    drill.settle(1).await;
    drill.shared.world().jobs[0].channel = "Inactive";
    drill.settle(3 * 12 * 24 + 20).await;
    drill.shared.world().jobs[0].channel = "Established";
    drill.settle(2).await;
    let told = drill.told();
    let turns: Vec<_> = told.iter().map(|finding| (finding.problem.kind(), finding.turn)).collect();
    let lasts = |days| ("JobInactive", Turn::Lasts { days });
    assert_eq!(
        turns,
        [("JobInactive", Turn::Began), lasts(1), lasts(2), lasts(3), ("JobInactive", Turn::Over)]
    );
    assert_eq!(told[2].id, format!("{}:2", told[0].id));
    let late = told[2].noticed.since(told[0].noticed).as_secs() % 86_400;
    assert!(late <= 600, "told {late} s after the day was over");
}

#[tokio::test]
async fn an_empty_answer_is_not_believed_until_the_reader_may_see_others_rows() {
    let drill = drill();
    drill.settle(2).await;
    drill.shared.world().sees_all = false;
    // While it is blind a file fails and another one is never noticed.
    let row = arrive(&mut drill.shared.world(), "in1/bad");
    drill.shared.world().refuse(row, Some(Duration::ZERO));
    drill.shared.world().put("in1/lost");
    drill.settle(20).await;
    let told = drill.told();
    assert_eq!(told.iter().map(|finding| finding.problem.kind()).collect::<Vec<_>>(), ["Blind"]);
    assert_eq!(told[0].command.last().unwrap(), "ALTER USER \"reader\" SYSLOG ACCESS UNRESTRICTED");
    drill.shared.world().sees_all = true;
    drill.settle(20).await;
    assert_eq!(drill.of_kind("FileInError").len(), 1);
    assert_eq!(drill.of_kind("NeverLoaded").len(), 1);
    assert_eq!(drill.of_kind("JobGone").len(), 0);
    assert_eq!(drill.of_kind("Blind").len(), 2);
}

#[tokio::test]
async fn a_warehouse_that_cannot_be_asked_is_told_once_and_again_when_it_answers() {
    let drill = drill();
    drill.settle(1).await;
    drill.shared.world().paused = true;
    drill.settle(6).await;
    drill.shared.world().paused = false;
    drill.settle(2).await;
    let turns: Vec<_> = drill.of_kind("CannotAsk").iter().map(|finding| finding.turn).collect();
    assert_eq!(turns, [Turn::Began, Turn::Over]);
}

#[tokio::test]
async fn a_file_that_waited_for_days_is_found_when_it_fails_and_in_the_ledger_when_it_is_loaded() {
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
    drill.shared.world().refuse(fails, Some(Duration::ZERO));
    drill.shared.world().load(loads);
    drill.settle(30).await;
    assert_eq!(drill.of_kind("FileInError").len(), 1);
    drill.every_failure_was_told_once();
    let state = drill.shared.table().files[&(100_001, "in1/loads".to_owned())].state;
    assert_eq!(state, crate::ports::FileState::Loaded);
    // So that an overwritten key is found, too.
    drill.shared.world().put("in1/loads");
    drill.settle(20).await;
    assert_eq!(drill.of_kind("Overwritten").len(), 1);
}
