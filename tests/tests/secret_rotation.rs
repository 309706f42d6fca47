//! The backfill of the endpoint during rotations that change the admin's password.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use cloud::sql::Database;
use cloud::stacks::Outputs;
use cloud::wait::{self, Seen};
use cloud::{Cloud, Options, TARGET, kit};
use end_to_end::{Answers, Function, Hold, PATIENCE, Secret};
use serde_json::{Value, json};

/// Calls of an undisturbed backfill: DescribeSecret, GetSecretValue, ListSecretVersionIds,
/// DescribeSecret, PutSecretValue, ListSecretVersionIds, DescribeSecret twice,
/// UpdateSecretVersionStage; then DescribeSecret and GetSecretValue to verify the result,
/// DescribeSecret and UpdateSecretVersionStage to remove its own label.
const CALLS: usize = 13;
/// The index of the write among them.
const WRITE: usize = 4;

struct Stage<'a> {
    secret: Secret,
    database: Database,
    properties: Value,
    rotator: String,
    cloud: &'a Cloud,
    answers: Answers,
}

impl<'a> Stage<'a> {
    fn new(cloud: &'a Cloud, warehouse: &Outputs) -> Self {
        let account = cloud.account(TARGET);
        let parameters = [
            ("ClusterIdentifier", warehouse["ClusterIdentifier"].as_str()),
            ("SecretArn", &warehouse["SecretArn"]),
        ];
        let rotator = account.deploy_text("rotator", include_str!("../rotator.yaml"), &parameters).unwrap();
        Self {
            database: kit::database(cloud, warehouse),
            properties: json!({"SecretArn": warehouse["SecretArn"], "ClusterIdentifier": warehouse["ClusterIdentifier"],
                "Database": warehouse["Database"]}),
            rotator: rotator["FunctionArn"].clone(),
            secret: Secret { account, arn: warehouse["SecretArn"].clone() },
            cloud,
            answers: Answers::start(),
        }
    }

    /// Starts a backfill with an owner of its own, so that it writes; returns its request id.
    fn start_backfill(&self) -> String {
        Function::unrestricted(
            self.cloud,
            TARGET,
            "sluice-warehouse",
            "SecretEndpointFunction",
            &self.answers,
        )
        .start_creating(&self.properties)
    }

    fn finished(&self, request: &str) {
        let answer = self.answers.of(request);
        assert_eq!(answer["Status"], "SUCCESS", "{answer}");
    }

    /// Holds the next backfill's call with this number before it is served.
    fn hold_backfill(&self, call: usize) -> Hold<'_> {
        let rule = json!({"action": "secretsmanager:*", "principal": "*SecretEndpointRole*", "skip": call});
        Hold::order(&self.secret.account, &rule)
    }

    /// Holds the rotation after the database has changed its password, before it gets the response.
    fn hold_rotation(&self) -> Hold<'_> {
        let rule = json!({"action": "redshift:ModifyCluster", "principal": "*rotator*", "phase": "after", "seconds": 120});
        Hold::order(&self.secret.account, &rule)
    }

    fn rotate(&self) -> Result<Value, cloud::aws::AwsError> {
        self.secret.call("RotateSecret", json!({"RotationLambdaARN": self.rotator}))
    }

    fn logs_in(&self) -> bool {
        match self.database.query("SELECT 1") {
            Ok(_) => true,
            Err(error) => {
                let text = error.to_string();
                assert!(text.contains("password authentication failed"), "{text}");
                false
            }
        }
    }

    fn wait_until(&self, what: &str, mut holds: impl FnMut() -> bool) {
        wait::until(what, PATIENCE, || {
            Ok(if holds() {
                Seen::Yes(())
            } else {
                Seen::NotYet(format!("labels {:?}", self.secret.labels()))
            })
        })
        .unwrap();
    }

    /// Asserts that AWSCURRENT logs in and contains the endpoint, and that no other label is left.
    fn check(&self, case: &str) {
        assert!(self.logs_in(), "{case}: AWSCURRENT does not log in; labels {:?}", self.secret.labels());
        let value = self.secret.value();
        for key in ["host", "port", "jdbcUrl", "dbClusterIdentifier", "username"] {
            assert!(value.get(key).is_some(), "{case}: {key} is missing");
        }
        assert_eq!(self.secret.labels(), ["AWSCURRENT", "AWSPREVIOUS"], "{case}");
    }
}

