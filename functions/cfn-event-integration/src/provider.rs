//! One integration between one bucket and one warehouse.

use std::time::Duration;

use custom_resource::{AllowedList, Attributes, Context, Failure, Outcome, PhysicalId, Provider, Use};
use lambda_kit::arn::Arn;
use lambda_kit::call::CallError;
use serde::{Deserialize, Serialize};
use warehouse::bucket::BucketName;

use crate::integrations::{Integration, Integrations, Wanted};
use crate::preflight::Preflight;

/// The pause between checks: Redshift takes minutes to half an hour.
const CHECK_AFTER: Duration = Duration::from_secs(15);

/// The number of checks, five minutes, in which a new integration need not be visible yet, and in
/// which it may need attention: reads lag, and AWS's own handler takes the state for a valid one of
/// a creation. Source: `CreateHandler` and `IntegrationStatusUtil` of
/// aws-cloudformation/aws-cloudformation-resource-providers-redshift.
const PATIENT_CHECKS: u32 = 20;

/// The number of checks, thirty seconds, after which an integration that is not visible does not
/// exist. AWS's handler waits as long before its first look (`backoffDelay` of `CreateHandler`).
const ABSENT_CHECKS: u32 = 3;

/// The number of checks, 20 minutes, in which a creation that meets another operation is tried
/// again. One "within 500 seconds of deletion" may fail (`DeleteHandler` there).
const CREATE_CHECKS: u32 = 80;

/// The number of checks, 40 minutes, after which a replacement that is not active is deleted: once
/// the wait ends, CloudFormation never gets its id.
const REPLACEMENT_CHECKS: u32 = 160;

const BUCKETS: &str = "ALLOWED_BUCKETS";
const NAMESPACES: &str = "ALLOWED_NAMESPACES";
const KEYS: &str = "ALLOWED_INTEGRATION_KEYS";

/// The lists of values that the function's stack allows.
pub const ALLOWED: [AllowedList; 4] = [
    AllowedList::OTHER_RESOURCES,
    AllowedList::of(BUCKETS, "BucketName"),
    AllowedList::of(NAMESPACES, "TargetNamespaceArn"),
    AllowedList::of(KEYS, "IntegrationKeyArn"),
];

/// The properties of `Custom::S3EventIntegration`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Properties {
    /// Name of the integration: a letter first, letters, digits and single hyphens.
    integration_name: String,
    /// The bucket, of this account and Region.
    bucket_name: String,
    /// ARN of the warehouse's namespace.
    target_arn: String,
    /// A description of the integration.
    #[serde(default)]
    description: Option<String>,
    /// The key that encrypts the integration. Without it, an AWS owned key does.
    #[serde(default)]
    kms_key_id: Option<String>,
    /// Uses an existing integration between the two, and never deletes it.
    #[serde(default)]
    adopt_existing: bool,
}

impl Properties {
    /// Source: `CreateIntegrationMessage` in the API model of the service redshift.
    fn check(&self) -> Result<BucketName, Failure> {
        let name = &self.integration_name;
        let parts_are_valid =
            name.split('-').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric()));
        if !(parts_are_valid && name.len() <= 63 && name.starts_with(|c: char| c.is_ascii_alphabetic())) {
            return Err(Failure::new(format!(
                "property `IntegrationName`: expected a letter followed by letters, digits and single hyphens, at most 63 characters, found \"{name}\""
            )));
        }
        self.target()?;
        BucketName::new("BucketName", &self.bucket_name)
            .map_err(|error| Failure::new(format!("property {error}")))
    }

    /// Parses the ARN of the namespace.
    fn target(&self) -> Result<Arn, Failure> {
        let expected = "property `TargetArn`: expected the ARN of a warehouse's namespace \
                        (output NamespaceArn of the target's stack)";
        let arn: Arn = self.target_arn.parse().map_err(|error| Failure::caused_by(expected, error))?;
        let is_namespace = ["redshift", "redshift-serverless"].contains(&arn.service.as_str())
            && arn.resource_id("namespace").is_some();
        if !is_namespace {
            return Err(Failure::new(format!("{expected}, found \"{arn}\"")));
        }
        Ok(arn)
    }

    fn optional(value: Option<&String>) -> Option<&str> {
        value.map(String::as_str).filter(|text| !text.is_empty())
    }
}

