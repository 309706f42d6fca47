//! The proof that a pending value was created by this function.
//!
//! Whoever may write a secret, but not read it, can store a value under AWSPENDING before a
//! rotation does (PutSecretValue with VersionStages). A rotation that took such a value would give
//! the account a password that its writer knows. Therefore `createSecret` adds a MAC with the value
//! of AWSCURRENT as the key, and every later use of the pending value checks it.
//!
//! A second MAC has the value of AWSPREVIOUS as the key. It is checked where the server rejects
//! AWSCURRENT and a password is changed with AWSPREVIOUS: then AWSCURRENT may be a value that the
//! same writer stored, and proves nothing.
//!
//! HMAC: RFC 2104. Every part has its length before it, so that no two inputs are the same text.

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use crate::document::{DocumentError, MAC_KEY, SecretDocument};
use crate::error::RotationError;
use crate::invocation::Invocation;
use crate::rotator::{CredentialRotator, ParsedValue};
use crate::versions::{CURRENT, PENDING, Versions};

/// The first part of every input: another use of the same key has another one.
const CONTEXT: &str = "sluice pending value 1";
/// The separator of the two MACs.
const SEPARATOR: char = '.';

/// The rotation that a pending value belongs to.
#[derive(Debug, Clone, Copy)]
pub struct PendingMac<'a> {
    /// The secret's ARN.
    pub secret_id: &'a str,
    /// The id of the pending version.
    pub token: &'a str,
}

/// The values that a pending value is created from: what a writer who cannot read does not know.
#[derive(Clone)]
pub struct SigningKeys {
    /// The value of AWSCURRENT.
    pub current: SecretString,
    /// The value of AWSPREVIOUS, if there is one.
    pub previous: Option<SecretString>,
}

impl PendingMac<'_> {
    /// Returns the value with its MACs.
    pub fn sign(&self, next: &SecretDocument, keys: &SigningKeys) -> SecretDocument {
        let next = next.without(MAC_KEY);
        // As it is read again: a number of many digits may be read as its neighbor.
        let read = SecretDocument::parse(&next.to_secret_string()).unwrap_or_else(|_| next.clone());
        let with = |key| hex::encode(self.mac(key, &read).finalize().into_bytes());
        let mut text = with(&keys.current);
        if let Some(previous) = &keys.previous {
            text.push(SEPARATOR);
            text.push_str(&with(previous));
        }
        next.with_text(MAC_KEY, &text)
    }

    /// Returns true if the value has a MAC with the value of AWSCURRENT as the key.
    pub fn is_signed_with_current(&self, pending: &SecretDocument, current: &SecretString) -> bool {
        self.verifies(pending, current, 0)
    }

    /// Returns true if the value has a MAC with the value of AWSPREVIOUS as the key.
    pub fn is_signed_with_previous(&self, pending: &SecretDocument, previous: &SecretString) -> bool {
        self.verifies(pending, previous, 1)
    }

    fn verifies(&self, pending: &SecretDocument, key: &SecretString, position: usize) -> bool {
        let found = pending.optional_text(MAC_KEY).ok().flatten().unwrap_or_default();
        let found = found.split(SEPARATOR).nth(position).and_then(|text| hex::decode(text).ok());
        let expected = self.mac(key, &pending.without(MAC_KEY));
        // The comparison takes the same time wherever they differ.
        found.is_some_and(|found| expected.verify_slice(&found).is_ok())
    }

    /// Returns the first 128 bits of the MAC of a value.
    #[cfg(feature = "msk")]
    pub(crate) fn bits(&self, key: &SecretString, value: &SecretDocument) -> u128 {
        let bytes = self.mac(key, value).finalize().into_bytes();
        bytes.iter().take(16).fold(0, |bits, byte| bits << 8 | u128::from(*byte))
    }

    fn mac(&self, key: &SecretString, value: &SecretDocument) -> Hmac<Sha256> {
        // A key that is longer than a block is hashed (RFC 2104); here every key is.
        let mut block = [0; 64];
        block[..32].copy_from_slice(&Sha256::digest(key.expose_secret().as_bytes()));
        let mut mac = Hmac::<Sha256>::new(&block.into());
        let value = value.to_secret_string();
        for part in [CONTEXT, self.secret_id, self.token, value.expose_secret()] {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part.as_bytes());
        }
        mac
    }
}

/// A pending value whose proof is missing or wrong.
pub struct Unproven<'a, C> {
    /// The value of AWSCURRENT.
    pub current: &'a SecretDocument,
    /// The pending value.
    pub pending: &'a ParsedValue<C>,
}