#[test]
fn rotation_during_any_backfill_call_keeps_password_endpoint() {
    let cloud = Cloud::start(&Options::default(), &|_| {}).unwrap();
    let stage = Stage::new(&cloud, &kit::warehouse(&cloud, &[]).unwrap());

    // One after the other.
    let first = stage.secret.password();
    stage.rotate().unwrap();
    stage.wait_until("the rotation ended", || stage.secret.password() != first);
    let request = stage.start_backfill();
    stage.finished(&request);
    stage.check("one after the other");

    for call in 0..CALLS {
        let case = format!("a whole rotation within call {call}");
        let before = stage.secret.password();
        let hold = stage.hold_backfill(call);
        let request = stage.start_backfill();
        hold.caught();
        stage.rotate().unwrap();
        stage.wait_until(&case, || {
            stage.secret.password() != before && !stage.secret.labels().contains(&"AWSPENDING".into())
        });
        hold.release();
        stage.finished(&request);
        assert_ne!(stage.secret.password(), before, "{case}");
        stage.check(&case);
    }
}

#[test]
fn backfill_during_rotation_keeps_password_and_endpoint() {
    let cloud = Cloud::start(&Options::default(), &|_| {}).unwrap();
    let stage = Stage::new(&cloud, &kit::warehouse(&cloud, &[]).unwrap());
    for call in 0..CALLS {
        let case = format!("half a rotation within call {call}");
        let before = stage.secret.password();
        let (backfill, rotation) = (stage.hold_backfill(call), stage.hold_rotation());
        let request = stage.start_backfill();
        backfill.caught();
        stage.rotate().unwrap();
        rotation.caught();
        // With a single user, AWSCURRENT cannot log in at this moment.
        stage.wait_until("the database took the new password", || !stage.logs_in());
        // The last call ends the backfill; every other call is followed by one more.
        let next = (call + 1 < CALLS).then(|| stage.hold_backfill(0));
        backfill.release();
        match &next {
            Some(next) => next.caught(),
            None => stage.finished(&request),
        }
        rotation.release();
        if let Some(next) = next {
            next.release();
        }
        if call == WRITE {
            // Secrets Manager abandoned the rotation. Resumed, both complete.
            stage.wait_until("AWSPENDING again", || stage.secret.labels().contains(&"AWSPENDING".into()));
            let refused = stage.rotate().unwrap_err();
            assert!(refused.message.contains("will be reattempted"), "{refused}");
        }
        stage.wait_until(&case, || stage.logs_in());
        if call + 1 < CALLS {
            stage.finished(&request);
        }
        assert_ne!(stage.secret.password(), before, "{case}");
        stage.check(&case);
    }
}

#[test]
fn backfill_beside_long_rotation_fails_and_names_the_command() {
    let cloud = Cloud::start(&Options::default(), &|_| {}).unwrap();
    let stage = Stage::new(&cloud, &kit::warehouse(&cloud, &[]).unwrap());
    let before = stage.secret.password();
    let rotation = stage.hold_rotation();
    stage.rotate().unwrap();
    rotation.caught();
    let request = stage.start_backfill();
    let answer = stage.answers.within(&request, Duration::from_secs(75)).unwrap();
    assert_eq!(answer["Status"], "FAILED", "{answer}");
    let reason = answer["Reason"].as_str().unwrap();
    for part in ["property `SecretArn`", "is not finished after 6", "aws secretsmanager rotate-secret"] {
        assert!(reason.contains(part), "{reason}");
    }
    rotation.release();
    stage.wait_until("the rotation ended", || stage.secret.password() != before && stage.logs_in());
    stage.check("afterwards");
}
