//! The calls of the back-fill to Secrets Manager: one secret and its versions.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::future::Future;

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::config::Builder;
use aws_sdk_secretsmanager::config::retry::RetryConfig;
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};
use lambda_kit::call::CallError;
use serde_json::{Map, Value};

/// Version ids, each with its staging labels.
pub type Labels = HashMap<String, Vec<String>>;

/// A secret's value. Its `Debug` shows nothing.
#[derive(Clone, PartialEq)]
pub struct SecretValue(pub Map<String, Value>);

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretValue(redacted)")
    }
}

/// A version with its value.
#[derive(Debug, Clone)]
pub struct Version {
    /// The version's id.
    pub id: String,
    /// The version's value.
    pub value: SecretValue,
}

/// The error of a call.
#[derive(Debug)]
pub enum SecretError {
    /// The secret does not exist, or it is scheduled for deletion.
    Absent,
    /// The label is on another version than expected.
    LabelMoved,
    /// The value is not a JSON object. The error never repeats the value.
    NotAnObject,
    /// The call failed.
    Call {
        /// The call's error.
        error: CallError,
        /// The same call may succeed later.
        is_transient: bool,
    },
}

impl SecretError {
    fn call<E, R>(action: &str, error: &SdkError<E, R>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        R: fmt::Debug,
    {
        let has_response = matches!(error, SdkError::ServiceError(_));
        let error = CallError::new(action, error);
        let transient = ["InternalServiceError", "LimitExceededException", "ThrottlingException"];
        let is_transient = !has_response || error.is_access_denied() || error.has_code(&transient);
        Self::Call { error, is_transient }
    }
}

/// The calls, as a port: tests interleave the back-fill with every step of a rotation.
pub trait Versions: Sync {
    /// Returns the staging labels of all versions.
    fn labels(&self, secret: &str) -> impl Future<Output = Result<Labels, SecretError>> + Send;
    /// Returns the version with AWSCURRENT.
    fn current(&self, secret: &str) -> impl Future<Output = Result<Version, SecretError>> + Send;
    /// Returns the ids of all versions with a value, labelled or not.
    fn all(&self, secret: &str) -> impl Future<Output = Result<BTreeSet<String>, SecretError>> + Send;
    /// Writes a version under a label of its own, in one attempt: the caller checks the secret
    /// before another. An existing version with this id and value is success.
    fn put(
        &self,
        secret: &str,
        id: &str,
        label: &str,
        value: &SecretValue,
    ) -> impl Future<Output = Result<(), SecretError>> + Send;
    /// Moves a label. `from` is the version that has it, `None` if none has it. Without `to`, the
    /// label is removed.
    fn move_label(
        &self,
        secret: &str,
        label: &str,
        from: Option<&str>,
        to: Option<&str>,
    ) -> impl Future<Output = Result<(), SecretError>> + Send;
}

/// The calls to AWS.
pub struct SecretsManager {
    client: Client,
}

impl SecretsManager {
    /// Creates the adapter with its client.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Returns the client's number of attempts for a call.
    pub fn attempts(&self) -> u32 {
        self.client.config().retry_config().map_or(1, RetryConfig::max_attempts)
    }
}

impl Versions for SecretsManager {
    async fn labels(&self, secret: &str) -> Result<Labels, SecretError> {
        let answer = self.client.describe_secret().secret_id(secret).send().await;
        let answer = answer.map_err(|error| match error.code() {
            Some("ResourceNotFoundException") => SecretError::Absent,
            _ => SecretError::call("secretsmanager:DescribeSecret", &error),
        })?;
        if answer.deleted_date().is_some() {
            return Err(SecretError::Absent);
        }
        Ok(answer.version_ids_to_stages.unwrap_or_default())
    }

    async fn current(&self, secret: &str) -> Result<Version, SecretError> {
        let answer =
            self.client.get_secret_value().secret_id(secret).version_stage("AWSCURRENT").send().await;
        let answer = answer.map_err(|error| match error.code() {
            Some("ResourceNotFoundException") => SecretError::Absent,
            _ => SecretError::call("secretsmanager:GetSecretValue", &error),
        })?;
        let value = answer.secret_string().and_then(|text| serde_json::from_str(text).ok());
        let Some(Value::Object(map)) = value else { return Err(SecretError::NotAnObject) };
        Ok(Version { id: answer.version_id().unwrap_or_default().to_owned(), value: SecretValue(map) })
    }

    async fn all(&self, secret: &str) -> Result<BTreeSet<String>, SecretError> {
        let request = self.client.list_secret_version_ids().secret_id(secret).include_deprecated(true);
        let mut pages = request.into_paginator().send();
        let mut ids = BTreeSet::new();
        while let Some(page) = pages.next().await {
            let page =
                page.map_err(|error| SecretError::call("secretsmanager:ListSecretVersionIds", &error))?;
            ids.extend(page.versions.into_iter().flatten().filter_map(|version| version.version_id));
        }
        Ok(ids)
    }

    async fn put(&self, secret: &str, id: &str, label: &str, value: &SecretValue) -> Result<(), SecretError> {
        let text = Value::Object(value.0.clone()).to_string();
        self.client
            .put_secret_value()
            .secret_id(secret)
            .client_request_token(id)
            .version_stages(label)
            .secret_string(text)
            .customize()
            .config_override(Builder::new().retry_config(RetryConfig::disabled()))
            .send()
            .await
            .map(|_| ())
            .map_err(|error| SecretError::call("secretsmanager:PutSecretValue", &error))
    }

    async fn move_label(
        &self,
        secret: &str,
        label: &str,
        from: Option<&str>,
        to: Option<&str>,
    ) -> Result<(), SecretError> {
        let answer = self
            .client
            .update_secret_version_stage()
            .secret_id(secret)
            .version_stage(label)
            .set_remove_from_version_id(from.map(str::to_owned))
            .set_move_to_version_id(to.map(str::to_owned))
            .send()
            .await;
        match answer {
            Ok(_) => Ok(()),
            // The label is on another version than `from`.
            Err(error)
                if matches!(error.code(), Some("InvalidParameterException" | "InvalidRequestException")) =>
            {
                Err(SecretError::LabelMoved)
            }
            Err(error) => Err(SecretError::call("secretsmanager:UpdateSecretVersionStage", &error)),
        }
    }
}
