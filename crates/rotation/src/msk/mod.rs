//! The SASL/SCRAM secrets of Amazon MSK.
//!
//! Nothing is set at the brokers: they read AWSCURRENT of every secret that is associated with their cluster, now and again, and from then
//! on take that password and no other. So setSecret and testSecret look whether they can and will read the new value, and the end of the
//! rotation is followed by a window in which clients with the new value are refused and those with the old one are not. An action
//! measures it: it logs in until every broker takes the new password. Only SCRAM-SHA-512 exists there.
//!
//! Source: "Sign-in credentials authentication with AWS Secrets Manager" of the Amazon MSK developer guide; it speaks of up to ten
//! minutes.

mod aws;
mod config;
mod error;
#[cfg(test)]
mod tests;
mod verify;

use std::future::Future;

use lambda_kit::call::CallError;

pub use aws::MskApi;
pub use config::{ClusterArn, default_policy};
pub use error::MskError;
pub use verify::{Propagation, Verifier};

use crate::action::{Acted, Action, Occasion};
use crate::document::{DocumentError, SecretDocument};
use crate::engine::Login;
use crate::error::RotationError;
use crate::machine::Done;
use crate::password::PasswordPolicy;
use crate::passwords::new_password;
use crate::target::{Invocation, Target};
use crate::versions::{CURRENT, Versions};

/// What the name of every secret begins with that MSK takes.
const PREFIX: &str = "AmazonMSK_";

/// The call that a rotation makes: `kafka:ListScramSecrets`.
pub trait Clusters: Send + Sync {
    /// ARNs of the secrets that are associated with a cluster, of all pages.
    fn secrets(&self, cluster: &str) -> impl Future<Output = Result<Vec<String>, CallError>> + Send;
}

/// The target for one cluster.
pub struct Msk<C, P> {
    api: C,
    cluster: ClusterArn,
    policy: PasswordPolicy,
    /// How to log in at the brokers, where the function can reach them.
    verifier: Option<Verifier<P>>,
}

impl<C: Clusters, P: Propagation> Msk<C, P> {
    /// With the API, the cluster, what new passwords look like, and how to log in at the brokers.
    pub fn new(api: C, cluster: ClusterArn, policy: PasswordPolicy, verifier: Option<Verifier<P>>) -> Self {
        Self { api, cluster, policy, verifier }
    }

    /// Whether the brokers read this secret.
    async fn is_read<V: Versions>(&self, at: &Invocation<'_, V>) -> Result<(), RotationError> {
        let secret = &at.event.secret_id;
        let name = secret.rsplit(":secret:").next().unwrap_or_default();
        if !name.starts_with(PREFIX) {
            return Err(MskError::SecretName { secret: secret.clone() }.into());
        }
        // DescribeSecret leaves the key out where it is the AWS managed one.
        let key = at.versions.describe(secret).await?.kms_key;
        if key.is_none_or(|key| key.ends_with("alias/aws/secretsmanager")) {
            return Err(MskError::ManagedKey { secret: secret.clone() }.into());
        }
        let cluster = self.cluster.as_str();
        if self.api.secrets(cluster).await?.iter().any(|associated| associated == secret) {
            return Ok(());
        }
        Err(MskError::NotAssociated { secret: secret.clone(), cluster: cluster.to_owned() }.into())
    }
}

fn user<'d>(label: &'static str, value: &'d SecretDocument) -> Result<&'d str, RotationError> {
    value.text("username").map_err(|source| RotationError::Document { label, source })
}

impl<C: Clusters, P: Propagation> Target for Msk<C, P> {
    fn name(&self) -> &'static str {
        "msk"
    }

    fn whose(&self, value: &SecretDocument) -> String {
        let user = value.text("username").unwrap_or("?");
        format!("user `{user}` of cluster `{}`", self.cluster.name())
    }

    fn check(&self, value: &SecretDocument) -> Result<(), DocumentError> {
        value.text("username")?;
        value.password()?;
        let other = value.keys().find(|key| !["username", "password"].contains(key));
        match other {
            None => Ok(()),
            Some(key) => Err(DocumentError::Unexpected {
                key: key.to_owned(),
                expected: "exactly `username` and `password`, which is all that Amazon MSK takes",
            }),
        }
    }

    async fn next<V: Versions>(
        &self,
        at: &Invocation<'_, V>,
        current: &SecretDocument,
    ) -> Result<SecretDocument, RotationError> {
        let password = new_password(&self.policy, at.versions).await?;
        current.with_password(&password).map_err(|source| RotationError::Document { label: CURRENT, source })
    }

    async fn set<V: Versions>(
        &self,
        at: &Invocation<'_, V>,
        pending: &SecretDocument,
    ) -> Result<Done, RotationError> {
        let current = at.current().await?;
        // Brokers keep a user that a secret once named. Another user is another secret.
        if user(crate::versions::PENDING, pending)? != user(CURRENT, &current)? {
            let token = at.event.client_request_token.clone();
            return Err(RotationError::TargetChanged { key: "username", token });
        }
        self.is_read(at).await.map(|()| Done::Now)
    }

    async fn accepts<V: Versions>(
        &self,
        at: &Invocation<'_, V>,
        label: &'static str,
        value: &SecretDocument,
    ) -> Result<Login, RotationError> {
        // No broker can know another value than the current one.
        if label != CURRENT {
            return Ok(Login::Accepted);
        }
        self.is_read(at).await?;
        match &self.verifier {
            Some(verifier) => {
                verifier
                    .accepted(
                        at.retry,
                        user(label, value)?,
                        &value.password().map_err(|source| RotationError::Document { label, source })?,
                    )
                    .await
            }
            None => Ok(Login::Accepted),
        }
    }

    async fn act<V: Versions>(&self, at: &Occasion<'_, V>) -> Result<Acted, RotationError> {
        match (at.event.action, &self.verifier) {
            (Action::VerifyPropagation, Some(verifier)) => verifier.propagated(at, self.cluster.name()).await,
            (Action::VerifyPropagation, None) => Err(MskError::NoBrokers.into()),
            (other, _) => Err(RotationError::NoSuchAction { action: other.name(), target: self.name() }),
        }
    }
}
