//! A fault at each call of a copy job's Create and Delete, with what Lambda and CloudFormation do
//! then: Lambda repeats a crashed invocation twice, and CloudFormation deletes what a failed Create
//! names. No job is ever left.

#![allow(clippy::unwrap_used, reason = "tests")]

mod world;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use cfn_copy_job::{CopyJobs, Properties};
use custom_resource::{Context, Failure, Outcome, PhysicalId, Provider, Request};
use serde_json::{Value, json};
use test_support::faults::{Fault, Faults};
use tokio::time::Instant;
use warehouse::cluster::ControlPlane;

use world::{ROLE, World};

/// The function's time, as in templates/copy-job.yaml.
const TIMEOUT: Duration = Duration::from_secs(290);

fn properties() -> Value {
    json!({
        "ClusterIdentifier": "main", "Database": "dev", "WarehouseSecretArn": "arn:secret", "JobName": "import",
        "TableName": "t", "SourceBucket": "bucket-a", "SourcePrefix": "in/", "CopyRoleArn": ROLE, "Format": "CSV",
        "CreateTable": "true", "TableColumns": ["id integer"],
    })
}

fn request(kind: &str, properties: &Value) -> Request {
    let event = json!({
        "RequestType": kind, "ResponseURL": "https://example.invalid/", "RequestId": format!("r-{kind}"),
        "StackId": "arn:aws:cloudformation:us-east-1:222222222222:stack/sluice-job/1", "LogicalResourceId": "CopyJob",
        "ResourceType": "Custom::CopyJob", "PhysicalResourceId": "id", "ResourceProperties": properties,
    });
    Request::parse(&event).unwrap()
}

/// The response of one invocation.
type Response = Result<Outcome<()>, Failure>;

/// One function in one warehouse.
struct Drill {
    world: Arc<World>,
    faults: Arc<Faults>,
    properties: Value,
}

impl Drill {
    fn new(faults: HashMap<usize, Fault>) -> Self {
        let world = Arc::new(World::default());
        world.state().may_insert = true;
        Self { world, faults: Arc::new(Faults::new(faults)), properties: properties() }
    }

    /// Invokes the function once. Returns `None` if it crashed.
    async fn invoke(&self, kind: &str) -> Option<Response> {
        let config = test_support::aws::config(self.world.clone(), self.faults.clone());
        let control = ControlPlane {
            redshift: aws_sdk_redshift::Client::new(&config),
            serverless: aws_sdk_redshiftserverless::Client::new(&config),
        };
        let provider = CopyJobs::new(control, aws_sdk_redshiftdata::Client::new(&config));
        let request = request(kind, &self.properties);
        let properties: Properties = request.properties(&[]).unwrap();
        let id = PhysicalId::new(CopyJobs::KIND, &request.owner(), &provider.identity(&properties).unwrap());
        let context = Context {
            owner: request.owner(),
            request_id: request.request_id.clone(),
            request_type: request.request_type,
            deadline: Instant::now() + TIMEOUT,
        };
        let work = async {
            match kind {
                "Delete" => provider.delete(&context, &id, properties).await,
                _ => provider.create(&context, &id, properties).await,
            }
        };
        tokio::select! {
            biased;
            () = self.faults.died() => None,
            result = tokio::time::timeout_at(context.deadline, work) => {
                // The handler responds so, as custom-resource's tests show.
                Some(result.unwrap_or_else(|_| Err(Failure::new("timed out").with_leftovers())))
            }
        }
    }

    /// Invokes the function as Lambda does: again after a crash.
    async fn deliver(&self, kind: &str) -> Response {
        for _ in 0..3 {
            if let Some(response) = self.invoke(kind).await {
                return response;
            }
        }
        panic!("{kind} crashed three times");
    }

    fn jobs(&self) -> usize {
        self.world.state().jobs.len()
    }
}

/// Creates and deletes a job with these faults, and checks what is left after each step. Returns
/// the number of calls.
async fn create_and_delete(faults: HashMap<usize, Fault>) -> usize {
    let told = format!("{faults:?}");
    let drill = Drill::new(faults);
    match drill.deliver("Create").await {
        Ok(_) => assert_eq!(drill.jobs(), 1, "{told}: success without exactly one job"),
        // CloudFormation gets no id, so it deletes nothing.
        Err(failure) if !failure.has_leftovers() => {
            assert_eq!(drill.jobs(), 0, "{told}: an orphan job after: {}", failure.chain());
            return drill.faults.calls();
        }
        Err(_) => {}
    }
    // A deletion that failed is repeated by the user.
    let mut deleted = drill.deliver("Delete").await;
    if deleted.is_err() {
        deleted = drill.deliver("Delete").await;
    }
    assert!(deleted.is_ok(), "{told}: {}", deleted.unwrap_err().chain());
    assert_eq!(drill.jobs(), 0, "{told}: the job outlives its deletion");
    drill.faults.calls()
}