/// The progress of a wait. The state machine's history shows it, and it holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Progress {
    /// The integration; empty until it is known.
    #[serde(default)]
    arn: String,
    goal: Goal,
    /// The integration to look for, or to create, while its ARN is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    wanted: Option<Wanted>,
    /// All checks so far.
    #[serde(default)]
    checks: u32,
    /// The checks in a row that did not find it.
    #[serde(default)]
    unseen: u32,
    /// The checks in which it needed attention.
    #[serde(default)]
    attention: u32,
}

impl Progress {
    fn of(arn: &str, goal: Goal) -> Self {
        Self { arn: arn.to_owned(), goal, wanted: None, checks: 0, unseen: 0, attention: 0 }
    }

    fn until_known(wanted: Wanted, goal: Goal) -> Self {
        Self { wanted: Some(wanted), ..Self::of("", goal) }
    }

    fn wait(self) -> Result<Outcome<Self>, Failure> {
        Ok(Outcome::Waiting { progress: self, check_after: CHECK_AFTER })
    }
}

/// The goal of a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Goal {
    /// The integration is active.
    Active,
    /// The integration is active after a replacement. If it fails, this function deletes it.
    ActiveOrDeleted,
    /// The integration is deleted.
    Deleted,
}

/// The provider.
pub struct EventIntegrations {
    integrations: Integrations,
    preflight: Preflight,
}

impl EventIntegrations {
    /// Creates a provider with its clients.
    pub fn new(integrations: Integrations, preflight: Preflight) -> Self {
        Self { integrations, preflight }
    }

    async fn create_integration(
        &self,
        context: &Context,
        new: &Properties,
        goal: Goal,
    ) -> Result<Outcome<Progress>, Failure> {
        let bucket = new.check()?;
        let stack = stack(context)?;
        let target_region = new.target()?.region;
        if target_region != stack.region {
            return Err(Failure::new(format!(
                "property `TargetArn`: the warehouse is in {target_region} and this stack in {}; \
                 bucket, integration and warehouse must be in one Region",
                stack.region
            )));
        }
        let wanted = Wanted {
            name: new.integration_name.clone(),
            source_arn: bucket.arn(&stack.partition),
            target_arn: new.target_arn.clone(),
            description: Properties::optional(new.description.as_ref()).map(str::to_owned),
            kms_key_id: Properties::optional(new.kms_key_id.as_ref()).map(str::to_owned),
        };
        let found =
            self.integrations.find(&wanted.source_arn, &wanted.target_arn).await.map_err(find_failed)?;
        match found {
            // It is deleted first, and created again by the checks.
            Some(found) if found.status == DELETING => Progress::until_known(wanted, goal).wait(),
            Some(found) => {
                if !is_of(&found, context) && !new.adopt_existing {
                    return Err(foreign(new.bucket_name.as_str(), &found));
                }
                self.evaluate(&found, Progress::of(&found.arn, goal)).await
            }
            None => {
                self.preflight.check(bucket.as_str(), &stack, wanted.kms_key_id.as_deref()).await?;
                self.start(context, Progress::until_known(wanted.clone(), goal), wanted).await
            }
        }
    }

    /// Calls CreateIntegration, unless an earlier call created the integration.
    ///
    /// The API has no client token, but allows one integration between two ends. So a call whose
    /// outcome is unknown is repeated with a later check, which may find the integration.
    async fn start(
        &self,
        context: &Context,
        progress: Progress,
        wanted: Wanted,
    ) -> Result<Outcome<Progress>, Failure> {
        let error = match self.integrations.create(&wanted, &context.owner).await {
            Ok(arn) => {
                tracing::info!(integration = arn, "the integration is being created");
                // Not read at once: the API may not show it yet.
                return Progress::of(&arn, progress.goal).wait();
            }
            Err(error) => error,
        };
        // AWS's handler treats all three as "already exists" (`ErrorUtil`).
        let exists = error.has_code(&[
            "IntegrationAlreadyExistsFault",
            "IntegrationConflictOperationFault",
            "IntegrationConflictStateFault",
        ]);
        if !exists && !error.is_transient() {
            return Err(create_failure(&wanted, error));
        }
        if progress.checks >= CREATE_CHECKS {
            return Err(create_failure(&wanted, error).with_leftovers());
        }
        tracing::warn!(%error, "the integration could not be created yet");
        if exists {
            // The ends are free, or this failure would have been found before: the name is taken.
            match self.integrations.named(&wanted.name).await {
                Ok(Some(other)) if other.status != DELETING && !other.is_between(&wanted) => {
                    return Err(name_taken(&wanted, &other, error));
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "the integrations could not be read"),
            }
        }
        progress.wait()
    }

