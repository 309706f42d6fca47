//! Logins at the brokers, and the time that they take to accept a new password.

use std::future::Future;
use std::time::Duration;

use lambda_kit::env::{Env, EnvError};
use lambda_kit::metrics::Metrics;
use lambda_kit::moment::Moment;
use tokio::time::Instant;

use super::config;
use super::error::MskError;
use crate::audit::NAMESPACE;
use crate::document::{DocumentError, SecretDocument};
use crate::engine::{Account, EngineError, Login, Server};
use crate::error::RotationError;
use crate::invocation::{Invocation, NO_CURRENT};
use crate::outcome::StepOutcome;
use crate::retry::Retry;
use crate::versions::{CURRENT, Versions};

/// The pause between two rounds of logins. A broker is behind by minutes, so shorter pauses gain
/// nothing.
const PAUSE: Duration = Duration::from_secs(10);

/// A user and its password.
pub struct ScramUser {
    /// The user.
    pub user: String,
    /// The password.
    pub password: secrecy::SecretString,
}

/// A login with SASL/SCRAM-SHA-512 over TLS.
pub trait Propagation: Send + Sync {
    /// Tries a credential at one broker, in a session of its own.
    ///
    /// # Errors
    /// The login was neither accepted nor refused.
    fn log_in(&self, account: &Account) -> impl Future<Output = Result<Login, EngineError>> + Send;
}

#[cfg(feature = "kafka")]
impl Propagation for crate::engines::kafka::Kafka {
    async fn log_in(&self, account: &Account) -> Result<Login, EngineError> {
        crate::engine::Engine::log_in(self, account).await
    }
}

/// Logs in at the brokers of a cluster.
pub struct Verifier<P> {
    client: P,
    brokers: Vec<Server>,
}

impl<P: Propagation> Verifier<P> {
    /// Creates a verifier for the brokers in `BOOTSTRAP_BROKERS`. Returns `None` without any: the
    /// function need not be able to reach them.
    ///
    /// # Errors
    /// The variable is invalid.
    pub fn from_env(env: Env<'_>, client: P) -> Result<Option<Self>, EnvError> {
        let brokers = config::brokers(env)?;
        Ok((!brokers.is_empty()).then_some(Self { client, brokers }))
    }

    /// Creates a verifier for these brokers.
    pub fn new(client: P, brokers: Vec<Server>) -> Self {
        Self { client, brokers }
    }

    fn account(&self, broker: &Server, user: &ScramUser) -> Account {
        Account {
            server: broker.clone(),
            user: user.user.clone(),
            password: user.password.clone(),
            // The only one that Amazon MSK supports.
            mechanism: Some("SCRAM-SHA-512"),
        }
    }

    /// Tries a password at every broker. It is accepted if each accepts it.
    pub(super) async fn log_in(&self, retry: &Retry, user: &ScramUser) -> Result<Login, RotationError> {
        for broker in &self.brokers {
            let account = self.account(broker, user);
            if retry.run("a login", || self.client.log_in(&account)).await? == Login::Refused {
                return Ok(Login::Refused);
            }
        }
        Ok(Login::Accepted)
    }

    /// Logs in with AWSCURRENT at every broker until each accepts it, and publishes the time since
    /// the rotation as a metric.
    pub(super) async fn wait_for_propagation<V: Versions>(
        &self,
        at: &Invocation<'_, V>,
        cluster: &str,
        parse: impl Fn(&SecretDocument) -> Result<ScramUser, DocumentError>,
    ) -> Result<StepOutcome, RotationError> {
        let begun = Instant::now();
        let described = at.describe().await?;
        if described.rotation_in_progress() {
            return Ok(StepOutcome::Postponed("a rotation is in progress"));
        }
        let version = described.version_with(CURRENT).ok_or(NO_CURRENT)?;
        let Some(value) = at.value(Some(version), CURRENT).await? else {
            return Ok(StepOutcome::Postponed("AWSCURRENT has just moved"));
        };
        let user =
            parse(&value).map_err(|source| RotationError::InvalidSecretValue { label: CURRENT, source })?;
        let before = at.since_rotation(&described).unwrap_or_default();
        let mut waiting: Vec<&Server> = self.brokers.iter().collect();
        loop {
            let mut behind = Vec::new();
            let mut rejecting = String::new();
            for broker in waiting {
                match self.client.log_in(&self.account(broker, &user)).await {
                    Ok(Login::Accepted) => continue,
                    Ok(Login::Refused) => rejecting = broker.to_string(),
                    // The broker may be restarting.
                    Err(error) if error.is_transient() => rejecting = format!("{broker} ({error})"),
                    Err(error) => return Err(error.into()),
                }
                behind.push(broker);
            }
            let since = before + begun.elapsed();
            if behind.is_empty() {
                let (secret, seconds) = (at.secret_id, since.as_secs());
                let brokers = self.brokers.len();
                tracing::info!(secret, cluster, seconds, brokers, "every broker accepts the new password");
                propagation_metric(secret, cluster, since, at.now.plus(begun.elapsed())).emit();
                return Ok(StepOutcome::Done);
            }
            if Instant::now() + PAUSE >= at.retry.deadline() {
                return Err(MskError::PropagationTimeout { seconds: since.as_secs(), rejecting }.into());
            }
            tokio::time::sleep(PAUSE).await;
            waiting = behind;
        }
    }
}

/// Returns the metric `PropagationSeconds`: the time from the end of the rotation until every
/// broker accepted the new password.
fn propagation_metric(secret: &str, cluster: &str, since: Duration, at: Moment) -> Metrics {
    Metrics::new(NAMESPACE, at)
        .dimension("Engine", "msk")
        .dimension("Cluster", cluster)
        .seconds("PropagationSeconds", since)
        .property("Secret", secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn propagation_time_is_a_metric_by_cluster() {
        let found =
            propagation_metric("arn:s", "main", Duration::from_secs(372), Moment::BEGINNING).to_json();
        let directive = &found["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(directive["Dimensions"], serde_json::json!([["Engine", "Cluster"]]));
        assert_eq!(
            directive["Metrics"],
            serde_json::json!([{"Name": "PropagationSeconds", "Unit": "Seconds"}])
        );
        assert_eq!((&found["PropagationSeconds"], &found["Cluster"]), (&372.0.into(), &"main".into()));
    }
}