#[tokio::test(start_paused = true)]
async fn fault_at_each_call_leaves_no_job() {
    let calls = create_and_delete(HashMap::new()).await;
    assert!(calls >= 20, "{calls} calls");
    for number in 0..calls {
        for fault in Fault::ALL {
            create_and_delete(HashMap::from([(number, fault)])).await;
        }
    }
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
async fn throttling_after_the_creation_is_waited_out() {
    let drill = Drill::new(HashMap::new());
    drill.world.state().throttled = 40;
    let response = drill.deliver("Create").await;
    assert!(response.is_ok(), "{}", response.unwrap_err().chain());
    assert_eq!(drill.jobs(), 1);
}

#[tokio::test(start_paused = true)]
async fn job_that_stays_throttled_is_left_to_the_deletion() {
    let drill = Drill::new(HashMap::new());
    drill.world.state().throttled = usize::MAX;
    let failure = drill.deliver("Create").await.unwrap_err();
    assert!(failure.has_leftovers(), "{}", failure.chain());
    assert!(failure.chain().contains("ThrottlingException"), "{}", failure.chain());
    drill.world.state().throttled = 0;
    assert!(drill.deliver("Delete").await.is_ok());
    assert_eq!(drill.jobs(), 0);
}

#[tokio::test(start_paused = true)]
async fn view_that_lags_is_read_again() {
    let drill = Drill::new(HashMap::new());
    // The first look of the request finds nothing in any case.
    drill.world.state().lag = 8;
    let response = drill.deliver("Create").await;
    assert!(response.is_ok(), "{}", response.unwrap_err().chain());
}

#[tokio::test(start_paused = true)]
async fn deletion_does_not_trust_a_view_that_lags() {
    let drill = Drill::new(HashMap::new());
    assert!(drill.deliver("Create").await.is_ok());
    drill.world.state().lag = 3;
    assert!(drill.deliver("Delete").await.is_ok());
    assert_eq!(drill.jobs(), 0);
}

#[tokio::test(start_paused = true)]
async fn deletion_without_the_database_succeeds() {
    let drill = Drill::new(HashMap::new());
    drill.world.state().login_error = Some("FATAL: database \"dev\" does not exist".into());
    assert!(drill.deliver("Delete").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn deletion_without_its_login_names_the_remedy() {
    let cut = |drill: &Drill, user: &str, refusal: &str| {
        let mut state = drill.world.state();
        state.login_error = (!user.is_empty()).then(|| user.to_owned());
        state.refusal = (!refusal.is_empty()).then(|| refusal.to_owned());
    };
    for (user, refusal) in [
        ("", "Secrets Manager can't find the specified secret."),
        ("FATAL: password authentication failed for user \"loader\"", ""),
    ] {
        let drill = Drill::new(HashMap::new());
        assert!(drill.deliver("Create").await.is_ok());
        cut(&drill, user, refusal);
        let reason = drill.deliver("Delete").await.unwrap_err().chain();
        let name = drill.world.state().jobs[0].0.clone();
        for part in [
            format!("the job {name} could not be dropped as the user of secret arn:secret"),
            format!("COPY JOB DROP {name} in database \"dev\""),
            "aws cloudformation delete-stack --stack-name sluice-job --retain-resources CopyJob".to_owned(),
            format!("{user}{refusal}"),
        ] {
            assert!(reason.contains(&part), "{part} is not in: {reason}");
        }
    }
}

/// Returns the reason why a Create fails, which leaves nothing.
async fn refused(change: Value, prepare: impl FnOnce(&mut world::State)) -> String {
    let mut drill = Drill::new(HashMap::new());
    let (Value::Object(map), Value::Object(change)) = (&mut drill.properties, change) else { panic!("maps") };
    map.extend(change);
    prepare(&mut drill.world.state());
    let before = drill.jobs();
    let failure = drill.deliver("Create").await.unwrap_err();
    assert!(!failure.has_leftovers() && drill.jobs() == before, "{}", failure.chain());
    failure.chain()
}

#[tokio::test(start_paused = true)]
async fn second_job_on_the_same_files_is_refused() {
    let other = |state: &mut world::State| {
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
    let mut drill = Drill::new(HashMap::new());
    drill.properties["AllowOverlap"] = "true".into();
    other(&mut drill.world.state());
    assert!(drill.deliver("Create").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn job_must_fit_the_existing_table() {
    let table = |state: &mut world::State| state.table = Some(vec!["id".into(), "name".into()]);
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
