//! Apache Kafka with SASL/SCRAM, by the admin protocol (KIP-554): self-managed clusters, Confluent Platform, and what is compatible.
//!
//! The new password is salted here and reaches the brokers only as PBKDF2's output, over TLS. A user may have a credential for either mechanism: all that it
//! has are set, so that the old password ends. KRaft takes one credential of a user in a request, so there is one request for each,
//! and that of the secret's mechanism is the last one: once the new password logs in, there is nothing left to do.
//! The rights of a user are ACLs of its name; for users who take turns they are copied.
//! Sources: KIP-554, KIP-84, KIP-140; "Security" of the Apache Kafka documentation.

mod acls;
mod admin;
mod brokers;
#[cfg(test)]
#[path = "../../../../../fuzz/checks/kafka_answers.rs"]
mod check;
mod codes;
mod connection;
mod messages;
mod scram;
mod wire;

use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use secrecy::SecretString;
use tokio::time::Instant;

use self::admin::Admin;
use self::connection::Connection;
use self::scram::{ITERATIONS, Mechanism};
use super::trust::Tls;
use crate::document::{DocumentError, SecretDocument};
use crate::engine::{Account, Defaults, Engine, EngineError, Login, Server};
use crate::password::PasswordPolicy;

const DEFAULTS: Defaults = Defaults {
    engines: &["kafka"],
    // That of SASL_SSL listeners in Kafka's documentation; 9092 is plain text, or Confluent Cloud.
    port: 9093,
    database: "",
    expected_engine: "`kafka`, which this function rotates",
};
/// Keys of a secret that may name the mechanism, the first that is there.
const MECHANISMS: [&str; 2] = ["mechanism", "sasl.mechanism"];
/// How long brokers may take to hear from the controller of a new password.
const PROPAGATION: Duration = Duration::from_secs(10);
/// Between two looks at a broker that has not heard of it yet.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Rounds of PBKDF2 for new passwords, within what Kafka takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Iterations(NonZeroU32);

impl Iterations {
    /// What is said where it is none.
    pub const EXPECTED: &str = "a number from 4096 to 16384";

    /// A number, if it is within the bounds.
    pub fn new(number: u32) -> Option<Self> {
        NonZeroU32::new(number).filter(|number| ITERATIONS.contains(&number.get())).map(Self)
    }
}

impl Default for Iterations {
    /// Twice the least.
    fn default() -> Self {
        const DEFAULT: NonZeroU32 = NonZeroU32::MIN.saturating_add(8191);
        Self(DEFAULT)
    }
}

/// Not a number within the bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected {}", Iterations::EXPECTED)]
pub struct NotIterations;

impl FromStr for Iterations {
    type Err = NotIterations;

    fn from_str(text: &str) -> Result<Self, NotIterations> {
        text.parse().ok().and_then(Self::new).ok_or(NotIterations)
    }
}

/// The engine.
pub struct Kafka {
    tls: Tls,
    policy: PasswordPolicy,
    iterations: Iterations,
}

impl Kafka {
    /// With the certificates to trust, the passwords to make, and the rounds to salt them with.
    pub fn new(tls: Tls, policy: PasswordPolicy, iterations: Iterations) -> Self {
        Self { tls, policy, iterations }
    }

    /// What a password is without any configuration. Kafka itself takes any; left out is what JAAS configurations, property files,
    /// shells and Kafka's own tools would take for something else.
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

    /// A session on the first broker that answers, or `None` if the password is refused.
    async fn connect(&self, account: &Account) -> Result<Option<Connection>, EngineError> {
        let mut problems = Vec::new();
        for broker in brokers::each(&account.server) {
            match self.connect_to(&broker, account).await {
                Err(EngineError::ServerUnreachable { server, problem }) => {
                    problems.push(format!("{server}: {problem}"));
                }
                other => return other,
            }
        }
        let server = account.server.clone();
        Err(EngineError::ServerUnreachable { server, problem: problems.join("; ") })
    }

