//! A function's configuration: what overrides an engine's password policy.

use lambda_kit::env::{Env, EnvError};

use crate::password::{PasswordError, PasswordPolicy};

/// Why a function cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A variable is missing or makes no sense.
    #[error(transparent)]
    Variable(#[from] EnvError),
    /// The configured passwords are none that the engine takes.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The configured certificates cannot be used.
    #[cfg(feature = "postgres")]
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
