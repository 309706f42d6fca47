//! The alert text of each incident: one golden file for each.

use std::time::Duration;

use alerts::incident::Incident;
use alerts::notification::Resolution;
use lambda_kit::moment::Moment;
use test_support::alerts::mail_about;
use test_support::golden::Golden;
use warehouse::data_api::Login;
use warehouse::target::Target;

use super::*;
use crate::ports::Object;
use crate::settings::{Loader, Watched};
use crate::state::{Gap, JobState};
use crate::views::{Counts, JobMessage, RejectedFile};

const JOB: i64 = 7;

fn moment(text: &str) -> Moment {
    Moment::parse_sql(text).unwrap()
}

fn since() -> Moment {
    moment("2026-03-01 02:58:07")
}

fn watched() -> Watched {
    Watched {
        name: "main".into(),
        account: "222222222222".into(),
        region: "us-east-1".into(),
        target: Target::Cluster("main".into()),
        database: "dev".into(),
        login: Login::DbUser("monitor".into()),
        loader: Some(Loader { user_id: 104, login: Login::DbUser("loader".into()) }),
    }
}

fn job() -> JobState {
    JobState {
        name: "orders_0a1b2c3d".into(),
        bucket: Some("landing".into()),
        prefix: Some("orders/".into()),
        bucket_account: Some("111111111111".into()),
        copy: Some(("COPY orders FROM ".into(), " IAM_ROLE default CSV".into())),
        owner: Some(104),
        login: Some(Login::DbUser("loader".into())),
        newest_seen: Some(since()),
        newest_loaded: Some(moment("2026-02-28 23:00:00")),
        ..JobState::default()
    }
}

/// A job of a user of whom the kit has no login.
fn of_another() -> JobState {
    JobState { owner: Some(131), login: None, ..job() }
}

fn file(key: &str, error: Option<&str>) -> RejectedFile {
    RejectedFile {
        job: JOB,
        bucket: "landing".into(),
        key: key.into(),
        etag: "9b2cf535f27731c974343645a3985328".into(),
        enqueued: since(),
        line: 3,
        column: "amount".into(),
        error: error.map(str::to_owned),
    }
}

fn object() -> Object {
    Object {
        key: "orders/2026/03/01/part-0001.csv".into(),
        etag: "9b2cf535f27731c974343645a3985328".into(),
        size: 4096,
        modified: since(),
    }
}

