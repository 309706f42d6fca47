//! The server's side of SCRAM, written against RFC 5802 with other libraries than the client's.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256, Sha512};

/// The stored form of a password.
#[derive(Debug, Clone, PartialEq)]
pub struct Credential {
    pub mechanism: i8,
    pub salt: Vec<u8>,
    pub iterations: i32,
    stored_key: Vec<u8>,
    server_key: Vec<u8>,
}

impl Credential {
    pub fn of_password(mechanism: i8, password: &str) -> Self {
        let (salt, iterations) = (b"a salt of the model".to_vec(), 4096);
        let mut block = mac(mechanism, password.as_bytes(), &[&salt[..], &[0, 0, 0, 1]].concat());
        let mut salted = block.clone();
        for _ in 1..iterations {
            block = mac(mechanism, password.as_bytes(), &block);
            salted = xor(&salted, &block);
        }
        Self::of_salted(mechanism, salt, iterations, &salted)
    }

    pub fn of_salted(mechanism: i8, salt: Vec<u8>, iterations: i32, salted: &[u8]) -> Self {
        let stored_key = hash(mechanism, &mac(mechanism, salted, b"Client Key"));
        let server_key = mac(mechanism, salted, b"Server Key");
        Self { mechanism, salt, iterations, stored_key, server_key }
    }
}

pub fn mechanism_number(name: &str) -> Option<i8> {
    match name {
        "SCRAM-SHA-256" => Some(1),
        "SCRAM-SHA-512" => Some(2),
        _ => None,
    }
}

/// The user's name in a client's first message, and what follows the header.
pub fn client_first(message: &str) -> Option<(String, &str)> {
    let bare = message.strip_prefix("n,,")?;
    let name = bare.strip_prefix("n=")?.split(',').next()?;
    Some((name.replace("=2C", ",").replace("=3D", "="), bare))
}

pub struct Exchange {
    pub credential: Credential,
    pub client_first_bare: String,
    pub server_first: String,
}

impl Exchange {
    pub fn begin(credential: Credential, client_first_bare: &str) -> Option<Self> {
        let nonce = client_first_bare.split(",r=").nth(1)?;
        let (salt, iterations) = (BASE64.encode(&credential.salt), credential.iterations);
        let server_first = format!("r={nonce}server,s={salt},i={iterations}");
        Some(Self { credential, client_first_bare: client_first_bare.to_owned(), server_first })
    }

    /// The server's final message; `None` if the proof is wrong.
    pub fn end(&self, client_final: &str) -> Option<String> {
        let (without_proof, proof) = client_final.rsplit_once(",p=")?;
        let nonce = self.server_first.split(',').next()?;
        if without_proof != format!("c=biws,{nonce}") {
            return None;
        }
        let mechanism = self.credential.mechanism;
        let transcript = format!("{},{},{without_proof}", self.client_first_bare, self.server_first);
        let signature = mac(mechanism, &self.credential.stored_key, transcript.as_bytes());
        let client_key = xor(&BASE64.decode(proof).ok()?, &signature);
        if hash(mechanism, &client_key) != self.credential.stored_key {
            return None;
        }
        Some(format!(
            "v={}",
            BASE64.encode(mac(mechanism, &self.credential.server_key, transcript.as_bytes()))
        ))
    }
}

fn xor(a: &[u8], b: &[u8]) -> Vec<u8> {
    a.iter().zip(b).map(|(a, b)| a ^ b).collect()
}

fn hash(mechanism: i8, data: &[u8]) -> Vec<u8> {
    if mechanism == 1 { Sha256::digest(data).to_vec() } else { Sha512::digest(data).to_vec() }
}

fn mac(mechanism: i8, key: &[u8], data: &[u8]) -> Vec<u8> {
    if mechanism == 1 {
        Hmac::<Sha256>::new_from_slice(key).unwrap().chain_update(data).finalize().into_bytes().to_vec()
    } else {
        Hmac::<Sha512>::new_from_slice(key).unwrap().chain_update(data).finalize().into_bytes().to_vec()
    }
}