    /// A session on one broker.
    async fn connect_to(
        &self,
        broker: &Server,
        account: &Account,
    ) -> Result<Option<Connection>, EngineError> {
        let log_in = async {
            let mut connection = Connection::open(&self.tls, broker).await?;
            let login = connection.log_in(account, mechanism(account)).await?;
            Ok((login == Login::Accepted).then_some(connection))
        };
        log_in.await.map_err(|fault: connection::Fault| fault.of_login(account, broker))
    }

    /// Waits until every broker of the secret that can be reached accepts the account: the controller answers before they have heard of it.
    async fn wait_until_accepted(&self, account: &Account) -> Result<(), EngineError> {
        let deadline = Instant::now() + PROPAGATION;
        for broker in brokers::each(&account.server) {
            loop {
                match self.connect_to(&broker, account).await {
                    Ok(Some(_)) | Err(EngineError::ServerUnreachable { .. }) => break,
                    Ok(None) if Instant::now() < deadline => tokio::time::sleep(LOOK_AGAIN).await,
                    Ok(None) => {
                        let seconds = PROPAGATION.as_secs();
                        let problem = format!(
                            "the cluster took it, and this broker refuses it still after {seconds} s"
                        );
                        return Err(EngineError::SetPasswordFailed {
                            server: broker,
                            user: account.user.clone(),
                            problem,
                        });
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }
}

/// The mechanism by which an account logs in.
fn mechanism(account: &Account) -> Mechanism {
    account.mechanism.and_then(Mechanism::by_name).unwrap_or(Mechanism::Sha512)
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
            let expected = "printable ASCII, the only names that Kafka takes with SCRAM";
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
        let session = self.connect(account).await?;
        Ok(if session.is_some() { Login::Accepted } else { Login::Refused })
    }

    async fn set(&self, by: &Account, like: Option<&str>, pending: &Account) -> Result<(), EngineError> {
        let mut admin = Admin::open(self, by, &pending.user).await?;
        let mut mechanisms = admin.mechanisms(&pending.user).await?;
        if let Some(like) = like {
            admin.copy_rules(like).await?;
            mechanisms.extend(admin.mechanisms(like).await?);
        }
        let last = mechanism(pending);
        for other in Mechanism::ALL.into_iter().filter(|other| *other != last && mechanisms.contains(other)) {
            admin.set_password(pending, other).await?;
        }
        admin.set_password(pending, last).await?;
        self.wait_until_accepted(pending).await
    }

    async fn set_password(&self, by: &Account, user: &str, new: &SecretString) -> Result<(), EngineError> {
        let pending = Account { user: user.to_owned(), password: new.clone(), ..by.clone() };
        self.set(by, None, &pending).await
    }

    fn max_user_bytes(&self) -> Option<usize> {
        // Kafka knows no limit; what is longer than a name in any directory is a mistake.
        Some(255)
    }

    async fn set_other_user(
        &self,
        admin: &Account,
        like: &str,
        user: &str,
        new: &SecretString,
    ) -> Result<(), EngineError> {
        let pending = Account { user: user.to_owned(), password: new.clone(), ..admin.clone() };
        self.set(admin, Some(like), &pending).await
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
    fn a_secret_names_one_broker_or_a_list_and_the_mechanism_in_two_ways() {
        for (text, server, mechanism) in [
            (r#"{"host":"b1"}"#, "b1:9093", None),
            (r#"{"host":"b1","port":"9096","mechanism":"SCRAM-SHA-256"}"#, "b1:9096", Some("SCRAM-SHA-256")),
            (r#"{"host":"b0","brokers":"b1,b2:9096"}"#, "b1:9093,b2:9096", None),
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
    fn iterations_are_a_number_within_the_bounds_of_kafka() {
        assert_eq!(Iterations::default(), "8192".parse().unwrap());
        for wrong in ["4095", "16385", "0", "-1", "many", ""] {
            assert_eq!(wrong.parse::<Iterations>(), Err(NotIterations), "{wrong}");
        }
    }

    #[test]
    fn every_seed_of_the_answers_holds() {
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
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            check::check_bytes(&bytes);
        }

        #[test]
        fn any_damage_to_an_answer_is_read_or_refused(at in 0_usize..60, byte in any::<u8>(), end in 0_usize..60) {
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