/// Returns the pending value, or `None` if it has none yet.
///
/// # Errors
/// The value was not created by this function, or is invalid.
pub(crate) async fn checked<V: Versions, R: CredentialRotator>(
    rotator: &R,
    at: &Invocation<'_, V>,
    token: &str,
) -> Result<Option<CheckedValue<R::Credential>>, RotationError> {
    let Some(document) = at.pending(token).await? else { return Ok(None) };
    let current_text = at.current_text().await?;
    let invalid = |label| move |source: DocumentError| RotationError::InvalidSecretValue { label, source };
    let current = SecretDocument::parse(&current_text).map_err(invalid(CURRENT))?;
    let mac = PendingMac { secret_id: at.secret_id, token };
    let is_signed = rotator.is_signed(mac, &document, &current_text);
    let not_created_here =
        || RotationError::PendingNotCreatedHere { secret: at.secret_id.to_owned(), token: token.to_owned() };
    let credential = match rotator.parse(&document) {
        Ok(credential) => credential,
        Err(_) if !is_signed => return Err(not_created_here()),
        Err(source) => return Err(invalid(PENDING)(source)),
    };
    let pending = ParsedValue { document, credential };
    if !is_signed {
        if !rotator.is_in_use(at, &Unproven { current: &current, pending: &pending }).await? {
            return Err(not_created_here());
        }
        tracing::warn!(
            secret = at.secret_id,
            version = token,
            "the pending value has no proof of this function, and the server accepts it already: the \
             function was updated, or AWSCURRENT was edited, during the rotation"
        );
    }
    Ok(Some(CheckedValue { current, pending }))
}

/// A pending value that a rotation may use, and the value of AWSCURRENT beside it.
pub struct CheckedValue<C> {
    /// The value of AWSCURRENT.
    pub current: SecretDocument,
    /// The pending value.
    pub pending: ParsedValue<C>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MAC: PendingMac<'_> = PendingMac { secret_id: "arn:s", token: "t" };

    fn document(text: &str) -> SecretDocument {
        SecretDocument::parse(&text.into()).unwrap()
    }

    fn keys() -> SigningKeys {
        SigningKeys { current: "current".into(), previous: Some("previous".into()) }
    }

    #[test]
    fn mac_belongs_to_secret_token_value_and_key() {
        let signed = MAC.sign(&document(r#"{"username":"u","password":"p"}"#), &keys());
        assert!(MAC.is_signed_with_current(&signed, &"current".into()));
        assert!(MAC.is_signed_with_previous(&signed, &"previous".into()));
        for (secret_id, token) in [("arn:other", "t"), ("arn:s", "u"), ("arn:st", ""), ("arn:", "st")] {
            assert!(!PendingMac { secret_id, token }.is_signed_with_current(&signed, &"current".into()));
        }
        for key in ["previous", "curren", "current "] {
            assert!(!MAC.is_signed_with_current(&signed, &key.into()), "{key}");
        }
        for (key, value) in [("password", "q"), ("username", "v"), ("host", "h"), (MAC_KEY, "")] {
            assert!(!MAC.is_signed_with_current(&signed.with_text(key, value), &"current".into()), "{key}");
        }
        assert!(!MAC.is_signed_with_current(&signed.without("username"), &"current".into()));
        assert!(!MAC.is_signed_with_current(&signed.without(MAC_KEY), &"current".into()));
    }

    #[test]
    fn number_that_is_read_as_its_neighbor_verifies() {
        let signed = MAC.sign(&document(r#"{"password":"p","n":-7.368361239765089e-277}"#), &keys());
        let stored = SecretDocument::parse(&signed.to_secret_string()).unwrap();
        assert!(MAC.is_signed_with_current(&stored, &"current".into()));
    }

    #[test]
    fn mac_of_an_earlier_rotation_is_replaced() {
        let first = MAC.sign(&document(r#"{"password":"p"}"#), &keys());
        let alone = SigningKeys { previous: None, ..keys() };
        let second = PendingMac { token: "u", ..MAC }.sign(&first, &alone);
        assert_eq!(second.keys().count(), 2);
        assert!(PendingMac { token: "u", ..MAC }.is_signed_with_current(&second, &"current".into()));
        // No key is "none": without AWSPREVIOUS there is no second MAC.
        assert!(!PendingMac { token: "u", ..MAC }.is_signed_with_previous(&second, &"".into()));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn stored_value_of_any_content_verifies(map in proptest::collection::btree_map("[a-z_]{1,6}", any::<f64>(), 0..6), text in "\\PC{0,20}") {
            let mut value: serde_json::Map<String, serde_json::Value> =
                map.into_iter().map(|(key, number)| (key, number.into())).collect();
            value.insert("password".into(), text.into());
            let signed = MAC.sign(&document(&serde_json::Value::Object(value).to_string()), &keys());
            let stored = SecretDocument::parse(&signed.to_secret_string()).unwrap();
            prop_assert!(MAC.is_signed_with_current(&stored, &"current".into()));
            prop_assert!(!MAC.is_signed_with_current(&stored, &"other".into()));
        }
    }
}
