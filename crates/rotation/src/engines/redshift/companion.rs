//! The companion secret: with it the Data API logs in as whoever a rotation has to prove.
//!
//! The Data API takes a credential as the ARN of a secret only, and logs in with its AWSCURRENT. The secret of the rotation cannot be
//! that one: what has to be proved is pending there. So the credential is lent to a secret of the function's own, and taken back: a blank value
//! becomes current, and the version with the credential loses its last label, so that Secrets Manager removes it (it can be read by
//! its id until then, by whoever may read the companion: nobody else should).

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::ProvideErrorMetadata;
use lambda_kit::call::CallError;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use crate::engine::Account;
use crate::versions::{CURRENT, PREVIOUS};

/// What the companion holds while nothing is lent to it.
const BLANK: &str = "{}";

/// A secret that is blank, but while a credential is lent to it.
#[derive(Debug, Clone)]
pub struct Companion {
    client: Client,
    /// Its ARN.
    pub(super) arn: String,
}

/// A credential in the companion. Dropped while it is there, at a deadline, it is taken back in the background; if the function
/// dies before, the next run begins with that.
pub(super) struct Lent {
    companion: Companion,
    version: String,
    there: bool,
}

/// Whose credential the Data API found in the companion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Held {
    /// All the time ours.
    Ours,
    /// Perhaps another one: somebody else wrote the companion meanwhile.
    Unknown,
}

impl Companion {
    /// By its ARN.
    pub fn new(client: Client, arn: String) -> Self {
        Self { client, arn }
    }

    /// Makes it blank, whatever an earlier run left there; gives the version that was current.
    ///
    /// # Errors
    /// A call failed.
    pub async fn blank(&self) -> Result<Option<String>, CallError> {
        let current = self.version(CURRENT).await?;
        let spent = match &current {
            Some((version, false)) => {
                self.put(&SecretString::from(BLANK)).await?;
                Some(version.clone())
            }
            // Died between the two.
            _ => self.version(PREVIOUS).await?.filter(|(_, blank)| !blank).map(|(version, _)| version),
        };
        if let Some(spent) = spent {
            self.unlabel(&spent).await?;
        }
        Ok(current.map(|(version, _)| version))
    }

    /// Puts an account's user and password there.
    pub(super) async fn lend(&self, account: &Account) -> Result<Lent, CallError> {
        self.blank().await?;
        let value = json!({"username": account.user, "password": account.password.expose_secret()});
        // From here on: the write may have happened although its answer is lost.
        let mut lent = Lent { companion: self.clone(), version: String::new(), there: true };
        lent.version = self.put(&SecretString::from(value.to_string())).await?;
        Ok(lent)
    }

    /// The version with a label, and whether it is blank.
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

    /// Takes AWSPREVIOUS off a version.
    async fn unlabel(&self, version: &str) -> Result<(), CallError> {
        let call = self.client.update_secret_version_stage().secret_id(&self.arn);
        let answer = call.version_stage(PREVIOUS).remove_from_version_id(version).send().await;
        answer.map(|_| ()).map_err(|error| CallError::new("secretsmanager:UpdateSecretVersionStage", &error))
    }
}

impl Lent {
    /// Takes the credential back.
    ///
    /// # Errors
    /// A call failed; the next run begins with taking it back.
    pub(super) async fn take_back(mut self) -> Result<Held, CallError> {
        let found = self.companion.blank().await?;
        self.there = false;
        Ok(if found.as_deref() == Some(self.version.as_str()) { Held::Ours } else { Held::Unknown })
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if !self.there {
            return;
        }
        let companion = self.companion.clone();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if let Err(error) = companion.blank().await {
                    tracing::warn!(%error, "the companion secret is not blank; the next run begins with making it so");
                }
            });
        }
    }
}