/// Returns one incident of each sort by the name of its golden file, with its resolution.
fn all() -> Vec<(&'static str, Incident, Option<&'static str>)> {
    let (watched, job, object) = (watched(), job(), object());
    let error = Some("Invalid digit, Value 'x', Pos 0, Type: Integer (error 1207, query 4711)");
    let of_file = "s3://landing/orders/2026/03/01/part-0001.csv: The specified key does not exist.";
    let of_file = Some(JobMessage::OfFile(of_file));
    let of_job = Some(JobMessage::OfJob("relation \"orders\" does not exist"));
    let failed = "permission denied for view sys_copy_job";
    let (key, from) = (object.key.as_str(), moment("2026-02-10 00:00:00"));
    let gap = Gap { from, to: moment("2026-02-22 03:05:00") };
    let counts = Counts { waiting: 1200, ..Counts::default() };
    let hour = Duration::from_secs(3600);
    let denied = "s3:ListBucket: AccessDenied: Access Denied";
    let paused = "BatchExecuteStatement: the cluster is paused";
    let condition = |condition: Condition| Some(condition.resolution());
    vec![
        ("rejected", rejected(&watched, &job, &file(key, error), true, None), Some(LOADED_MANUALLY)),
        ("rejected-of-another-user", rejected(&watched, &of_another(), &file(key, error), true, None), None),
        ("auto-off-of-another-user", auto_off(&watched, JOB, &of_another(), since()), None),
        (
            "rejected-without-line",
            rejected(&watched, &job, &file(key, None), false, of_file),
            Some(LOADED_UNDER_NEW_NAME),
        ),
        (
            "rejected-by-another-cause",
            rejected(&watched, &job, &file(key, None), true, of_job),
            Some(LOADED_MANUALLY),
        ),
        ("never-loaded", never_loaded(&watched, JOB, &job, "landing", &object), None),
        (
            "overwritten",
            overwritten(&watched, JOB, &job, "landing", &object, "0cc175b9c0f1b6a831c399e269772661"),
            None,
        ),
        ("object-unknown", unknown(&watched, JOB, &job, "landing", &object, &gap), None),
        (
            "integration-inactive",
            integration_inactive(&watched, JOB, &job, "Inactive", since()),
            condition(Condition::IntegrationInactive),
        ),
        (
            "integration-missing",
            integration_missing(&watched, JOB, &job, hour, since()),
            condition(Condition::IntegrationMissing),
        ),
        ("auto-off", auto_off(&watched, JOB, &job, since()), condition(Condition::AutoOff)),
        ("gone", gone(&watched, JOB, &job, since()), None),
        (
            "files-waiting",
            files_waiting(&watched, JOB, &job, &counts, since(), since()),
            condition(Condition::FilesWaiting),
        ),
        ("stale", stale(&watched, JOB, &job, hour, since()), condition(Condition::Stale)),
        (
            "location-unknown",
            location_unknown(&watched, JOB, &job, since()),
            condition(Condition::LocationUnknown),
        ),
        (
            "access-restricted",
            access_restricted(&watched, Some("monitor"), "RESTRICTED", since()),
            condition(Condition::AccessRestricted),
        ),
        (
            "views-unreadable",
            views_unreadable(&watched, failed, Some("d1a3f2b4-6c8e-4f0a-9b2d-3e5f7a9c1b3d"), since()),
            condition(Condition::ViewsUnreadable),
        ),
        (
            "views-unreadable-paused",
            views_unreadable(&watched, paused, None, since()),
            condition(Condition::ViewsUnreadable),
        ),
        (
            "listing-denied",
            listing_denied(&watched, JOB, &job, denied, since()),
            condition(Condition::ListingDenied),
        ),
        ("history-unknown", history_unknown(&watched, gap.from, gap.to), None),
    ]
}

#[test]
fn every_alert_reads_as_its_golden_file() {
    let mut golden = Golden::of_crate(env!("CARGO_MANIFEST_DIR"));
    for (name, incident, resolution) in all() {
        let mut text = mail_about(incident.clone(), None);
        if let Some(how) = resolution {
            let at = moment("2026-03-01 03:05:00");
            let resolution = Resolution { at, how: how.into() };
            text.push_str(&format!("\n--------\n\n{}", mail_about(incident, Some(resolution))));
        }
        golden.check(&format!("{name}.txt"), &text);
    }
    golden.end();
}

#[test]
fn first_line_names_problem_and_alert_has_command_and_runbook() {
    for (name, incident, resolution) in all() {
        let resolves = !incident.kind.auto_resolves();
        let text = mail_about(incident, None);
        let first = text.lines().find(|line| line.starts_with('[')).unwrap();
        assert!(first.contains("(222222222222 us-east-1)") && first.len() < 140, "{name}: {first}");
        assert!(
            first.contains("orders_0a1b2c3d") || first.contains("all copy jobs on cluster main"),
            "{first}"
        );
        for label in ["What:", "Since:", "Impact:", "Action:", "Command:", "Runbook:"] {
            assert!(text.lines().any(|line| line.starts_with(label)), "{name} without {label}: {text}");
        }
        assert!(resolves || resolution.is_none(), "{name} ends, and its kind says that it does not");
    }
}

#[test]
fn incidents_have_keys_of_their_own() {
    let mut keys = std::collections::BTreeSet::new();
    let variants = [
        "rejected-of-another-user",
        "auto-off-of-another-user",
        "rejected-without-line",
        "rejected-by-another-cause",
        "views-unreadable-paused",
    ];
    for (name, incident, _) in all().into_iter().filter(|(name, ..)| !variants.contains(name)) {
        assert!(keys.insert(incident.key()), "{name}");
    }
    for condition in Condition::ALL {
        assert_eq!(Condition::parse(&condition.key(Some(7))), Some((condition, Some(7))));
        assert_eq!(Condition::parse(&condition.key(None)), Some((condition, None)));
    }
    assert_eq!(Condition::parse("gone:7"), None);
}

