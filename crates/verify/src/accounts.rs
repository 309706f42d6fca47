//! The accounts that checks run in, and the stacks of the kit there, named as in `scripts/deploy`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The part that an account plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Owns the bucket.
    Source,
    /// Owns the warehouse.
    Target,
    /// Receives the alerts of all accounts.
    Hub,
    /// Is watched.
    Spoke,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 4] = [Self::Source, Self::Target, Self::Hub, Self::Spoke];

    /// Returns the name that files and reports use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Target => "target",
            Self::Hub => "hub",
            Self::Spoke => "spoke",
        }
    }
}

/// A stack of the kit whose outputs a check needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KitStack {
    /// VPC and subnets.
    Network,
    /// The cluster or workgroup.
    Warehouse,
    /// Permissions of the warehouse.
    Target,
    /// The bucket and the integration.
    Source,
    /// One copy job.
    Job,
    /// The rotation of one secret.
    Rotation,
    /// Notifications of a secret's consumers.
    Consumers,
    /// The topic and functions that alert.
    Hub,
    /// The rules that forward events to the hub.
    Spoke,
}

impl KitStack {
    /// Returns the name that `scripts/deploy` has for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Warehouse => "warehouse",
            Self::Target => "target",
            Self::Source => "source",
            Self::Job => "job",
            Self::Rotation => "rotation",
            Self::Consumers => "consumers",
            Self::Hub => "hub",
            Self::Spoke => "spoke",
        }
    }

    /// Returns the account that it is in.
    pub fn role(self) -> Role {
        match self {
            Self::Source => Role::Source,
            Self::Hub => Role::Hub,
            Self::Spoke => Role::Spoke,
            _ => Role::Target,
        }
    }
}

/// Profiles, Regions and names of stacks, from the environment variables of `scripts/deploy`.
#[derive(Debug, Clone)]
pub struct Accounts {
    profiles: BTreeMap<Role, String>,
    environment: BTreeMap<String, String>,
}

impl Accounts {
    /// Reads the variables, with the defaults of `scripts/deploy`.
    pub fn from_environment(environment: &BTreeMap<String, String>) -> Self {
        let set = |name: &str| environment.get(name).filter(|value| !value.is_empty()).cloned();
        let source = set("SOURCE_PROFILE").unwrap_or_else(|| "source".into());
        let target = set("TARGET_PROFILE").unwrap_or_else(|| "target".into());
        let hub = set("HUB_PROFILE").unwrap_or_else(|| target.clone());
        let spoke = set("SPOKE_PROFILE").unwrap_or_else(|| source.clone());
        let profiles =
            [(Role::Source, source), (Role::Target, target), (Role::Hub, hub), (Role::Spoke, spoke)].into();
        Self { profiles, environment: environment.clone() }
    }

    /// Returns the AWS profile of a role.
    pub fn profile(&self, role: Role) -> &str {
        // Every role got a profile in the constructor.
        self.profiles.get(&role).map_or("target", String::as_str)
    }

    /// Returns the name of a stack of the kit: `NAME_STACK`, else that of the stage.
    pub fn stack(&self, stack: KitStack) -> String {
        let set = |name: &str| self.environment.get(name).filter(|value| !value.is_empty());
        if let Some(name) = set(&format!("{}_STACK", stack.name().to_ascii_uppercase())) {
            return name.clone();
        }
        match set("STAGE").map(String::as_str) {
            None | Some("default") => format!("sluice-{}", stack.name()),
            Some(stage) => format!("sluice-{stage}-{}", stack.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_those_of_scripts_deploy() {
        let given = |pairs: &[(&str, &str)]| {
            Accounts::from_environment(&pairs.iter().map(|(a, b)| ((*a).into(), (*b).into())).collect())
        };
        let plain = given(&[]);
        assert_eq!(
            Role::ALL.map(|role| plain.profile(role).to_owned()),
            ["source", "target", "target", "source"]
        );
        assert_eq!(plain.stack(KitStack::Hub), "sluice-hub");
        let set = given(&[("TARGET_PROFILE", "t"), ("STAGE", "test"), ("HUB_STACK", "h"), ("JOB_STACK", "")]);
        assert_eq!((set.profile(Role::Hub), set.profile(Role::Target)), ("t", "t"));
        assert_eq!(
            (set.stack(KitStack::Hub), set.stack(KitStack::Job)),
            ("h".into(), "sluice-test-job".into())
        );
    }
}
