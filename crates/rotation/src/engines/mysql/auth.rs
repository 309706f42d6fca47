//! The client's proofs of a password to MySQL and MariaDB, and the hashes that MariaDB accepts
//! instead of a password.
//!
//! Sources: "Connection Phase" and "Caching_sha2_password information" of MySQL's source
//! documentation; "Connection" and "Authentication Plugin - ed25519" of MariaDB's documentation.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use curve25519_dalek::EdwardsPoint;
use curve25519_dalek::scalar::{Scalar, clamp_integer};
use ring::digest::{self, SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA512};
use secrecy::{ExposeSecret, SecretString};

/// An authentication method. The server chooses it for each account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    /// SHA-1 twice. The default of MariaDB, and of MySQL until 8.0.
    Native,
    /// SHA-256 from the server's cache, or the password itself inside TLS. The default of MySQL
    /// since 8.0.
    CachingSha2,
    /// The password itself inside TLS.
    Sha256,
    /// MariaDB's signature over Curve25519.
    Ed25519,
}

impl Method {
    /// Returns the method with a name in a server's packet; `None` for one that this client does
    /// not support, such as `mysql_clear_password`, with which servers forward passwords.
    pub(super) fn of_client(plugin: &str) -> Option<Self> {
        match plugin {
            "mysql_native_password" => Some(Self::Native),
            "caching_sha2_password" => Some(Self::CachingSha2),
            "sha256_password" => Some(Self::Sha256),
            "client_ed25519" => Some(Self::Ed25519),
            _ => None,
        }
    }

    /// Returns the name in a packet.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Native => "mysql_native_password",
            Self::CachingSha2 => "caching_sha2_password",
            Self::Sha256 => "sha256_password",
            Self::Ed25519 => "client_ed25519",
        }
    }

    /// Returns the proof of a password for the server's random bytes. The connection must already
    /// use TLS.
    pub(super) fn proof(self, password: &SecretString, nonce: &[u8]) -> Vec<u8> {
        let password = password.expose_secret().as_bytes();
        match self {
            Self::Native => {
                let once = sha1(&[password]);
                let sent = sha1(&[nonce, &sha1(&[&once])]);
                exclusive_or(&once, &sent)
            }
            Self::CachingSha2 => {
                let once = sha256(&[password]);
                let sent = sha256(&[&sha256(&[&once]), nonce]);
                exclusive_or(&once, &sent)
            }
            Self::Sha256 => clear(password),
            Self::Ed25519 => KeyPair::from(password).sign(nonce),
        }
    }
}

/// Returns the password itself in the form of the protocol.
pub(super) fn clear(password: &[u8]) -> Vec<u8> {
    [password, &[0]].concat()
}

/// Returns the hash of a password that MariaDB stores for an account's plugin; `None` for other
/// plugins.
///
/// No login is possible with such a hash: a native hash is the SHA-1 of the proof, an ed25519 hash
/// is a public key.
pub(super) fn stored_hash(plugin: &str, password: &SecretString) -> Option<SecretString> {
    let password = password.expose_secret().as_bytes();
    match plugin {
        "mysql_native_password" => {
            let hash = hex::encode_upper(sha1(&[&sha1(&[password])]));
            Some(format!("*{hash}").into())
        }
        "ed25519" => Some(STANDARD_NO_PAD.encode(KeyPair::from(password).public).into()),
        _ => None,
    }
}

/// A key pair made of a password. In RFC 8032 the seed has 32 bytes; MariaDB uses a password of any
/// length.
struct KeyPair {
    secret: Scalar,
    prefix: [u8; 32],
    public: [u8; 32],
}

impl KeyPair {
    fn from(password: &[u8]) -> Self {
        let (mut secret, mut prefix) = ([0; 32], [0; 32]);
        let expanded = digest::digest(&SHA512, password);
        let (left, right) = expanded.as_ref().split_at(32);
        secret.copy_from_slice(left);
        prefix.copy_from_slice(right);
        let public = EdwardsPoint::mul_base_clamped(secret).compress().to_bytes();
        Self { secret: Scalar::from_bytes_mod_order(clamp_integer(secret)), prefix, public }
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let nonce = scalar(&[&self.prefix, message]);
        let point = EdwardsPoint::mul_base(&nonce).compress().to_bytes();
        let challenge = scalar(&[&point, &self.public, message]);
        let answer = challenge * self.secret + nonce;
        [point, answer.to_bytes()].concat()
    }
}

fn scalar(parts: &[&[u8]]) -> Scalar {
    let mut wide = [0; 64];
    wide.copy_from_slice(&hash(&SHA512, parts));
    Scalar::from_bytes_mod_order_wide(&wide)
}

fn sha1(parts: &[&[u8]]) -> Vec<u8> {
    hash(&SHA1_FOR_LEGACY_USE_ONLY, parts)
}

fn sha256(parts: &[&[u8]]) -> Vec<u8> {
    hash(&SHA256, parts)
}

fn hash(algorithm: &'static digest::Algorithm, parts: &[&[u8]]) -> Vec<u8> {
    let mut context = digest::Context::new(algorithm);
    for part in parts {
        context.update(part);
    }
    context.finish().as_ref().to_vec()
}

fn exclusive_or(left: &[u8], right: &[u8]) -> Vec<u8> {
    left.iter().zip(right).map(|(left, right)| left ^ right).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_match_those_of_mariadb() {
        // The hashes that `CREATE USER … USING PASSWORD('first-pw-1')` of MariaDB 10.11 stored.
        let hash =
            |plugin| stored_hash(plugin, &"first-pw-1".into()).map(|hash| hash.expose_secret().to_owned());
        assert_eq!(
            hash("mysql_native_password").as_deref(),
            Some("*E65088080B678A995DB5752D672C66F8AD63077F")
        );
        assert_eq!(hash("ed25519").as_deref(), Some("Gs1/g1MPc7rsolpEnvBuElxZ9DVLoRLQg/9B6La2IYI"));
        assert_eq!(hash("unix_socket"), None);
    }

    #[test]
    fn signature_matches_rfc_8032_for_a_seed_of_32_bytes() {
        // The password of RFC 8032's second test is not text; ring makes the same signature for any
        // 32 bytes.
        let password = "0123456789abcdef0123456789ABCDEF";
        let pair = ring::signature::Ed25519KeyPair::from_seed_unchecked(password.as_bytes()).unwrap();
        let nonce = [7_u8; 32];
        assert_eq!(Method::Ed25519.proof(&password.into(), &nonce), pair.sign(&nonce).as_ref());
    }
}
