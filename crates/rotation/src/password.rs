//! The policy for new passwords.

use secrecy::{ExposeSecret, SecretString};

/// An unsatisfiable password policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// The engine does not accept the configured length.
    #[error(
        "a password of {length} characters is configured, and {engine} accepts {shortest} to \
         {longest}; change PASSWORD_LENGTH"
    )]
    Length {
        /// The engine.
        engine: &'static str,
        /// The configured length.
        length: u16,
        /// The shortest length that the engine accepts.
        shortest: u16,
        /// The longest length.
        longest: u16,
    },
    /// The generated passwords break a rule of the engine.
    #[error(
        "Secrets Manager generated no password that {engine} accepts in {attempts} attempts: {rule}; \
         exclude fewer characters"
    )]
    Unacceptable {
        /// The engine.
        engine: &'static str,
        /// The number of attempts.
        attempts: u32,
        /// The rule that the last password broke.
        rule: &'static str,
    },
}

/// The rules of an engine for passwords, narrowed by the function's configuration.
///
/// The overrides have the names that AWS's own rotation functions use: `PASSWORD_LENGTH`,
/// `EXCLUDE_CHARACTERS`, `EXCLUDE_PUNCTUATION`, `EXCLUDE_NUMBERS`, `EXCLUDE_UPPERCASE`,
/// `EXCLUDE_LOWERCASE`, `REQUIRE_EACH_INCLUDED_TYPE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasswordPolicy {
    /// The engine's name, for texts.
    pub engine: &'static str,
    /// The shortest and the longest password that the engine accepts, in characters.
    pub bounds: (u16, u16),
    /// The length of a new password.
    pub length: u16,
    /// The characters that the engine or its clients do not accept.
    pub exclude: String,
    /// The kinds of characters that are left out.
    pub excluded_kinds: ExcludedKinds,
    /// Requires each kind that is not left out.
    pub require_each_kind: bool,
}

/// The kinds of characters that a password does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ExcludedKinds {
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
    /// Checks that the engine accepts the configured length.
    ///
    /// # Errors
    /// The engine does not accept it.
    pub fn check_length(&self) -> Result<(), PasswordError> {
        let (shortest, longest) = self.bounds;
        if (shortest..=longest).contains(&self.length) {
            return Ok(());
        }
        Err(PasswordError::Length { engine: self.engine, length: self.length, shortest, longest })
    }

    /// Returns the rule that a password breaks, if any.
    pub fn broken_rule(&self, password: &SecretString) -> Option<&'static str> {
        let text = password.expose_secret();
        let length = text.chars().count();
        if length < usize::from(self.bounds.0) || length > usize::from(self.bounds.1) {
            return Some("its length is outside the engine's limits");
        }
        if text.chars().any(|c| !c.is_ascii_graphic()) {
            return Some("it has a character that is not printable ASCII");
        }
        if text.chars().any(|c| self.exclude.contains(c)) {
            return Some("it has an excluded character");
        }
        let occurs = |is_of_kind: fn(&char) -> bool| text.chars().any(|c| is_of_kind(&c));
        let kinds = [
            (self.excluded_kinds.punctuation, occurs(char::is_ascii_punctuation)),
            (self.excluded_kinds.numbers, occurs(char::is_ascii_digit)),
            (self.excluded_kinds.uppercase, occurs(char::is_ascii_uppercase)),
            (self.excluded_kinds.lowercase, occurs(char::is_ascii_lowercase)),
        ];
        for (excluded, occurs) in kinds {
            if excluded && occurs {
                return Some("it has an excluded kind of characters");
            }
            if !excluded && self.require_each_kind && !occurs {
                return Some("it lacks a required kind of characters");
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
            excluded_kinds: ExcludedKinds::default(),
            require_each_kind: true,
        }
    }

    #[test]
    fn broken_rule_is_named() {
        let policy = policy();
        for (password, broken) in [
            ("Aa1!Aa1!", None),
            ("Aa1!", Some("its length is outside the engine's limits")),
            ("Aa1!Aa1 !", Some("it has a character that is not printable ASCII")),
            ("Aa1!Aa1é!", Some("it has a character that is not printable ASCII")),
            ("Aa1!Aa1@", Some("it has an excluded character")),
            ("Aa1Aa1Aa1", Some("it lacks a required kind of characters")),
        ] {
            assert_eq!(policy.broken_rule(&password.into()), broken, "{password}");
        }
        let plain = PasswordPolicy {
            excluded_kinds: ExcludedKinds { punctuation: true, ..ExcludedKinds::default() },
            ..policy
        };
        assert_eq!(plain.broken_rule(&"Aa1!Aa1!".into()), Some("it has an excluded kind of characters"));
        assert_eq!(plain.broken_rule(&"Aa1Aa1Aa1".into()), None);
    }

    #[test]
    fn length_outside_the_bounds_is_rejected() {
        let text = PasswordPolicy { length: 100, ..policy() }.check_length().unwrap_err().to_string();
        assert!(text.contains("100 characters") && text.contains("8 to 64"), "{text}");
    }
}
