//! The port of a rotation: the trait that each kind of credential implements.

use std::future::Future;

use secrecy::SecretString;

use crate::action::ActionEvent;
use crate::document::{DocumentError, SecretDocument};
use crate::engine::Login;
use crate::error::RotationError;
use crate::invocation::Invocation;
use crate::outcome::StepOutcome;
use crate::pending::{CheckedValue, PendingMac, SigningKeys, Unproven};
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

    /// Returns the value that [`create`](Self::create) returned with the proof that this function
    /// created it.
    fn sign(&self, mac: PendingMac<'_>, next: &SecretDocument, keys: &SigningKeys) -> SecretDocument {
        mac.sign(next, keys)
    }

    /// Returns true if a pending value has the proof of [`sign`](Self::sign) for this value of
    /// AWSCURRENT.
    fn is_signed(&self, mac: PendingMac<'_>, pending: &SecretDocument, current: &SecretString) -> bool {
        mac.is_signed_with_current(pending, current)
    }

    /// Returns true if a pending value without a proof must be used nevertheless, because the
    /// server accepts it already and rejecting it would leave clients with a credential that does
    /// not work. By default it never is.
    ///
    /// # Errors
    /// [`RotationError`].
    fn is_in_use<V: Versions>(
        &self,
        at: &Invocation<'_, V>,
        value: &Unproven<'_, Self::Credential>,
    ) -> impl Future<Output = Result<bool, RotationError>> + Send {
        let _ = (at, value);
        async { Ok(false) }
    }

    /// Makes the server accept the pending credential, for `setSecret`.
    ///
    /// # Errors
    /// [`RotationError`].
    fn set<V: Versions>(
        &self,
        at: &Invocation<'_, V>,
        token: &str,
        value: &CheckedValue<Self::Credential>,
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
