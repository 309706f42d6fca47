//! The configuration of a function for Amazon MSK.

use std::fmt;
use std::str::FromStr;

use lambda_kit::arn::{Arn, ArnError};
use lambda_kit::env::{Env, EnvError};

use crate::engine::Server;
use crate::password::{ExcludedKinds, PasswordPolicy};

/// The port of SASL/SCRAM inside a VPC ("Port information" of the MSK guide).
const PORT: u16 = 9096;

/// The ARN of a cluster: `arn:aws:kafka:eu-west-1:123456789012:cluster/NAME/UUID`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterArn {
    arn: Arn,
    name: String,
}

/// A text that is not the ARN of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClusterArnError {
    /// It is not an ARN.
    #[error(transparent)]
    Arn(#[from] ArnError),
    /// It is the ARN of something else.
    #[error("{0} is not the ARN of an MSK cluster")]
    NotACluster(Arn),
}

impl FromStr for ClusterArn {
    type Err = ClusterArnError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let arn: Arn = text.parse()?;
        let id = arn.resource_id("cluster").filter(|_| arn.service == "kafka");
        match id.and_then(|id| id.split_once('/')) {
            Some((name, id)) if !name.is_empty() && !id.is_empty() && !id.contains(['/', ':']) => {
                Ok(Self { name: name.to_owned(), arn })
            }
            _ => Err(ClusterArnError::NotACluster(arn)),
        }
    }
}

impl ClusterArn {
    /// Reads the ARN from `CLUSTER_ARN`.
    ///
    /// # Errors
    /// The variable is missing or not the ARN of a cluster.
    pub fn from_env(env: Env<'_>) -> Result<Self, EnvError> {
        let expected = "an ARN of a cluster: arn:aws:kafka:REGION:ACCOUNT:cluster/NAME/UUID";
        env.required_as("CLUSTER_ARN", expected)
    }

    /// Returns the cluster's name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for ClusterArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.arn.fmt(f)
    }
}

/// Reads the brokers of `BOOTSTRAP_BROKERS`: hosts with or without a port, separated by commas, as
/// GetBootstrapBrokers returns them in `BootstrapBrokerStringSaslScram`. Returns none if the
/// variable is not set.
///
/// # Errors
/// An entry is invalid.
pub(super) fn brokers(env: Env<'_>) -> Result<Vec<Server>, EnvError> {
    let Some(found) = env.optional("BOOTSTRAP_BROKERS") else { return Ok(Vec::new()) };
    let read = |text: &str| {
        let (host, port) = match text.trim().split_once(':') {
            Some((host, port)) => (host, port.parse().ok().filter(|port| *port > 0)?),
            None => (text.trim(), PORT),
        };
        (!host.is_empty()).then(|| Server { host: host.to_owned(), port, database: String::new() })
    };
    let brokers: Option<Vec<Server>> = found.split(',').map(read).collect();
    brokers.ok_or_else(|| {
        let expected = "hosts, separated by commas: b-1.example.kafka.eu-west-1.amazonaws.com:9096,…";
        EnvError::invalid("BOOTSTRAP_BROKERS", &found, expected)
    })
}

/// Returns the password policy without any configuration. MSK documents no rules; quotes,
/// backslash, `/` and `@` are excluded for clients' configuration files, as in AWS's own rotation
/// functions.
pub fn default_policy() -> PasswordPolicy {
    PasswordPolicy {
        engine: "Amazon MSK",
        bounds: (8, 128),
        length: 32,
        exclude: "/@\"'\\".to_owned(),
        excluded_kinds: ExcludedKinds::default(),
        require_each_kind: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with<T>(variables: &[(&'static str, &'static str)], read: impl Fn(Env<'_>) -> T) -> T {
        let variables = variables.to_vec();
        let source = move |name: &str| {
            variables.iter().find(|(have, _)| *have == name).map(|(_, value)| (*value).to_owned())
        };
        read(Env::from(&source))
    }

    #[test]
    fn cluster_arn_needs_name_and_id() {
        let arn = "arn:aws:kafka:eu-west-1:123456789012:cluster/main/0a1b-2";
        let cluster = with(&[("CLUSTER_ARN", arn)], ClusterArn::from_env).unwrap();
        assert_eq!((cluster.to_string().as_str(), cluster.name()), (arn, "main"));
        for wrong in [
            "main",
            "arn:aws:kafka:r:a:cluster/main",
            "arn:aws:kafka:r:a:topic/main/1/t",
            "arn:aws:rds:r:a:cluster/a/b",
        ] {
            let error =
                with(&[("CLUSTER_ARN", Box::leak(wrong.to_owned().into_boxed_str()))], ClusterArn::from_env);
            let text = error.unwrap_err().to_string();
            assert!(text.contains("CLUSTER_ARN") && text.contains("cluster/NAME/UUID"), "{text}");
        }
    }

    #[test]
    fn brokers_have_a_default_port() {
        let found = with(&[("BOOTSTRAP_BROKERS", "b-1.x:9196, b-2.x")], brokers).unwrap();
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(found, ["b-1.x:9196", "b-2.x:9096"]);
        assert!(with(&[], brokers).unwrap().is_empty());
        for wrong in ["b-1:x", "b-1:0", "a,,b", ":9096"] {
            let wrong: &'static str = Box::leak(wrong.to_owned().into_boxed_str());
            let text = with(&[("BOOTSTRAP_BROKERS", wrong)], brokers).unwrap_err().to_string();
            assert!(text.contains("BOOTSTRAP_BROKERS") && text.contains("separated by commas"), "{text}");
        }
    }
}
