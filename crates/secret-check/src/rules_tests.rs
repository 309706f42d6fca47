//! Each rule by itself, and all of them on random secrets.

use std::collections::HashMap;
use std::time::UNIX_EPOCH;

use proptest::prelude::*;

use super::*;
use crate::secret::{CURRENT, PENDING, Replica};

const DAY: Duration = Duration::from_secs(86_400);
const HOUR: Duration = Duration::from_secs(3600);

fn now() -> SystemTime {
    UNIX_EPOCH + DAY * 20_000
}

fn rules() -> Rules {
    Rules::new("222222222222".into(), "us-east-1".into())
}

/// One that nothing is wrong with.
fn healthy() -> Secret {
    Secret {
        arn: "arn:aws:secretsmanager:us-east-1:222222222222:secret:db-AbCdEf".into(),
        name: "db".into(),
        rotates: true,
        has_rotation_function: true,
        last_rotated: Some(now() - DAY * 10),
        next_rotation: Some(now() + DAY * 20),
        last_changed: Some(now() - DAY * 10),
        last_accessed: Some(now() - DAY),
        created: Some(now() - DAY * 300),
        labels: HashMap::from([
            ("v1".into(), vec![CURRENT.into()]),
            ("v0".into(), vec!["AWSPREVIOUS".into()]),
        ]),
        ..Secret::default()
    }
}

fn kinds(secret: &Secret) -> Vec<&'static str> {
    evaluate(&rules(), secret, now()).0.iter().map(|finding| finding.problem.kind()).collect()
}

fn with(change: impl FnOnce(&mut Secret)) -> Secret {
    let mut secret = healthy();
    change(&mut secret);
    secret
}

#[test]
fn a_healthy_secret_is_neither_found_nor_asked() {
    assert_eq!(evaluate(&rules(), &healthy(), now()), (vec![], Questions::default()));
}

#[test]
fn a_rotation_whose_time_is_over_is_overdue_after_an_hour() {
    let late = |by: Duration| with(|secret| secret.next_rotation = Some(now() - by));
    assert_eq!(kinds(&late(HOUR * 2)), ["Overdue"]);
    assert_eq!(kinds(&late(HOUR / 2)), [""; 0]);
    // The time of a rotation that was turned off says nothing.
    let off = with(|secret| {
        (secret.rotates, secret.next_rotation) = (false, Some(now() - DAY));
        secret.tags.insert(ROTATION_TAG.into(), "off".into());
    });
    assert_eq!(kinds(&off), [""; 0]);
    let found = &evaluate(&rules(), &late(HOUR * 2), now()).0[0];
    assert_eq!(
        found.command,
        ["aws", "secretsmanager", "rotate-secret", "--region", "us-east-1", "--secret-id", &healthy().arn]
    );
    assert_eq!(found.since, now() - HOUR * 2);
}

#[test]
fn a_version_that_is_pending_beside_the_current_one_for_a_day_is_stuck() {
    let pending = |changed: Duration| {
        with(|secret| {
            secret.labels.insert("v2".into(), vec![PENDING.into()]);
            secret.last_changed = Some(now() - changed);
        })
    };
    let (found, questions) = evaluate(&rules(), &pending(DAY * 2), now());
    assert_eq!((found[0].problem.kind(), questions), ("Stuck", Questions::default()));
    assert_eq!(found[0].problem, Problem::Stuck { version: "v2".into() });
    // A younger change may be another one: the version is asked for.
    let secret = pending(HOUR);
    assert_eq!(
        evaluate(&rules(), &secret, now()),
        (vec![], Questions { pending_version: true, details: false })
    );
    assert_eq!(judge_pending(&rules(), &secret, Some(now() - HOUR), now()), None);
    assert_eq!(judge_pending(&rules(), &secret, None, now()), None);
    assert_eq!(
        judge_pending(&rules(), &secret, Some(now() - DAY * 3), now()).unwrap().since,
        now() - DAY * 3
    );
    // After a rotation both labels are on one version for a while.
    let done = with(|secret| {
        secret.labels.insert("v1".into(), vec![CURRENT.into(), PENDING.into()]);
        secret.last_changed = Some(now() - DAY * 9);
    });
    assert_eq!(evaluate(&rules(), &done, now()), (vec![], Questions::default()));
}

