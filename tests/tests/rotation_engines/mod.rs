//! The stacks of `templates/rotation-*.yaml` with each engine; PostgreSQL is in `rotation_stack`.
//! Servers and deployed functions are real; AWS is the local cloud.

#![allow(clippy::unwrap_used)]

mod api_key;
mod cache;
mod msk;
mod redshift;
mod turns;

use std::collections::BTreeSet;

use end_to_end::{Secret, written};
use serde_json::Value;

/// The permissions that every engine requires. The tests of PostgreSQL, of an ElastiCache user and
/// of a cluster's admin remove them one by one; the slower tests of related engines keep them.
const OF_EVERY_ENGINE: [(&str, &str); 5] = [
    ("RotateSecret", "secretsmanager:DescribeSecret"),
    ("RotateSecret", "secretsmanager:GetSecretValue"),
    ("RotateSecret", "secretsmanager:PutSecretValue"),
    ("RotateSecret", "secretsmanager:UpdateSecretVersionStage"),
    ("GeneratePassword", "secretsmanager:GetRandomPassword"),
];

/// All keys of a value except these and the proof of the function.
fn others(value: &Value, but: &[&str]) -> Value {
    let mut value = value.clone();
    value.as_object_mut().unwrap().retain(|key, _| key != "rotation_mac" && !but.contains(&key.as_str()));
    value
}

/// Asserts that no log or history of the account contains one of these.
fn nothing_shows(secret: &Secret, secrets: &BTreeSet<String>) {
    let lines = written(&secret.account);
    assert!(lines.iter().any(|line| line.contains("rotation step")), "no log was found");
    for text in secrets {
        assert!(!lines.iter().any(|line| line.contains(text.as_str())), "a log contains a credential");
    }
}
