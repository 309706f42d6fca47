//! A function's configuration: the strategy, and the overrides of an engine's password policy.

use lambda_kit::env::{Env, EnvError};

use crate::engine::Engine;
use crate::password::{PasswordError, PasswordPolicy};
use crate::passwords::{Admin, DEFAULT_OVERLAP_MINUTES, Passwords, Strategy};

/// An invalid configuration, with which a function cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A variable is missing or invalid.
    #[error(transparent)]
    Variable(#[from] EnvError),
    /// The engine does not accept the configured passwords.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// Users of the engine cannot alternate.
    #[error(
        "ROTATION_STRATEGY is alternating-users, and users of {engine} cannot alternate; expected \
         single-user"
    )]
    NotAlternating {
        /// The engine.
        engine: &'static str,
    },
    /// The configured certificates are invalid.
    #[cfg(feature = "tls")]
    #[error(transparent)]
    Trust(#[from] crate::engines::trust::TrustError),
}

/// Returns an engine's password policy with the overrides of the environment, which have the names
/// that AWS's own rotation functions use.
///
/// # Errors
/// A variable is invalid, or the engine accepts no password of that length.
pub fn password_policy(env: Env<'_>, default: PasswordPolicy) -> Result<PasswordPolicy, ConfigError> {
    let mut policy = default;
    policy.length = env.parsed("PASSWORD_LENGTH", "a number of characters", policy.length)?;
    policy.exclude = env.optional("EXCLUDE_CHARACTERS").unwrap_or(policy.exclude);
    let excluded = &mut policy.excluded_kinds;
    excluded.punctuation = env.flag("EXCLUDE_PUNCTUATION", excluded.punctuation)?;
    excluded.numbers = env.flag("EXCLUDE_NUMBERS", excluded.numbers)?;
    excluded.uppercase = env.flag("EXCLUDE_UPPERCASE", excluded.uppercase)?;
    excluded.lowercase = env.flag("EXCLUDE_LOWERCASE", excluded.lowercase)?;
    policy.require_each_kind = env.flag("REQUIRE_EACH_INCLUDED_TYPE", policy.require_each_kind)?;
    policy.check_length()?;
    Ok(policy)
}

/// Returns the rotator for an engine and the strategy of the environment:
///
/// * `ROTATION_STRATEGY`: `single-user` (the default) or `alternating-users`;
/// * `ADMIN_SECRET_ARN`: the admin's secret; required for alternating users, optional for a single
///   user;
/// * `ADMIN_HOST`: the host for an admin's secret without one;
/// * `IGNORE_SSL_FALSE`: with `true`, values that say `ssl: false` are accepted;
/// * `RETIRE_AFTER_MINUTES`: the minutes for which two passwords are valid at least; 60 by default.
///
/// # Errors
/// A variable is missing or invalid.
pub fn passwords<E: Engine>(env: Env<'_>, engine: E) -> Result<Passwords<E>, ConfigError> {
    let secret = env.optional("ADMIN_SECRET_ARN");
    let host = env.optional("ADMIN_HOST");
    let admin = secret.map(|secret| Admin { secret, host });
    let strategy = match (env.optional("ROTATION_STRATEGY").as_deref(), admin) {
        (None | Some("single-user"), None) => Strategy::SingleUser,
        (None | Some("single-user"), Some(admin)) => Strategy::SingleUserByAdmin(admin),
        (Some("alternating-users"), _) if engine.max_user_bytes().is_none() => {
            return Err(ConfigError::NotAlternating { engine: engine.name() });
        }
        (Some("alternating-users"), Some(admin)) => Strategy::AlternatingUsers(admin),
        (Some("alternating-users"), None) => {
            return Err(EnvError::Missing("ADMIN_SECRET_ARN".to_owned()).into());
        }
        (Some(found), _) => {
            let expected = "single-user or alternating-users";
            return Err(EnvError::invalid("ROTATION_STRATEGY", found, expected).into());
        }
    };
    let ignores_ssl = env.flag("IGNORE_SSL_FALSE", false)?;
    let overlap = env.parsed("RETIRE_AFTER_MINUTES", "a number of minutes", DEFAULT_OVERLAP_MINUTES)?;
    Ok(Passwords::new(engine, strategy).ignoring_ssl(ignores_ssl).overlapping(overlap))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::password::ExcludedKinds;

    fn configured(variables: &[(&str, &str)]) -> Result<PasswordPolicy, ConfigError> {
        let source = |name: &str| {
            variables.iter().find(|(have, _)| *have == name).map(|(_, value)| (*value).to_owned())
        };
        let default = PasswordPolicy {
            engine: "the test",
            bounds: (8, 64),
            length: 32,
            exclude: "/".into(),
            excluded_kinds: ExcludedKinds::default(),
            require_each_kind: true,
        };
        password_policy(Env::from(&source), default)
    }

    #[test]
    fn variables_override_the_password_policy_of_the_engine() {
        let found = configured(&[
            ("PASSWORD_LENGTH", "20"),
            ("EXCLUDE_CHARACTERS", "x"),
            ("EXCLUDE_PUNCTUATION", "True"),
        ]);
        let found = found.unwrap();
        assert_eq!((found.length, found.exclude.as_str()), (20, "x"));
        assert!(found.excluded_kinds.punctuation && !found.excluded_kinds.numbers && found.require_each_kind);
    }

    #[test]
    fn invalid_variable_is_named_in_the_error() {
        for (name, value, part) in [
            ("PASSWORD_LENGTH", "many", "expected a number of characters"),
            ("PASSWORD_LENGTH", "500", "8 to 64"),
            ("EXCLUDE_NUMBERS", "1", "expected true or false"),
        ] {
            let error = configured(&[(name, value)]).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains(part), "{error}");
        }
    }
}
