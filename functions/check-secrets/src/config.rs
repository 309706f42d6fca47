//! How much is too much, from the function's environment.

use std::time::Duration;

use lambda_kit::env::{Env, EnvError};
use secret_check::rules::Rules;

/// The function's configuration.
#[derive(Debug)]
pub(crate) struct Config(Rules);

impl Config {
    pub(crate) fn from_env(env: Env<'_>) -> Result<Self, EnvError> {
        let mut rules = Rules::new(String::new(), env.required("AWS_REGION")?);
        let read = |name, unit: &'static str, seconds: u64, default: Duration| {
            let default = u32::try_from(default.as_secs() / seconds).unwrap_or(u32::MAX);
            env.parsed(name, unit, default).map(|number| Duration::from_secs(u64::from(number) * seconds))
        };
        let hours = |name, default| read(name, "a whole number of hours", 3600, default);
        rules.overdue_after = hours("OVERDUE_AFTER_HOURS", rules.overdue_after)?;
        rules.stuck_after = hours("STUCK_AFTER_HOURS", rules.stuck_after)?;
        rules.replica_after = hours("REPLICA_AFTER_HOURS", rules.replica_after)?;
        rules.unused_after = read("UNUSED_AFTER_DAYS", "a whole number of days", 86_400, rules.unused_after)?;
        Ok(Self(rules))
    }

    /// The rules, in this account.
    pub(crate) fn rules(&self, account: &str) -> Rules {
        Rules { account: account.to_owned(), ..self.0.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_sets_the_limits_and_bad_ones_are_refused_by_name() {
        let source = |name: &str| match name {
            "AWS_REGION" => Some("eu-west-1".to_owned()),
            "STUCK_AFTER_HOURS" => Some("4".to_owned()),
            "UNUSED_AFTER_DAYS" => Some("0".to_owned()),
            _ => None,
        };
        let rules = Config::from_env(Env::from(&source)).unwrap().rules("222222222222");
        assert_eq!((rules.stuck_after.as_secs(), rules.overdue_after.as_secs()), (4 * 3600, 3600));
        assert!(rules.unused_after.is_zero());
        assert_eq!((rules.account.as_str(), rules.region.as_str()), ("222222222222", "eu-west-1"));
        let wrong = |name: &str| Some(if name == "AWS_REGION" { "eu-west-1" } else { "soon" }.to_owned());
        let error = Config::from_env(Env::from(&wrong)).unwrap_err().to_string();
        assert!(
            error.contains("OVERDUE_AFTER_HOURS is \"soon\", expected a whole number of hours"),
            "{error}"
        );
    }
}
