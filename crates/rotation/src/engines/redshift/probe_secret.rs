//! The probe secret: the Data API logs in with it to try a credential.
//!
//! The Data API accepts a credential only as the ARN of a secret, and logs in with its AWSCURRENT.
//! The rotated secret cannot be used: there the new credential is pending. So the function stores
//! the credential in a secret of its own for the time of a session, a lease. At its end the blank
//! version becomes current again, and the version with the credential loses its last label, so that
//! Secrets Manager deletes it. Until then it can be read by its id with permission to read the probe
//! secret, which nothing else should have.
//!
//! A secret has about 100 versions, and none is deleted within 24 hours of its creation
//! (PutSecretValue). So a lease is one new version, and a wait keeps one lease.

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::ProvideErrorMetadata;
use lambda_kit::call::CallError;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use warehouse::target::Target;

use crate::engine::Account;
use crate::versions::{CURRENT, PREVIOUS};

/// The value without a lease.
const BLANK: &str = "{}";

/// A secret that is blank except during a lease.
#[derive(Debug, Clone)]
pub struct ProbeSecret {
    client: Client,
    /// The ARN.
    pub(super) arn: String,
}

/// A credential in the probe secret. If it is dropped early, at a deadline, it is cleared in the
/// background. If the function crashes before that, the next run starts with clearing it.
pub(super) struct Lease {
    probe_secret: ProbeSecret,
    version: String,
    there: bool,
}

/// The certainty about the credential that the Data API logged in with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exclusivity {
    /// It was ours during the whole lease.
    Exclusive,
    /// It may be another one: something else wrote the probe secret.
    Unknown,
}

impl ProbeSecret {
    /// Creates it from its ARN.
    pub fn new(client: Client, arn: String) -> Self {
        Self { client, arn }
    }

    /// Makes a blank value current, whatever an interrupted run left there. Returns the version that
    /// was current.
    ///
    /// # Errors
    /// A call failed.
    pub async fn clear(&self) -> Result<Option<String>, CallError> {
        let current = self.version(CURRENT).await?;
        let spent = match &current {
            Some((version, false)) => {
                match self.version(PREVIOUS).await? {
                    // The version before the lease.
                    Some((blank, true)) => self.make_current(&blank, version).await?,
                    _ => self.put(&SecretString::from(BLANK)).await.map(|_| ())?,
                }
                Some(version.clone())
            }
            // An earlier run crashed between the two calls.
            _ => self.version(PREVIOUS).await?.filter(|(_, blank)| !blank).map(|(version, _)| version),
        };
        if let Some(spent) = spent {
            self.unlabel(&spent).await?;
        }
        Ok(current.map(|(version, _)| version))
    }

    /// Stores an account's user and password.
    pub(super) async fn lease(&self, account: &Account, target: &Target) -> Result<Lease, CallError> {
        self.clear().await?;
        let mut value = json!({"username": account.user, "password": account.password.expose_secret()});
        if let Target::Cluster(name) = target {
            // It must match the request's ClusterIdentifier ("Storing database credentials in AWS
            // Secrets Manager" of the Data API).
            value["dbClusterIdentifier"] = name.as_str().into();
        }
        // From here on the secret must be cleared: the write may have happened even if its response
        // is lost.
        let mut lease = Lease { probe_secret: self.clone(), version: String::new(), there: true };
        lease.version = self.put(&SecretString::from(value.to_string())).await?;
        Ok(lease)
    }

    /// Returns the version with a label, and true if its value is blank.
    async fn version(&self, label: &str) -> Result<Option<(String, bool)>, CallError> {
        let answer = self.client.get_secret_value().secret_id(&self.arn).version_stage(label).send().await;
        match answer {
            Ok(answer) => {
                let text = SecretString::from(answer.secret_string.unwrap_or_default());
                let blank = !serde_json::from_str::<Value>(text.expose_secret())
                    .is_ok_and(|value| value.get("password").is_some());
                Ok(Some((answer.version_id.unwrap_or_default(), blank)))
            }
            Err(error) if error.code() == Some("ResourceNotFoundException") => Ok(None),
            Err(error) => Err(CallError::new("secretsmanager:GetSecretValue", &error)),
        }
    }

    async fn put(&self, value: &SecretString) -> Result<String, CallError> {
        let call = self.client.put_secret_value().secret_id(&self.arn).secret_string(value.expose_secret());
        let answer = call.send().await;
        let answer = answer.map_err(|error| CallError::new("secretsmanager:PutSecretValue", &error))?;
        Ok(answer.version_id.unwrap_or_default())
    }

    /// Moves AWSCURRENT to a version. AWSPREVIOUS moves to the version that had it.
    async fn make_current(&self, version: &str, from: &str) -> Result<(), CallError> {
        let call = self.client.update_secret_version_stage().secret_id(&self.arn).version_stage(CURRENT);
        let answer = call.move_to_version_id(version).remove_from_version_id(from).send().await;
        answer.map(|_| ()).map_err(|error| CallError::new("secretsmanager:UpdateSecretVersionStage", &error))
    }

    /// Removes AWSPREVIOUS from a version.
    async fn unlabel(&self, version: &str) -> Result<(), CallError> {
        let call = self.client.update_secret_version_stage().secret_id(&self.arn);
        let answer = call.version_stage(PREVIOUS).remove_from_version_id(version).send().await;
        answer.map(|_| ()).map_err(|error| CallError::new("secretsmanager:UpdateSecretVersionStage", &error))
    }
}

impl Lease {
    /// Clears the credential.
    ///
    /// # Errors
    /// A call failed. The next run starts with clearing it.
    pub(super) async fn end(mut self) -> Result<Exclusivity, CallError> {
        let found = self.probe_secret.clear().await?;
        self.there = false;
        Ok(if found.as_deref() == Some(self.version.as_str()) {
            Exclusivity::Exclusive
        } else {
            Exclusivity::Unknown
        })
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.there {
            return;
        }
        let probe_secret = self.probe_secret.clone();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if let Err(error) = probe_secret.clear().await {
                    tracing::warn!(%error, "the probe secret was not cleared; the next run starts with clearing it");
                }
            });
        }
    }
}