    /// Checks an integration whose ARN is not known: it is being created, or its deletion began
    /// before it was visible.
    async fn check_wanted(
        &self,
        context: &Context,
        progress: Progress,
        wanted: Wanted,
    ) -> Result<Outcome<Progress>, Failure> {
        let found = match self.integrations.find(&wanted.source_arn, &wanted.target_arn).await {
            Err(error) if error.is_transient() => return progress.wait(),
            other => other.map_err(find_failed)?,
        };
        match found {
            Some(found) if !is_of(&found, context) => match progress.goal {
                Goal::Deleted => Ok(Outcome::done()),
                _ if found.status == DELETING => progress.wait(),
                _ => Err(foreign(bucket_of(&wanted.source_arn), &found)),
            },
            Some(found) if found.status == DELETING && progress.goal != Goal::Deleted => progress.wait(),
            Some(found) => {
                let checks = progress.checks;
                self.evaluate(&found, Progress { checks, ..Progress::of(&found.arn, progress.goal) }).await
            }
            None if progress.goal != Goal::Deleted => self.start(context, progress, wanted).await,
            None if progress.unseen + 1 >= ABSENT_CHECKS => Ok(Outcome::done()),
            None => Progress { unseen: progress.unseen + 1, ..progress }.wait(),
        }
    }

    async fn check_status(&self, progress: Progress) -> Result<Outcome<Progress>, Failure> {
        let found = match self.integrations.get(&progress.arn).await {
            Err(error) if error.is_transient() => return progress.wait(),
            other => other.map_err(|error| {
                let problem = format!("the integration {} could not be read", progress.arn);
                Failure::caused_by(problem, error).with_leftovers()
            })?,
        };
        match found {
            Some(found) => self.evaluate(&found, Progress { unseen: 0, ..progress }).await,
            None if progress.goal == Goal::Deleted => Ok(Outcome::done()),
            None if progress.unseen + 1 < PATIENT_CHECKS => {
                Progress { unseen: progress.unseen + 1, ..progress }.wait()
            }
            None => Err(Failure::new(format!(
                "the integration {} was created, but Redshift does not show it, or it was deleted; \
                 check it with `aws redshift describe-integrations` and delete what is left",
                progress.arn
            ))
            .with_leftovers()),
        }
    }

    async fn evaluate(&self, found: &Integration, progress: Progress) -> Result<Outcome<Progress>, Failure> {
        let goal = progress.goal;
        tracing::info!(integration = found.arn, status = found.status, ?goal, "integration checked");
        match (found.status.as_str(), goal) {
            (_, Goal::Deleted) => {
                // Repeated with every check: the first call may have met another operation.
                if found.status != DELETING {
                    self.delete(&found.arn).await?;
                }
                progress.wait()
            }
            ("active", _) => Ok(Outcome::Ready(
                Attributes::none().with("IntegrationArn", &found.arn).with("Status", &found.status),
            )),
            ("needs_attention", _) if progress.attention + 1 < PATIENT_CHECKS => {
                Progress { attention: progress.attention + 1, ..progress }.wait()
            }
            ("failed" | "needs_attention", _) => self.failed(found, progress).await,
            (_, Goal::ActiveOrDeleted) if progress.checks >= REPLACEMENT_CHECKS => {
                self.failed(found, progress).await
            }
            _ => progress.wait(),
        }
    }

