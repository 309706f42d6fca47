//! The e-mail about each problem: one file for each in tests/golden.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use alerts::Incident;
use alerts::command::Command;
use alerts::incident::AccountRegion;
use alerts::kind::Kind;
use alerts::moment::Moment;
use secret_check::accounts::check_failed;
use secret_check::rules::{ROTATION_TAG, Rules, evaluate, evaluate_details, evaluate_pending};
use secret_check::secret::{CURRENT, Details, PENDING, Replica, Secret};
use test_support::alerts::mail_about;
use test_support::golden::Golden;

const ARN: &str = "arn:aws:secretsmanager:us-east-1:222222222222:secret:orders/app-AbCdEf";
const VERSION: &str = "5f2f3c8e-0000-4000-8000-000000000001";

fn at(text: &str) -> Moment {
    Moment::parse(text).unwrap()
}

fn now() -> Moment {
    at("2026-03-01T03:05:00Z")
}

fn rules() -> Rules {
    Rules::new(AccountRegion::new("222222222222", "us-east-1"))
}

/// Returns a healthy secret with a change.
fn with(change: impl FnOnce(&mut Secret)) -> Secret {
    let mut secret = Secret {
        arn: ARN.into(),
        name: "orders/app".into(),
        rotates: true,
        has_rotation_function: true,
        last_rotated: Some(at("2026-01-27T02:00:00Z")),
        next_rotation: Some(at("2026-03-27T02:00:00Z")),
        last_changed: Some(at("2026-02-27T02:00:00Z")),
        last_accessed: Some(at("2026-02-28T00:00:00Z")),
        created: Some(at("2025-06-01T09:00:00Z")),
        labels: HashMap::from([("v1".into(), vec![CURRENT.into()])]),
        ..Secret::default()
    };
    change(&mut secret);
    secret
}

fn only(mut found: Vec<Incident>) -> Incident {
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

fn listed(secret: &Secret) -> Incident {
    only(evaluate(&rules(), secret, now()).0)
}

fn detailed(secret: &Secret, details: &Details) -> Incident {
    only(evaluate_details(&rules(), secret, details, now()))
}

/// Returns one incident of each form, by the name of its file.
fn all() -> Vec<(&'static str, Incident)> {
    let due = Some(at("2026-02-27T02:00:00Z"));
    let disable = |secret: &mut Secret| (secret.rotates, secret.next_rotation) = (false, None);
    let replica = Replica {
        region: "eu-west-1".into(),
        status: "Failed".into(),
        message: Some("Replication failed: secret with this name already exists in this region".into()),
    };
    let replicated = with(|secret| secret.primary_region = Some("us-east-1".into()));
    let replicas = Details { replicas: vec![replica], deletion: None };
    let deleted = with(|secret| secret.deleted = due);
    let deletion = Details { replicas: vec![], deletion: Some(at("2026-03-29T02:00:00Z")) };
    let pending = with(|secret| {
        secret.labels.insert(VERSION.into(), vec![PENDING.into()]);
    });
    vec![
        ("rotation-overdue", listed(&with(|secret| secret.next_rotation = due))),
        (
            "rotation-overdue-never-rotated",
            listed(&with(|secret| (secret.next_rotation, secret.last_rotated) = (due, None))),
        ),
        ("rotation-stuck", evaluate_pending(&rules(), &pending, due, now()).unwrap()),
        ("rotation-disabled", listed(&with(disable))),
        (
            "rotation-disabled-with-tag",
            listed(&with(|secret| {
                disable(secret);
                secret.has_rotation_function = false;
                secret.tags.insert(ROTATION_TAG.into(), "on".into());
            })),
        ),
        ("secret-unused", listed(&with(|secret| secret.last_accessed = Some(at("2025-11-01T00:00:00Z"))))),
        ("secret-unused-never-read", listed(&with(|secret| secret.last_accessed = None))),
        ("replica-out-of-sync", detailed(&replicated, &replicas)),
        ("scheduled-for-deletion", detailed(&deleted, &deletion)),
    ]
}

#[test]
fn alert_of_every_problem_is_its_golden_file() {
    let mut golden = Golden::of_crate(env!("CARGO_MANIFEST_DIR"));
    let mut kinds = BTreeSet::new();
    for (name, incident) in all() {
        kinds.insert(incident.kind);
        let found = mail_about(incident, None);
        let first = found.lines().find(|line| line.starts_with('[')).unwrap();
        assert!(
            first.ends_with("secret orders/app (222222222222 us-east-1)") && first.len() < 140,
            "{first}"
        );
        for label in ["What:", "Since:", "Impact:", "Action:", "Command:", "Runbook:"] {
            assert!(found.lines().any(|line| line.starts_with(label)), "{name} without {label}: {found}");
        }
        golden.check(&format!("{name}.txt"), &found);
    }
    assert_eq!(kinds.len(), 6, "every kind has a sample: {kinds:?}");
    let reason = "sts:AssumeRole: AccessDenied: User: \
                  arn:aws:sts::333333333333:assumed-role/sluice-hub-SecretsRole/x is not authorized";
    let command = Command::aws("iam", "get-role").option("role-name", "sluice-alerts-read");
    let location = AccountRegion::new("222222222222", "us-east-1");
    let incident = check_failed(&location, reason, command, now());
    golden.check("secret-check-failed.txt", &mail_about(incident, None));
    golden.end();
}

#[test]
fn secret_has_one_incident_for_each_problem_version_and_replica() {
    let keys: BTreeSet<_> = all().iter().map(|(_, incident)| incident.key()).collect();
    // Never rotated or not, with a tag or not, read once or not: the same problem.
    assert_eq!(keys.len(), 6);
    let stuck = |version: &str| {
        let pending = with(|secret| {
            secret.labels.insert(version.into(), vec![PENDING.into()]);
        });
        let created = now().minus(Duration::from_secs(2 * 86_400));
        evaluate_pending(&rules(), &pending, Some(created), now()).unwrap().key()
    };
    assert_ne!(stuck("a"), stuck("b"));
    assert!(all().iter().all(|(_, incident)| incident.kind.is_condition()));
    assert!(Kind::SecretCheckFailed.is_condition());
}
