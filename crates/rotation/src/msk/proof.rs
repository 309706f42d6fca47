//! The proof of a pending value of Amazon MSK, whose secrets may have no other keys than `username`
//! and `password`: the end of the password is a MAC of the rest.
//!
//! Without it, a value that somebody plants under AWSPENDING would be promoted and become the
//! password of every broker. Brokers know AWSCURRENT only, so that none can say whether a pending
//! password is in use, and a value without the proof is always rejected: no client uses it yet.

use secrecy::{ExposeSecret, SecretString};

use crate::document::SecretDocument;
use crate::password::PasswordPolicy;
use crate::pending::{PendingMac, SigningKeys};

/// The characters of a MAC: those of the policy, without punctuation if there are others.
fn alphabet(policy: &PasswordPolicy) -> Vec<char> {
    let allowed = |c: &char| {
        let PasswordPolicy { excluded_kinds: kinds, exclude, .. } = policy;
        let excluded = (kinds.numbers && c.is_ascii_digit())
            || (kinds.uppercase && c.is_ascii_uppercase())
            || (kinds.lowercase && c.is_ascii_lowercase())
            || (kinds.punctuation && c.is_ascii_punctuation());
        !excluded && !exclude.contains(*c)
    };
    let of = |wanted: fn(&char) -> bool| ('!'..='~').filter(wanted).filter(allowed).collect::<Vec<_>>();
    let words = of(char::is_ascii_alphanumeric);
    if words.len() > 1 { words } else { of(char::is_ascii_graphic) }
}

/// Returns 128 bits of the MAC of a value in the characters of the policy, always of the same
/// length.
fn mac_text(
    mac: PendingMac<'_>,
    key: &SecretString,
    value: &SecretDocument,
    policy: &PasswordPolicy,
) -> String {
    let alphabet = alphabet(policy);
    let base = alphabet.len().max(2) as u128;
    let mut rest = mac.bits(key, value);
    let (mut text, mut left) = (String::new(), u128::MAX);
    while left > 0 {
        text.extend(usize::try_from(rest % base).ok().and_then(|digit| alphabet.get(digit)));
        (rest, left) = (rest / base, left / base);
    }
    text
}

/// Returns the value with the MAC behind its password.
pub(super) fn sign(
    mac: PendingMac<'_>,
    next: &SecretDocument,
    keys: &SigningKeys,
    policy: &PasswordPolicy,
) -> SecretDocument {
    let password = next.optional_text("password").ok().flatten().unwrap_or_default();
    next.with_text("password", &format!("{password}{}", mac_text(mac, &keys.current, next, policy)))
}

/// Returns true if the password ends with the MAC of the rest.
pub(super) fn is_signed(
    mac: PendingMac<'_>,
    pending: &SecretDocument,
    current: &SecretString,
    policy: &PasswordPolicy,
) -> bool {
    let length = mac_text(mac, current, pending, policy).len();
    let Ok(password) = pending.password() else { return false };
    let password = password.expose_secret();
    let split = password.len().checked_sub(length).and_then(|at| password.split_at_checked(at));
    let Some((random, found)) = split.filter(|(random, _)| !random.is_empty()) else { return false };
    let expected = mac_text(mac, current, &pending.with_text("password", random), policy);
    // The comparison takes the same time wherever they differ.
    let differences = expected.bytes().zip(found.bytes()).fold(0, |all, (one, other)| all | (one ^ other));
    expected.len() == found.len() && differences == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::msk::default_policy;
    use crate::password::ExcludedKinds;

    const MAC: PendingMac<'_> = PendingMac { secret_id: "arn:s", token: "t" };

    fn keys() -> SigningKeys {
        SigningKeys { current: "current".into(), previous: None }
    }

    fn value(password: &str) -> SecretDocument {
        let text = serde_json::json!({"username": "u", "password": password}).to_string();
        SecretDocument::parse(&text.into()).unwrap()
    }

    #[test]
    fn password_ends_with_a_mac_in_the_characters_of_the_policy() {
        let only_digits =
            ExcludedKinds { punctuation: true, uppercase: true, lowercase: true, numbers: false };
        let only_punctuation =
            ExcludedKinds { punctuation: false, uppercase: true, lowercase: true, numbers: true };
        for (excluded_kinds, length) in
            [(ExcludedKinds::default(), 22), (only_digits, 39), (only_punctuation, 27)]
        {
            let policy = PasswordPolicy { excluded_kinds, require_each_kind: false, ..default_policy() };
            let signed = sign(MAC, &value("0-random"), &keys(), &policy);
            let password = signed.text("password").unwrap();
            let (random, mac) = password.split_at(8);
            assert_eq!((random, mac.len(), signed.keys().count()), ("0-random", length, 2), "{mac}");
            assert_eq!(policy.broken_rule(&mac.into()), None, "{mac}");
            assert!(is_signed(MAC, &signed, &"current".into(), &policy));
            assert!(!is_signed(MAC, &signed, &"other".into(), &policy));
            assert!(!is_signed(PendingMac { token: "u", ..MAC }, &signed, &"current".into(), &policy));
            assert!(!is_signed(MAC, &signed.with_text("username", "v"), &"current".into(), &policy));
            for planted in [mac.to_owned(), format!("1-random{mac}"), "x".to_owned(), "é".repeat(20)] {
                assert!(!is_signed(MAC, &value(&planted), &"current".into(), &policy), "{planted}");
            }
        }
    }
}
