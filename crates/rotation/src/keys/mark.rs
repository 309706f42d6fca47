//! What tells the keys that the rotation of one secret made from all others.

use sha2::{Digest, Sha256};

/// How a mark begins, whatever the secret.
const PREFIX: &str = "sluice-rotation/";
/// Hexadecimal digits of the secret's part: 128 bits.
const DIGITS: usize = 32;

/// The mark of one secret's keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark(String);

impl Mark {
    /// Of the secret with this ARN. A hash: providers bound the texts that they take, and an ARN tells an account.
    pub fn of(secret: &str) -> Self {
        let mut digits = hex::encode(Sha256::digest(secret.as_bytes()));
        digits.truncate(DIGITS);
        Self(format!("{PREFIX}{digits}/"))
    }

    /// What a key gets that is made by the rotation with this token.
    pub fn with(&self, token: &str) -> String {
        format!("{}{token}", self.0)
    }

    /// Whether a key's text says that it was made for this secret.
    pub fn is_in(&self, text: &str) -> bool {
        text.contains(&self.0)
    }

    /// Whether a key's text says that it was made for any secret.
    pub fn any_in(text: &str) -> bool {
        text.contains(PREFIX)
    }
}

/// The secret's name out of its ARN, without the six characters that Secrets Manager adds, for people.
pub fn secret_name(arn: &str) -> &str {
    let name = arn.rsplit_once(":secret:").map_or(arn, |(_, name)| name);
    match name.rsplit_once('-') {
        Some((name, suffix)) if suffix.len() == 6 && arn.starts_with("arn:") => name,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_found_by_its_own_secret_and_by_no_other() {
        let (one, other) = (Mark::of("arn:aws:secretsmanager:r:1:secret:a-AbCdEf"), Mark::of("arn:other"));
        let text = format!("do not edit: {}", one.with("token"));
        assert!(one.is_in(&text) && Mark::any_in(&text) && !other.is_in(&text));
        assert!(!one.is_in("made by hand") && !Mark::any_in("made by hand"));
        assert!(one.with(&"t".repeat(64)).len() < 128);
    }

    #[test]
    fn a_name_is_read_from_an_arn() {
        assert_eq!(secret_name("arn:aws:secretsmanager:r:1:secret:app/sr-key-AbCdEf"), "app/sr-key");
        assert_eq!(secret_name("arn:secret"), "arn:secret");
    }
}
