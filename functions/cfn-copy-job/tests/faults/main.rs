//! A fault at each call of a copy job's Create and Delete, with what Lambda and CloudFormation do
//! then: Lambda repeats a crashed invocation twice, and CloudFormation deletes what a failed Create
//! names. No job is ever left.

#![allow(clippy::unwrap_used, reason = "tests")]

mod world;

use std::collections::HashMap;

use cfn_copy_job::CopyJobs;
use custom_resource::RequestType::{Create, Delete};
use serde_json::{Value, json};
use test_support::faults::{Fault, Faults};
use test_support::resource::{After, Resource, with_each_fault};
use warehouse::cluster::ControlPlane;

use world::{ROLE, World};

fn drill(faults: HashMap<usize, Fault>) -> Resource<World, CopyJobs> {
    let properties = json!({
        "ClusterIdentifier": "main", "Database": "dev", "WarehouseSecretArn": "arn:secret", "JobName": "import",
        "TableName": "t", "SourceBucket": "bucket-a", "SourcePrefix": "in/", "CopyRoleArn": ROLE, "Format": "CSV",
        "CreateTable": "true", "TableColumns": ["id integer"],
    });
    let drill = Resource::new(World::default(), Faults::new(faults), properties, |config| {
        let control = ControlPlane {
            redshift: aws_sdk_redshift::Client::new(config),
            serverless: aws_sdk_redshiftserverless::Client::new(config),
        };
        CopyJobs::new(control, aws_sdk_redshiftdata::Client::new(config))
    });
    drill.state().may_insert = true;
    drill
}

fn jobs(drill: &Resource<World, CopyJobs>) -> usize {
    drill.state().jobs.len()
}

/// Creates and deletes a job with these faults, and checks what is left after each step. Returns
/// the number of calls.
async fn create_and_delete(faults: HashMap<usize, Fault>) -> usize {
    let title = format!("{faults:?}");
    let check = |after: After, world: &World, reason: &str| {
        let expected = usize::from(after == After::Creation);
        assert_eq!(world.jobs.len(), expected, "{title}: jobs after {after:?}: {reason}");
    };
    drill(faults).create_and_delete(&title, check).await
}

#[tokio::test(start_paused = true)]
async fn fault_at_each_call_leaves_no_job() {
    with_each_fault(20, create_and_delete).await;
}

#[tokio::test(start_paused = true)]
async fn faults_at_two_calls_leave_no_job() {
    let calls = create_and_delete(HashMap::new()).await;
    for first in 0..calls {
        let second = first + 1 + (first * 7) % 5;
        let (one, two) = [
            (Fault::DiesAfter, Fault::Fails),
            (Fault::AnswerLost, Fault::DiesBefore),
            (Fault::AnswerLost, Fault::AnswerLost),
        ][first % 3];
        create_and_delete(HashMap::from([(first, one), (second, two)])).await;
    }
}

#[tokio::test(start_paused = true)]
async fn user_without_the_copy_role_gets_the_grant_to_run() {
    let drill = drill(HashMap::new());
    drill.state().role_is_revoked = true;
    let reason = drill.deliver(Create).await.unwrap_err().chain();
    let grant = format!("run GRANT ASSUMEROLE ON '{ROLE}' TO \"loader\" FOR COPY as a superuser");
    assert!(reason.contains(&grant), "{reason}");
    assert_eq!(jobs(&drill), 0);
    assert_eq!(drill.state().table, None, "the table of the failed request is dropped");
}

#[tokio::test(start_paused = true)]
async fn throttling_after_the_creation_is_waited_out() {
    let drill = drill(HashMap::new());
    drill.state().throttled = 40;
    let response = drill.deliver(Create).await;
    assert!(response.is_ok(), "{}", response.unwrap_err().chain());
    assert_eq!(jobs(&drill), 1);
}

#[tokio::test(start_paused = true)]
async fn job_that_stays_throttled_is_left_to_the_deletion() {
    let drill = drill(HashMap::new());
    drill.state().throttled = usize::MAX;
    let failure = drill.deliver(Create).await.unwrap_err();
    assert!(failure.has_leftovers(), "{}", failure.chain());
    assert!(failure.chain().contains("ThrottlingException"), "{}", failure.chain());
    drill.state().throttled = 0;
    assert!(drill.deliver(Delete).await.is_ok());
    assert_eq!(jobs(&drill), 0);
}

