//! The back-fill of the endpoint against rotations that really change the admin's password.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use cloud::sql::Database;
use cloud::stacks::Outputs;
use cloud::wait::{self, Seen};
use cloud::{Cloud, Options, TARGET, kit};
use end_to_end::{Answers, Function, Hold, PATIENCE, Secret};
use serde_json::{Value, json};

/// Calls of a back-fill that nothing disturbs: DescribeSecret, GetSecretValue, ListSecretVersionIds, DescribeSecret,
/// PutSecretValue, ListSecretVersionIds, DescribeSecret twice, UpdateSecretVersionStage; then DescribeSecret and
/// GetSecretValue to see that it holds, DescribeSecret and UpdateSecretVersionStage to take its own label off.
const CALLS: usize = 13;
/// Of these, the write.
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

    /// A back-fill by an owner of its own, so that it has something to write; gives its request's id.
    fn start_backfill(&self) -> String {
        Function::of(self.cloud, TARGET, "sluice-warehouse", "SecretEndpointFunction", &self.answers)
            .start_creating(&self.properties)
    }

    fn finished(&self, request: &str) {
        let answer = self.answers.of(request);
        assert_eq!(answer["Status"], "SUCCESS", "{answer}");
    }

    /// Holds the call of this number of the next back-fill before it is served.
    fn hold_backfill(&self, call: usize) -> Hold<'_> {
        let rule = json!({"action": "secretsmanager:*", "principal": "*SecretEndpointRole*", "skip": call});
        Hold::order(&self.secret.account, &rule)
    }

    /// Holds the rotation after the database has taken its password, before it hears of it.
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

    /// Nothing is under way any more: AWSCURRENT logs in, holds the endpoint, and no label of ours or of a rotation is left.
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
fn a_rotation_that_runs_within_any_call_of_a_backfill_loses_neither_the_password_nor_the_endpoint() {
    let cloud = Cloud::start(&Options::default(), &|_| {}).unwrap();
    let stage = Stage::new(&cloud, &kit::warehouse(&cloud, &[]).unwrap());

    // Before and after: one ends, then the other begins.
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
fn a_backfill_that_goes_on_while_a_rotation_is_half_done_loses_neither_the_password_nor_the_endpoint() {
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
        // The one moment at which AWSCURRENT cannot log in: a rotation with one user has it by its nature.
        stage.wait_until("the database took the new password", || !stage.logs_in());
        // Only the last call ends the back-fill; after every other there is a next one.
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
            // Secrets Manager gave the rotation up. It can be taken up again where it was, and then both are done.
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
fn a_backfill_beside_a_rotation_of_more_than_a_minute_fails_with_the_remedy_and_leaves_it_alone() {
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
