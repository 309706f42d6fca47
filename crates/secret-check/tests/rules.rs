//! Each rule by itself, and all of them on random secrets.

#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::time::Duration;

use alerts::incident::AccountRegion;
use alerts::kind::Kind;
use alerts::moment::Moment;
use proptest::prelude::*;
use secret_check::rules::{
    Lookups, ROTATION_TAG, Rules, UNUSED_TAG, evaluate, evaluate_details, evaluate_pending,
};
use secret_check::secret::{CURRENT, Details, PENDING, Replica, Secret};

const DAY: Duration = Duration::from_secs(86_400);
const HOUR: Duration = Duration::from_secs(3600);

fn now() -> Moment {
    Moment::BEGINNING.plus(DAY * 20_000)
}

fn rules() -> Rules {
    Rules::new(AccountRegion::new("222222222222", "us-east-1"))
}

/// A secret without a problem.
fn healthy() -> Secret {
    Secret {
        arn: "arn:aws:secretsmanager:us-east-1:222222222222:secret:db-AbCdEf".into(),
        name: "db".into(),
        rotates: true,
        has_rotation_function: true,
        last_rotated: Some(now().minus(DAY * 10)),
        next_rotation: Some(now().plus(DAY * 20)),
        last_changed: Some(now().minus(DAY * 10)),
        last_accessed: Some(now().minus(DAY)),
        created: Some(now().minus(DAY * 300)),
        labels: HashMap::from([
            ("v1".into(), vec![CURRENT.into()]),
            ("v0".into(), vec!["AWSPREVIOUS".into()]),
        ]),
        ..Secret::default()
    }
}

fn kinds(secret: &Secret) -> Vec<Kind> {
    evaluate(&rules(), secret, now()).0.iter().map(|incident| incident.kind).collect()
}

fn with(change: impl FnOnce(&mut Secret)) -> Secret {
    let mut secret = healthy();
    change(&mut secret);
    secret
}

#[test]
fn healthy_secret_has_no_incident_and_needs_no_lookup() {
    assert_eq!(evaluate(&rules(), &healthy(), now()), (vec![], Lookups::default()));
}

#[test]
fn rotation_is_overdue_an_hour_after_its_due_date() {
    let late = |by: Duration| with(|secret| secret.next_rotation = Some(now().minus(by)));
    assert_eq!(kinds(&late(HOUR * 2)), [Kind::RotationOverdue]);
    assert_eq!(kinds(&late(HOUR / 2)), []);
    // The due date of a disabled rotation does not matter.
    let off = with(|secret| {
        (secret.rotates, secret.next_rotation) = (false, Some(now().minus(DAY)));
        secret.tags.insert(ROTATION_TAG.into(), "off".into());
    });
    assert_eq!(kinds(&off), []);
    let found = &evaluate(&rules(), &late(HOUR * 2), now()).0[0];
    let command =
        format!("aws secretsmanager rotate-secret --region us-east-1 --secret-id {}", healthy().arn);
    assert_eq!(found.command.as_ref(), Some(&command));
    let due = format!("due by {}", now().minus(HOUR * 2));
    assert!(found.what.contains(&due) && found.since == now(), "{found:?}");
}

#[test]
fn version_that_is_pending_for_a_day_is_stuck() {
    let pending = |changed: Duration| {
        with(|secret| {
            secret.labels.insert("v2".into(), vec![PENDING.into()]);
            secret.last_changed = Some(now().minus(changed));
        })
    };
    let (found, lookups) = evaluate(&rules(), &pending(DAY * 2), now());
    assert_eq!((found[0].kind, lookups), (Kind::RotationStuck, Lookups::default()));
    assert_eq!(found[0].dedup_key.as_deref(), Some("v2"));
    // A recent change may be another one: the version's age is needed.
    let secret = pending(HOUR);
    assert_eq!(
        evaluate(&rules(), &secret, now()),
        (vec![], Lookups { pending_version: true, details: false })
    );
    assert_eq!(evaluate_pending(&rules(), &secret, Some(now().minus(HOUR)), now()), None);
    assert_eq!(evaluate_pending(&rules(), &secret, None, now()), None);
    let stuck = evaluate_pending(&rules(), &secret, Some(now().minus(DAY * 3)), now()).unwrap();
    let since = format!("AWSPENDING since {}", now().minus(DAY * 3));
    assert!(stuck.what.contains(&since), "{stuck:?}");
    // After a rotation, one version has both labels for a while.
    let done = with(|secret| {
        secret.labels.insert("v1".into(), vec![CURRENT.into(), PENDING.into()]);
        secret.last_changed = Some(now().minus(DAY * 9));
    });
    assert_eq!(evaluate(&rules(), &done, now()), (vec![], Lookups::default()));
}

