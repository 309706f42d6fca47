//! What people read of each finding: one file each in tests/golden (see `alerts::golden`).

use std::collections::BTreeSet;
use std::time::Duration;

use alerts::golden::Golden;

use super::*;
use crate::places;

const ARN: &str = "arn:aws:secretsmanager:us-east-1:222222222222:secret:orders/app-AbCdEf";

fn at(text: &str) -> SystemTime {
    let at = Moment::parse(text).unwrap();
    SystemTime::UNIX_EPOCH + at.since(Moment::from_millis(0))
}

fn finding(problem: Problem, action: &[&str]) -> Finding {
    let command =
        ["aws", "secretsmanager"].iter().chain(action).chain(&["--region", "us-east-1", "--secret-id", ARN]);
    Finding {
        id: problem.kind().into(),
        command: command.map(|word| (*word).to_owned()).collect(),
        problem,
        arn: ARN.into(),
        name: "orders/app".into(),
        account: "222222222222".into(),
        region: "us-east-1".into(),
        since: at("2026-02-27T02:00:00Z"),
        noticed: at("2026-03-01T03:05:00Z"),
    }
}

/// One of each, by the name of its file.
fn all() -> Vec<(&'static str, Finding)> {
    let last = Some(at("2026-01-27T02:00:00Z"));
    let replica = Problem::ReplicaOutOfSync {
        replica_region: "eu-west-1".into(),
        status: "Failed".into(),
        message: Some("Replication failed: secret with this name already exists in this region".into()),
    };
    vec![
        ("overdue", finding(Problem::Overdue { last_rotated: last }, &["rotate-secret"])),
        ("overdue-never-rotated", finding(Problem::Overdue { last_rotated: None }, &["rotate-secret"])),
        (
            "stuck",
            finding(
                Problem::Stuck { version: "5f2f3c8e-0000-4000-8000-000000000001".into() },
                &["list-secret-version-ids"],
            ),
        ),
        ("rotation-off", finding(Problem::RotationOff { wanted_by_tag: false }, &["rotate-secret"])),
        (
            "rotation-off-with-tag",
            finding(Problem::RotationOff { wanted_by_tag: true }, &["describe-secret"]),
        ),
        ("unused", finding(Problem::Unused { last_accessed: last }, &["describe-secret"])),
        ("unused-ever", finding(Problem::Unused { last_accessed: None }, &["describe-secret"])),
        ("replica-out-of-sync", finding(replica, &["replicate-secret-to-regions"])),
        (
            "scheduled-for-deletion",
            finding(
                Problem::ScheduledForDeletion { deletion: Some(at("2026-03-29T02:00:00Z")) },
                &["restore-secret"],
            ),
        ),
    ]
}

fn told(finding: &Finding) -> String {
    alerts::golden::told(incident(finding, Moment::from_system(finding.noticed)), None)
}

#[test]
fn every_finding_is_told_as_its_golden_file_says() {
    let mut golden = Golden::of_crate(env!("CARGO_MANIFEST_DIR"));
    let mut kinds = BTreeSet::new();
    for (name, finding) in all() {
        kinds.insert(finding.problem.kind());
        let found = told(&finding);
        let first = found.lines().find(|line| line.starts_with('[')).unwrap();
        assert!(
            first.ends_with("secret orders/app (222222222222 us-east-1)") && first.len() < 140,
            "{first}"
        );
        for label in ["What:", "Since:", "Means:", "Do:", "Command:", "Runbook:"] {
            assert!(found.lines().any(|line| line.starts_with(label)), "{name} without {label}: {found}");
        }
        golden.check(&format!("{name}.txt"), &found);
    }
    assert_eq!(kinds.len(), 6, "every kind of `Problem` has a sample: {kinds:?}");
    // Not of a secret, but of a place whose secrets nobody can look at.
    let reason = "sts:AssumeRole: AccessDenied: User: arn:aws:sts::333333333333:assumed-role/sluice-hub-SecretsRole/x is not authorized";
    let command = Command::aws("iam", "get-role").option("role-name", "sluice-alerts-read");
    let location = AccountRegion::new("222222222222", "us-east-1");
    let incident = places::incident(&location, reason, command, Moment::from_system(at("2026-03-01T03:05:00Z")));
    golden.check("not-checked.txt", &alerts::golden::told(incident, None));
    golden.end();
}

#[test]
fn one_secret_has_one_incident_a_problem_version_and_replica() {
    let now = Moment::parse("2026-03-01T03:05:00Z").unwrap();
    let keys: BTreeSet<_> = all().iter().map(|(_, finding)| incident(finding, now).key()).collect();
    // Never rotated or not, wanted by tag or not, read once or not: the same problem.
    assert_eq!(keys.len(), 6);
    let key = |problem| incident(&finding(problem, &[]), now).key();
    let stuck = |version: &str| key(Problem::Stuck { version: version.into() });
    assert_ne!(stuck("a"), stuck("b"));
    let later = incident(&all()[0].1, now.plus(Duration::from_secs(3600)));
    assert!(keys.contains(&later.key()));
    assert!(all().iter().all(|(_, finding)| kind(&finding.problem).0.recovers()));
}