#[tokio::test(start_paused = true)]
async fn view_that_lags_is_read_again() {
    let drill = drill(HashMap::new());
    // The first look of the request finds nothing in any case.
    drill.state().lag = 8;
    let response = drill.deliver(Create).await;
    assert!(response.is_ok(), "{}", response.unwrap_err().chain());
}

#[tokio::test(start_paused = true)]
async fn deletion_does_not_trust_a_view_that_lags() {
    let drill = drill(HashMap::new());
    assert!(drill.deliver(Create).await.is_ok());
    drill.state().lag = 3;
    assert!(drill.deliver(Delete).await.is_ok());
    assert_eq!(jobs(&drill), 0);
}

#[tokio::test(start_paused = true)]
async fn deletion_without_the_database_succeeds() {
    let drill = drill(HashMap::new());
    drill.state().login_error = Some("FATAL: database \"dev\" does not exist".into());
    assert!(drill.deliver(Delete).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn deletion_without_its_login_names_the_remedy() {
    let cut = |drill: &Resource<World, CopyJobs>, user: &str, refusal: &str| {
        let mut state = drill.state();
        state.login_error = (!user.is_empty()).then(|| user.to_owned());
        state.refusal = (!refusal.is_empty()).then(|| refusal.to_owned());
    };
    for (user, refusal) in [
        ("", "Secrets Manager can't find the specified secret."),
        ("FATAL: password authentication failed for user \"loader\"", ""),
    ] {
        let drill = drill(HashMap::new());
        assert!(drill.deliver(Create).await.is_ok());
        cut(&drill, user, refusal);
        let reason = drill.deliver(Delete).await.unwrap_err().chain();
        let name = drill.state().jobs[0].0.clone();
        for part in [
            format!("the job {name} could not be dropped as the user of secret arn:secret"),
            format!("COPY JOB DROP {name} in database \"dev\""),
            "aws cloudformation delete-stack --stack-name a-stack --retain-resources Thing".to_owned(),
            format!("{user}{refusal}"),
        ] {
            assert!(reason.contains(&part), "{part} is not in: {reason}");
        }
    }
}

/// Returns the reason why a Create fails, which leaves nothing.
async fn refused(change: Value, prepare: impl FnOnce(&mut World)) -> String {
    let mut drill = drill(HashMap::new());
    let (Value::Object(map), Value::Object(change)) = (&mut drill.properties, change) else { panic!("maps") };
    map.extend(change);
    prepare(&mut drill.state());
    let before = jobs(&drill);
    let failure = drill.deliver(Create).await.unwrap_err();
    assert!(!failure.has_leftovers() && jobs(&drill) == before, "{}", failure.chain());
    failure.chain()
}

#[tokio::test(start_paused = true)]
async fn second_job_on_the_same_files_is_refused() {
    let other = |state: &mut World| {
        let text = "COPY \"public\".\"t\" FROM 's3://bucket-a/in/eu/' IAM_ROLE 'x' FORMAT AS CSV JOB CREATE j AUTO ON";
        state.jobs.push(("orders_0a1b2c3d".into(), text.into()));
    };
    let reason = refused(json!({}), other).await;
    assert!(
        reason.starts_with(
            "property `SourcePrefix`: job \"orders_0a1b2c3d\" already loads s3://bucket-a/in/eu/ into \"public\".\"t\""
        ) && reason.ends_with("or set `AllowOverlap: true`"),
        "{reason}"
    );
    let mut drill = drill(HashMap::new());
    drill.properties["AllowOverlap"] = "true".into();
    other(&mut drill.state());
    assert!(drill.deliver(Create).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn job_must_fit_the_existing_table() {
    let table = |state: &mut World| state.table = Some(vec!["id".into(), "name".into()]);
    for (change, start) in [
        (
            json!({"Columns": ["ID", "valu"]}),
            "property `Columns`: table \"public\".\"t\" has no column \"valu\"; its columns are id, name",
        ),
        (
            json!({"TableColumns": ["id integer", "born date"]}),
            "property `TableColumns`: table \"public\".\"t\" exists and has no column \"born\"",
        ),
    ] {
        let reason = refused(change, table).await;
        assert!(reason.starts_with(start), "{reason}");
    }
    let reason = refused(json!({}), |state| {
        table(state);
        state.may_insert = false;
    })
    .await;
    assert!(
        reason.starts_with("property `TableName`: the user \"loader\" may not insert into table")
            && reason.ends_with("run GRANT INSERT ON \"public\".\"t\" TO \"loader\""),
        "{reason}"
    );
}
