//! The client side of SCRAM: RFC 5802 with SHA-256 (RFC 7677) and SHA-512, without channel binding,
//! as Kafka's brokers support it.
//!
//! Both sides prove that they know the credential: a server with a wrong signature is an error. As
//! in Kafka's own clients, a password is its UTF-8 bytes, not prepared with SASLprep; for the ASCII
//! passwords that are made here, the two are the same.

use std::num::NonZeroU32;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::{digest, hmac, pbkdf2};
use secrecy::zeroize::Zeroizing;

/// The accepted iterations. Fewer are weak (RFC 7677); more than Kafka accepts for a credential
/// would only keep the function busy.
pub(crate) const ITERATIONS: std::ops::RangeInclusive<u32> = 4096..=16_384;

/// The two mechanisms of Kafka.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Mechanism {
    /// SCRAM-SHA-256.
    Sha256,
    /// SCRAM-SHA-512.
    Sha512,
}

impl Mechanism {
    /// Both mechanisms.
    pub(crate) const ALL: [Self; 2] = [Self::Sha256, Self::Sha512];

    /// Returns the name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "SCRAM-SHA-256",
            Self::Sha512 => "SCRAM-SHA-512",
        }
    }

    /// Returns the mechanism with a name.
    pub(crate) fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mechanism| mechanism.name() == name)
    }

    /// Returns the number in Kafka's messages (KIP-554).
    pub(crate) fn number(self) -> i8 {
        match self {
            Self::Sha256 => 1,
            Self::Sha512 => 2,
        }
    }

    fn hash(self) -> &'static digest::Algorithm {
        match self {
            Self::Sha256 => &digest::SHA256,
            Self::Sha512 => &digest::SHA512,
        }
    }

    fn hmac(self) -> hmac::Algorithm {
        match self {
            Self::Sha256 => hmac::HMAC_SHA256,
            Self::Sha512 => hmac::HMAC_SHA512,
        }
    }

    /// Returns `SaltedPassword`, which is as secret as the password.
    pub(crate) fn salted_password(
        self,
        password: &str,
        salt: &[u8],
        iterations: NonZeroU32,
    ) -> Zeroizing<Vec<u8>> {
        let algorithm = match self {
            Self::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
            Self::Sha512 => pbkdf2::PBKDF2_HMAC_SHA512,
        };
        let mut salted = Zeroizing::new(vec![0; self.hash().output_len()]);
        pbkdf2::derive(algorithm, iterations, salt, password.as_bytes(), &mut salted);
        salted
    }
}

/// An error of the exchange, without a verdict on the password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ScramError {
    /// The message is invalid.
    #[error("its SCRAM message has no valid `{0}`")]
    Malformed(&'static str),
    /// The nonce does not start with ours.
    #[error("its SCRAM nonce does not start with ours: the response is for another client")]
    OtherNonce,
    /// Too few or too many iterations.
    #[error("it requires {0} iterations, expected {least} to {most}", least = ITERATIONS.start(), most = ITERATIONS.end())]
    Iterations(u32),
    /// The server does not know the credential.
    #[error("its SCRAM signature is wrong: it does not know the credential, so it may not be the broker")]
    WrongSignature,
    /// An error of the server, other than a wrong proof.
    #[error("its SCRAM error is `{0}`")]
    Server(String),
}

/// The result of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Both sides know the credential.
    Proven,
    /// The password is wrong, or the user does not exist.
    Refused,
}

/// An exchange whose first message is ready.
pub(crate) struct Begun {
    mechanism: Mechanism,
    bare: String,
    nonce: String,
}

/// An exchange that waits for the server's signature.
pub(crate) struct Answered {
    server_key: hmac::Key,
    transcript: String,
}

/// No channel binding and no other identity, the only header that Kafka's brokers accept.
const GS2_HEADER: &str = "n,,";

impl Begun {
    /// Starts an exchange for a user. The nonce must be unpredictable printable ASCII without
    /// commas.
    pub(crate) fn new(mechanism: Mechanism, user: &str, nonce: String) -> Self {
        Self { mechanism, bare: format!("n={},r={nonce}", escaped(user)), nonce }
    }

    /// Returns the client's first message.
    pub(crate) fn message(&self) -> String {
        format!("{GS2_HEADER}{}", self.bare)
    }

