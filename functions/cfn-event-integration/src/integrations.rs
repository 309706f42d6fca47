//! The API for S3 event integrations.

use aws_sdk_redshift::Client;
use aws_sdk_redshift::error::ProvideErrorMetadata;
use aws_sdk_redshift::types::{DescribeIntegrationsFilter, DescribeIntegrationsFilterName, Tag};
use custom_resource::Owner;
use lambda_kit::call::CallError;
use serde::{Deserialize, Serialize};

/// The tag with the ARN of the owning stack, for users.
const STACK_TAG: &str = "sluice:stack-id";
/// The tag with the owner's tag, which identifies this stack's integration.
const OWNER_TAG: &str = "sluice:owner";

/// An existing integration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Integration {
    pub(crate) arn: String,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) source_arn: String,
    pub(crate) target_arn: String,
    pub(crate) status: String,
    /// Redshift's own explanation, if it has one.
    pub(crate) errors: Vec<String>,
    pub(crate) owner: Option<String>,
}

impl Integration {
    /// Returns true if the integration has the ends of the definition.
    pub(crate) fn is_between(&self, wanted: &Wanted) -> bool {
        self.source_arn == wanted.source_arn && same_arn(&self.target_arn, &wanted.target_arn)
    }
}

/// The definition of an integration. The state machine's history shows it, and it holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Wanted {
    pub(crate) name: String,
    pub(crate) source_arn: String,
    pub(crate) target_arn: String,
    pub(crate) description: Option<String>,
    pub(crate) kms_key_id: Option<String>,
}

/// The calls, each with one IAM action.
pub struct Integrations {
    client: Client,
}

impl Integrations {
    /// Creates the calls with their client.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Returns the integration between this source and this target. There is at most one.
    pub(crate) async fn find(
        &self,
        source_arn: &str,
        target_arn: &str,
    ) -> Result<Option<Integration>, CallError> {
        let by_source = DescribeIntegrationsFilter::builder()
            .name(DescribeIntegrationsFilterName::SourceArn)
            .values(source_arn)
            .build();
        self.first(Some(by_source), |one| one.target_arn().is_some_and(|arn| same_arn(arn, target_arn))).await
    }

    /// Returns the integration with this name in this account and Region.
    pub(crate) async fn named(&self, name: &str) -> Result<Option<Integration>, CallError> {
        self.first(None, |one| one.integration_name() == Some(name)).await
    }

    async fn first(
        &self,
        filter: Option<DescribeIntegrationsFilter>,
        is_it: impl Fn(&aws_sdk_redshift::types::Integration) -> bool,
    ) -> Result<Option<Integration>, CallError> {
        let mut marker = None;
        loop {
            let page = self
                .client
                .describe_integrations()
                .set_filters(filter.clone().map(|filter| vec![filter]))
                .set_marker(marker)
                .send()
                .await
                .map_err(|error| CallError::new("redshift:DescribeIntegrations", &error))?;
            if let Some(one) = page.integrations().iter().find(|one| is_it(one)) {
                return Ok(Some(read(one)));
            }
            marker = page.marker().filter(|marker| !marker.is_empty()).map(str::to_owned);
            if marker.is_none() {
                return Ok(None);
            }
        }
    }

    /// Returns the integration with this ARN, or `None` once it is deleted.
    pub(crate) async fn get(&self, arn: &str) -> Result<Option<Integration>, CallError> {
        match self.client.describe_integrations().integration_arn(arn).send().await {
            Ok(page) => Ok(page.integrations().first().map(read)),
            Err(error) if error.code() == Some("IntegrationNotFoundFault") => Ok(None),
            Err(error) => Err(CallError::new("redshift:DescribeIntegrations", &error)),
        }
    }

    /// Starts to create an integration and returns its ARN.
    pub(crate) async fn create(&self, wanted: &Wanted, owner: &Owner) -> Result<String, CallError> {
        const ACTION: &str = "redshift:CreateIntegration";
        let tag = |key: &str, value: &str| Tag::builder().key(key).value(value).build();
        let answer = self
            .client
            .create_integration()
            .integration_name(&wanted.name)
            .source_arn(&wanted.source_arn)
            .target_arn(&wanted.target_arn)
            .set_description(wanted.description.clone())
            .set_kms_key_id(wanted.kms_key_id.clone())
            .tag_list(tag(STACK_TAG, owner.stack_id()))
            .tag_list(tag(OWNER_TAG, owner.tag()))
            .send()
            .await
            .map_err(|error| CallError::new(ACTION, &error))?;
        answer.integration_arn.ok_or_else(|| CallError::without_answer(ACTION, "the response has no ARN"))
    }

    /// Changes name and description.
    pub(crate) async fn modify(&self, arn: &str, name: &str, description: &str) -> Result<(), CallError> {
        self.client
            .modify_integration()
            .integration_arn(arn)
            .integration_name(name)
            .description(description)
            .send()
            .await
            .map(|_| ())
            .map_err(|error| CallError::new("redshift:ModifyIntegration", &error))
    }

    /// Starts the deletion. Returns `false` if the call has to be repeated: another operation is in
    /// progress, or the outcome is unknown.
    pub(crate) async fn delete(&self, arn: &str) -> Result<bool, CallError> {
        match self.client.delete_integration().integration_arn(arn).send().await {
            Ok(_) => Ok(true),
            Err(error) => match error.code() {
                Some("IntegrationNotFoundFault") => Ok(true),
                Some("IntegrationConflictStateFault" | "IntegrationConflictOperationFault") => Ok(false),
                _ => {
                    let error = CallError::new("redshift:DeleteIntegration", &error);
                    if error.is_transient() { Ok(false) } else { Err(error) }
                }
            },
        }
    }
}

/// Compares ARNs of namespaces, which have a colon or a slash before the id.
fn same_arn(a: &str, b: &str) -> bool {
    a.replace("namespace/", "namespace:") == b.replace("namespace/", "namespace:")
}

fn read(one: &aws_sdk_redshift::types::Integration) -> Integration {
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    let explain =
        |error: &aws_sdk_redshift::types::IntegrationError| match (error.error_code(), error.error_message())
        {
            (Some(code), Some(message)) => format!("{code}: {message}"),
            (code, message) => code.or(message).unwrap_or_default().to_owned(),
        };
    let owner = one.tags().iter().find(|tag| tag.key() == Some(OWNER_TAG));
    Integration {
        arn: text(one.integration_arn()),
        name: text(one.integration_name()),
        description: text(one.description()),
        source_arn: text(one.source_arn()),
        target_arn: text(one.target_arn()),
        status: one.status().map(|status| status.as_str().to_owned()).unwrap_or_default(),
        errors: one.errors().iter().map(explain).collect(),
        owner: owner.and_then(|tag| tag.value()).map(str::to_owned),
    }
}
