//! The function's configuration, from its environment.

use alerts::incident::AccountRegion;
use lambda_kit::env::{Env, EnvError, Unit};
use secret_check::rules::Rules;

/// The function's configuration.
#[derive(Debug)]
pub(crate) struct Config {
    rules: Rules,
    /// The name of the role that reads other accounts: `READ_ROLE_NAME`.
    pub(crate) role: String,
    accounts: Vec<String>,
    regions: Vec<String>,
}

impl Config {
    pub(crate) fn from_env(env: Env<'_>) -> Result<Self, EnvError> {
        let own_region = env.required("AWS_REGION")?;
        let mut rules = Rules::new(AccountRegion::new("", &own_region));
        let hours = |name, default| env.duration(name, Unit::Hours, default);
        rules.overdue_after = hours("OVERDUE_AFTER_HOURS", rules.overdue_after)?;
        rules.stuck_after = hours("STUCK_AFTER_HOURS", rules.stuck_after)?;
        rules.replica_after = hours("REPLICA_AFTER_HOURS", rules.replica_after)?;
        rules.unused_after = env.duration("UNUSED_AFTER_DAYS", Unit::Days, rules.unused_after)?;
        let mut regions = env.list("CHECKED_REGIONS");
        if regions.is_empty() {
            regions.push(own_region);
        }
        Ok(Self {
            rules,
            role: env.required("READ_ROLE_NAME")?,
            accounts: env.list("CHECKED_ACCOUNTS"),
            regions,
        })
    }

    /// Returns the limits, which are the same everywhere.
    pub(crate) fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Returns what is checked: the Regions of the function's own account, then those of the others.
    pub(crate) fn locations(&self, own: &str) -> Vec<AccountRegion> {
        let others = self.accounts.iter().map(String::as_str).filter(|account| *account != own);
        let all = std::iter::once(own).chain(others);
        all.flat_map(|account| self.regions.iter().map(move |region| AccountRegion::new(account, region)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environment_sets_the_limits_and_errors_name_the_variable() {
        let source = |name: &str| match name {
            "AWS_REGION" => Some("eu-west-1".to_owned()),
            "STUCK_AFTER_HOURS" => Some("4".to_owned()),
            "UNUSED_AFTER_DAYS" => Some("0".to_owned()),
            "READ_ROLE_NAME" => Some("sluice-alerts-read".to_owned()),
            _ => None,
        };
        let config = Config::from_env(Env::from(&source)).unwrap();
        let rules = config.rules();
        assert_eq!((rules.stuck_after.as_secs(), rules.overdue_after.as_secs()), (4 * 3600, 3600));
        assert!(rules.unused_after.is_zero());
        assert_eq!(config.locations("333333333333"), [AccountRegion::new("333333333333", "eu-west-1")]);
        let wrong = |name: &str| Some(if name == "AWS_REGION" { "eu-west-1" } else { "soon" }.to_owned());
        let error = Config::from_env(Env::from(&wrong)).unwrap_err().to_string();
        assert!(
            error.contains("OVERDUE_AFTER_HOURS is \"soon\", expected a whole number of hours"),
            "{error}"
        );
    }

    #[test]
    fn every_region_of_every_account_is_checked_once() {
        let source = |name: &str| match name {
            "AWS_REGION" => Some("eu-west-1".to_owned()),
            "READ_ROLE_NAME" => Some("r".to_owned()),
            "CHECKED_ACCOUNTS" => Some("111111111111,333333333333".to_owned()),
            "CHECKED_REGIONS" => Some("eu-west-1, us-east-1".to_owned()),
            _ => None,
        };
        let locations = Config::from_env(Env::from(&source)).unwrap().locations("333333333333");
        let expected = [
            ("333333333333", "eu-west-1"),
            ("333333333333", "us-east-1"),
            ("111111111111", "eu-west-1"),
            ("111111111111", "us-east-1"),
        ];
        assert_eq!(locations, expected.map(|(account, region)| AccountRegion::new(account, region)));
    }
}
