//! Apache Kafka with SASL/SCRAM, through the admin protocol (KIP-554): self-managed clusters,
//! Confluent Platform, and compatible brokers.
//!
//! The new password is salted here and reaches the brokers only as the output of PBKDF2, over TLS.
//! A user may have a credential for each mechanism: all that exist are set, so that the old
//! password ends. KRaft accepts one credential of a user in a request, so there is one request for
//! each. That of the secret's mechanism is the last one: when the new password logs in, there is
//! nothing left to do. A user's rights are ACLs of its name; for alternating users, they are
//! copied.
//!
//! Sources: KIP-554, KIP-84, KIP-140; "Security" of the Apache Kafka documentation.

mod acls;
mod admin;
mod brokers;
#[cfg(test)]
#[path = "../../../../../fuzz/checks/kafka_answers.rs"]
mod check;
mod client;
mod codes;
mod connection;
mod iterations;
mod messages;
mod scram;
mod wire;

use secrecy::SecretString;

use self::admin::Admin;
use self::client::{Client, mechanism};
use self::scram::Mechanism;
use super::trust::Tls;
use crate::document::{DocumentError, SecretDocument};
use crate::engine::{Account, Defaults, Engine, EngineError, Login};
use crate::password::PasswordPolicy;
pub use iterations::{InvalidIterations, Iterations};

const DEFAULTS: Defaults = Defaults {
    engines: &["kafka"],
    // The port of SASL_SSL listeners in Kafka's documentation; 9092 is plain text, or Confluent
    // Cloud.
    port: 9093,
    database: "",
    expected_engine: "`kafka`",
};
/// The keys of a secret that may name the mechanism. The first that exists is used.
const MECHANISMS: [&str; 2] = ["mechanism", "sasl.mechanism"];
/// The engine for Kafka.
pub struct Kafka {
    client: Client,
    policy: PasswordPolicy,
    iterations: Iterations,
}

impl Kafka {
    /// Creates the engine.
    pub fn new(tls: Tls, policy: PasswordPolicy, iterations: Iterations) -> Self {
        Self { client: Client { tls }, policy, iterations }
    }

    /// Returns the password policy without any configuration. Kafka itself accepts any password.
    /// Excluded are the characters with a special meaning in JAAS configurations, property files,
    /// shells and Kafka's own tools.
    pub fn default_policy() -> PasswordPolicy {
        PasswordPolicy {
            engine: "Kafka",
            bounds: (8, 128),
            length: 32,
            exclude: "\"'\\`;$,".to_owned(),
            excluded_kinds: crate::password::ExcludedKinds::default(),
            require_each_kind: true,
        }
    }
}

