//! The stacks of `templates/rotation-*.yaml` with each of their engines: what PostgreSQL has in `rotation_stack`, in short. Servers are real, and so is the
//! deployed function; AWS is the local cloud.

#![allow(clippy::unwrap_used)]

mod api_key;
mod cache;
mod msk;
mod redshift;
#[path = "../rotation_api_key/server.rs"]
#[allow(dead_code)]
mod server;
mod turns;

use std::collections::BTreeSet;

use end_to_end::{Secret, written};
use serde_json::Value;

/// What every engine's function calls. Taken away one by one in the tests of PostgreSQL, of a user of ElastiCache and of a cluster's admin, and spared in those of their
/// siblings, which are slower.
const OF_EVERY_ENGINE: [(&str, &str); 5] = [
    ("RotateSecret", "secretsmanager:DescribeSecret"),
    ("RotateSecret", "secretsmanager:GetSecretValue"),
    ("RotateSecret", "secretsmanager:PutSecretValue"),
    ("RotateSecret", "secretsmanager:UpdateSecretVersionStage"),
    ("GeneratePassword", "secretsmanager:GetRandomPassword"),
];

/// All keys of a value but these.
fn others(value: &Value, but: &[&str]) -> Value {
    let mut value = value.clone();
    value.as_object_mut().unwrap().retain(|key, _| !but.contains(&key.as_str()));
    value
}

/// No line of any log or history of the account holds one of these.
fn nothing_shows(secret: &Secret, secrets: &BTreeSet<String>) {
    let lines = written(&secret.account);
    assert!(lines.iter().any(|line| line.contains("rotation step")), "no log was found");
    for text in secrets {
        assert!(!lines.iter().any(|line| line.contains(text.as_str())), "a log shows a credential");
    }
}
