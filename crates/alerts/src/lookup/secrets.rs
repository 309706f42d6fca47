//! The rotation status, from DescribeSecret.

use aws_sdk_secretsmanager::Client;
use lambda_kit::call::CallError;

use super::{ReadRole, Secrets};
use crate::rules::{ROTATION_TAG, RotationStatus, SecretRotation};

/// The secrets in AWS Secrets Manager.
#[derive(Debug)]
pub struct AwsSecrets(ReadRole);

impl AwsSecrets {
    /// Creates the secrets that this role reads.
    pub fn new(role: ReadRole) -> Self {
        Self(role)
    }
}

impl Secrets for AwsSecrets {
    async fn rotation(&self, secret: &str) -> Result<SecretRotation, CallError> {
        rotation(&self.0.for_resource(secret).await?.secretsmanager(), secret).await
    }
}

/// Source: "DescribeSecret" of the API reference. If rotation is disabled, `RotationRules` has the previous
/// schedule; if it was never enabled, that is omitted. `LastRotatedDate` is null if rotation is disabled.
async fn rotation(client: &Client, secret: &str) -> Result<SecretRotation, CallError> {
    let answer = client.describe_secret().secret_id(secret).send().await;
    let answer = answer.map_err(|error| CallError::new("secretsmanager:DescribeSecret", &error))?;
    let disabled_on_purpose =
        answer.tags().iter().any(|tag| tag.key() == Some(ROTATION_TAG) && tag.value() == Some("off"));
    let was_enabled = answer.rotation_rules().is_some() || answer.rotation_lambda_arn().is_some();
    let status = match answer.rotation_enabled() {
        Some(true) => RotationStatus::Enabled,
        _ if was_enabled && !disabled_on_purpose => RotationStatus::Disabled,
        _ => RotationStatus::NotRotating,
    };
    Ok(SecretRotation { status, function: answer.rotation_lambda_arn, is_guessed: false })
}

#[cfg(test)]
mod tests {
    use aws_sdk_secretsmanager::operation::describe_secret::DescribeSecretOutput;
    use aws_sdk_secretsmanager::types::{RotationRulesType, Tag};
    use aws_smithy_mocks::{RuleMode, mock, mock_client};

    use super::*;

    #[tokio::test]
    async fn disabled_rotation_differs_from_rotation_never_enabled() {
        let rules = || RotationRulesType::builder().automatically_after_days(30).build();
        let function = "arn:aws:lambda:us-east-1:111111111111:function:rotate";
        for (enabled, has_rules, function, tag, expected) in [
            (Some(true), true, Some(function), None, RotationStatus::Enabled),
            (Some(true), true, Some(function), Some("off"), RotationStatus::Enabled),
            (Some(false), true, Some(function), None, RotationStatus::Disabled),
            // A secret that another service rotates has no function.
            (Some(false), true, None, Some("on"), RotationStatus::Disabled),
            (None, false, Some(function), None, RotationStatus::Disabled),
            (Some(false), true, Some(function), Some("off"), RotationStatus::NotRotating),
            (Some(false), false, None, None, RotationStatus::NotRotating),
            (None, false, None, Some("on"), RotationStatus::NotRotating),
        ] {
            let rule = mock!(Client::describe_secret).then_output(move || {
                let tag = tag.map(|value| Tag::builder().key("sluice:rotation").value(value).build());
                DescribeSecretOutput::builder()
                    .set_rotation_enabled(enabled)
                    .set_rotation_rules(has_rules.then(rules))
                    .set_rotation_lambda_arn(function.map(str::to_owned))
                    .set_tags(tag.map(|tag| vec![tag]))
                    .build()
            });
            let client = mock_client!(aws_sdk_secretsmanager, RuleMode::Sequential, [&rule]);
            let found = rotation(&client, "arn:s").await.unwrap();
            assert_eq!(
                (found.status, found.function.as_deref()),
                (expected, function),
                "{enabled:?} {has_rules} {function:?} {tag:?}"
            );
        }
    }
}