#[test]
fn resolution_of_rejected_file_has_the_key_of_its_incident() {
    let (watched, file) = (watched(), file("orders/part-0001.csv", None));
    let incident = rejected(&watched, &job(), &file, false, None);
    let key = |etag: &str| rejected_key(&watched, JOB, "landing", "orders/part-0001.csv", etag);
    assert_eq!(key(&file.etag), incident.key());
    assert_ne!(key("another content"), incident.key());
}

#[test]
fn alert_about_a_job_of_another_user_has_no_text_of_it() {
    let mut job = of_another();
    job.copy = Some(("COPY orders FROM ".into(), " IAM_ROLE default; GRANT ALL ON x TO evil".into()));
    job.name = "evil_job".into();
    for incident in [
        rejected(&watched(), &job, &file("orders/a", None), true, None),
        rejected(&watched(), &job, &file("orders/a", None), false, None),
        auto_off(&watched(), JOB, &job, since()),
        files_waiting(&watched(), JOB, &job, &Counts::default(), since(), since()),
    ] {
        let text = mail_about(incident, None);
        let command = text.lines().find(|line| line.starts_with("Command:")).unwrap();
        assert!(command.contains("SELECT usename FROM pg_catalog.pg_user WHERE usesysid = 131"), "{command}");
        for bad in ["COPY ", "GRANT", "evil", "loader"] {
            assert!(!command.contains(bad), "{bad}: {command}");
        }
        assert!(text.contains("the database user with the id 131"), "{text}");
    }
}

#[test]
fn cause_without_a_line_is_not_said_to_be_in_the_file() {
    let (watched, job) = (watched(), job());
    let with = |error, message| rejected(&watched, &job, &file("orders/a", error), true, message);
    assert!(with(Some("Invalid digit"), None).action.starts_with("Fix the file under its own name"));
    let relation = "relation \"orders\" does not exist";
    let incident = with(None, Some(JobMessage::OfJob(relation)));
    assert!(!incident.action.contains("Fix the file"), "{}", incident.action);
    let cause = incident.cause.unwrap();
    assert_eq!(cause, format!("the job's last message, which may be about another file: {relation}"));
    let of_file = "s3://landing/orders/a: The specified key does not exist.";
    assert_eq!(with(None, Some(JobMessage::OfFile(of_file))).cause.as_deref(), Some(of_file));
    assert_eq!(with(None, None).cause, None);
}

#[test]
fn command_on_a_bucket_names_the_account_that_may_run_it() {
    let (watched, mut job, object) = (watched(), job(), object());
    let actions = |job: &JobState| {
        [
            overwritten(&watched, JOB, job, "landing", &object, "x").action,
            never_loaded(&watched, JOB, job, "landing", &object).action,
            rejected(&watched, job, &file("orders/a", None), false, None).action,
            listing_denied(&watched, JOB, job, "denied", since()).action,
        ]
    };
    for action in actions(&job) {
        assert!(action.ends_with("with credentials of the bucket's account (111111111111):"), "{action}");
    }
    job.bucket_account = None;
    for action in actions(&job) {
        assert!(action.ends_with("with credentials of the bucket's account:"), "{action}");
    }
}

#[test]
fn hostile_key_and_error_mention_nobody_and_stay_one_word() {
    let key = "in/$(reboot) <!channel> @here\u{202e}fdc.\n.csv";
    let mut file = file(key, Some("boom @here password=hunter2 <!channel>"));
    file.column = "a`b".into();
    let text = mail_about(rejected(&watched(), &job(), &file, false, None), None);
    for bad in ["hunter2", "<!channel>", "@here", "\u{202e}", "`"] {
        assert!(!text.contains(bad), "{bad}: {text}");
    }
    let command = text.lines().find(|line| line.starts_with("Command:")).unwrap();
    assert!(
        command.contains(r"aws s3 cp $'s3://landing/in/$(reboot) \x3c\x21channel\x3e \x40here"),
        "{command}"
    );
}
