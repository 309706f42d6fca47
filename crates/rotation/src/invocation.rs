//! One invocation of a rotation function: the secret, and the time that is left.

use std::time::Duration;

use lambda_kit::moment::Moment;
use secrecy::SecretString;

use crate::document::{DocumentError, SecretDocument};
use crate::error::RotationError;
use crate::retry::Retry;
use crate::versions::{CURRENT, Description, PENDING, PREVIOUS, Versions};

/// One invocation: access to the values of its secret, and the time that is left.
pub struct Invocation<'a, V> {
    /// The secret's ARN.
    pub secret_id: &'a str,
    /// The calls to Secrets Manager.
    pub versions: &'a V,
    /// Repeats attempts until the deadline.
    pub retry: &'a Retry,
    /// The start of the invocation.
    pub now: Moment,
}

impl<V: Versions> Invocation<'_, V> {
    /// Returns the secret's description.
    ///
    /// # Errors
    /// The call failed.
    pub async fn describe(&self) -> Result<Description, RotationError> {
        Ok(self.versions.describe(self.secret_id).await?)
    }

    /// Returns the value of the version that the rotation with this token creates, or `None` if it
    /// has no value yet.
    ///
    /// # Errors
    /// The call failed, or the value is not a JSON object.
    pub async fn pending(&self, token: &str) -> Result<Option<SecretDocument>, RotationError> {
        self.value(Some(token), PENDING).await
    }

    /// Returns the value that clients use.
    ///
    /// # Errors
    /// The call failed, there is no value, or it is not a JSON object.
    pub async fn current(&self) -> Result<SecretDocument, RotationError> {
        self.value(None, CURRENT).await?.ok_or(NO_CURRENT)
    }

    /// Returns the value that clients use, as it is stored.
    ///
    /// # Errors
    /// The call failed, or there is no value.
    pub async fn current_text(&self) -> Result<SecretString, RotationError> {
        self.versions.value(self.secret_id, None, CURRENT).await?.ok_or(NO_CURRENT)
    }

    /// Returns the value before the current one, as it is stored, or `None` if there is none.
    ///
    /// # Errors
    /// The call failed.
    pub async fn previous_text(&self) -> Result<Option<SecretString>, RotationError> {
        Ok(self.versions.value(self.secret_id, None, PREVIOUS).await?)
    }

    /// Returns the value before the current one, or `None` if there is none that is a JSON object.
    ///
    /// # Errors
    /// The call failed.
    pub async fn previous(&self) -> Result<Option<SecretDocument>, RotationError> {
        match self.value(None, PREVIOUS).await {
            Err(RotationError::InvalidSecretValue { .. }) => Ok(None),
            other => other,
        }
    }

    /// Returns the current value of another secret, such as the admin's. `label` names it in
    /// errors.
    ///
    /// # Errors
    /// The call failed, there is no value, or it is not a JSON object.
    pub async fn other_secret(
        &self,
        secret: &str,
        label: &'static str,
    ) -> Result<SecretDocument, RotationError> {
        let value = self.versions.value(secret, None, CURRENT).await?;
        let value = value.unwrap_or_else(|| SecretString::from(""));
        SecretDocument::parse(&value).map_err(|source| RotationError::InvalidSecretValue { label, source })
    }

    /// Returns the value of a version as long as it has the label; without an id, of the version
    /// with the label.
    ///
    /// # Errors
    /// The call failed, or the value is not a JSON object.
    pub async fn value(
        &self,
        version: Option<&str>,
        label: &'static str,
    ) -> Result<Option<SecretDocument>, RotationError> {
        let value = self.versions.value(self.secret_id, version, label).await?;
        value
            .map(|text| SecretDocument::parse(&text))
            .transpose()
            .map_err(|source| RotationError::InvalidSecretValue { label, source })
    }

    /// Returns the time since the last rotation, or `None` if there was none.
    pub fn since_rotation(&self, described: &Description) -> Option<Duration> {
        described.last_rotated.map(|at| self.now.since(at))
    }
}

/// No version has the label AWSCURRENT.
pub(crate) const NO_CURRENT: RotationError =
    RotationError::InvalidSecretValue { label: CURRENT, source: DocumentError::NotAnObject };
