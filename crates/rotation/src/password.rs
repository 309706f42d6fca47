//! What a new password may look like, and asking Secrets Manager for one.

use secrecy::{ExposeSecret, SecretString};

/// Why no password could be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// The configured length is not one that the engine takes.
    #[error(
        "a password of {length} characters was configured, {engine} takes {shortest} to {longest}; set PASSWORD_LENGTH accordingly"
    )]
    Length {
        /// Engine.
        engine: &'static str,
        /// As configured.
        length: u16,
        /// Shortest that the engine takes.
        shortest: u16,
        /// Longest.
        longest: u16,
    },
    /// What Secrets Manager made breaks a rule of the engine.
    #[error(
        "Secrets Manager made no password that {engine} accepts in {attempts} attempts: {rule}; exclude fewer characters"
    )]
    Unacceptable {
        /// Engine.
        engine: &'static str,
        /// Tries.
        attempts: u32,
        /// The rule that was broken last.
        rule: &'static str,
    },
}

/// The rules of an engine, narrowed by the function's configuration. The names of the overrides are those of AWS's own rotation
/// functions: `PASSWORD_LENGTH`, `EXCLUDE_CHARACTERS`, `EXCLUDE_PUNCTUATION`, `EXCLUDE_NUMBERS`, `EXCLUDE_UPPERCASE`,
/// `EXCLUDE_LOWERCASE`, `REQUIRE_EACH_INCLUDED_TYPE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasswordPolicy {
    /// Name of the engine in texts.
    pub engine: &'static str,
    /// Shortest and longest password that the engine takes, in characters.
    pub bounds: (u16, u16),
    /// Length of a new one.
    pub length: u16,
    /// Characters that the engine or its clients cannot take.
    pub exclude: String,
    /// Whether to leave out punctuation, digits, upper case, lower case.
    pub without: Without,
    /// Whether each kind that is not left out must occur.
    pub require_each_kind: bool,
}

/// Kinds of characters that are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Without {
    /// Punctuation.
    pub punctuation: bool,
    /// Digits.
    pub numbers: bool,
    /// A to Z.
    pub uppercase: bool,
    /// a to z.
    pub lowercase: bool,
}

impl PasswordPolicy {
    /// Whether the length is one that the engine takes.
    ///
    /// # Errors
    /// It is not.
    pub fn check_length(&self) -> Result<(), PasswordError> {
        let (shortest, longest) = self.bounds;
        if (shortest..=longest).contains(&self.length) {
            return Ok(());
        }
        Err(PasswordError::Length { engine: self.engine, length: self.length, shortest, longest })
    }

    /// The rule that a password breaks, if any.
    pub fn broken_rule(&self, password: &SecretString) -> Option<&'static str> {
        let text = password.expose_secret();
        let length = text.chars().count();
        if length < usize::from(self.bounds.0) || length > usize::from(self.bounds.1) {
            return Some("its length is not what the engine takes");
        }
        if text.chars().any(|c| !c.is_ascii_graphic()) {
            return Some("it holds a character that is not printable ASCII");
        }
        if text.chars().any(|c| self.exclude.contains(c)) {
            return Some("it holds an excluded character");
        }
        let occurs = |is_of_kind: fn(&char) -> bool| text.chars().any(|c| is_of_kind(&c));
        let kinds = [
            (self.without.punctuation, occurs(char::is_ascii_punctuation)),
            (self.without.numbers, occurs(char::is_ascii_digit)),
            (self.without.uppercase, occurs(char::is_ascii_uppercase)),
            (self.without.lowercase, occurs(char::is_ascii_lowercase)),
        ];
        for (left_out, occurs) in kinds {
            if left_out && occurs {
                return Some("it holds a kind of characters that is left out");
            }
            if !left_out && self.require_each_kind && !occurs {
                return Some("it lacks a kind of characters");
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> PasswordPolicy {
        PasswordPolicy {
            engine: "PostgreSQL",
            bounds: (8, 64),
            length: 32,
            exclude: "/@\"'\\:".into(),
            without: Without::default(),
            require_each_kind: true,
        }
    }

    #[test]
    fn each_rule_is_told() {
        let policy = policy();
        for (password, broken) in [
            ("Aa1!Aa1!", None),
            ("Aa1!", Some("its length is not what the engine takes")),
            ("Aa1!Aa1 !", Some("it holds a character that is not printable ASCII")),
            ("Aa1!Aa1é!", Some("it holds a character that is not printable ASCII")),
            ("Aa1!Aa1@", Some("it holds an excluded character")),
            ("Aa1Aa1Aa1", Some("it lacks a kind of characters")),
        ] {
            assert_eq!(policy.broken_rule(&password.into()), broken, "{password}");
        }
        let plain = PasswordPolicy { without: Without { punctuation: true, ..Without::default() }, ..policy };
        assert_eq!(
            plain.broken_rule(&"Aa1!Aa1!".into()),
            Some("it holds a kind of characters that is left out")
        );
        assert_eq!(plain.broken_rule(&"Aa1Aa1Aa1".into()), None);
    }

    #[test]
    fn a_length_that_the_engine_does_not_take_is_refused_with_the_bounds() {
        let text = PasswordPolicy { length: 100, ..policy() }.check_length().unwrap_err().to_string();
        assert!(text.contains("100 characters") && text.contains("8 to 64"), "{text}");
    }
}
