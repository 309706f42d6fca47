//! The function's environment, read once at start. The only place that reads it.

use std::str::FromStr;

/// A variable that is missing or makes no sense. The text names the variable.
#[derive(Debug, thiserror::Error)]
pub enum EnvError {
    /// Required and not set.
    #[error("environment variable {0} is not set; the function's template sets it")]
    Missing(String),
    /// Set to something else than it should be.
    #[error("environment variable {name} is \"{found}\", expected {expected}")]
    Invalid {
        /// Its name.
        name: String,
        /// Its value.
        found: String,
        /// What was expected.
        expected: String,
    },
}

/// A source of variables; a value, so that tests need no process environment.
#[derive(Clone, Copy)]
pub struct Env<'a>(&'a (dyn Fn(&str) -> Option<String> + Sync));

impl Env<'static> {
    /// The process's own environment.
    #[allow(clippy::disallowed_methods)]
    pub fn process() -> Self {
        Self(&|name| std::env::var(name).ok())
    }
}

impl<'a> Env<'a> {
    /// Variables from a function.
    pub fn from(source: &'a (dyn Fn(&str) -> Option<String> + Sync)) -> Self {
        Self(source)
    }

    /// A variable that may be absent. Empty counts as absent: a template cannot leave one out conditionally.
    pub fn optional(&self, name: &str) -> Option<String> {
        (self.0)(name).filter(|value| !value.is_empty())
    }

    /// A variable that must be there.
    ///
    /// # Errors
    /// Names the variable.
    pub fn required(&self, name: &str) -> Result<String, EnvError> {
        self.optional(name).ok_or_else(|| EnvError::Missing(name.to_owned()))
    }

    /// A variable that is parsed, with a default.
    ///
    /// # Errors
    /// Names the variable, what was found and what was expected.
    pub fn parsed<T: FromStr>(&self, name: &str, expected: &str, default: T) -> Result<T, EnvError> {
        match self.optional(name) {
            None => Ok(default),
            Some(found) => found.parse().map_err(|_| EnvError::Invalid {
                name: name.to_owned(),
                found,
                expected: expected.to_owned(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_the_variable_what_was_found_and_what_was_expected() {
        let source = |name: &str| (name == "N").then(|| "x".to_owned());
        let env = Env::from(&source);
        assert_eq!(
            env.required("MISSING").unwrap_err().to_string(),
            "environment variable MISSING is not set; the function's template sets it"
        );
        assert_eq!(
            env.parsed("N", "a number of seconds", 3_u32).unwrap_err().to_string(),
            "environment variable N is \"x\", expected a number of seconds"
        );
        assert_eq!(env.parsed("MISSING", "a number of seconds", 3_u32).unwrap(), 3);
    }

    #[test]
    fn an_empty_variable_counts_as_absent() {
        let source = |_: &str| Some(String::new());
        assert_eq!(Env::from(&source).optional("A"), None);
    }
}
