//! The versions of a secret, and the five calls that a rotation makes.

use std::collections::HashMap;
use std::future::Future;

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::ProvideErrorMetadata;
use aws_sdk_secretsmanager::primitives::DateTime;
use lambda_kit::call::CallError;
use lambda_kit::moment::Moment;
use secrecy::{ExposeSecret, SecretString};

use crate::event::RotationEvent;
use crate::outcome::StepOutcome;
use crate::password::PasswordPolicy;

/// The label of the credential that clients use.
pub const CURRENT: &str = "AWSCURRENT";
/// The label of the credential that a rotation creates.
pub const PENDING: &str = "AWSPENDING";
/// The label of the credential before the current one.
pub const PREVIOUS: &str = "AWSPREVIOUS";

/// A secret's description, as far as a rotation needs it.
#[derive(Debug, Clone, Default)]
pub struct Description {
    /// True if rotation is turned on; `None` if the service does not return it.
    pub rotation_enabled: Option<bool>,
    /// The KMS key that encrypts the values; `None` for the AWS managed key.
    pub kms_key: Option<String>,
    /// The end of the last rotation.
    pub last_rotated: Option<Moment>,
    /// The ids of the versions and the labels of each.
    pub stages: HashMap<String, Vec<String>>,
    /// The last change of a value or label.
    pub last_changed: Option<Moment>,
}

impl Description {
    /// Returns true if a version has a label.
    pub fn has_label(&self, version: &str, label: &str) -> bool {
        self.stages.get(version).is_some_and(|labels| labels.iter().any(|found| found == label))
    }

    /// Returns the version with a label.
    pub fn version_with(&self, label: &str) -> Option<&str> {
        self.stages.keys().map(String::as_str).find(|version| self.has_label(version, label))
    }

    /// Returns true if a rotation has begun and not ended.
    pub fn rotation_in_progress(&self) -> bool {
        self.version_with(PENDING).is_some_and(|version| !self.has_label(version, CURRENT))
    }
}

/// The calls of a rotation to Secrets Manager.
pub trait Versions: Send + Sync {
    /// Returns a secret's description (DescribeSecret).
    fn describe(&self, secret: &str) -> impl Future<Output = Result<Description, CallError>> + Send;

    /// Returns the value of the version with a label, or with this id and label (GetSecretValue).
    /// Returns `None` if there is no such version or it has no value.
    fn value(
        &self,
        secret: &str,
        version: Option<&str>,
        label: &str,
    ) -> impl Future<Output = Result<Option<SecretString>, CallError>> + Send;

    /// Stores the value of the event's version under AWSPENDING (PutSecretValue). There is nothing
    /// to do if the version already has another value: an earlier run of the step stored it, and
    /// its response was lost.
    fn put_pending(
        &self,
        event: &RotationEvent,
        value: &SecretString,
    ) -> impl Future<Output = Result<StepOutcome, CallError>> + Send;

    /// Moves AWSCURRENT from one version to another (UpdateSecretVersionStage). The move is
    /// postponed if another version than `from` has the label.
    fn promote(
        &self,
        secret: &str,
        from: &str,
        to: &str,
    ) -> impl Future<Output = Result<StepOutcome, CallError>> + Send;

    /// Generates a password (GetRandomPassword).
    fn random_password(
        &self,
        policy: &PasswordPolicy,
    ) -> impl Future<Output = Result<SecretString, CallError>> + Send;
}

/// The reason why [`Versions::promote`] postpones a move.
pub const CURRENT_IS_ELSEWHERE: &str = "AWSCURRENT is on another version";

/// AWS Secrets Manager.
#[derive(Debug, Clone)]
pub struct SecretsManager {
    client: Client,
}

impl SecretsManager {
    /// Creates the adapter for a client.
    pub fn new(client: Client) -> Self {
        Self { client }
    }
}

impl Versions for SecretsManager {
    async fn describe(&self, secret: &str) -> Result<Description, CallError> {
        let answer = self.client.describe_secret().secret_id(secret).send().await;
        let answer = answer.map_err(|error| CallError::new("secretsmanager:DescribeSecret", &error))?;
        Ok(Description {
            rotation_enabled: answer.rotation_enabled,
            kms_key: answer.kms_key_id,
            last_rotated: answer.last_rotated_date.as_ref().map(moment),
            stages: answer.version_ids_to_stages.unwrap_or_default(),
            last_changed: answer.last_changed_date.as_ref().map(moment),
        })
    }

    async fn value(
        &self,
        secret: &str,
        version: Option<&str>,
        label: &str,
    ) -> Result<Option<SecretString>, CallError> {
        let call = self.client.get_secret_value().secret_id(secret).version_stage(label);
        match call.set_version_id(version.map(str::to_owned)).send().await {
            Ok(answer) => Ok(Some(answer.secret_string.unwrap_or_default().into())),
            Err(error) if error.code() == Some("ResourceNotFoundException") => Ok(None),
            Err(error) => Err(CallError::new("secretsmanager:GetSecretValue", &error)),
        }
    }

    async fn put_pending(
        &self,
        event: &RotationEvent,
        value: &SecretString,
    ) -> Result<StepOutcome, CallError> {
        let call = self
            .client
            .put_secret_value()
            .secret_id(&event.secret_id)
            .client_request_token(&event.client_request_token)
            .version_stages(PENDING)
            .set_rotation_token(event.rotation_token.as_ref().map(|token| token.expose_secret().to_owned()))
            .secret_string(value.expose_secret());
        match call.send().await {
            Ok(_) => Ok(StepOutcome::Done),
            Err(error) if error.code() == Some("ResourceExistsException") => Ok(StepOutcome::NothingToDo),
            Err(error) => Err(CallError::new("secretsmanager:PutSecretValue", &error)),
        }
    }

    async fn promote(&self, secret: &str, from: &str, to: &str) -> Result<StepOutcome, CallError> {
        let call = self
            .client
            .update_secret_version_stage()
            .secret_id(secret)
            .version_stage(CURRENT)
            .remove_from_version_id(from)
            .move_to_version_id(to);
        match call.send().await {
            Ok(_) => Ok(StepOutcome::Done),
            Err(error)
                if matches!(error.code(), Some("InvalidParameterException" | "InvalidRequestException")) =>
            {
                Ok(StepOutcome::Postponed(CURRENT_IS_ELSEWHERE))
            }
            Err(error) => Err(CallError::new("secretsmanager:UpdateSecretVersionStage", &error)),
        }
    }

    async fn random_password(&self, policy: &PasswordPolicy) -> Result<SecretString, CallError> {
        let call = self
            .client
            .get_random_password()
            .password_length(i64::from(policy.length))
            .exclude_punctuation(policy.excluded_kinds.punctuation)
            .exclude_numbers(policy.excluded_kinds.numbers)
            .exclude_uppercase(policy.excluded_kinds.uppercase)
            .exclude_lowercase(policy.excluded_kinds.lowercase)
            .require_each_included_type(policy.require_each_kind)
            .include_space(false);
        let excluded = Some(policy.exclude.clone()).filter(|text| !text.is_empty());
        match call.set_exclude_characters(excluded).send().await {
            Ok(answer) => Ok(answer.random_password.unwrap_or_default().into()),
            Err(error) => Err(CallError::new("secretsmanager:GetRandomPassword", &error)),
        }
    }
}

fn moment(date: &DateTime) -> Moment {
    Moment::from_micros(i64::try_from(date.as_nanos() / 1000).unwrap_or(i64::MAX))
}
