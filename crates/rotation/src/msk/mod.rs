//! The SASL/SCRAM secrets of Amazon MSK.
//!
//! A rotation sets nothing at the brokers: they read AWSCURRENT of every secret that is associated
//! with their cluster from time to time, and then accept that password and no other. So `setSecret`
//! and `testSecret` check that the brokers can read the new value. After the rotation there is a
//! window in which clients with the new value are rejected and those with the old one are not. An
//! action measures it: it logs in until every broker accepts the new password. Amazon MSK supports
//! SCRAM-SHA-512 only.
//!
//! Source: "Sign-in credentials authentication with AWS Secrets Manager" of the Amazon MSK
//! developer guide, which says that a change takes up to ten minutes.

mod aws;
mod clusters;
mod config;
mod error;
mod proof;
mod verify;

use lambda_kit::arn::Arn;
use secrecy::SecretString;

pub use aws::MskApi;
pub use clusters::Clusters;
pub use config::{ClusterArn, default_policy};
pub use error::MskError;
pub use verify::{Propagation, ScramUser, Verifier};

use crate::action::{Action, ActionEvent};
use crate::document::{DocumentError, SecretDocument};
use crate::engine::Login;
use crate::error::RotationError;
use crate::invocation::Invocation;
use crate::new_password::new_password;
use crate::outcome::StepOutcome;
use crate::password::PasswordPolicy;
use crate::pending::{CheckedValue, PendingMac, SigningKeys};
use crate::rotator::{CredentialRotator, ParsedValue};
use crate::versions::{CURRENT, Versions};

/// The required prefix of the name of a secret for MSK.
const PREFIX: &str = "AmazonMSK_";

/// Rotates the secrets of one cluster.
pub struct Msk<C, P> {
    api: C,
    cluster: ClusterArn,
    policy: PasswordPolicy,
    /// Logs in at the brokers, if the function can reach them.
    verifier: Option<Verifier<P>>,
}

impl<C: Clusters, P: Propagation> Msk<C, P> {
    /// Creates the rotator for a cluster. Without a verifier, no login is tried.
    pub fn new(api: C, cluster: ClusterArn, policy: PasswordPolicy, verifier: Option<Verifier<P>>) -> Self {
        Self { api, cluster, policy, verifier }
    }

    /// Checks that the brokers can read this secret.
    async fn check_access<V: Versions>(&self, at: &Invocation<'_, V>) -> Result<(), RotationError> {
        let secret = || at.secret_id.to_owned();
        let arn = at.secret_id.parse::<Arn>().ok();
        if !arn.as_ref().and_then(Arn::secret_name).is_some_and(|name| name.starts_with(PREFIX)) {
            return Err(MskError::InvalidSecretName { secret: secret() }.into());
        }
        // DescribeSecret omits the key if it is the AWS managed one.
        let key = at.describe().await?.kms_key;
        if key.is_none_or(|key| key.ends_with("alias/aws/secretsmanager")) {
            return Err(MskError::SecretKeyNotCustomerManaged { secret: secret() }.into());
        }
        let cluster = self.cluster.to_string();
        if self.api.secrets(&cluster).await?.iter().any(|associated| associated == at.secret_id) {
            return Ok(());
        }
        Err(MskError::SecretNotAssociated { secret: secret(), cluster }.into())
    }
}

impl<C: Clusters, P: Propagation> CredentialRotator for Msk<C, P> {
    type Credential = ScramUser;

    fn name(&self) -> &'static str {
        "msk"
    }

    fn parse(&self, value: &SecretDocument) -> Result<ScramUser, DocumentError> {
        let user = ScramUser { user: value.text("username")?.to_owned(), password: value.password()? };
        match value.keys().find(|key| !["username", "password"].contains(key)) {
            None => Ok(user),
            Some(key) => Err(DocumentError::Unexpected {
                key: key.to_owned(),
                expected: "exactly `username` and `password`, the only keys that Amazon MSK accepts",
            }),
        }
    }

    fn describe(&self, user: &ScramUser) -> String {
        format!("user `{}` of cluster `{}`", user.user, self.cluster.name())
    }

    async fn create<V: Versions>(
        &self,
        at: &Invocation<'_, V>,
        _: &str,
        current: &ParsedValue<ScramUser>,
    ) -> Result<SecretDocument, RotationError> {
        let password = new_password(&self.policy, at.versions).await?;
        let next = current.document.with_password(&password);
        next.map_err(|source| RotationError::InvalidSecretValue { label: CURRENT, source })
    }

    fn sign(&self, mac: PendingMac<'_>, next: &SecretDocument, keys: &SigningKeys) -> SecretDocument {
        proof::sign(mac, next, keys, &self.policy)
    }

    fn is_signed(&self, mac: PendingMac<'_>, pending: &SecretDocument, current: &SecretString) -> bool {
        proof::is_signed(mac, pending, current, &self.policy)
    }

    async fn set<V: Versions>(
        &self,
        at: &Invocation<'_, V>,
        token: &str,
        value: &CheckedValue<ScramUser>,
    ) -> Result<StepOutcome, RotationError> {
        let user = value.current.text("username");
        let user = user.map_err(|source| RotationError::InvalidSecretValue { label: CURRENT, source })?;
        // Brokers keep a user that a secret once named. Another user needs another secret.
        if value.pending.credential.user != user {
            return Err(RotationError::PendingVersionMismatch { key: "username", token: token.to_owned() });
        }
        self.check_access(at).await?;
        Ok(StepOutcome::Done)
    }

    async fn verify<V: Versions>(
        &self,
        at: &Invocation<'_, V>,
        label: &'static str,
        user: &ScramUser,
    ) -> Result<Login, RotationError> {
        // Brokers know the current value only.
        if label != CURRENT {
            return Ok(Login::Accepted);
        }
        self.check_access(at).await?;
        match &self.verifier {
            Some(verifier) => verifier.log_in(at.retry, user).await,
            None => Ok(Login::Accepted),
        }
    }

    async fn act<V: Versions>(
        &self,
        at: &Invocation<'_, V>,
        event: &ActionEvent,
    ) -> Result<StepOutcome, RotationError> {
        match (event.action, &self.verifier) {
            (Action::VerifyPropagation, Some(verifier)) => {
                let parse = |value: &SecretDocument| self.parse(value);
                verifier.wait_for_propagation(at, self.cluster.name(), parse).await
            }
            (Action::VerifyPropagation, None) => Err(MskError::BrokersNotConfigured.into()),
            (other, _) => {
                Err(RotationError::UnsupportedAction { action: other.name(), rotator: self.name() })
            }
        }
    }
}
