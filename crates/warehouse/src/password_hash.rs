//! The formats in which Redshift accepts a password that the client hashed.
//!
//! Anyone who has such a literal can log in with it: it is as secret as the password. Source:
//! "CREATE USER" of the Redshift database developer guide; it does not say that the salt is used as
//! bytes, not as text, which experience shows.

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

/// The format in which a new password is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PasswordHashFormat {
    /// The format in which the user's present password is stored, as far as the login that changes
    /// it shows this; otherwise md5. Clients that can log in now can log in later.
    #[default]
    AsBefore,
    /// `md5…`, with which every PostgreSQL client can log in.
    Md5,
    /// `sha256|…`: the login needs a digest that only AWS's own drivers know
    /// (mtxr/vscode-sqltools#1415).
    Sha256,
}

impl PasswordHashFormat {
    /// Returns the literal of a user's password. `digest` is true if the login that changes it
    /// needed a digest and was that user's own. `salt` returns random bytes, or `None` if the system
    /// has none; then the result is `None`, too.
    pub fn literal(
        self,
        user: &str,
        password: &SecretString,
        digest: bool,
        salt: impl FnOnce() -> Option<[u8; 32]>,
    ) -> Option<SecretString> {
        let bytes = password.expose_secret().as_bytes();
        match (self, digest) {
            (Self::Sha256, _) | (Self::AsBefore, true) => Some(sha256(bytes, &salt()?)),
            (Self::Md5, _) | (Self::AsBefore, false) => {
                Some(postgres_protocol::password::md5(bytes, user).into())
            }
        }
    }
}

fn sha256(password: &[u8], salt: &[u8; 32]) -> SecretString {
    let digest = Sha256::new().chain_update(password).chain_update(salt).finalize();
    format!("sha256|{}|{}", hex::encode(digest), hex::encode(salt)).into()
}

/// Returns a text of Redshift without any literal that it may repeat.
pub fn without_literals(text: &str) -> String {
    let is_part = |character: char| character.is_ascii_hexdigit() || character == '|';
    let mut left = text;
    let mut shown = String::new();
    while let Some(at) =
        ["md5", "sha256|"].iter().filter_map(|mark| Some(left.find(mark)? + mark.len())).min()
    {
        let (before, after) = left.split_at(at);
        let rest = after.trim_start_matches(is_part);
        shown.push_str(before);
        // A short one may be a word.
        if after.len() - rest.len() >= 16 {
            shown.push('…');
        } else {
            shown.push_str(&after[..after.len() - rest.len()]);
        }
        left = rest;
    }
    shown + left
}

#[cfg(test)]
mod tests {
    use super::*;

    fn literal(format: PasswordHashFormat, digest: bool) -> String {
        let salt = || Some(std::array::from_fn(|_| fastrand::u8(..)));
        let made = format.literal("user1", &"ez".into(), digest, salt);
        made.unwrap().expose_secret().to_owned()
    }

    #[test]
    fn literals_match_the_documentation() {
        assert_eq!(literal(PasswordHashFormat::Md5, true), "md5153c434b4b77c89e6b94f12c5393af5b");
        let mut salt = [0; 32];
        hex::decode_to_slice("c721bff5d9042cf541ff7b9d48fa8a6e545c19a763e3710151f9513038b0f6c6", &mut salt)
            .unwrap();
        assert_eq!(
            sha256(b"Mypassword1", &salt).expose_secret(),
            "sha256|821708135fcc42eb3afda85286dee0ed15c2c461d000291609f77eb113073ec2|c721bff5d9042cf541ff7b9d48fa8a6e545c19a763e3710151f9513038b0f6c6"
        );
    }

    #[test]
    fn literals_are_removed_from_texts() {
        for format in [PasswordHashFormat::Md5, PasswordHashFormat::Sha256] {
            let (one, two) = (literal(format, false), literal(format, true));
            let text = format!("syntax error at or near '{one}', md5 {two} or so");
            let shown = without_literals(&text);
            assert!(!shown.contains(&one[10..30]) && !shown.contains(&two[10..30]), "{shown}");
            assert!(
                shown.starts_with("syntax error at or near 'md5…'")
                    || shown.contains("'sha256|…', md5 sha256|… or so"),
                "{shown}"
            );
        }
        assert_eq!(without_literals("the md5 form is bad"), "the md5 form is bad");
    }

    #[test]
    fn default_format_is_that_of_the_present_password() {
        assert!(literal(PasswordHashFormat::AsBefore, false).starts_with("md5"));
        assert!(literal(PasswordHashFormat::AsBefore, true).starts_with("sha256|"));
        assert_ne!(
            literal(PasswordHashFormat::Sha256, false),
            literal(PasswordHashFormat::Sha256, false),
            "the salt is random"
        );
    }
}