#[test]
fn rotation_that_was_enabled_or_is_tagged_is_disabled() {
    let off = |function: bool, rotated: bool, tag: Option<&str>| {
        with(|secret| {
            (secret.rotates, secret.next_rotation, secret.has_rotation_function) = (false, None, function);
            secret.last_rotated = rotated.then(|| now().minus(DAY));
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
        assert_eq!(kinds(&secret) == [Kind::RotationDisabled], found, "{secret:?}");
    }
}

#[test]
fn secret_without_reads_is_unused() {
    let read = |days: u32| with(|secret| secret.last_accessed = Some(now().minus(DAY * days)));
    assert_eq!(kinds(&read(92)), [Kind::SecretUnused]);
    // Only the day of the last read is known.
    assert_eq!(kinds(&read(90)), []);
    let never = with(|secret| secret.last_accessed = None);
    assert_eq!(kinds(&never), [Kind::SecretUnused]);
    let new = with(|secret| (secret.last_accessed, secret.created) = (None, Some(now().minus(DAY))));
    assert_eq!(kinds(&new), []);
    let expected = with(|secret| {
        secret.last_accessed = None;
        secret.tags.insert(UNUSED_TAG.into(), "expected".into());
    });
    assert_eq!(kinds(&expected), []);
    let managed =
        with(|secret| (secret.last_accessed, secret.owning_service) = (None, Some("redshift".into())));
    assert_eq!(kinds(&managed), []);
    let never_is_fine = Rules { unused_after: Duration::ZERO, ..rules() };
    assert_eq!(evaluate(&never_is_fine, &never, now()).0, []);
}

#[test]
fn replica_is_checked_in_the_region_of_its_primary() {
    let replica = with(|secret| {
        secret.primary_region = Some("eu-west-1".into());
        secret.next_rotation = Some(now().minus(DAY));
        secret.labels.insert("v2".into(), vec![PENDING.into()]);
        secret.last_changed = Some(now().minus(DAY * 5));
    });
    assert_eq!(evaluate(&rules(), &replica, now()), (vec![], Lookups::default()));
    let primary = with(|secret| secret.primary_region = Some("us-east-1".into()));
    let (found, lookups) = evaluate(&rules(), &primary, now());
    assert_eq!((found, lookups), (vec![], Lookups { pending_version: false, details: true }));
    let details = |status: &str| Details {
        replicas: vec![
            Replica { region: "eu-west-1".into(), status: "InSync".into(), message: None },
            Replica { region: "eu-west-2".into(), status: status.into(), message: Some("no key".into()) },
        ],
        deletion: None,
    };
    let found = evaluate_details(&rules(), &primary, &details("Failed"), now());
    assert_eq!(found.len(), 1);
    let replica = &found[0];
    assert_eq!(
        (replica.kind, replica.dedup_key.as_deref(), replica.cause.as_deref()),
        (Kind::ReplicaOutOfSync, Some("eu-west-2"), Some("no key"))
    );
    let command = replica.command.as_deref().unwrap();
    assert!(
        command.ends_with("--add-replica-regions Region=eu-west-2 --force-overwrite-replica-secret"),
        "{command}"
    );
    // The last change was ten days ago.
    assert_eq!(evaluate_details(&rules(), &primary, &details("InProgress"), now()).len(), 1);
    let fresh = Secret { last_changed: Some(now().minus(HOUR / 2)), ..primary };
    assert_eq!(evaluate_details(&rules(), &fresh, &details("InProgress"), now()), []);
}

#[test]
fn secret_marked_for_deletion_has_one_incident() {
    let secret = with(|secret| {
        secret.deleted = Some(now().minus(DAY));
        secret.next_rotation = Some(now().minus(DAY * 9));
        secret.last_accessed = None;
    });
    let (found, lookups) = evaluate(&rules(), &secret, now());
    assert_eq!((found, lookups), (vec![], Lookups { pending_version: false, details: true }));
    let details = Details { replicas: vec![], deletion: Some(now().plus(DAY * 6)) };
    let found = evaluate_details(&rules(), &secret, &details, now());
    let [deleted] = &found[..] else { panic!("{found:?}") };
    let what = format!("since {}. It will be deleted at {}.", now().minus(DAY), now().plus(DAY * 6));
    assert!(deleted.kind == Kind::SecretDeleted && deleted.what.ends_with(&what), "{deleted:?}");
    assert!(deleted.command.as_ref().unwrap().contains("restore-secret"), "{deleted:?}");
}

fn maybe_days() -> impl Strategy<Value = Option<Moment>> {
    proptest::option::of((0_u32..400).prop_map(|days| now().minus(DAY * days)))
}

prop_compose! {
    fn any_secret()(
        rotates: bool, function: bool, last_rotated in maybe_days(), due in maybe_days(), changed in maybe_days(), accessed in maybe_days(),
        created in maybe_days(), deleted in proptest::option::weighted(0.1, Just(now().minus(DAY))), pending in 0_u8..3,
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
    fn problem_persists_if_nothing_changes(secret in any_secret(), days in 1_u32..60) {
        let keys = |at| evaluate(&rules(), &secret, at).0.iter().map(|one| one.key()).collect::<Vec<_>>();
        let (today, later) = (keys(now()), keys(now().plus(DAY * days)));
        prop_assert!(today.iter().all(|key| later.contains(key)), "{today:?} {later:?}");
    }

    #[test]
    fn problems_of_a_secret_have_unique_keys(secret in any_secret()) {
        let found = evaluate(&rules(), &secret, now()).0;
        let mut keys: Vec<_> = found.iter().map(|incident| incident.key()).collect();
        keys.sort();
        keys.dedup();
        prop_assert_eq!(keys.len(), found.len());
        for incident in &found {
            let command = incident.command.as_deref().unwrap_or_default();
            prop_assert!(command.contains(&secret.arn), "{}", command);
        }
    }

    #[test]
    fn rules_do_not_contradict_each_other(secret in any_secret()) {
        let kinds = kinds(&secret);
        // Disabled and overdue exclude each other. The rotation of a replica or a deleted secret does not matter.
        prop_assert!(!(kinds.contains(&Kind::RotationOverdue) && kinds.contains(&Kind::RotationDisabled)));
        let elsewhere = secret.is_replica("us-east-1") || secret.deleted.is_some();
        prop_assert!(!elsewhere || kinds.iter().all(|kind| *kind == Kind::SecretUnused));
        prop_assert!(secret.deleted.is_none() || kinds.is_empty());
        // The version is looked up only if the listing is not enough.
        let (_, lookups) = evaluate(&rules(), &secret, now());
        prop_assert!(!lookups.pending_version || (secret.pending().is_some() && !kinds.contains(&Kind::RotationStuck)));
    }
}