#[test]
fn rotation_that_was_on_once_or_is_wanted_by_tag_is_off() {
    let off = |function: bool, rotated: bool, tag: Option<&str>| {
        with(|secret| {
            (secret.rotates, secret.next_rotation, secret.has_rotation_function) = (false, None, function);
            secret.last_rotated = rotated.then(|| now() - DAY);
            secret.tags.extend(tag.map(|tag| (ROTATION_TAG.to_owned(), tag.to_owned())));
        })
    };
    for (secret, found) in [
        (off(true, true, None), true),
        (off(true, false, None), true),
        (off(false, true, None), true),
        (off(false, false, Some("on")), true),
        (off(false, false, None), false),
        (off(true, true, Some("off")), false),
    ] {
        assert_eq!(kinds(&secret) == ["RotationOff"], found, "{secret:?}");
    }
}

#[test]
fn a_secret_that_nobody_reads_is_unused() {
    let read = |days: u32| with(|secret| secret.last_accessed = Some(now() - DAY * days));
    assert_eq!(kinds(&read(92)), ["Unused"]);
    // The day of the last read is all that is known of it.
    assert_eq!(kinds(&read(90)), [""; 0]);
    let never = with(|secret| secret.last_accessed = None);
    assert_eq!(kinds(&never), ["Unused"]);
    let new = with(|secret| (secret.last_accessed, secret.created) = (None, Some(now() - DAY)));
    assert_eq!(kinds(&new), [""; 0]);
    let expected = with(|secret| {
        secret.last_accessed = None;
        secret.tags.insert(UNUSED_TAG.into(), "expected".into());
    });
    assert_eq!(kinds(&expected), [""; 0]);
    let managed =
        with(|secret| (secret.last_accessed, secret.owning_service) = (None, Some("redshift".into())));
    assert_eq!(kinds(&managed), [""; 0]);
    let never_is_fine = Rules { unused_after: Duration::ZERO, ..rules() };
    assert_eq!(evaluate(&never_is_fine, &never, now()).0, []);
}

#[test]
fn a_replica_is_judged_where_its_primary_is() {
    let replica = with(|secret| {
        secret.primary_region = Some("eu-west-1".into());
        secret.next_rotation = Some(now() - DAY);
        secret.labels.insert("v2".into(), vec![PENDING.into()]);
        secret.last_changed = Some(now() - DAY * 5);
    });
    assert_eq!(evaluate(&rules(), &replica, now()), (vec![], Questions::default()));
    let primary = with(|secret| secret.primary_region = Some("us-east-1".into()));
    let (found, questions) = evaluate(&rules(), &primary, now());
    assert_eq!((found, questions), (vec![], Questions { pending_version: false, details: true }));
    let details = |status: &str| Details {
        replicas: vec![
            Replica { region: "eu-west-1".into(), status: "InSync".into(), message: None },
            Replica { region: "eu-west-2".into(), status: status.into(), message: Some("no key".into()) },
        ],
        deletion: None,
    };
    let found = judge_details(&rules(), &primary, &details("Failed"), now());
    assert_eq!(found.len(), 1);
    assert_eq!(
        found[0].problem,
        Problem::ReplicaOutOfSync {
            replica_region: "eu-west-2".into(),
            status: "Failed".into(),
            message: Some("no key".into())
        }
    );
    // The last change was ten days ago.
    assert_eq!(judge_details(&rules(), &primary, &details("InProgress"), now()).len(), 1);
    let fresh = Secret { last_changed: Some(now() - HOUR / 2), ..primary };
    assert_eq!(judge_details(&rules(), &fresh, &details("InProgress"), now()), []);
}

