//! One integration between one bucket and one warehouse.

use std::time::Duration;

use custom_resource::{Attributes, Context, Failure, Outcome, PhysicalId, Provider};
use lambda_kit::arn::Arn;
use lambda_kit::call::CallError;
use serde::{Deserialize, Serialize};
use warehouse::bucket::BucketName;

use crate::integrations::{Integration, Integrations, Wanted};
use crate::preflight::Preflight;

/// The pause between checks: Redshift takes minutes to half an hour.
const CHECK_AFTER: Duration = Duration::from_secs(15);

/// The properties of `Custom::S3EventIntegration`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Properties {
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

/// The progress of a wait. The state machine's history shows it, and it holds an ARN only.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Progress {
    arn: String,
    goal: Goal,
}

/// The goal of a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Goal {
    /// The integration is active.
    Active,
    /// The integration is active after a replacement. If it fails, this function deletes it.
    ActiveOrDeleted,
    /// The integration is deleted.
    Deleted,
}

/// The provider.
pub(crate) struct EventIntegrations {
    integrations: Integrations,
    preflight: Preflight,
}

impl EventIntegrations {
    /// Creates a provider with its clients.
    pub(crate) fn new(integrations: Integrations, preflight: Preflight) -> Self {
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
        let source_arn = bucket.arn(&stack.partition);
        if let Some(found) = self.find(&source_arn, &new.target_arn).await? {
            let ours = found.owner.as_deref() == Some(context.owner.tag());
            if !ours && !new.adopt_existing {
                return Err(Failure::new(format!(
                    "there is an integration between bucket \"{}\" and this warehouse ({}), and Redshift allows only one; \
                     set `AdoptExisting: true` to use it unchanged (this stack then never deletes it), or delete it first",
                    new.bucket_name, found.arn
                )));
            }
            return self.evaluate(&found, goal).await;
        }
        self.preflight.check(bucket.as_str(), &stack.region).await?;
        let wanted = Wanted {
            name: &new.integration_name,
            source_arn: &source_arn,
            target_arn: &new.target_arn,
            description: Properties::optional(new.description.as_ref()),
            kms_key_id: Properties::optional(new.kms_key_id.as_ref()),
        };
        let arn = match self.integrations.create(&wanted, &context.owner).await {
            Ok(arn) => arn,
            // An earlier delivery of this request created it between the two calls.
            Err(error) if error.has_code(&["IntegrationAlreadyExistsFault"]) => {
                match self.find(&source_arn, &new.target_arn).await? {
                    Some(found) if found.owner.as_deref() == Some(context.owner.tag()) => found.arn,
                    _ => return Err(create_failure(new, error)),
                }
            }
            Err(error) => return Err(create_failure(new, error)),
        };
        tracing::info!(integration = arn, "the integration is being created");
        self.check_status(&arn, goal).await
    }

    async fn find(&self, source_arn: &str, target_arn: &str) -> Result<Option<Integration>, Failure> {
        self.integrations
            .find(source_arn, target_arn)
            .await
            .map_err(|error| Failure::caused_by("the existing integrations could not be read", error))
    }

    async fn check_status(&self, arn: &str, goal: Goal) -> Result<Outcome<Progress>, Failure> {
        let found = self.integrations.get(arn).await.map_err(|error| {
            Failure::caused_by(format!("the integration {arn} could not be read"), error).with_leftovers()
        })?;
        match found {
            Some(found) => self.evaluate(&found, goal).await,
            None if goal == Goal::Deleted => Ok(Outcome::done()),
            None => {
                Err(Failure::new(format!("the integration {arn} disappeared while it was being created")))
            }
        }
    }

    async fn evaluate(&self, found: &Integration, goal: Goal) -> Result<Outcome<Progress>, Failure> {
        tracing::info!(integration = found.arn, status = found.status, ?goal, "integration checked");
        let wait = || Outcome::Waiting {
            progress: Progress { arn: found.arn.clone(), goal },
            check_after: CHECK_AFTER,
        };
        match (found.status.as_str(), goal) {
            (_, Goal::Deleted) => {
                // Repeated with every check: the first call may have met another operation.
                if found.status != "deleting" {
                    self.delete(&found.arn).await?;
                }
                Ok(wait())
            }
            ("active", _) => Ok(Outcome::Ready(
                Attributes::none().with("IntegrationArn", &found.arn).with("Status", &found.status),
            )),
            ("failed" | "needs_attention", goal) => {
                if goal == Goal::ActiveOrDeleted {
                    self.delete(&found.arn).await?;
                }
                let reason = match found.errors.as_slice() {
                    [] => "Redshift gives no reason; check the bucket's policy and the namespace's resource policy".to_owned(),
                    errors => errors.join("; "),
                };
                Err(Failure::new(format!("the integration {} is {}: {reason}", found.arn, found.status))
                    .with_leftovers())
            }
            _ => Ok(wait()),
        }
    }

    async fn delete(&self, arn: &str) -> Result<bool, Failure> {
        self.integrations.delete(arn).await.map_err(|error| {
            Failure::caused_by(format!("the integration {arn} could not be deleted"), error).with_leftovers()
        })
    }
}

fn create_failure(new: &Properties, error: CallError) -> Failure {
    let bucket = &new.bucket_name;
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
    Failure::caused_by(format!("bucket \"{bucket}\" could not be connected with {}", new.target_arn), error)
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
        let found = self.find(&bucket.arn(&stack(context)?.partition), &new.target_arn).await?;
        let Some(found) = found.filter(|found| found.owner.as_deref() == Some(context.owner.tag())) else {
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
        self.check_status(&found.arn, Goal::Active).await
    }

    async fn delete(
        &self,
        context: &Context,
        _: &PhysicalId,
        old: Properties,
    ) -> Result<Outcome<Progress>, Failure> {
        let source_arn = stack(context)?.sibling("s3", "", "", &old.bucket_name).to_string();
        let found = self.find(&source_arn, &old.target_arn).await?;
        match found.filter(|found| found.owner.as_deref() == Some(context.owner.tag())) {
            // An adopted integration stays.
            None => Ok(Outcome::done()),
            Some(found) => {
                self.delete(&found.arn).await?;
                self.check_status(&found.arn, Goal::Deleted).await
            }
        }
    }

    async fn check(
        &self,
        _: &Context,
        _: &PhysicalId,
        progress: Progress,
    ) -> Result<Outcome<Progress>, Failure> {
        self.check_status(&progress.arn, progress.goal).await
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
