//! A fault at each call of an integration's Create and Delete, with what Lambda, the state machine
//! and CloudFormation do then. No integration is ever left.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::HashMap;

use cfn_event_integration::{EventIntegrations, Integrations, Preflight};
use custom_resource::RequestType::Create;
use serde_json::{Value, json};
use test_support::aws::{Answer, Call, Service};
use test_support::faults::{Fault, Faults};
use test_support::resource::{After, Resource, with_each_fault};

const NAMESPACE: &str = "arn:aws:redshift:us-east-1:333333333333:namespace:n";
const SOURCE: &str = "arn:aws:s3:::bucket-a";

#[derive(Debug, Clone)]
struct Integration {
    arn: String,
    name: String,
    source: String,
    target: String,
    status: &'static str,
    owner: String,
    /// The looks until it is visible, and then until its next state.
    hidden: usize,
    looks: usize,
}

/// Redshift and S3 in memory.
#[derive(Debug, Default)]
struct World {
    integrations: Vec<Integration>,
    created: usize,
    /// The looks at a new integration that do not show it.
    lag: usize,
    /// The state after the creation; active, if it is not set.
    becomes: Option<&'static str>,
    /// The looks in which a new integration needs attention.
    attention: usize,
    /// The refusals of CreateIntegration after a deletion.
    conflicts: usize,
    bucket_policy: String,
}

impl World {
    fn describe(&mut self, call: &Call) -> Answer {
        let value = |part: &str| {
            let found = call.form.iter().find(|(key, _)| key.starts_with("Filters.") && key.contains(part));
            found.map(|(_, value)| value.clone())
        };
        let (arn, source) = (call.text("IntegrationArn").to_owned(), value(".Values."));
        let (becomes, attention) = (self.becomes.unwrap_or("active"), self.attention);
        let mut shown = String::new();
        self.integrations.retain_mut(|one| {
            let is_asked = (arn.is_empty() || one.arn == arn)
                && source.as_ref().is_none_or(|source| *source == one.source);
            if !is_asked {
                return true;
            }
            if one.hidden > 0 {
                one.hidden -= 1;
                return true;
            }
            one.looks += 1;
            one.status = match one.status {
                "deleting" if one.looks > 2 => return false,
                "creating" if one.looks > 2 => becomes,
                "creating" if attention > 0 => "needs_attention",
                "needs_attention" if one.looks > attention => becomes,
                other => other,
            };
            shown.push_str(&format!(
                "<Integration><IntegrationArn>{}</IntegrationArn><IntegrationName>{}</IntegrationName>\
                 <SourceArn>{}</SourceArn><TargetArn>{}</TargetArn><Status>{}</Status><Tags><Tag><Key>sluice:owner</Key>\
                 <Value>{}</Value></Tag></Tags></Integration>",
                one.arn, one.name, one.source, one.target, one.status, one.owner
            ));
            true
        });
        if shown.is_empty() && !arn.is_empty() {
            return Answer::Error(404, "IntegrationNotFoundFault", "gone".into());
        }
        Answer::Xml(format!("<Integrations>{shown}</Integrations>"))
    }

    fn create(&mut self, call: &Call) -> Answer {
        let (name, source, target) =
            (call.text("IntegrationName"), call.text("SourceArn"), call.text("TargetArn"));
        if self.conflicts > 0 {
            self.conflicts -= 1;
            return Answer::Error(400, "IntegrationConflictOperationFault", "another operation".into());
        }
        let taken = |one: &Integration| one.name == name || (one.source == source && one.target == target);
        if self.integrations.iter().any(taken) {
            return Answer::Error(400, "IntegrationAlreadyExistsFault", "exists".into());
        }
        self.created += 1;
        let owner = call
            .form
            .iter()
            .find(|(_, value)| *value == "sluice:owner")
            .map(|(key, _)| key.replace(".Key", ".Value"));
        let arn = format!("arn:aws:redshift:us-east-1:222222222222:integration:{}", self.created);
        self.integrations.push(Integration {
            arn: arn.clone(),
            name: name.to_owned(),
            source: source.to_owned(),
            target: target.to_owned(),
            status: "creating",
            owner: owner.and_then(|key| call.form.get(&key).cloned()).unwrap_or_default(),
            hidden: self.lag,
            looks: 0,
        });
        Answer::Xml(format!("<IntegrationArn>{arn}</IntegrationArn><Status>creating</Status>"))
    }

