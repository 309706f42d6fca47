//! The mark that identifies the keys that rotations of one secret created.

use sha2::{Digest, Sha256};

/// The prefix of every mark.
const PREFIX: &str = "sluice-rotation/";
/// The hexadecimal digits for the secret: 128 bits.
const DIGITS: usize = 32;

/// The mark of one secret's keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark(String);

impl Mark {
    /// Creates the mark for a secret's ARN. It holds a hash: providers limit the length of texts,
    /// and an ARN names an account.
    pub fn of(secret: &str) -> Self {
        let mut digits = hex::encode(Sha256::digest(secret.as_bytes()));
        digits.truncate(DIGITS);
        Self(format!("{PREFIX}{digits}/"))
    }

    /// Returns the text for a key that the rotation with this token creates.
    pub fn with(&self, token: &str) -> String {
        format!("{}{token}", self.0)
    }

    /// Returns true if a key's text has the mark of this secret.
    pub fn is_in(&self, text: &str) -> bool {
        text.contains(&self.0)
    }

    /// Returns true if a key's text has the mark of any secret.
    pub fn any_in(text: &str) -> bool {
        text.contains(PREFIX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mark_is_found_by_its_own_secret_only() {
        let (one, other) = (Mark::of("arn:aws:secretsmanager:r:1:secret:a-AbCdEf"), Mark::of("arn:other"));
        let text = format!("do not edit: {}", one.with("token"));
        assert!(one.is_in(&text) && Mark::any_in(&text) && !other.is_in(&text));
        assert!(!one.is_in("made by hand") && !Mark::any_in("made by hand"));
        assert!(one.with(&"t".repeat(64)).len() < 128);
    }
}
