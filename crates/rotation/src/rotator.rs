//! The port of a rotation: the trait that each kind of credential implements.

use std::future::Future;

use crate::action::ActionEvent;
use crate::document::{DocumentError, SecretDocument};
use crate::engine::Login;
use crate::error::RotationError;
use crate::invocation::Invocation;
use crate::outcome::StepOutcome;
use crate::versions::Versions;

/// A secret's value and the credential that it holds.
pub struct ParsedValue<C> {
    /// The value.
    pub document: SecretDocument,
    /// The credential.
    pub credential: C,
}

/// Rotates one kind of credential.
///
/// [`Passwords`](crate::passwords::Passwords) rotates a user's password on an
/// [`Engine`](crate::engine::Engine); `keys::ApiKeys` and `msk::Msk` are the other implementations.
/// Every method may be called again after the function crashed anywhere, and has the same result.
pub trait CredentialRotator: Send + Sync {
    /// The credential that a secret's value holds.
    type Credential: Send + Sync;

    /// Returns the name for texts, audit records and metrics.
    fn name(&self) -> &'static str;

    /// Reads the credential from a secret's value.
    ///
    /// # Errors
    /// A key is missing or invalid.
    fn parse(&self, value: &SecretDocument) -> Result<Self::Credential, DocumentError>;

    /// Describes the owner of a credential, such as "user `app` of db.example.com:5432". The text
    /// holds nothing secret.
    fn describe(&self, credential: &Self::Credential) -> String;

    /// Returns the value of the next version, for `createSecret`. It is called only while the
    /// pending version has no value.
    ///
    /// # Errors
    /// [`RotationError`].
    fn create<V: Versions>(
        &self,
        at: &Invocation<'_, V>,
        token: &str,
        current: &ParsedValue<Self::Credential>,
    ) -> impl Future<Output = Result<SecretDocument, RotationError>> + Send;

    /// Makes the server accept the pending credential, for `setSecret`.
    ///
    /// # Errors
    /// [`RotationError`].
    fn set<V: Versions>(
        &self,
        at: &Invocation<'_, V>,
        token: &str,
        pending: &Self::Credential,
    ) -> impl Future<Output = Result<StepOutcome, RotationError>> + Send;

    /// Logs in with a credential, for `testSecret` and for the repair of an interrupted rotation.
    ///
    /// # Errors
    /// The login was neither accepted nor refused.
    fn verify<V: Versions>(
        &self,
        at: &Invocation<'_, V>,
        label: &'static str,
        credential: &Self::Credential,
    ) -> impl Future<Output = Result<Login, RotationError>> + Send;

    /// Performs an action outside of a rotation. It may be invoked at any time, any number of
    /// times.
    ///
    /// # Errors
    /// [`RotationError`]; by default the action is not supported.
    fn act<V: Versions>(
        &self,
        at: &Invocation<'_, V>,
        event: &ActionEvent,
    ) -> impl Future<Output = Result<StepOutcome, RotationError>> + Send {
        let _ = at;
        let (action, rotator) = (event.action.name(), self.name());
        async move { Err(RotationError::UnsupportedAction { action, rotator }) }
    }
}