    fn delete(&mut self, call: &Call) -> Answer {
        match self.integrations.iter_mut().find(|one| one.arn == call.text("IntegrationArn")) {
            None => Answer::Error(404, "IntegrationNotFoundFault", "gone".into()),
            Some(one) if one.status == "creating" => {
                Answer::Error(400, "IntegrationConflictStateFault", "creating".into())
            }
            Some(one) => {
                (one.status, one.looks) = ("deleting", 0);
                Answer::Xml(format!("<IntegrationArn>{}</IntegrationArn>", one.arn))
            }
        }
    }
}

impl Service for World {
    fn serve(&mut self, call: &Call) -> Answer {
        match call.action.as_str() {
            "DescribeIntegrations" => self.describe(call),
            "CreateIntegration" => self.create(call),
            "DeleteIntegration" => self.delete(call),
            "GET ?location" => Answer::Xml("<LocationConstraint/>".into()),
            "GET ?notification" => Answer::Xml("<NotificationConfiguration/>".into()),
            "GET ?policy" => Answer::Xml(self.bucket_policy.clone()),
            other => panic!("an unexpected call: {other}"),
        }
    }
}

fn policy(condition: Option<Value>) -> String {
    let mut statement =
        json!({"Effect": "Allow", "Principal": {"Service": "redshift.amazonaws.com"}, "Action": "s3:*"});
    if let Some(condition) = condition {
        statement["Condition"] = condition;
    }
    json!({"Statement": [statement]}).to_string()
}

fn drill(faults: HashMap<usize, Fault>) -> Resource<World, EventIntegrations> {
    let properties =
        json!({"IntegrationName": "sluice-copy", "BucketName": "bucket-a", "TargetArn": NAMESPACE});
    let drill = Resource::new(World::default(), Faults::new(faults), properties, |config| {
        let preflight = Preflight::new(aws_sdk_s3::Client::new(config), aws_sdk_kms::Client::new(config));
        EventIntegrations::new(Integrations::new(aws_sdk_redshift::Client::new(config)), preflight)
    });
    drill.state().bucket_policy = policy(None);
    drill
}

/// Returns the number of integrations that are not being deleted.
fn left(world: &World) -> usize {
    world.integrations.iter().filter(|one| one.status != "deleting").count()
}

/// Creates and deletes an integration with these faults. Returns the number of calls.
async fn create_and_delete(faults: HashMap<usize, Fault>, lag: usize) -> usize {
    let title = format!("{faults:?}, lag {lag}");
    let drill = drill(faults);
    drill.state().lag = lag;
    let check = |after: After, world: &World, reason: &str| {
        let expected = usize::from(after == After::Creation);
        assert_eq!(left(world), expected, "{title}: integrations after {after:?}: {reason}");
    };
    drill.create_and_delete(&title, check).await
}

#[tokio::test(start_paused = true)]
async fn fault_at_each_call_leaves_no_integration() {
    for lag in [0, 2] {
        with_each_fault(10, async |faults| create_and_delete(faults, lag).await).await;
    }
}

#[tokio::test(start_paused = true)]
async fn integration_that_is_not_visible_yet_is_waited_for() {
    let drill = drill(HashMap::new());
    drill.state().lag = 10;
    let response = drill.deliver(Create).await;
    assert!(response.is_ok(), "{}", response.unwrap_err().chain());
}

#[tokio::test(start_paused = true)]
async fn integration_that_is_never_visible_is_left_to_the_deletion() {
    let drill = drill(HashMap::new());
    drill.state().lag = usize::MAX;
    let failure = drill.deliver(Create).await.unwrap_err();
    assert!(
        failure.has_leftovers() && failure.chain().contains("integration:1 was created"),
        "{}",
        failure.chain()
    );
}