    /// Returns the failure of an integration, after the deletion of a replacement.
    async fn failed(&self, found: &Integration, progress: Progress) -> Result<Outcome<Progress>, Failure> {
        if progress.goal == Goal::ActiveOrDeleted && !self.delete(&found.arn).await? {
            return progress.wait();
        }
        let reason = match found.errors.as_slice() {
            [] => "Redshift gives no reason; check the bucket's policy and the namespace's resource policy"
                .to_owned(),
            errors => errors.join("; "),
        };
        // Whether Redshift's calls carry the keys of these conditions in every set-up is not known:
        // docs/decisions/0016-conditions-on-integrations.md.
        let source = if self.preflight.has_conditions(bucket_of(&found.source_arn)).await {
            "The bucket's policy has conditions: if it is right otherwise, deploy this stack with ServiceConditions=false. "
        } else {
            ""
        };
        Err(Failure::new(format!(
            "the integration {} is {}: {reason}. {source}If the namespace's policy has conditions, deploy the target's stack with SourceConditions=false",
            found.arn, found.status
        ))
        .with_leftovers())
    }

    async fn delete(&self, arn: &str) -> Result<bool, Failure> {
        self.integrations.delete(arn).await.map_err(|error| {
            Failure::caused_by(format!("the integration {arn} could not be deleted"), error).with_leftovers()
        })
    }
}

/// The state of an integration that is being deleted.
const DELETING: &str = "deleting";

fn is_of(found: &Integration, context: &Context) -> bool {
    found.owner.as_deref() == Some(context.owner.tag())
}

fn bucket_of(source_arn: &str) -> &str {
    source_arn.rsplit(':').next().unwrap_or(source_arn)
}

fn find_failed(error: CallError) -> Failure {
    let is_transient = error.is_transient();
    Failure::caused_by("the existing integrations could not be read", error).with_leftovers_if(is_transient)
}

fn foreign(bucket: &str, found: &Integration) -> Failure {
    Failure::new(format!(
        "there is an integration between bucket \"{bucket}\" and this warehouse ({}), and Redshift allows only one; \
         set `AdoptExisting: true` to use it unchanged (this stack then never deletes it), or delete it first",
        found.arn
    ))
}

fn name_taken(wanted: &Wanted, other: &Integration, error: CallError) -> Failure {
    Failure::caused_by(
        format!(
            "property `IntegrationName`: \"{}\" is the name of another integration of this account and Region, of bucket \"{}\"; \
             deploy this stack with another IntegrationName",
            wanted.name,
            bucket_of(&other.source_arn)
        ),
        error,
    )
}

fn create_failure(wanted: &Wanted, error: CallError) -> Failure {
    let bucket = bucket_of(&wanted.source_arn);
    if error.is_access_denied() {
        let named_target = error.to_string().contains("CreateInboundIntegration");
        if named_target {
            return Failure::caused_by(
                format!(
                    "the resource policy of the warehouse does not let this account connect bucket \"{bucket}\"; \
                     add the account and the bucket to `SourceAccounts` and `SourceBuckets` of the target's stack and deploy it first"
                ),
                error,
            );
        }
        return Failure::caused_by(format!("bucket \"{bucket}\" may not be connected"), error);
    }
    if error.has_code(&["IntegrationQuotaExceededFault"]) {
        return Failure::caused_by(
            "the warehouse has the most S3 event integrations that it can have (50); delete one, or load several prefixes of one bucket with several jobs",
            error,
        );
    }
    Failure::caused_by(
        format!("bucket \"{bucket}\" could not be connected with {}", wanted.target_arn),
        error,
    )
}

/// Returns the stack's ARN.
fn stack(context: &Context) -> Result<Arn, Failure> {
    let id = context.owner.stack_id();
    id.parse().map_err(|error| Failure::caused_by("the stack's id is invalid", error))
}

impl Provider for EventIntegrations {
    type Properties = Properties;
    type Progress = Progress;
    const KIND: &'static str = "sluice-event-integration";
    const MAX_WAIT: Duration = Duration::from_secs(45 * 60);

    fn uses(&self, properties: &Properties) -> Result<Vec<Use>, Failure> {
        let key = Properties::optional(properties.kms_key_id.as_ref());
        Ok([
            Use::new("BucketName", &properties.bucket_name, BUCKETS),
            Use::new("TargetArn", &properties.target_arn, NAMESPACES),
        ]
        .into_iter()
        .chain(key.map(|key| Use::new("KmsKeyId", key, KEYS)))
        .collect())
    }

