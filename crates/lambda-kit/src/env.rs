//! A function's environment, read once at start. Nothing else reads it.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

/// A variable that is missing or invalid. The text names the variable.
#[derive(Debug, thiserror::Error)]
pub enum EnvError {
    /// The variable is required and not set.
    #[error("environment variable {0} is not set; the function's template sets it")]
    Missing(String),
    /// The variable has an invalid value.
    #[error("environment variable {name} is \"{found}\", expected {expected}")]
    Invalid {
        /// The variable's name.
        name: String,
        /// The variable's value.
        found: String,
        /// The expected value.
        expected: String,
    },
}

impl EnvError {
    /// Creates the error for a variable with an invalid value.
    pub fn invalid(name: &str, found: &str, expected: &str) -> Self {
        let [name, found, expected] = [name, found, expected].map(str::to_owned);
        Self::Invalid { name, found, expected }
    }
}

/// The unit of a duration in a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Seconds.
    Seconds,
    /// 60 seconds.
    Minutes,
    /// 3600 seconds.
    Hours,
    /// 86,400 seconds.
    Days,
}

/// A source of variables. It is a value, so that tests need no process environment.
#[derive(Clone, Copy)]
pub struct Env<'a>(&'a (dyn Fn(&str) -> Option<String> + Sync));

impl Env<'static> {
    /// Returns the process's own environment.
    #[allow(clippy::disallowed_methods)]
    pub fn process() -> Self {
        Self(&|name| std::env::var(name).ok())
    }
}

impl<'a> Env<'a> {
    /// Returns an environment whose variables come from a function.
    pub fn from(source: &'a (dyn Fn(&str) -> Option<String> + Sync)) -> Self {
        Self(source)
    }

    /// Returns a variable that may be absent. An empty one counts as absent: a template cannot omit
    /// a variable conditionally.
    pub fn optional(&self, name: &str) -> Option<String> {
        (self.0)(name).filter(|value| !value.is_empty())
    }

    /// Returns a variable that must be set.
    ///
    /// # Errors
    /// The variable is not set.
    pub fn required(&self, name: &str) -> Result<String, EnvError> {
        self.optional(name).ok_or_else(|| EnvError::Missing(name.to_owned()))
    }

    /// Returns a required variable, parsed. `expected` describes a valid value.
    ///
    /// # Errors
    /// The variable is not set or invalid.
    pub fn required_as<T: FromStr>(&self, name: &str, expected: &str) -> Result<T, EnvError> {
        let found = self.required(name)?;
        found.parse().map_err(|_| EnvError::invalid(name, &found, expected))
    }

    /// Returns a parsed variable, or the default. `expected` describes a valid value.
    ///
    /// # Errors
    /// The variable is invalid.
    pub fn parsed<T: FromStr>(&self, name: &str, expected: &str, default: T) -> Result<T, EnvError> {
        match self.optional(name) {
            None => Ok(default),
            Some(_) => self.required_as(name, expected),
        }
    }

    /// Returns a number within bounds, or the default. `counted` names what it counts, such as
    /// "a whole number of seconds".
    ///
    /// # Errors
    /// The variable is not a number within the bounds.
    pub fn number<T>(
        &self,
        name: &str,
        counted: &str,
        bounds: RangeInclusive<T>,
        default: T,
    ) -> Result<T, EnvError>
    where
        T: FromStr + PartialOrd + Display,
    {
        let Some(found) = self.optional(name) else { return Ok(default) };
        match found.parse() {
            Ok(number) if bounds.contains(&number) => Ok(number),
            _ => {
                let (least, most) = bounds.into_inner();
                let expected = format!("{counted} from {least} to {most}");
                Err(EnvError::invalid(name, &found, &expected))
            }
        }
    }

    /// Returns `true` or `false`, in any case, or the default.
    ///
    /// # Errors
    /// The variable is neither.
    pub fn flag(&self, name: &str, default: bool) -> Result<bool, EnvError> {
        match self.optional(name) {
            None => Ok(default),
            Some(text) if text.eq_ignore_ascii_case("true") => Ok(true),
            Some(text) if text.eq_ignore_ascii_case("false") => Ok(false),
            Some(found) => Err(EnvError::invalid(name, &found, "true or false")),
        }
    }

    /// Returns the items of a list that is separated by commas, trimmed and without empty ones.
    pub fn list(&self, name: &str) -> Vec<String> {
        let text = self.optional(name).unwrap_or_default();
        text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
    }

    /// Returns a duration that is given as a whole number of units, or the default.
    ///
    /// # Errors
    /// The variable is not a whole number.
    pub fn duration(&self, name: &str, unit: Unit, default: Duration) -> Result<Duration, EnvError> {
        let (seconds, expected) = match unit {
            Unit::Seconds => (1, "a whole number of seconds"),
            Unit::Minutes => (60, "a whole number of minutes"),
            Unit::Hours => (3600, "a whole number of hours"),
            Unit::Days => (86_400, "a whole number of days"),
        };
        match self.optional(name) {
            None => Ok(default),
            Some(_) => self
                .required_as::<u32>(name, expected)
                .map(|number| Duration::from_secs(u64::from(number) * seconds)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_the_variable_its_value_and_the_expected_value() {
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
    fn duration_is_a_whole_number_of_units() {
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
    fn empty_variable_counts_as_absent() {
        let source = |_: &str| Some(String::new());
        assert_eq!(Env::from(&source).optional("A"), None);
    }

    #[test]
    fn list_is_trimmed_and_without_empty_items() {
        let source = |name: &str| (name == "URLS").then(|| " a, b ,,c,".to_owned());
        let env = Env::from(&source);
        assert_eq!(env.list("URLS"), ["a", "b", "c"]);
        assert_eq!(env.list("MISSING"), [""; 0]);
    }

    #[test]
    fn flag_is_true_or_false_in_any_case() {
        let source = |name: &str| (name != "MISSING").then(|| name.to_owned());
        let env = Env::from(&source);
        for (name, value) in [("true", true), ("TRUE", true), ("False", false), ("MISSING", true)] {
            assert_eq!(env.flag(name, true).unwrap(), value);
        }
        assert_eq!(
            env.flag("yes", true).unwrap_err().to_string(),
            "environment variable yes is \"yes\", expected true or false"
        );
    }

    #[test]
    fn number_outside_its_bounds_is_rejected() {
        let source = |name: &str| (name != "MISSING").then(|| name.to_owned());
        let env = Env::from(&source);
        let read = |name| env.number(name, "a whole number of seconds", 1..=900_u32, 30);
        assert_eq!((read("1").unwrap(), read("900").unwrap(), read("MISSING").unwrap()), (1, 900, 30));
        for wrong in ["0", "901", "-1", "soon"] {
            assert_eq!(
                read(wrong).unwrap_err().to_string(),
                format!(
                    "environment variable {wrong} is \"{wrong}\", expected a whole number of seconds \
                     from 1 to 900"
                )
            );
        }
    }

    #[test]
    fn required_variable_is_parsed() {
        let source = |name: &str| (name == "PORT").then(|| "http".to_owned());
        let env = Env::from(&source);
        assert_eq!(
            env.required_as::<u16>("PORT", "a port").unwrap_err().to_string(),
            "environment variable PORT is \"http\", expected a port"
        );
        assert!(matches!(env.required_as::<u16>("MISSING", "a port"), Err(EnvError::Missing(_))));
    }
}