#[test]
fn a_secret_that_will_be_deleted_is_found_as_that_only() {
    let secret = with(|secret| {
        secret.deleted = Some(now() - DAY);
        secret.next_rotation = Some(now() - DAY * 9);
        secret.last_accessed = None;
    });
    let (found, questions) = evaluate(&rules(), &secret, now());
    assert_eq!((found, questions), (vec![], Questions { pending_version: false, details: true }));
    let details = Details { replicas: vec![], deletion: Some(now() + DAY * 6) };
    let found = judge_details(&rules(), &secret, &details, now());
    assert_eq!(found[0].problem, Problem::ScheduledForDeletion { deletion: Some(now() + DAY * 6) });
    assert_eq!(
        (found.len(), found[0].since, found[0].command[2].as_str()),
        (1, now() - DAY, "restore-secret")
    );
}

fn maybe_days() -> impl Strategy<Value = Option<SystemTime>> {
    proptest::option::of((0_u32..400).prop_map(|days| now() - DAY * days))
}

prop_compose! {
    fn any_secret()(
        rotates: bool, function: bool, last_rotated in maybe_days(), due in maybe_days(), changed in maybe_days(), accessed in maybe_days(),
        created in maybe_days(), deleted in proptest::option::weighted(0.1, Just(now() - DAY)), pending in 0_u8..3,
        primary in proptest::option::of(prop_oneof![Just("us-east-1".to_owned()), Just("eu-west-1".to_owned())]),
        tag in proptest::option::of(prop_oneof![Just("on"), Just("off"), Just("perhaps")]), managed: bool,
    ) -> Secret {
        let mut secret = Secret {
            rotates, has_rotation_function: function, last_rotated, next_rotation: due, last_changed: changed, last_accessed: accessed, created, deleted,
            owning_service: managed.then(|| "redshift".into()), primary_region: primary, ..healthy()
        };
        match pending {
            1 => { secret.labels.insert("v2".into(), vec![PENDING.into()]); }
            2 => { secret.labels.insert("v1".into(), vec![CURRENT.into(), PENDING.into()]); }
            _ => {}
        }
        secret.tags.extend(tag.map(|tag| (ROTATION_TAG.to_owned(), tag.to_owned())));
        secret
    }
}

proptest! {
    #[test]
    fn what_is_wrong_now_is_wrong_tomorrow_if_nothing_changes(secret in any_secret(), days in 1_u32..60) {
        let ids = |at| evaluate(&rules(), &secret, at).0.into_iter().map(|finding| finding.id).collect::<Vec<_>>();
        let (today, later) = (ids(now()), ids(now() + DAY * days));
        prop_assert!(today.iter().all(|id| later.contains(id)), "{today:?} {later:?}");
    }

    #[test]
    fn each_problem_of_a_secret_has_one_id_and_begins_before_it_is_noticed(secret in any_secret()) {
        let found = evaluate(&rules(), &secret, now()).0;
        let mut ids: Vec<_> = found.iter().map(|finding| finding.id.clone()).collect();
        ids.sort();
        ids.dedup();
        prop_assert_eq!(ids.len(), found.len());
        for finding in &found {
            prop_assert!(finding.since <= finding.noticed);
            prop_assert_eq!(finding.command.last(), Some(&secret.arn));
        }
    }

    #[test]
    fn the_rules_leave_each_other_alone(secret in any_secret()) {
        let kinds = kinds(&secret);
        // Off and overdue exclude each other, and what will be deleted or is rotated elsewhere is not judged by its rotation.
        prop_assert!(!(kinds.contains(&"Overdue") && kinds.contains(&"RotationOff")));
        let elsewhere = secret.is_replica("us-east-1") || secret.deleted.is_some();
        prop_assert!(!elsewhere || kinds.iter().all(|kind| *kind == "Unused"));
        prop_assert!(secret.deleted.is_none() || kinds.is_empty());
        // A version is asked for only while the listing leaves it open.
        let (_, questions) = evaluate(&rules(), &secret, now());
        prop_assert!(!questions.pending_version || (secret.pending().is_some() && !kinds.contains(&"Stuck")));
    }
}