    /// Returns the client's final message.
    ///
    /// # Errors
    /// The server's first message is invalid.
    pub(crate) fn answer(
        self,
        password: &str,
        server_first: &[u8],
    ) -> Result<(Zeroizing<String>, Answered), ScramError> {
        let first = ServerFirst::read(server_first)?;
        if first.nonce.len() <= self.nonce.len() || !first.nonce.starts_with(&self.nonce) {
            return Err(ScramError::OtherNonce);
        }
        let iterations = NonZeroU32::new(first.iterations).filter(|found| ITERATIONS.contains(&found.get()));
        let iterations = iterations.ok_or(ScramError::Iterations(first.iterations))?;
        let salted = self.mechanism.salted_password(password, &first.salt, iterations);
        let salted = hmac::Key::new(self.mechanism.hmac(), &salted);
        let client_key = hmac::sign(&salted, b"Client Key");
        let stored_key = digest::digest(self.mechanism.hash(), client_key.as_ref());
        let server_key = hmac::Key::new(self.mechanism.hmac(), hmac::sign(&salted, b"Server Key").as_ref());

        let without_proof = format!("c={},r={}", BASE64.encode(GS2_HEADER), first.nonce);
        let transcript = format!("{},{},{without_proof}", self.bare, first.text);
        let stored_key = hmac::Key::new(self.mechanism.hmac(), stored_key.as_ref());
        let signature = hmac::sign(&stored_key, transcript.as_bytes());
        let proof: Zeroizing<Vec<u8>> = Zeroizing::new(
            client_key.as_ref().iter().zip(signature.as_ref()).map(|(key, sign)| key ^ sign).collect(),
        );
        let message = Zeroizing::new(format!("{without_proof},p={}", BASE64.encode(&*proof)));
        Ok((message, Answered { server_key, transcript }))
    }
}

impl Answered {
    /// Evaluates the server's final message. Its signature is compared in constant time.
    ///
    /// # Errors
    /// There is no verdict, or the server cannot prove that it knows the credential.
    pub(crate) fn verdict(&self, server_final: &[u8]) -> Result<Verdict, ScramError> {
        match ServerFinal::read(server_final)? {
            ServerFinal::Error("invalid-proof" | "unknown-user") => Ok(Verdict::Refused),
            ServerFinal::Error(error) => {
                Err(ScramError::Server(error.chars().filter(char::is_ascii_graphic).take(60).collect()))
            }
            ServerFinal::Signature(signature) => {
                hmac::verify(&self.server_key, self.transcript.as_bytes(), &signature)
                    .map(|()| Verdict::Proven)
                    .map_err(|_| ScramError::WrongSignature)
            }
        }
    }
}

/// The server's first message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ServerFirst<'a> {
    text: &'a str,
    nonce: &'a str,
    salt: Vec<u8>,
    iterations: u32,
}

impl<'a> ServerFirst<'a> {
    /// Parses `r=NONCE,s=SALT,i=ITERATIONS` and optional extensions. A mandatory extension (`m=`)
    /// is in the place of the nonce.
    ///
    /// # Errors
    /// The message is invalid.
    pub(crate) fn read(message: &'a [u8]) -> Result<Self, ScramError> {
        let text = std::str::from_utf8(message).map_err(|_| ScramError::Malformed("text"))?;
        let mut fields = text.split(',');
        let mut field = |prefix: &str, what| {
            let found = fields.next().and_then(|field| field.strip_prefix(prefix));
            found.filter(|value| !value.is_empty()).ok_or(ScramError::Malformed(what))
        };
        let nonce = field("r=", "r")?;
        let salt = field("s=", "s")?;
        let salt = BASE64.decode(salt).map_err(|_| ScramError::Malformed("s"))?;
        let iterations = field("i=", "i")?;
        let digits = iterations.bytes().all(|byte| byte.is_ascii_digit());
        let iterations = iterations.parse().ok().filter(|_| digits).ok_or(ScramError::Malformed("i"))?;
        Ok(Self { text, nonce, salt, iterations })
    }
}

/// The server's final message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ServerFinal<'a> {
    /// The server's signature.
    Signature(Vec<u8>),
    /// An error.
    Error(&'a str),
}

impl<'a> ServerFinal<'a> {
    /// Parses `v=SIGNATURE` or `e=ERROR`, and extensions.
    ///
    /// # Errors
    /// The message is invalid.
    pub(crate) fn read(message: &'a [u8]) -> Result<Self, ScramError> {
        let text = std::str::from_utf8(message).map_err(|_| ScramError::Malformed("text"))?;
        let first = text.split(',').next().unwrap_or_default();
        if let Some(error) = first.strip_prefix("e=") {
            return Ok(Self::Error(error));
        }
        let signature = first.strip_prefix("v=").and_then(|value| BASE64.decode(value).ok());
        signature.map(Self::Signature).ok_or(ScramError::Malformed("v"))
    }
}

