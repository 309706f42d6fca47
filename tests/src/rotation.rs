//! A secret and the stack that rotates it.

use cloud::aws::Account;
use cloud::kit;
use cloud::wait::{self, Seen};
use serde_json::{Value, json};

use crate::{Grants, PATIENCE, Secret};

/// The name that `samconfig/` gives the stack.
pub const STACK: &str = "sluice-rotation";

impl Secret {
    /// A new secret with a value.
    pub fn create(account: Account, name: &str, value: &Value) -> Self {
        let words = json!({"Name": name, "SecretString": value.to_string()});
        let made = account.json("secretsmanager", "CreateSecret", words).unwrap();
        Self { account, arn: made["ARN"].as_str().unwrap().to_owned() }
    }

    /// Deploys the stack that rotates it, with a function that does not wait for fresh grants.
    pub fn deploy_rotation(&self, engine: &str, further: &[(&str, &str)]) {
        let mut parameters = vec![("SecretArn", self.arn.as_str()), ("AccessGrantWaitSeconds", "0")];
        parameters.extend(further);
        kit::rotation(&self.account, STACK, engine, &parameters).unwrap();
    }

    /// Writes a value by hand.
    pub fn put(&self, value: &Value) {
        self.call("PutSecretValue", json!({"SecretString": value.to_string()})).unwrap();
    }

    /// Begins a rotation.
    pub fn rotate(&self) {
        self.call("RotateSecret", json!({})).unwrap();
    }

    /// Waits until a rotation that has begun has ended well; gives the new value.
    pub fn rotated(&self, before: &Value) -> Value {
        self.ended(|value| value != before)
    }

    /// Waits until a rotation has ended with another password than this.
    pub fn wait_for_another_password_than(&self, before: &str) {
        self.ended(|value| value["password"] != before);
    }

    fn ended(&self, is_new: impl Fn(&Value) -> bool) -> Value {
        wait::until("another value, and nothing pending", PATIENCE, || {
            let (labels, value) = (self.labels(), self.value());
            let ended = is_new(&value) && !labels.contains(&"AWSPENDING".to_owned());
            Ok(if ended {
                Seen::Yes(value)
            } else {
                Seen::NotYet(format!("{labels:?}; {}", self.rotation_log()))
            })
        })
        .unwrap()
    }

    /// Waits for the end of a rotation, or of a try-out.
    pub fn wait_until_nothing_is_pending(&self) {
        wait::until("no version is pending", PATIENCE, || {
            let labels = self.labels();
            let pending = labels.contains(&"AWSPENDING".to_owned());
            Ok(if pending { Seen::NotYet(format!("{labels:?}")) } else { Seen::Yes(()) })
        })
        .unwrap();
    }

    /// Waits until Secrets Manager gives the rotation up, whose log begins at `seen`: after its third attempt.
    pub fn wait_until_it_stopped(&self, seen: usize) {
        wait::until("three attempts failed", PATIENCE, || {
            let log = self.rotation_log();
            let failed = log.get(seen..).unwrap_or_default().matches("\"Failures\":1").count();
            Ok(if failed == 3 { Seen::Yes(()) } else { Seen::NotYet(format!("{failed} failed: {log}")) })
        })
        .unwrap();
    }

    /// Waits until the log after `seen` holds all of these.
    pub fn wait_for_log(&self, seen: usize, parts: &[&str]) {
        wait::until(&format!("{parts:?} in the log"), PATIENCE, || {
            let log = self.rotation_log();
            let new = log.get(seen..).unwrap_or_default();
            let all = parts.iter().all(|part| new.contains(part));
            Ok(if all { Seen::Yes(()) } else { Seen::NotYet(new.to_owned()) })
        })
        .unwrap();
    }

    /// Turns rotation off and takes AWSPENDING away, as a new value by hand does.
    pub fn unstick(&self) {
        self.call("CancelRotateSecret", json!({})).unwrap();
        for (version, labels) in self.versions() {
            if labels.contains(&"AWSPENDING".to_owned()) {
                let words = json!({"VersionStage": "AWSPENDING", "RemoveFromVersionId": version});
                self.call("UpdateSecretVersionStage", words).unwrap();
            }
        }
    }

    /// Every line that the function has logged.
    pub fn rotation_log(&self) -> String {
        log_of(&self.account, &self.account.physical_id(STACK, "RotationLogs").unwrap_or_default())
    }

    /// Takes every single action out of every statement of the function's role, sees a rotation fail with its name, gives it back, and
    /// sees the rotation come to its end with a value that `works`. What `spared` names is left in. Gives the number of actions.
    pub fn every_grant_is_needed(&self, spared: &[(&str, &str)], works: &dyn Fn(&Value) -> bool) -> usize {
        let role = self.account.physical_id(STACK, "RotationRole").unwrap();
        let grants = Grants::of(&self.account, &role);
        self.wait_until_nothing_is_pending();
        let mut taken = 0;
        for (sid, action) in grants.pairs() {
            if spared.contains(&(&sid, &action)) {
                continue;
            }
            grants.put(&grants.without_in(&sid, &action));
            let (seen, before) = (self.rotation_log().len(), self.value());
            self.rotate();
            self.wait_for_log(seen, &["AccessDenied", &action]);
            grants.put(&grants.document);
            // Taken up again, not thrown away: without the last grant the server has the new password already.
            wait::until(&format!("the end of the rotation without {sid} {action}"), PATIENCE, || {
                let labels = self.labels();
                if labels.contains(&"AWSPENDING".to_owned()) {
                    // Refused while it is pending, and started again.
                    let _refused = self.call("RotateSecret", json!({}));
                    return Ok(Seen::NotYet(format!("{labels:?}; {}", self.rotation_log())));
                }
                Ok(Seen::Yes(()))
            })
            .unwrap();
            let value = self.value();
            assert!(value != before && works(&value), "after {sid} {action} was given back");
            taken += 1;
        }
        taken
    }
}

/// Every line of a log group.
pub fn log_of(account: &Account, group: &str) -> String {
    let found = account.json("logs", "FilterLogEvents", json!({"logGroupName": group}));
    let events = found.map(|found| found["events"].clone()).unwrap_or_default();
    let lines = events.as_array().cloned().unwrap_or_default();
    lines.iter().map(|event| event["message"].as_str().unwrap_or_default().to_owned() + "\n").collect()
}
