//! A secret and the stack that rotates it.

use cloud::aws::Account;
use cloud::kit;
use cloud::wait::{self, Seen};
use serde_json::{Value, json};

use crate::{Grants, PATIENCE, Secret};

/// The name that `samconfig/` gives the stack.
pub const STACK: &str = "sluice-rotation";

impl Secret {
    /// Creates a secret with a value.
    pub fn create(account: Account, name: &str, value: &Value) -> Self {
        let words = json!({"Name": name, "SecretString": value.to_string()});
        let made = account.json("secretsmanager", "CreateSecret", words).unwrap();
        Self { account, arn: made["ARN"].as_str().unwrap().to_owned() }
    }

    /// Deploys the stack that rotates the secret. The function does not wait for new permissions.
    pub fn deploy_rotation(&self, engine: &str, further: &[(&str, &str)]) {
        let mut parameters = vec![("SecretArn", self.arn.as_str()), ("AccessGrantWaitSeconds", "0")];
        parameters.extend(further);
        kit::rotation(&self.account, STACK, engine, &parameters).unwrap();
    }

    /// Writes a value, as a user does by hand.
    pub fn put(&self, value: &Value) {
        self.call("PutSecretValue", json!({"SecretString": value.to_string()})).unwrap();
    }

    /// Starts a rotation.
    pub fn rotate(&self) {
        self.call("RotateSecret", json!({})).unwrap();
    }

    /// Waits until a started rotation has succeeded and returns the new value.
    pub fn rotated(&self, before: &Value) -> Value {
        self.ended(|value| value != before)
    }

    /// Waits until a rotation has replaced the password `before`.
    pub fn wait_for_another_password_than(&self, before: &str) {
        self.ended(|value| value["password"] != before);
    }

    fn ended(&self, is_new: impl Fn(&Value) -> bool) -> Value {
        wait::until("a new value and no pending version", PATIENCE, || {
            let (versions, value) = (self.versions(), self.value());
            // AWS may leave AWSPENDING on the version that has become current.
            let has = |labels: &[String], label: &str| labels.iter().any(|found| found == label);
            let pending =
                versions.values().any(|labels| has(labels, "AWSPENDING") && !has(labels, "AWSCURRENT"));
            Ok(if is_new(&value) && !pending {
                Seen::Yes(value)
            } else {
                Seen::NotYet(format!("{versions:?}; {}", self.rotation_log()))
            })
        })
        .unwrap()
    }

    /// Waits for the end of a rotation or of its test, when no version has AWSPENDING.
    pub fn wait_until_nothing_is_pending(&self) {
        wait::until("no version is pending", PATIENCE, || {
            let labels = self.labels();
            let pending = labels.contains(&"AWSPENDING".to_owned());
            Ok(if pending { Seen::NotYet(format!("{labels:?}")) } else { Seen::Yes(()) })
        })
        .unwrap();
    }

    /// Waits for the third failed attempt in the log after `seen`, when Secrets Manager stops
    /// retrying.
    pub fn wait_until_it_stopped(&self, seen: usize) {
        wait::until("three attempts failed", PATIENCE, || {
            let log = self.rotation_log();
            let failed = log.get(seen..).unwrap_or_default().matches("\"Failures\":1").count();
            Ok(if failed == 3 { Seen::Yes(()) } else { Seen::NotYet(format!("{failed} failed: {log}")) })
        })
        .unwrap();
    }

    /// Waits until the log after `seen` contains all of `parts`.
    pub fn wait_for_log(&self, seen: usize, parts: &[&str]) {
        wait::until(&format!("{parts:?} in the log"), PATIENCE, || {
            let log = self.rotation_log();
            let new = log.get(seen..).unwrap_or_default();
            let all = parts.iter().all(|part| new.contains(part));
            Ok(if all { Seen::Yes(()) } else { Seen::NotYet(new.to_owned()) })
        })
        .unwrap();
    }

    /// Cancels the rotation and removes AWSPENDING, so that a new rotation can start.
    pub fn unstick(&self) {
        self.call("CancelRotateSecret", json!({})).unwrap();
        for (version, labels) in self.versions() {
            if labels.contains(&"AWSPENDING".to_owned()) {
                let words = json!({"VersionStage": "AWSPENDING", "RemoveFromVersionId": version});
                self.call("UpdateSecretVersionStage", words).unwrap();
            }
        }
    }

    /// Returns every line in the function's log group.
    pub fn rotation_log(&self) -> String {
        log_of(&self.account, &self.account.physical_id(STACK, "RotationLogs").unwrap_or_default())
    }

    /// Removes each action of each statement of the function's role in turn, waits for a failure
    /// that names it, restores it, and waits for the rotation to succeed with a value that `works`.
    /// Actions in `spared` stay. Returns the number of removed actions.
    pub fn every_grant_is_needed(&self, spared: &[(&str, &str)], works: &dyn Fn(&Value) -> bool) -> usize {
        let role = self.account.physical_id(STACK, "RotationRole").unwrap();
        let grants = Grants::of(&self.account, &role);
        self.wait_until_nothing_is_pending();
        let mut removed = 0;
        for (sid, action) in grants.pairs() {
            if spared.contains(&(&sid, &action)) {
                continue;
            }
            grants.put(&grants.without_in(&sid, &action));
            let (seen, before) = (self.rotation_log().len(), self.value());
            self.rotate();
            self.wait_for_log(seen, &["AccessDenied", &action]);
            grants.put(&grants.document);
            // The rotation is resumed and not cancelled, because without the last action the server
            // already has the new password.
            wait::until(&format!("the end of the rotation without {sid} {action}"), PATIENCE, || {
                let labels = self.labels();
                if labels.contains(&"AWSPENDING".to_owned()) {
                    // Rejected while the version is pending, otherwise the rotation starts again.
                    let _refused = self.call("RotateSecret", json!({}));
                    return Ok(Seen::NotYet(format!("{labels:?}; {}", self.rotation_log())));
                }
                Ok(Seen::Yes(()))
            })
            .unwrap();
            let value = self.value();
            assert!(value != before && works(&value), "after {sid} {action} was restored");
            removed += 1;
        }
        removed
    }
}

/// Returns every line of a log group.
pub fn log_of(account: &Account, group: &str) -> String {
    let found = account.json("logs", "FilterLogEvents", json!({"logGroupName": group}));
    let events = found.map(|found| found["events"].clone()).unwrap_or_default();
    let lines = events.as_array().cloned().unwrap_or_default();
    lines.iter().map(|event| event["message"].as_str().unwrap_or_default().to_owned() + "\n").collect()
}
