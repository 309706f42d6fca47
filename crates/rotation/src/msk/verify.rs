//! Logging in at the brokers, and measuring how long they take to read a new password.

use std::future::Future;
use std::time::{Duration, SystemTime};

use lambda_kit::env::{Env, EnvError};
use lambda_kit::metrics::Metrics;
use secrecy::SecretString;
use tokio::time::Instant;

use super::{MskError, config};
use crate::action::{Acted, Occasion, under_way};
use crate::audit::NAMESPACE;
use crate::engine::{Account, EngineError, Login, Server};
use crate::error::RotationError;
use crate::retry::Retry;
use crate::versions::{CURRENT, Versions};

/// Between two rounds of logins. A broker is late by minutes, so nothing is gained by asking more often.
const PAUSE: Duration = Duration::from_secs(10);

/// A login by SASL/SCRAM-SHA-512 over TLS.
pub trait Propagation: Send + Sync {
    /// Tries a credential at one broker, in a session of its own.
    ///
    /// # Errors
    /// Anything but a clear yes or no.
    fn log_in(&self, account: &Account) -> impl Future<Output = Result<Login, EngineError>> + Send;
}

#[cfg(feature = "kafka")]
impl Propagation for crate::engines::kafka::Kafka {
    async fn log_in(&self, account: &Account) -> Result<Login, EngineError> {
        crate::engine::Engine::log_in(self, account).await
    }
}

/// How to log in at the brokers of a cluster.
pub struct Verifier<P> {
    client: P,
    brokers: Vec<Server>,
}

impl<P: Propagation> Verifier<P> {
    /// With a client, and brokers in the function's configuration: `BOOTSTRAP_BROKERS`. `None` without any: the function need not
    /// be where it can reach them.
    ///
    /// # Errors
    /// The variable makes no sense.
    pub fn from_env(env: Env<'_>, client: P) -> Result<Option<Self>, EnvError> {
        let brokers = config::brokers(env)?;
        Ok((!brokers.is_empty()).then_some(Self { client, brokers }))
    }

    /// With a client and these brokers.
    pub fn new(client: P, brokers: Vec<Server>) -> Self {
        Self { client, brokers }
    }

    fn account(&self, broker: &Server, user: &str, password: &SecretString) -> Account {
        Account {
            server: broker.clone(),
            user: user.to_owned(),
            password: password.clone(),
            // The only one that Amazon MSK has.
            mechanism: Some("SCRAM-SHA-512"),
        }
    }

    /// Whether every broker takes a password.
    pub(super) async fn accepted(
        &self,
        retry: &Retry,
        user: &str,
        password: &SecretString,
    ) -> Result<Login, RotationError> {
        for broker in &self.brokers {
            let account = self.account(broker, user, password);
            if retry.run("a login", || self.client.log_in(&account)).await? == Login::Refused {
                return Ok(Login::Refused);
            }
        }
        Ok(Login::Accepted)
    }

    /// Logs in with AWSCURRENT at every broker until each takes it, and announces how long after the rotation that was.
    pub(super) async fn propagated<V: Versions>(
        &self,
        at: &Occasion<'_, V>,
        cluster: &str,
    ) -> Result<Acted, RotationError> {
        let begun = Instant::now();
        let described = at.describe().await?;
        if under_way(&described) {
            return Ok(Acted::Later("a rotation is under way"));
        }
        let bad = |source| RotationError::Document { label: CURRENT, source };
        let Some(value) = at.value(at.current(&described)?, CURRENT).await? else {
            return Ok(Acted::Later("AWSCURRENT moved meanwhile"));
        };
        let user = value.text("username").map_err(bad)?;
        let password = value.password().map_err(bad)?;
        let before = at.since_rotation(&described).unwrap_or_default();
        let mut waiting: Vec<&Server> = self.brokers.iter().collect();
        loop {
            let mut late = Vec::new();
            let mut refusing = String::new();
            for broker in waiting {
                match self.client.log_in(&self.account(broker, user, &password)).await {
                    Ok(Login::Accepted) => continue,
                    Ok(Login::Refused) => refusing = broker.to_string(),
                    // A broker may be restarted meanwhile.
                    Err(error) if error.may_pass() => refusing = format!("{broker} ({error})"),
                    Err(error) => return Err(error.into()),
                }
                late.push(broker);
            }
            let since = before + begun.elapsed();
            if late.is_empty() {
                let (secret, seconds) = (at.event.secret_id.as_str(), since.as_secs());
                let brokers = self.brokers.len();
                tracing::info!(secret, cluster, seconds, brokers, "every broker takes the new password");
                window(secret, cluster, since, at.now + begun.elapsed()).emit();
                return Ok(Acted::Now);
            }
            if Instant::now() + PAUSE >= at.retry.deadline() {
                return Err(MskError::NotPropagated { seconds: since.as_secs(), refusing }.into());
            }
            tokio::time::sleep(PAUSE).await;
            waiting = late;
        }
    }
}

/// The metric `PropagationSeconds`: from the end of the rotation until every broker took the new password.
fn window(secret: &str, cluster: &str, since: Duration, at: SystemTime) -> Metrics {
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
    fn the_window_is_a_metric_in_seconds_by_cluster() {
        let found = window("arn:s", "main", Duration::from_secs(372), SystemTime::UNIX_EPOCH).to_json();
        let directive = &found["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(directive["Dimensions"], serde_json::json!([["Engine", "Cluster"]]));
        assert_eq!(
            directive["Metrics"],
            serde_json::json!([{"Name": "PropagationSeconds", "Unit": "Seconds"}])
        );
        assert_eq!((&found["PropagationSeconds"], &found["Cluster"]), (&372.0.into(), &"main".into()));
    }
}