    fn identity(&self, properties: &Properties) -> Result<String, Failure> {
        let key = Properties::optional(properties.kms_key_id.as_ref()).unwrap_or("aws-owned");
        Ok(format!("{}|{}|{key}", properties.bucket_name, properties.target_arn))
    }

    async fn create(
        &self,
        context: &Context,
        _: &PhysicalId,
        new: Properties,
    ) -> Result<Outcome<Progress>, Failure> {
        self.create_integration(context, &new, Goal::Active).await
    }

    async fn replace(
        &self,
        context: &Context,
        _: &PhysicalId,
        _: &PhysicalId,
        new: Properties,
    ) -> Result<Outcome<Progress>, Failure> {
        self.create_integration(context, &new, Goal::ActiveOrDeleted).await
    }

    async fn update(
        &self,
        context: &Context,
        _: &PhysicalId,
        _: Option<Properties>,
        new: Properties,
    ) -> Result<Outcome<Progress>, Failure> {
        let bucket = new.check()?;
        let found = self.integrations.find(&bucket.arn(&stack(context)?.partition), &new.target_arn).await;
        let Some(found) = found.map_err(find_failed)?.filter(|found| is_of(found, context)) else {
            // It was deleted outside of the stack, or adopted.
            return self.create_integration(context, &new, Goal::Active).await;
        };
        let description = new.description.as_deref().unwrap_or_default();
        if found.name != new.integration_name || found.description != description {
            self.integrations.modify(&found.arn, &new.integration_name, description).await.map_err(
                |error| {
                    Failure::caused_by(format!("the integration {} could not be changed", found.arn), error)
                },
            )?;
        }
        self.check_status(Progress::of(&found.arn, Goal::Active)).await
    }

    async fn delete(
        &self,
        context: &Context,
        _: &PhysicalId,
        old: Properties,
    ) -> Result<Outcome<Progress>, Failure> {
        let source_arn = stack(context)?.sibling("s3", "", "", &old.bucket_name).to_string();
        let found = self.integrations.find(&source_arn, &old.target_arn).await.map_err(find_failed)?;
        match found {
            // An adopted integration stays.
            Some(found) if !is_of(&found, context) => Ok(Outcome::done()),
            Some(found) => {
                self.delete(&found.arn).await?;
                self.check_status(Progress::of(&found.arn, Goal::Deleted)).await
            }
            // One that was created a moment ago may not be visible.
            None => {
                let wanted = Wanted {
                    name: old.integration_name,
                    source_arn,
                    target_arn: old.target_arn,
                    description: None,
                    kms_key_id: None,
                };
                Progress { unseen: 1, ..Progress::until_known(wanted, Goal::Deleted) }.wait()
            }
        }
    }

    async fn check(
        &self,
        context: &Context,
        _: &PhysicalId,
        progress: Progress,
    ) -> Result<Outcome<Progress>, Failure> {
        let progress = Progress { checks: progress.checks + 1, ..progress };
        match progress.wanted.clone() {
            Some(wanted) => self.check_wanted(context, progress, wanted).await,
            None => self.check_status(progress).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use custom_resource::Request;

    fn sample(text: &str) -> Properties {
        let request = Request::parse(&serde_json::from_str(text).unwrap()).unwrap();
        request.properties(&[]).unwrap()
    }

    #[test]
    fn sample_event_has_valid_names() {
        let properties = sample(include_str!("../../../events/cloudformation/event-integration-create.json"));
        assert_eq!(properties.check().unwrap().as_str(), "sluice-111111111111-us-east-1");
        assert_eq!(properties.integration_name, "sluice-copy");
    }

    #[test]
    fn invalid_integration_name_is_rejected() {
        for name in ["", "1a", "-a", "a-", "a--b", "a_b", &"a".repeat(64)] {
            let mut properties =
                sample(include_str!("../../../events/cloudformation/event-integration-create.json"));
            properties.integration_name = name.to_owned();
            let error = properties.check().unwrap_err().chain();
            assert!(error.starts_with("property `IntegrationName`: "), "{name}: {error}");
        }
    }
}
