//! One secret and its versions: the calls of the back-fill.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::future::Future;

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::config::Builder;
use aws_sdk_secretsmanager::config::retry::RetryConfig;
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};
use lambda_kit::call::CallError;
use serde_json::{Map, Value};

/// Version ids and the staging labels on each.
pub(crate) type Labels = HashMap<String, Vec<String>>;

/// A secret's value, which no `Debug` shows.
#[derive(Clone, PartialEq)]
pub(crate) struct SecretValue(pub(crate) Map<String, Value>);

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretValue(redacted)")
    }
}

/// A version as it was read.
#[derive(Debug, Clone)]
pub(crate) struct Version {
    pub(crate) id: String,
    pub(crate) value: SecretValue,
}

/// Why a call did not do what was asked.
#[derive(Debug)]
pub(crate) enum SecretError {
    /// There is no such secret, or it is scheduled for deletion.
    Absent,
    /// The version that the label should move from does not carry it any more.
    Moved,
    /// The value is not a JSON object. The text never repeats the value.
    NotAnObject,
    /// The call failed.
    Call {
        error: CallError,
        /// Whether the same call may succeed in a while.
        passing: bool,
    },
}

impl SecretError {
    fn call<E, R>(action: &str, error: &SdkError<E, R>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        R: fmt::Debug,
    {
        let answered = matches!(error, SdkError::ServiceError(_));
        let error = CallError::new(action, error);
        let may_pass = ["InternalServiceError", "LimitExceededException", "ThrottlingException"];
        let passing = !answered || error.is_refusal() || error.has_code(&may_pass);
        Self::Call { error, passing }
    }
}

/// The calls, so that the back-fill can be proved against every interleaving with a rotation.
pub(crate) trait Versions: Sync {
    fn labels(&self, secret: &str) -> impl Future<Output = Result<Labels, SecretError>> + Send;
    /// The version with AWSCURRENT.
    fn current(&self, secret: &str) -> impl Future<Output = Result<Version, SecretError>> + Send;
    /// Ids of all versions that have a value, labelled or not.
    fn all(&self, secret: &str) -> impl Future<Output = Result<BTreeSet<String>, SecretError>> + Send;
    /// Writes a version under a label that nobody else uses, in one attempt: the caller looks again before another. A
    /// version that exists with this id and value is success.
    fn put(
        &self,
        secret: &str,
        id: &str,
        label: &str,
        value: &SecretValue,
    ) -> impl Future<Output = Result<(), SecretError>> + Send;
    /// Moves a label; `from` must carry it, or for `None` nobody does. `to` may be `None` to take it off.
    fn move_label(
        &self,
        secret: &str,
        label: &str,
        from: Option<&str>,
        to: Option<&str>,
    ) -> impl Future<Output = Result<(), SecretError>> + Send;
}

/// The calls against AWS.
pub(crate) struct SecretsManager {
    client: Client,
}

impl SecretsManager {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    /// How often the client tries a call.
    pub(crate) fn attempts(&self) -> u32 {
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
            // The label is on another version than `from` says.
            Err(error)
                if matches!(error.code(), Some("InvalidParameterException" | "InvalidRequestException")) =>
            {
                Err(SecretError::Moved)
            }
            Err(error) => Err(SecretError::call("secretsmanager:UpdateSecretVersionStage", &error)),
        }
    }
}
