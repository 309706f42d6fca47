//! PostgreSQL: Amazon RDS, Aurora, and any other server from version 10.
//!
//! The new password reaches the server only as a SCRAM verifier made here, so it stands in no statement, no log of the server
//! and no `pg_stat_activity`. Sources: "ALTER ROLE" and "Password Authentication" of the PostgreSQL manual; RFC 5803.

use std::time::Duration;

use postgres_protocol::escape::{escape_identifier, escape_literal};
use postgres_protocol::password;
use rustls::ClientConfig;
use secrecy::{ExposeSecret, SecretString};
use tokio_postgres::config::SslMode;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::document::{DocumentError, SecretDocument};
use crate::engine::{Account, Defaults, Engine, EngineError, Login};
use crate::password::PasswordPolicy;

/// How long one connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

const DEFAULTS: Defaults = Defaults {
    engines: &["postgres", "aurora-postgresql"],
    port: 5432,
    database: "postgres",
    expected_engine: "`postgres` or `aurora-postgresql`, which this function rotates",
};

/// The engine.
pub struct Postgres {
    tls: ClientConfig,
    policy: PasswordPolicy,
}

impl Postgres {
    /// With the certificates to trust and the passwords to make.
    pub fn new(tls: ClientConfig, policy: PasswordPolicy) -> Self {
        Self { tls, policy }
    }

    /// What a password is without any configuration. The bounds are those of an RDS master user: 8 to 128 characters, none of
    /// `/ " @` (ModifyDBInstance); `' \ :` are left out for clients that put passwords into addresses.
    pub fn default_policy() -> PasswordPolicy {
        PasswordPolicy {
            engine: "PostgreSQL",
            bounds: (8, 128),
            length: 32,
            exclude: "/@\"'\\:".to_owned(),
            without: crate::password::Without::default(),
            require_each_kind: true,
        }
    }

    /// A session, or `None` if the password is refused.
    async fn connect(&self, account: &Account) -> Result<Option<Client>, EngineError> {
        let mut config = Config::new();
        config
            .host(&account.server.host)
            .port(account.server.port)
            .dbname(&account.server.database)
            .user(&account.user)
            .password(account.password.expose_secret())
            .application_name("sluice-rotation")
            .ssl_mode(SslMode::Require)
            .connect_timeout(CONNECT_TIMEOUT);
        let tls = MakeRustlsConnect::new(self.tls.clone());
        match config.connect(tls).await {
            Ok((client, connection)) => {
                tokio::spawn(async move {
                    // What ends a connection reaches whoever waits on it.
                    let _ended = connection.await;
                });
                Ok(Some(client))
            }
            Err(error) if error.code() == Some(&SqlState::INVALID_PASSWORD) => Ok(None),
            Err(error) => Err(not_connected(account, &error)),
        }
    }
}

/// Why there is no session, apart from a refused password.
fn not_connected(account: &Account, error: &tokio_postgres::Error) -> EngineError {
    let (server, problem) = (account.server.clone(), lambda_kit::call::chain(error));
    let has_cause = |wanted: fn(&(dyn std::error::Error + 'static)) -> bool| {
        let mut cause = std::error::Error::source(error);
        while let Some(found) = cause {
            let inner = found.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
            if wanted(found) || inner.is_some_and(|inner| wanted(inner)) {
                return true;
            }
            cause = found.source();
        }
        false
    };
    if has_cause(|cause| cause.is::<rustls::Error>()) {
        return EngineError::Untrusted { server, problem };
    }
    match error.as_db_error() {
        // Starting, stopping, too many connections: 57P0x, 53xxx.
        Some(db) if db.code().code().starts_with("57P") || db.code().code().starts_with("53") => {
            EngineError::Unreachable { server, problem }
        }
        Some(_) => EngineError::NotPermitted { server, user: account.user.clone(), problem },
        None => EngineError::Unreachable { server, problem },
    }
}

impl Engine for Postgres {
    fn name(&self) -> &'static str {
        "postgres"
    }

    fn password_policy(&self) -> PasswordPolicy {
        self.policy.clone()
    }

    fn account(&self, document: &SecretDocument) -> Result<Account, DocumentError> {
        Account::read(document, DEFAULTS)
    }

    async fn log_in(&self, account: &Account) -> Result<Login, EngineError> {
        let Some(client) = self.connect(account).await? else { return Ok(Login::Refused) };
        match client.simple_query("SELECT 1").await {
            Ok(_) => Ok(Login::Accepted),
            Err(error) => Err(not_connected(account, &error)),
        }
    }

    async fn set_password(&self, account: &Account, new: &SecretString) -> Result<(), EngineError> {
        let not_set = |problem: String| EngineError::NotSet {
            server: account.server.clone(),
            user: account.user.clone(),
            problem,
        };
        let client = self
            .connect(account)
            .await?
            .ok_or_else(|| not_set("the password that it took a moment ago is refused".into()))?;
        let failed = |error: tokio_postgres::Error| not_set(lambda_kit::call::chain(&error));
        let encryption: String = client
            .query_one("SELECT current_setting('password_encryption')", &[])
            .await
            .map_err(failed)?
            .get(0);
        // A verifier of another kind than the server makes itself could shut out its old clients.
        let verifier: SecretString = match encryption.as_str() {
            "scram-sha-256" => password::scram_sha_256(new.expose_secret().as_bytes()).into(),
            "md5" => password::md5(new.expose_secret().as_bytes(), &account.user).into(),
            other => {
                return Err(not_set(format!(
                    "password_encryption of the server is `{other}`, which is not known here"
                )));
            }
        };
        let user = escape_identifier(&account.user);
        let literal = escape_literal(verifier.expose_secret());
        let statement = SecretString::from(format!("ALTER ROLE {user} PASSWORD {literal}"));
        client.batch_execute(statement.expose_secret()).await.map_err(failed)
    }
}