impl Engine for Kafka {
    fn name(&self) -> &'static str {
        "kafka"
    }

    fn password_policy(&self) -> PasswordPolicy {
        self.policy.clone()
    }

    fn account(&self, document: &SecretDocument) -> Result<Account, DocumentError> {
        let listed = brokers::read(document, DEFAULTS.port)?;
        let mut account = match listed {
            Some(server) => {
                let with_host = document.with_default("host", server.host.as_str());
                Account { server, ..Account::read(&with_host, DEFAULTS)? }
            }
            None => Account::read(document, DEFAULTS)?,
        };
        if !account.user.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            let expected = "printable ASCII, which Kafka requires for names with SCRAM";
            return Err(DocumentError::Invalid { key: "username", expected });
        }
        for key in MECHANISMS {
            if let Some(name) = document.optional_text(key)? {
                let expected = "`SCRAM-SHA-256` or `SCRAM-SHA-512`";
                let known = Mechanism::by_name(name).ok_or(DocumentError::Invalid { key, expected })?;
                account.mechanism = Some(known.name());
                break;
            }
        }
        Ok(account)
    }

    async fn log_in(&self, account: &Account) -> Result<Login, EngineError> {
        let session = self.client.connect(account).await?;
        Ok(if session.is_some() { Login::Accepted } else { Login::Refused })
    }

    async fn set(&self, by: &Account, model: Option<&str>, pending: &Account) -> Result<(), EngineError> {
        let mut admin = Admin::open(&self.client, self.iterations, by, &pending.user).await?;
        let mut mechanisms = admin.mechanisms(&pending.user).await?;
        if let Some(model) = model {
            admin.copy_rules(model).await?;
            mechanisms.extend(admin.mechanisms(model).await?);
        }
        let last = mechanism(pending);
        for other in Mechanism::ALL.into_iter().filter(|other| *other != last && mechanisms.contains(other)) {
            admin.set_password(pending, other).await?;
        }
        admin.set_password(pending, last).await?;
        self.client.wait_until_accepted(pending).await
    }

    async fn set_password(&self, by: &Account, user: &str, new: &SecretString) -> Result<(), EngineError> {
        let pending = Account { user: user.to_owned(), password: new.clone(), ..by.clone() };
        self.set(by, None, &pending).await
    }

    fn max_user_bytes(&self) -> Option<usize> {
        // Kafka has no limit. A name that is longer than in any directory is a mistake.
        Some(255)
    }

    async fn set_other_user(
        &self,
        admin: &Account,
        model: &str,
        user: &str,
        new: &SecretString,
    ) -> Result<(), EngineError> {
        let pending = Account { user: user.to_owned(), password: new.clone(), ..admin.clone() };
        self.set(admin, Some(model), &pending).await
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn account(text: &str) -> Result<Account, DocumentError> {
        let engine =
            Kafka::new(Tls::new(None, None).unwrap(), Kafka::default_policy(), Iterations::default());
        engine.account(&SecretDocument::parse(&text.into()).unwrap())
    }

    #[test]
    fn secret_names_brokers_and_mechanism() {
        for (text, server, mechanism) in [
            (r#"{"host":"b1"}"#, "b1:9093", None),
            (r#"{"host":"b1","port":"9096","mechanism":"SCRAM-SHA-256"}"#, "b1:9096", Some("SCRAM-SHA-256")),
            (r#"{"host":"b0","brokers":"b1,b2:9096"}"#, "b1:9093,b2:9096", None),
            (r#"{"bootstrap_servers":"kafka.example.com:9092"}"#, "kafka.example.com:9092", None),
            (
                r#"{"bootstrap.servers":"b1:1","sasl.mechanism":"SCRAM-SHA-512"}"#,
                "b1:1",
                Some("SCRAM-SHA-512"),
            ),
        ] {
            let text = text.replacen('{', r#"{"username":"u","password":"p","#, 1);
            let found = account(&text).unwrap();
            assert_eq!((found.server.to_string().as_str(), found.mechanism), (server, mechanism), "{text}");
        }
        let missing = account(r#"{"username":"u","password":"p"}"#).unwrap_err().to_string();
        assert!(missing.contains("`host`"), "{missing}");
    }

    #[test]
    fn every_seed_of_the_responses_holds() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/kafka_answers");
        let mut count = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            check::check_bytes(&std::fs::read(entry.unwrap().path()).unwrap());
            count += 1;
        }
        assert!(count >= 30, "{count} seeds");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_rejected(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            check::check_bytes(&bytes);
        }

        #[test]
        fn damaged_response_is_read_or_rejected(at in 0_usize..60, byte in any::<u8>(), end in 0_usize..60) {
            let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/kafka_answers");
            for name in ["described", "acls", "metadata", "altered-with-tagged-fields", "handshake"] {
                let mut bytes = std::fs::read(format!("{folder}/{name}")).unwrap();
                if let Some(found) = bytes.get_mut(at) {
                    *found = byte;
                }
                check::check_bytes(&bytes);
                bytes.truncate(end);
                check::check_bytes(&bytes);
            }
        }
    }
}