/// Returns a user's name as it is written in a SCRAM message.
fn escaped(user: &str) -> String {
    user.replace('=', "=3D").replace(',', "=2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: &str = "rOprNGfwEbeRWgbNEkqO";
    const SERVER_FIRST: &[u8] =
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";

    fn begun(mechanism: Mechanism) -> Begun {
        Begun::new(mechanism, "user", NONCE.to_owned())
    }

    /// The example of RFC 7677, section 3. For SHA-512, which has no example in an RFC, the same
    /// inputs in Python's hashlib.
    #[test]
    fn an_exchange_is_that_of_the_rfc() {
        for (mechanism, proof, signature) in [
            (
                Mechanism::Sha256,
                "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
                "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
            ),
            (
                Mechanism::Sha512,
                "gMGXRcevScNtxZ6/8lQYpGtnsNAc3mGcmNomv+xnoOMw+3R2xNJdMNnzMlTN8PPC6wdp6dybEmDYXYTxwnYPJQ==",
                "ZQnYEgWQMFmmsM8aQMF0nDDCy/AgCzkwk8CmMZYcMg0vSVlKDanekLtifDSeVGT4+5ZxXnJq199RVG2rR7N7Zw==",
            ),
        ] {
            assert_eq!(begun(mechanism).message(), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
            let (message, answered) = begun(mechanism).answer("pencil", SERVER_FIRST).unwrap();
            let expected = format!("c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p={proof}");
            assert_eq!(*message, expected);
            assert_eq!(answered.verdict(format!("v={signature}").as_bytes()), Ok(Verdict::Proven));
            let extended = format!("v={signature},x=later");
            assert_eq!(answered.verdict(extended.as_bytes()), Ok(Verdict::Proven));
        }
    }

    #[test]
    fn server_without_the_credential_is_an_error() {
        let (_, answered) = begun(Mechanism::Sha256).answer("pencil", SERVER_FIRST).unwrap();
        let (_, with_other_password) = begun(Mechanism::Sha256).answer("pencils", SERVER_FIRST).unwrap();
        let right = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";
        assert_eq!(answered.verdict(right), Ok(Verdict::Proven));
        assert_eq!(with_other_password.verdict(right), Err(ScramError::WrongSignature));
        for wrong in [
            "v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
            // A correct prefix is not sufficient.
            "v=6rriTRBi23WpRR/wtg==",
            "v=",
        ] {
            assert_eq!(answered.verdict(wrong.as_bytes()), Err(ScramError::WrongSignature), "{wrong}");
        }
        for none in ["", "v", "v=?", "x=1", "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4"] {
            assert_eq!(answered.verdict(none.as_bytes()), Err(ScramError::Malformed("v")), "{none}");
        }
    }

    #[test]
    fn only_a_wrong_password_is_a_refusal() {
        let (_, answered) = begun(Mechanism::Sha512).answer("pencil", SERVER_FIRST).unwrap();
        for refusal in ["e=invalid-proof", "e=unknown-user"] {
            assert_eq!(answered.verdict(refusal.as_bytes()), Ok(Verdict::Refused));
        }
        for other in ["e=other-error", "e=no-resources"] {
            let error = answered.verdict(other.as_bytes()).unwrap_err();
            assert_eq!(error, ScramError::Server(other[2..].to_owned()));
        }
    }

    #[test]
    fn weak_or_invalid_first_message_is_rejected() {
        let nonce = "rOprNGfwEbeRWgbNEkqO%x";
        for (message, error) in [
            (format!("r={nonce},s=c2FsdA==,i=4095"), ScramError::Iterations(4095)),
            (format!("r={nonce},s=c2FsdA==,i=16385"), ScramError::Iterations(16_385)),
            (format!("r={nonce},s=c2FsdA==,i=4000000000"), ScramError::Iterations(4_000_000_000)),
            (format!("r={nonce},s=c2FsdA==,i=99999999999"), ScramError::Malformed("i")),
            (format!("r={nonce},s=c2FsdA==,i=+4096"), ScramError::Malformed("i")),
            (format!("r={nonce},s=c2FsdA=="), ScramError::Malformed("i")),
            (format!("r={nonce},s=,i=4096"), ScramError::Malformed("s")),
            (format!("r={nonce},s=*,i=4096"), ScramError::Malformed("s")),
            (format!("m=must,r={nonce},s=c2FsdA==,i=4096"), ScramError::Malformed("r")),
            (format!("r={NONCE},s=c2FsdA==,i=4096"), ScramError::OtherNonce),
            ("r=another,s=c2FsdA==,i=4096".to_owned(), ScramError::OtherNonce),
            (String::new(), ScramError::Malformed("r")),
        ] {
            let answer = begun(Mechanism::Sha256).answer("pencil", message.as_bytes());
            assert_eq!(answer.err(), Some(error), "{message}");
        }
        for taken in ["4096", "16384", "4096,x=later"] {
            let message = format!("r={nonce},s=c2FsdA==,i={taken}");
            assert!(begun(Mechanism::Sha256).answer("pencil", message.as_bytes()).is_ok(), "{taken}");
        }
    }

    #[test]
    fn commas_and_equals_signs_of_a_user_are_escaped() {
        let begun = Begun::new(Mechanism::Sha256, "a=b,c=2C", "nonce".to_owned());
        assert_eq!(begun.message(), "n,,n=a=3Db=2Cc=3D2C,r=nonce");
    }
}