#[tokio::test(start_paused = true)]
async fn attention_during_the_creation_is_waited_out() {
    let drill = drill(HashMap::new());
    drill.state().attention = 8;
    let response = drill.deliver(Create).await;
    assert!(response.is_ok(), "{}", response.unwrap_err().chain());
    let drill = self::drill(HashMap::new());
    drill.state().attention = usize::MAX;
    let failure = drill.deliver(Create).await.unwrap_err();
    assert!(failure.chain().contains("is needs_attention"), "{}", failure.chain());
}

#[tokio::test(start_paused = true)]
async fn creation_that_meets_a_deletion_is_tried_again() {
    let drill = drill(HashMap::new());
    {
        let mut state = drill.state();
        state.conflicts = 5;
        state.integrations.push(Integration {
            arn: "arn:old".into(),
            name: "sluice-copy".into(),
            source: SOURCE.into(),
            target: NAMESPACE.into(),
            status: "deleting",
            owner: "another1".into(),
            hidden: 0,
            looks: 0,
        });
    }
    let response = drill.deliver(Create).await;
    assert!(response.is_ok(), "{}", response.unwrap_err().chain());
    let state = drill.state();
    assert_eq!((left(&state), state.created), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn taken_name_is_refused_with_its_property() {
    let drill = drill(HashMap::new());
    drill.state().integrations.push(Integration {
        arn: "arn:other".into(),
        name: "sluice-copy".into(),
        source: "arn:aws:s3:::bucket-b".into(),
        target: NAMESPACE.into(),
        status: "active",
        owner: "another1".into(),
        hidden: 0,
        looks: 0,
    });
    let failure = drill.deliver(Create).await.unwrap_err();
    assert!(!failure.has_leftovers());
    let reason = failure.chain();
    assert!(
        reason.starts_with("property `IntegrationName`: \"sluice-copy\" is the name of another integration")
            && reason.contains("of bucket \"bucket-b\"; deploy this stack with another IntegrationName"),
        "{reason}"
    );
}

#[tokio::test(start_paused = true)]
async fn failure_under_conditions_names_the_switches() {
    for (condition, named) in
        [(Some(json!({"StringEquals": {"aws:SourceAccount": "222222222222"}})), true), (None, false)]
    {
        let drill = drill(HashMap::new());
        {
            let mut state = drill.state();
            (state.becomes, state.bucket_policy) = (Some("failed"), policy(condition));
        }
        let reason = drill.deliver(Create).await.unwrap_err().chain();
        assert_eq!(reason.contains("deploy this stack with ServiceConditions=false"), named, "{reason}");
        assert!(reason.contains("deploy the target's stack with SourceConditions=false"), "{reason}");
    }
}

#[tokio::test(start_paused = true)]
async fn policy_that_denies_services_is_refused_at_once() {
    let drill = drill(HashMap::new());
    let policy = json!({"Statement": [
        {"Effect": "Allow", "Principal": {"Service": "redshift.amazonaws.com"}, "Action": "s3:*", "Resource": SOURCE},
        {"Sid": "OnlyFromOurEndpoint", "Effect": "Deny", "Principal": "*", "Action": "s3:*",
         "Resource": [SOURCE, "arn:aws:s3:::bucket-a/*"],
         "Condition": {"StringNotEquals": {"aws:SourceVpce": "vpce-0123456789abcdef0"}}},
    ]});
    drill.state().bucket_policy = policy.to_string();
    let failure = drill.deliver(Create).await.unwrap_err();
    assert_eq!((drill.state().created, failure.has_leftovers()), (0, false));
    let reason = failure.chain();
    assert!(
        reason.contains(
            "denies redshift.amazonaws.com s3:GetBucketNotification (statement \"OnlyFromOurEndpoint\")"
        ) && reason.contains("aws:PrincipalIsAWSService"),
        "{reason}"
    );
}
