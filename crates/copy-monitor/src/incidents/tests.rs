//! What people read of each finding: one file each in tests/golden (see `alerts::golden`).

use std::collections::{BTreeSet, HashMap};

use alerts::announcement::End;
use alerts::announcer::{Announcer as Alerts, Turn as Time};
use alerts::faults::World;
use alerts::golden::{Golden, told};
use alerts::state::{Edge, Policy};

use super::*;
use crate::adapters::Incidents;
use crate::finding::{file_id, id, lasting, over};
use crate::moment::Moment;
use crate::ports::Announcer;

const WHERE: [&str; 2] = ["--region", "us-east-1"];

fn moment(text: &str) -> Moment {
    Moment::parse_sql(text).unwrap()
}

fn file(key: &str) -> FileId {
    FileId { bucket: "landing".into(), key: key.into(), etag: "9b2cf535f27731c974343645a3985328".into() }
}

fn sql(sql: &str) -> Vec<String> {
    let start = ["aws", "redshift-data", "execute-statement"];
    let rest = ["--cluster-identifier", "main", "--database", "dev", "--db-user", "monitor", "--sql", sql];
    start.into_iter().chain(WHERE).chain(rest).map(str::to_owned).collect()
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn finding(problem: Problem, command: Vec<String>) -> Finding {
    let about_all =
        matches!(problem, Problem::Unknown { .. } | Problem::Blind { .. } | Problem::CannotAsk { .. });
    Finding {
        id: id(&[problem.kind()]),
        turn: Turn::Began,
        account: "222222222222".into(),
        region: "us-east-1".into(),
        warehouse: "cluster main".into(),
        job: (!about_all).then(|| "orders_0a1b2c3d".to_owned()),
        since: moment("2026-03-01 02:58:07"),
        noticed: moment("2026-03-01 03:05:00"),
        problem,
        command,
    }
}

fn refused(key: &str, cause: Option<Cause>) -> Problem {
    let job_message = cause.is_none().then(|| "The specified key does not exist.".to_owned());
    Problem::FileInError { file: file(key), cause, job_message }
}

fn cause(line: i64, column: &str) -> Cause {
    let message = "Invalid digit, Value 'x', Pos 0, Type: Integer".to_owned();
    Cause { line, column: column.into(), code: 1207, message, query_id: 4711 }
}

/// One of each, by the name of its file.
fn all() -> Vec<(&'static str, Finding)> {
    let key = "orders/2026/03/01/part-0001.csv";
    let written = moment("2026-03-01 02:58:07");
    let (from, to) = (format!("s3://landing/{key}"), format!("s3://landing/{key}.reload"));
    let copy = sql(&format!("COPY orders FROM 's3://landing/{key}' IAM_ROLE default CSV"));
    let integrations = words(&["aws", "redshift", "describe-inbound-integrations", "--region", "us-east-1"]);
    let list = words(&[
        "aws",
        "s3api",
        "list-objects-v2",
        "--bucket",
        "landing",
        "--prefix",
        "orders/",
        "--max-items",
        "20",
    ]);
    vec![
        ("file-in-error", finding(refused(key, Some(cause(3, "amount"))), copy)),
        ("file-in-error-without-row", finding(refused(key, None), words(&["aws", "s3", "cp", &from, &to]))),
        (
            "never-loaded",
            finding(
                Problem::NeverLoaded { file: file(key), modified: written, size: 4096 },
                words(&["aws", "s3", "cp", &from, &from, "--metadata-directive", "REPLACE"]),
            ),
        ),
        (
            "overwritten",
            finding(
                Problem::Overwritten {
                    file: file(key),
                    loaded_etag: "0cc175b9c0f1b6a831c399e269772661".into(),
                    modified: written,
                },
                words(&["aws", "s3", "cp", &from, &to]),
            ),
        ),
        ("job-inactive", finding(Problem::JobInactive { state: "Inactive".into() }, integrations.clone())),
        ("job-without-integration", finding(Problem::JobWithoutIntegration, integrations)),
        (
            "job-not-automatic",
            finding(Problem::JobNotAutomatic, sql("COPY JOB ALTER orders_0a1b2c3d AUTO ON")),
        ),
        ("job-gone", finding(Problem::JobGone, sql("SELECT job_id, job_name, is_auto FROM sys_copy_job"))),
        (
            "files-waiting",
            finding(
                Problem::FilesWaiting { files: 1200, oldest: written },
                sql("COPY JOB RUN orders_0a1b2c3d"),
            ),
        ),
        (
            "stale",
            finding(
                Problem::Stale {
                    newest_object: written,
                    newest_loaded: Some(moment("2026-02-28 23:00:00")),
                    limit_seconds: 3600,
                },
                sql(
                    "SELECT file_name, status, enqueue_time FROM sys_copy_job_detail WHERE job_id = 7 ORDER BY enqueue_time DESC LIMIT 20",
                ),
            ),
        ),
        (
            "prefix-unknown",
            finding(Problem::PrefixUnknown, sql("SELECT job_name, job_text FROM sys_copy_job")),
        ),
        (
            "cannot-list",
            finding(
                Problem::CannotList {
                    bucket: "landing".into(),
                    message: "s3:ListBucket: AccessDenied: Access Denied".into(),
                },
                list.clone(),
            ),
        ),
        (
            "unknown",
            finding(
                Problem::Unknown { from: moment("2026-02-10 00:00:00"), to: moment("2026-02-22 03:05:00") },
                sql(
                    "SELECT job_name, file_location, file_name, status FROM sys_copy_job_detail WHERE enqueue_time BETWEEN '2026-02-10 00:00:00.000000' AND '2026-02-22 03:05:00.000000' ORDER BY enqueue_time",
                ),
            ),
        ),
        ("unknown-file", finding(Problem::UnknownFile { file: file(key), modified: written }, list)),
        (
            "blind",
            finding(
                Problem::Blind { access: "RESTRICTED".into() },
                sql("ALTER USER \"monitor\" SYSLOG ACCESS UNRESTRICTED"),
            ),
        ),
        (
            "cannot-ask",
            finding(
                Problem::CannotAsk { message: "BatchExecuteStatement: the cluster is paused".into() },
                sql("SELECT 1"),
            ),
        ),
    ]
}

fn began(finding: &Finding) -> String {
    let Edge::Raised(incident) = signal(finding).edge else { panic!("{finding:?}") };
    told(*incident, None)
}

fn ended(finding: &Finding) -> String {
    let signal = signal(&Finding { id: over(&finding.id), turn: Turn::Over, ..finding.clone() });
    let Edge::Cleared(how) = signal.edge else { panic!("{finding:?}") };
    told(incident(finding), Some(End { at: signal.at, how }))
}

/// Whether the monitor ever says that it is over.
fn ends(problem: &Problem) -> bool {
    !end(problem).contains("does not find it")
}

#[test]
fn every_finding_is_told_as_its_golden_file_says() {
    let mut golden = Golden::of_crate(env!("CARGO_MANIFEST_DIR"));
    let mut kinds = BTreeSet::new();
    for (name, finding) in all() {
        kinds.insert(finding.problem.kind());
        let mut found = began(&finding);
        if ends(&finding.problem) {
            found.push_str(&format!("\n--------\n\n{}", ended(&finding)));
        }
        golden.check(&format!("{name}.txt"), &found);
    }
    assert_eq!(kinds.len(), 15, "every kind of `Problem` has a sample: {kinds:?}");
    golden.end();
}

#[test]
fn the_first_line_says_what_and_where_and_everything_has_a_command_and_a_runbook() {
    for (name, finding) in all() {
        let text = began(&finding);
        let first = text.lines().find(|line| line.starts_with('[')).unwrap();
        assert!(first.contains("(222222222222 us-east-1)") && first.len() < 140, "{name}: {first}");
        assert!(
            first.contains("orders_0a1b2c3d") || first.contains("all copy jobs on cluster main"),
            "{first}"
        );
        for label in ["What:", "Since:", "Means:", "Do:", "Command:", "Runbook:"] {
            assert!(text.lines().any(|line| line.starts_with(label)), "{name} without {label}: {text}");
        }
        let recovers = kind(&finding.problem).0.recovers();
        assert!(recovers || !ends(&finding.problem), "{name} ends, and its kind says that it does not");
    }
}

#[test]
fn an_end_belongs_to_its_own_beginning_and_to_no_other() {
    let began = all().remove(0).1;
    let end = Finding {
        id: over(&began.id),
        turn: Turn::Over,
        // What is known at the end is less than at the beginning.
        problem: refused("orders/2026/03/01/part-0001.csv", None),
        command: Vec::new(),
        // A clock that is behind.
        noticed: moment("2026-03-01 02:00:00"),
        ..began.clone()
    };
    let (one, other) = (signal(&began), signal(&end));
    assert_eq!(one.key, other.key);
    assert!(one.event != other.event && other.at >= one.at);
    let again = Finding { id: id(&["another"]), ..began.clone() };
    assert_ne!(signal(&again).key, one.key);
    assert_eq!(signal(&began).event, one.event);
}

#[tokio::test]
async fn what_lasts_is_told_again_after_a_day_and_four_and_then_weekly_and_never_after_its_end() {
    let world = World::new(HashMap::new());
    let began = all().into_iter().find(|(name, _)| *name == "job-inactive").unwrap().1;
    let day = |days: u32| {
        let (turn, noticed) = (Turn::Lasts { days }, began.noticed.plus(DAY * days));
        Finding { id: lasting(&began.id, days), turn, noticed, ..began.clone() }
    };
    announce(&world, std::slice::from_ref(&began), 0).await;
    for days in 1..=28 {
        announce(&world, &[day(days)], u64::from(days) * 86_400).await;
        // Five minutes later, the schedule of the alerts looks after what is due.
        announce(&world, &[], u64::from(days) * 86_400 + 300).await;
    }
    let over = Finding {
        noticed: began.noticed.plus(DAY * 29),
        id: over(&began.id),
        turn: Turn::Over,
        ..began.clone()
    };
    announce(&world, &[over], 29 * 86_400).await;
    // A run that was late tells it after the end.
    announce(&world, &[day(29)], 29 * 86_400 + 60).await;
    let subjects: Vec<String> = world.published().into_iter().map(|message| message.subject).collect();
    let still = |time| format!("[ERROR] Still: Copy job inactive, for {time}: copy job orders_0a1b2c3d on");
    let expected = [
        "[ERROR] Copy job inactive: copy job orders_0a1b2c3d on".to_owned(),
        still("24 h"),
        still("5 d"),
        still("12 d"),
        still("19 d"),
        still("26 d"),
        "[RECOVERED] Copy job inactive: copy job orders_0a1b2c3d on".to_owned(),
    ];
    assert_eq!(subjects.len(), expected.len(), "{subjects:?}");
    for (subject, expected) in subjects.iter().zip(&expected) {
        assert!(subject.starts_with(expected), "{subject}");
    }
}

#[test]
fn hostile_keys_and_causes_call_nobody_and_stay_one_word_of_the_command() {
    let key = "in/$(reboot) <!channel> @here\u{202e}fdc.\n.csv";
    let mut cause = cause(1, "a`b");
    cause.message = "boom @here password=hunter2 <!channel>".into();
    let url = format!("s3://landing/{key}");
    let command = words(&["aws", "s3", "cp", &url, &format!("{url}.reload")]);
    let text = began(&finding(refused(key, Some(cause)), command));
    for bad in ["hunter2", "<!channel>", "@here", "\u{202e}", "`"] {
        assert!(!text.contains(bad), "{bad}: {text}");
    }
    let command = text.lines().find(|line| line.starts_with("Command:")).unwrap();
    assert!(
        command.contains(r"aws s3 cp $'s3://landing/in/$(reboot) \x3c!channel\x3e \x40here"),
        "{command}"
    );
}

fn refused_file(number: u32) -> Finding {
    let key = format!("orders/part-{number:05}.csv");
    let id = file_id("main", "FileInError", 7, "landing", &key, "e");
    Finding { id, ..finding(refused(&key, Some(cause(1, "amount"))), sql("COPY …")) }
}

/// Tells findings one after the other in an invocation of its own, at so many seconds after the first was noticed.
async fn announce(world: &World, findings: &[Finding], seconds: u64) {
    let now = moment("2026-03-01 03:05:00").plus(Duration::from_secs(seconds));
    let turn = Time { now, until: now.plus(Duration::from_secs(60)) };
    let incidents = Incidents::new(Alerts::new(world, world, Policy::default()), turn);
    for finding in findings {
        incidents.announce(finding).await.unwrap();
    }
    Alerts::new(world, world, Policy::default()).sweep(turn, 100).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn of_ten_thousand_refused_files_twelve_are_told_by_name_and_the_rest_as_one_and_the_job_is_not_hidden()
{
    let world = World::new(HashMap::new());
    let storm: Vec<Finding> = (0..10_000).map(refused_file).collect();
    announce(&world, &storm, 0).await;
    // One read and one write for each, another write for each that was published.
    assert!(world.calls().0 < 20_100, "{:?}", world.calls());
    let inactive = all().into_iter().find(|(name, _)| *name == "job-inactive").unwrap().1;
    announce(&world, &[inactive], 1).await;
    let subjects: Vec<String> = world.published().into_iter().map(|message| message.subject).collect();
    assert_eq!(subjects.len(), 13, "{subjects:?}");
    assert!(subjects[0].contains("orders_0a1b2c3d: orders/part-00000.csv"), "{}", subjects[0]);
    assert!(subjects[12].contains("Copy job inactive"), "{}", subjects[12]);
    announce(&world, &[], 3601).await;
    let messages = world.published();
    assert_eq!(messages.len(), 14);
    let body: serde_json::Value = serde_json::from_str(&messages[13].body).unwrap();
    let text = body["email"].as_str().unwrap();
    assert!(
        text.starts_with(
            "[ERROR] Further alerts held back: files of copy job orders_0a1b2c3d on cluster main ("
        ) && text.contains("9988 more alerts")
            && text.contains("opened file-in-error: orders_0a1b2c3d: orders/part-00012.csv")
            && text.contains("and 9978 like these"),
        "{text}"
    );
    announce(&world, &[], 2 * 3600).await;
    assert_eq!(world.published().len(), 14, "a summary is told once");
}
