//! What a secret's credential is for: the part of a rotation that differs from one kind of credential to another.

use std::future::Future;

use secrecy::SecretString;

use crate::action::{Acted, Occasion};
use crate::document::{DocumentError, SecretDocument};
use crate::engine::Login;
use crate::error::RotationError;
use crate::event::RotationEvent;
use crate::machine::Done;
use crate::retry::Retry;
use crate::versions::{CURRENT, PENDING, PREVIOUS, Versions};

/// One invocation: the event, and the secret it is about.
pub struct Invocation<'a, V> {
    /// The secret's versions.
    pub versions: &'a V,
    /// Time and pauses.
    pub retry: &'a Retry,
    /// What Secrets Manager asks for.
    pub event: &'a RotationEvent,
}

impl<V: Versions> Invocation<'_, V> {
    /// The value of the version that this rotation makes, if it has one already.
    ///
    /// # Errors
    /// A call failed, or the value is no JSON object.
    pub async fn pending(&self) -> Result<Option<SecretDocument>, RotationError> {
        self.document(Some(self.event.client_request_token.as_str()), PENDING).await
    }

    /// The value that clients use.
    ///
    /// # Errors
    /// A call failed, there is no value, or it is no JSON object.
    pub async fn current(&self) -> Result<SecretDocument, RotationError> {
        let nothing = RotationError::Document { label: CURRENT, source: DocumentError::NotAnObject };
        self.document(None, CURRENT).await?.ok_or(nothing)
    }

    /// The value before the current one; one that is no JSON object is as good as none.
    ///
    /// # Errors
    /// A call failed.
    pub async fn previous(&self) -> Result<Option<SecretDocument>, RotationError> {
        match self.document(None, PREVIOUS).await {
            Err(RotationError::Document { .. }) => Ok(None),
            other => other,
        }
    }

    /// The current value of another secret, such as the admin's.
    ///
    /// # Errors
    /// A call failed, there is no value, or it is no JSON object.
    pub async fn other(&self, secret: &str, label: &'static str) -> Result<SecretDocument, RotationError> {
        let value = self.versions.value(secret, None, CURRENT).await?;
        let value = value.unwrap_or_else(|| SecretString::from(""));
        SecretDocument::parse(&value).map_err(|source| RotationError::Document { label, source })
    }

    async fn document(
        &self,
        version: Option<&str>,
        label: &'static str,
    ) -> Result<Option<SecretDocument>, RotationError> {
        let value = self.versions.value(&self.event.secret_id, version, label).await?;
        value
            .map(|text| SecretDocument::parse(&text))
            .transpose()
            .map_err(|source| RotationError::Document { label, source })
    }
}

/// One kind of credential. [`crate::passwords::Passwords`] is that of a user with a password on an [`crate::engine::Engine`].
///
/// Every method may be called again after it died anywhere, and comes to the same end.
pub trait Target: Send + Sync {
    /// Its name in texts, audit records and metrics.
    fn name(&self) -> &'static str;

    /// Whose credential a value holds, for texts: "user `app` of db.example.com:5432". Never anything secret.
    fn whose(&self, value: &SecretDocument) -> String;

    /// Whether a value can be used at all.
    ///
    /// # Errors
    /// A key is missing or makes no sense.
    fn check(&self, value: &SecretDocument) -> Result<(), DocumentError>;

    /// `createSecret`: the value that shall follow the current one. It is called only while there is none yet.
    ///
    /// # Errors
    /// [`RotationError`].
    fn next<V: Versions>(
        &self,
        at: &Invocation<'_, V>,
        current: &SecretDocument,
    ) -> impl Future<Output = Result<SecretDocument, RotationError>> + Send;

    /// `setSecret`: makes the pending value one that works.
    ///
    /// # Errors
    /// [`RotationError`].
    fn set<V: Versions>(
        &self,
        at: &Invocation<'_, V>,
        pending: &SecretDocument,
    ) -> impl Future<Output = Result<Done, RotationError>> + Send;

    /// Whether a value's credential is accepted: `testSecret`, and the repair of a rotation that stopped half-way.
    ///
    /// # Errors
    /// Anything but a clear yes or no.
    fn accepts<V: Versions>(
        &self,
        at: &Invocation<'_, V>,
        label: &'static str,
        value: &SecretDocument,
    ) -> impl Future<Output = Result<Login, RotationError>> + Send;

    /// What is to be done for the secret outside of a rotation. It may be asked for at any time and any number of times.
    ///
    /// # Errors
    /// [`RotationError`].
    fn act<V: Versions>(
        &self,
        at: &Occasion<'_, V>,
    ) -> impl Future<Output = Result<Acted, RotationError>> + Send {
        let (action, target) = (at.event.action, self.name());
        async move { Err(RotationError::NoSuchAction { action: action.name(), target }) }
    }
}
