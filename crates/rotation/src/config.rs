//! A function's configuration: the strategy, and what overrides an engine's password policy.

use lambda_kit::env::{Env, EnvError};

use crate::engine::Engine;
use crate::password::{PasswordError, PasswordPolicy};
use crate::passwords::{Admin, Passwords, Strategy};

/// Why a function cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A variable is missing or makes no sense.
    #[error(transparent)]
    Variable(#[from] EnvError),
    /// The configured passwords are none that the engine takes.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// Users of the engine cannot alternate.
    #[error(
        "ROTATION_STRATEGY is alternating-users, and users of {engine} cannot alternate; expected single-user"
    )]
    NotAlternating {
        /// The engine.
        engine: &'static str,
    },
    /// The configured certificates cannot be used.
    #[cfg(feature = "tls")]
    #[error(transparent)]
    Trust(#[from] crate::engines::trust::TrustError),
}

/// An engine's password policy with what the environment overrides, under the names of AWS's own rotation functions.
///
/// # Errors
/// A variable makes no sense, or the engine takes no password of that length.
pub fn password_policy(env: Env<'_>, default: PasswordPolicy) -> Result<PasswordPolicy, ConfigError> {
    let flag = |name: &str, default: bool| match env.optional(name).as_deref() {
        None => Ok(default),
        Some(text) if text.eq_ignore_ascii_case("true") => Ok(true),
        Some(text) if text.eq_ignore_ascii_case("false") => Ok(false),
        Some(found) => {
            let expected = "true or false".to_owned();
            Err(EnvError::Invalid { name: name.to_owned(), found: found.to_owned(), expected })
        }
    };
    let mut policy = default;
    policy.length = env.parsed("PASSWORD_LENGTH", "a number of characters", policy.length)?;
    policy.exclude = env.optional("EXCLUDE_CHARACTERS").unwrap_or(policy.exclude);
    policy.without.punctuation = flag("EXCLUDE_PUNCTUATION", policy.without.punctuation)?;
    policy.without.numbers = flag("EXCLUDE_NUMBERS", policy.without.numbers)?;
    policy.without.uppercase = flag("EXCLUDE_UPPERCASE", policy.without.uppercase)?;
    policy.without.lowercase = flag("EXCLUDE_LOWERCASE", policy.without.lowercase)?;
    policy.require_each_kind = flag("REQUIRE_EACH_INCLUDED_TYPE", policy.require_each_kind)?;
    policy.check_length()?;
    Ok(policy)
}

/// The passwords of an engine, by the strategy that the environment names: `ROTATION_STRATEGY` is `single-user` (the default) or
/// `alternating-users`; `ADMIN_SECRET_ARN` names the secret of the admin, which alternating users need and a single user may have;
/// `ADMIN_HOST` is the host of an admin's secret that has none. `IGNORE_SSL_FALSE=true` takes values that say `ssl: false`, which are refused otherwise.
///
/// # Errors
/// A variable is missing or makes no sense.
pub fn passwords<E: Engine>(env: Env<'_>, engine: E) -> Result<Passwords<E>, ConfigError> {
    let secret = env.optional("ADMIN_SECRET_ARN");
    let host = env.optional("ADMIN_HOST");
    let admin = secret.map(|secret| Admin { secret, host });
    let strategy = match (env.optional("ROTATION_STRATEGY").as_deref(), admin) {
        (None | Some("single-user"), None) => Strategy::SingleUser,
        (None | Some("single-user"), Some(admin)) => Strategy::SingleUserByAdmin(admin),
        (Some("alternating-users"), _) if engine.longest_user().is_none() => {
            return Err(ConfigError::NotAlternating { engine: engine.name() });
        }
        (Some("alternating-users"), Some(admin)) => Strategy::AlternatingUsers(admin),
        (Some("alternating-users"), None) => {
            return Err(EnvError::Missing("ADMIN_SECRET_ARN".to_owned()).into());
        }
        (Some(found), _) => {
            let expected = "single-user or alternating-users".to_owned();
            let name = "ROTATION_STRATEGY".to_owned();
            return Err(EnvError::Invalid { name, found: found.to_owned(), expected }.into());
        }
    };
    let ignores_ssl = env.parsed("IGNORE_SSL_FALSE", "true or false", false)?;
    Ok(Passwords::new(engine, strategy).ignoring_ssl(ignores_ssl))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::password::Without;

    fn configured(variables: &[(&str, &str)]) -> Result<PasswordPolicy, ConfigError> {
        let source = |name: &str| {
            variables.iter().find(|(have, _)| *have == name).map(|(_, value)| (*value).to_owned())
        };
        let default = PasswordPolicy {
            engine: "the test",
            bounds: (8, 64),
            length: 32,
            exclude: "/".into(),
            without: Without::default(),
            require_each_kind: true,
        };
        password_policy(Env::from(&source), default)
    }

    #[test]
    fn variables_of_awss_functions_override_the_engines_policy() {
        let found = configured(&[
            ("PASSWORD_LENGTH", "20"),
            ("EXCLUDE_CHARACTERS", "x"),
            ("EXCLUDE_PUNCTUATION", "True"),
        ]);
        let found = found.unwrap();
        assert_eq!((found.length, found.exclude.as_str()), (20, "x"));
        assert!(found.without.punctuation && !found.without.numbers && found.require_each_kind);
    }

    #[test]
    fn a_variable_that_makes_no_sense_is_named() {
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
