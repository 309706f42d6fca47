//! MySQL and MariaDB: Amazon RDS, Aurora, and others from MySQL 5.7 and MariaDB 10.4.
//!
//! How a new password reaches the server:
//! - MariaDB writes statements into its general log as they come, so it gets a hash that is made here, never the password.
//! - MySQL takes a hash only from an administrator, and would then write that into its log. A statement with the password itself it logs as
//!   `IDENTIFIED BY <secret>`, and it checks the password against its own rules; so that is what it gets, inside verified TLS.
//!
//! From MySQL 8.0.14 an account may have two passwords. The old one then goes on working until the next rotation: see [`OldPassword`].
//!
//! The protocol's client is our own, in `wire`. Sources: "ALTER USER", "Password Management", "Passwords and Logging" of the MySQL manual;
//! "SET PASSWORD", "ALTER USER" of MariaDB's documentation.

mod account;
mod auth;
mod grants;
mod like;
mod packets;
mod session;
mod sql;
mod wire;

use lambda_kit::env::{Env, EnvError};
use secrecy::SecretString;

use self::session::Session;
use self::wire::{Connection, Failure};
use super::trust::Tls;
use crate::document::{DocumentError, SecretDocument};
use crate::engine::{Account, Defaults, Engine, EngineError, Login};
use crate::password::PasswordPolicy;

const DEFAULTS: Defaults = Defaults {
    engines: &["mysql", "aurora-mysql", "mariadb"],
    port: 3306,
    database: "",
    expected_engine: "`mysql`, `aurora-mysql` or `mariadb`, which this function rotates",
};

/// What becomes of a single user's old password, where the server could keep it beside the new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OldPassword {
    /// It goes on working until the next rotation if the server and the privileges allow that; the log says which it was.
    #[default]
    KeptIfPossible,
    /// It goes on working until the next rotation; a rotation that cannot have it so fails.
    Kept,
    /// It ends with the change.
    Ended,
}

impl OldPassword {
    /// From the environment: `KEEP_OLD_PASSWORD` is `if-possible` (the default), `always` or `never`.
    ///
    /// # Errors
    /// It is something else.
    pub fn from_env(env: Env<'_>) -> Result<Self, EnvError> {
        let name = "KEEP_OLD_PASSWORD";
        match env.optional(name).as_deref() {
            None | Some("if-possible") => Ok(Self::KeptIfPossible),
            Some("always") => Ok(Self::Kept),
            Some("never") => Ok(Self::Ended),
            Some(found) => {
                let expected = "if-possible, always or never".to_owned();
                Err(EnvError::Invalid { name: name.to_owned(), found: found.to_owned(), expected })
            }
        }
    }
}

/// The engine.
pub struct Mysql {
    tls: Tls,
    policy: PasswordPolicy,
    old: OldPassword,
}

impl Mysql {
    /// With the certificates to trust, the passwords to make, and what becomes of old ones.
    pub fn new(tls: Tls, policy: PasswordPolicy, old: OldPassword) -> Self {
        Self { tls, policy, old }
    }

    /// What a password is without any configuration. The bounds are those of an RDS master user: 8 to 41 characters, none of `/ " @`
    /// (ModifyDBInstance); `' \` are left out for clients that put passwords into statements, as AWS's own functions do.
    pub fn default_policy() -> PasswordPolicy {
        PasswordPolicy {
            engine: "MySQL",
            bounds: (8, 41),
            length: 32,
            exclude: "/@\"'\\".to_owned(),
            excluded_kinds: crate::password::ExcludedKinds::default(),
            require_each_kind: true,
        }
    }

    async fn session<'a>(&self, by: &'a Account, user: &'a str) -> Result<Session<'a>, EngineError> {
        let not_set = |problem: String| {
            let (server, user) = (by.server.clone(), user.to_owned());
            EngineError::SetPasswordFailed { server, user, problem }
        };
        let connection = match Connection::open(&self.tls, by).await {
            Ok(connection) => connection,
            Err(Failure::Server { code: ACCESS_DENIED, .. }) => {
                return Err(not_set(format!("the password of `{}` is refused", by.user)));
            }
            Err(failure) => return Err(no_session(by, failure)),
        };
        Session::begin(connection, by, user, self.old).await
    }
}

/// Wrong password, or no such user.
const ACCESS_DENIED: u16 = 1045;
/// Too many connections of all, of this user, of this hour; the server stops or starts.
const BUSY: [u16; 5] = [1040, 1053, 1203, 1226, 3169];

/// Why there is no session, apart from a refused password.
fn no_session(account: &Account, failure: Failure) -> EngineError {
    let (server, user) = (account.server.clone(), account.user.clone());
    match failure {
        Failure::Engine(error) => error,
        Failure::Broken(problem) => EngineError::ServerUnreachable { server, problem },
        Failure::Server { code, message } if BUSY.contains(&code) => {
            EngineError::ServerUnreachable { server, problem: format!("{message} ({code})") }
        }
        Failure::Server { code, message } => {
            EngineError::InsufficientPrivileges { server, user, problem: format!("{message} ({code})") }
        }
        Failure::Method(method) => {
            let problem = format!(
                "it asks for authentication by `{method}`; expected mysql_native_password, caching_sha2_password, sha256_password or ed25519, \
                 which hold a password that can be changed by SQL"
            );
            EngineError::InsufficientPrivileges { server, user, problem }
        }
    }
}

impl Engine for Mysql {
    fn name(&self) -> &'static str {
        "mysql"
    }

    fn password_policy(&self) -> PasswordPolicy {
        self.policy.clone()
    }

    fn account(&self, document: &SecretDocument) -> Result<Account, DocumentError> {
        Account::read(document, DEFAULTS)
    }

    async fn log_in(&self, account: &Account) -> Result<Login, EngineError> {
        let mut connection = match Connection::open(&self.tls, account).await {
            Ok(connection) => connection,
            Err(Failure::Server { code: ACCESS_DENIED, .. }) => return Ok(Login::Refused),
            Err(failure) => return Err(no_session(account, failure)),
        };
        connection.query("SELECT 1").await.map_err(|failure| no_session(account, failure))?;
        connection.close().await;
        Ok(Login::Accepted)
    }

    fn max_user_bytes(&self) -> Option<usize> {
        // Of MySQL; MariaDB takes 80 characters in newer versions.
        Some(32)
    }

    async fn set_password(&self, by: &Account, user: &str, new: &SecretString) -> Result<(), EngineError> {
        let mut session = self.session(by, user).await?;
        if by.user == user {
            session.set_own(&by.password, new).await?;
        } else {
            session.set_by_admin(new).await?;
        }
        session.end().await;
        Ok(())
    }

    async fn set_other_user(
        &self,
        admin: &Account,
        like: &str,
        user: &str,
        new: &SecretString,
    ) -> Result<(), EngineError> {
        let mut session = self.session(admin, user).await?;
        session.make_like(like, new).await?;
        session.end().await;
        Ok(())
    }
}
