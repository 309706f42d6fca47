//! The configuration of a function for Amazon MSK.

use lambda_kit::env::{Env, EnvError};

use crate::engine::Server;
use crate::password::{PasswordPolicy, Without};

/// The port of SASL/SCRAM inside of a VPC ("Port information" of the MSK guide).
const PORT: u16 = 9096;

/// ARN of a cluster: `arn:aws:kafka:eu-west-1:123456789012:cluster/NAME/UUID`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterArn(String);

impl ClusterArn {
    /// From `CLUSTER_ARN`.
    ///
    /// # Errors
    /// It is missing, or no such ARN.
    pub fn from_env(env: Env<'_>) -> Result<Self, EnvError> {
        let found = env.required("CLUSTER_ARN")?;
        let resource = match found.split(':').collect::<Vec<_>>().as_slice() {
            ["arn", _, "kafka", _, _, resource] => (*resource).to_owned(),
            _ => String::new(),
        };
        match resource.split('/').collect::<Vec<_>>().as_slice() {
            ["cluster", name, id] if !name.is_empty() && !id.is_empty() => Ok(Self(found)),
            _ => Err(EnvError::Invalid {
                name: "CLUSTER_ARN".to_owned(),
                found,
                expected: "an ARN of a cluster: arn:aws:kafka:REGION:ACCOUNT:cluster/NAME/UUID".to_owned(),
            }),
        }
    }

    /// The ARN.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The cluster's name.
    pub fn name(&self) -> &str {
        self.0.split('/').nth(1).unwrap_or_default()
    }
}

/// The brokers of `BOOTSTRAP_BROKERS`: hosts, with or without a port, separated by commas, as GetBootstrapBrokers gives them in
/// `BootstrapBrokerStringSaslScram`. Empty where it is not set.
///
/// # Errors
/// One of them is none.
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
    brokers.ok_or_else(|| EnvError::Invalid {
        name: "BOOTSTRAP_BROKERS".to_owned(),
        found,
        expected: "hosts, separated by commas: b-1.example.kafka.eu-west-1.amazonaws.com:9096,…".to_owned(),
    })
}

/// What a password is without any configuration. MSK documents no rules; quotes, backslash, `/` and `@` are left out for
/// clients' configuration files, as in AWS's own rotation functions.
pub fn default_policy() -> PasswordPolicy {
    PasswordPolicy {
        engine: "Amazon MSK",
        bounds: (8, 128),
        length: 32,
        exclude: "/@\"'\\".to_owned(),
        without: Without::default(),
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
    fn a_cluster_is_named_by_its_whole_arn() {
        let arn = "arn:aws:kafka:eu-west-1:123456789012:cluster/main/0a1b-2";
        let cluster = with(&[("CLUSTER_ARN", arn)], ClusterArn::from_env).unwrap();
        assert_eq!((cluster.as_str(), cluster.name()), (arn, "main"));
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
    fn brokers_are_hosts_with_or_without_a_port() {
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
