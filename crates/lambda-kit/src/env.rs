//! The function's environment, read once at start. The only place that reads it.

use std::str::FromStr;
use std::time::Duration;

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

/// What a whole number in a variable counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// 60 seconds.
    Minutes,
    /// 3600 seconds.
    Hours,
    /// 86,400 seconds.
    Days,
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

    /// A time in whole units, with a default that is one.
    ///
    /// # Errors
    /// As [`Self::parsed`].
    pub fn duration(&self, name: &str, unit: Unit, default: Duration) -> Result<Duration, EnvError> {
        let (seconds, expected) = match unit {
            Unit::Minutes => (60, "a whole number of minutes"),
            Unit::Hours => (3600, "a whole number of hours"),
            Unit::Days => (86_400, "a whole number of days"),
        };
        let default = u32::try_from(default.as_secs() / seconds).unwrap_or(u32::MAX);
        let number = self.parsed(name, expected, default)?;
        Ok(Duration::from_secs(u64::from(number) * seconds))
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
    fn a_time_is_given_in_whole_units() {
        let source = |name: &str| match name {
            "TWO" => Some("2".to_owned()),
            "HALF" => Some("0.5".to_owned()),
            _ => None,
        };
        let env = Env::from(&source);
        let read =
            |name, unit| env.duration(name, unit, Duration::from_secs(86_400)).map(|time| time.as_secs());
        let both = |unit| (read("TWO", unit).unwrap(), read("MISSING", unit).unwrap());
        assert_eq!(both(Unit::Minutes), (120, 86_400));
        assert_eq!(both(Unit::Hours), (7200, 86_400));
        assert_eq!(both(Unit::Days), (172_800, 86_400));
        assert_eq!(
            read("HALF", Unit::Hours).unwrap_err().to_string(),
            "environment variable HALF is \"0.5\", expected a whole number of hours"
        );
    }

    #[test]
    fn an_empty_variable_counts_as_absent() {
        let source = |_: &str| Some(String::new());
        assert_eq!(Env::from(&source).optional("A"), None);
    }
}
