//! The versions of a secret, and the five calls that a rotation makes.

use std::collections::HashMap;
use std::future::Future;
use std::time::SystemTime;

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::ProvideErrorMetadata;
use lambda_kit::call::CallError;
use secrecy::{ExposeSecret, SecretString};

use crate::event::RotationEvent;
use crate::password::PasswordPolicy;

/// The label of the credential that clients use.
pub const CURRENT: &str = "AWSCURRENT";
/// The label of the credential that a rotation makes.
pub const PENDING: &str = "AWSPENDING";
/// The label of the last credential before the current one.
pub const PREVIOUS: &str = "AWSPREVIOUS";

/// What DescribeSecret says of a rotation.
#[derive(Debug, Clone, Default)]
pub struct Description {
    /// Whether rotation is turned on; absent where the service does not say.
    pub rotation_enabled: Option<bool>,
    /// The key that encrypts the values; absent where it is the AWS managed one.
    pub kms_key: Option<String>,
    /// When a rotation last ended.
    pub last_rotated: Option<SystemTime>,
    /// Version ids and the labels on each.
    pub stages: HashMap<String, Vec<String>>,
    /// When a value or label changed last.
    pub last_changed: Option<SystemTime>,
}

impl Description {
    /// Whether a version carries a label.
    pub fn carries(&self, version: &str, label: &str) -> bool {
        self.stages.get(version).is_some_and(|labels| labels.iter().any(|have| have == label))
    }

    /// The version with a label.
    pub fn holder(&self, label: &str) -> Option<&str> {
        self.stages.keys().map(String::as_str).find(|version| self.carries(version, label))
    }
}

/// What came of a write of the pending value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// It is written.
    Now,
    /// The version has another value already: an earlier write of the same step, whose answer was lost.
    Before,
}

/// What came of moving AWSCURRENT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moved {
    /// It moved.
    Yes,
    /// Another version than the named one carries it by now.
    CurrentIsAnother,
}

/// The calls of a rotation.
pub trait Versions: Send + Sync {
    /// DescribeSecret.
    fn describe(&self, secret: &str) -> impl Future<Output = Result<Description, CallError>> + Send;
    /// GetSecretValue; `None` if no version with this label, or this id and label, has a value.
    fn value(
        &self,
        secret: &str,
        version: Option<&str>,
        label: &str,
    ) -> impl Future<Output = Result<Option<SecretString>, CallError>> + Send;
    /// PutSecretValue with AWSPENDING on the event's version.
    fn put_pending(
        &self,
        event: &RotationEvent,
        value: &SecretString,
    ) -> impl Future<Output = Result<Written, CallError>> + Send;
    /// UpdateSecretVersionStage: AWSCURRENT from one version to another.
    fn promote(
        &self,
        secret: &str,
        from: &str,
        to: &str,
    ) -> impl Future<Output = Result<Moved, CallError>> + Send;
    /// GetRandomPassword.
    fn random_password(
        &self,
        policy: &PasswordPolicy,
    ) -> impl Future<Output = Result<SecretString, CallError>> + Send;
}

/// The calls against AWS.
#[derive(Debug, Clone)]
pub struct SecretsManager {
    client: Client,
}

impl SecretsManager {
    /// With a client.
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
            last_rotated: answer.last_rotated_date.and_then(|date| SystemTime::try_from(date).ok()),
            stages: answer.version_ids_to_stages.unwrap_or_default(),
            last_changed: answer.last_changed_date.and_then(|date| SystemTime::try_from(date).ok()),
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

    async fn put_pending(&self, event: &RotationEvent, value: &SecretString) -> Result<Written, CallError> {
        let call = self
            .client
            .put_secret_value()
            .secret_id(&event.secret_id)
            .client_request_token(&event.client_request_token)
            .version_stages(PENDING)
            .set_rotation_token(event.rotation_token.as_ref().map(|token| token.expose_secret().to_owned()))
            .secret_string(value.expose_secret());
        match call.send().await {
            Ok(_) => Ok(Written::Now),
            Err(error) if error.code() == Some("ResourceExistsException") => Ok(Written::Before),
            Err(error) => Err(CallError::new("secretsmanager:PutSecretValue", &error)),
        }
    }

    async fn promote(&self, secret: &str, from: &str, to: &str) -> Result<Moved, CallError> {
        let call = self
            .client
            .update_secret_version_stage()
            .secret_id(secret)
            .version_stage(CURRENT)
            .remove_from_version_id(from)
            .move_to_version_id(to);
        match call.send().await {
            Ok(_) => Ok(Moved::Yes),
            Err(error)
                if matches!(error.code(), Some("InvalidParameterException" | "InvalidRequestException")) =>
            {
                Ok(Moved::CurrentIsAnother)
            }
            Err(error) => Err(CallError::new("secretsmanager:UpdateSecretVersionStage", &error)),
        }
    }

    async fn random_password(&self, policy: &PasswordPolicy) -> Result<SecretString, CallError> {
        let call = self
            .client
            .get_random_password()
            .password_length(i64::from(policy.length))
            .exclude_punctuation(policy.without.punctuation)
            .exclude_numbers(policy.without.numbers)
            .exclude_uppercase(policy.without.uppercase)
            .exclude_lowercase(policy.without.lowercase)
            .require_each_included_type(policy.require_each_kind)
            .include_space(false);
        let excluded = Some(policy.exclude.clone()).filter(|text| !text.is_empty());
        match call.set_exclude_characters(excluded).send().await {
            Ok(answer) => Ok(answer.random_password.unwrap_or_default().into()),
            Err(error) => Err(CallError::new("secretsmanager:GetRandomPassword", &error)),
        }
    }
}
