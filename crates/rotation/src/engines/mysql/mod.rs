//! MySQL and MariaDB: Amazon RDS, Aurora, and others from MySQL 5.7 and MariaDB 10.4.
//!
//! A new password reaches the server in one of two ways:
//!
//! * MariaDB writes statements unchanged to its general log, so it gets a hash that is made here,
//!   never the password.
//! * MySQL accepts a hash from administrators only, and would log it. It logs a statement with the
//!   password itself as `IDENTIFIED BY <secret>`, and checks the password against its rules, so it
//!   gets the password, inside verified TLS.
//!
//! From MySQL 8.0.14 an account may have two passwords. The old one then works until the next
//! rotation: see [`OldPassword`].
//!
//! The client of the protocol is in `wire`. Sources: "ALTER USER", "Password Management",
//! "Passwords and Logging" of the MySQL manual; "SET PASSWORD", "ALTER USER" of MariaDB's
//! documentation.

mod account;
mod auth;
mod clone_privileges;
mod grants;
mod old_password;
mod packets;
mod session;
mod sql;
mod wire;

use secrecy::SecretString;

use self::session::Session;
use self::wire::{Connection, WireError};
use super::trust::Tls;
use crate::document::{DocumentError, SecretDocument};
use crate::engine::{Account, Defaults, Engine, EngineError, Login};
use crate::password::PasswordPolicy;
pub use old_password::OldPassword;

const DEFAULTS: Defaults = Defaults {
    engines: &["mysql", "aurora-mysql", "mariadb"],
    port: 3306,
    database: "",
    expected_engine: "`mysql`, `aurora-mysql` or `mariadb`",
};

/// The engine for MySQL and MariaDB.
pub struct Mysql {
    tls: Tls,
    policy: PasswordPolicy,
    old: OldPassword,
}

impl Mysql {
    /// Creates the engine.
    pub fn new(tls: Tls, policy: PasswordPolicy, old: OldPassword) -> Self {
        Self { tls, policy, old }
    }

    /// Returns the password policy without any configuration. The bounds are those of an RDS master
    /// user: 8 to 41 characters without `/ " @` (ModifyDBInstance). `' \` are excluded for clients
    /// that put passwords into statements, as in AWS's own functions.
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
            Err(WireError::Server { code: ACCESS_DENIED, .. }) => {
                return Err(not_set(format!("the password of `{}` is rejected", by.user)));
            }
            Err(error) => return Err(no_session(by, error)),
        };
        Session::begin(connection, by, user, self.old).await
    }
}

/// Wrong password, or no such user.
const ACCESS_DENIED: u16 = 1045;
/// The server checks these after the password, which is right: an expired password (at the login, or
/// at the first statement), a locked account (of MySQL and of MariaDB), and the limits of an account.
const KNOWN_AND_BARRED: [u16; 5] = [1862, 1820, 3118, 4151, 1226];

/// Evaluates a login that failed. An administrator may change the password of a user that is known
/// and barred all the same.
fn failed(account: &Account, error: WireError) -> Result<Login, EngineError> {
    match error {
        WireError::Server { code, message } if KNOWN_AND_BARRED.contains(&code) => {
            let user = &account.user;
            tracing::warn!(user, code, message, "the password is right, and the user may not log in");
            Ok(Login::Accepted)
        }
        error => Err(no_session(account, error)),
    }
}

/// Too many connections: of all, of this user, in this hour. Or the server stops or starts.
const BUSY: [u16; 5] = [1040, 1053, 1203, 1226, 3169];

/// Returns the error of a failed login, apart from a rejected password.
fn no_session(account: &Account, error: WireError) -> EngineError {
    let (server, user) = (account.server.clone(), account.user.clone());
    match error {
        WireError::Engine(error) => error,
        WireError::Broken(problem) => EngineError::ServerUnreachable { server, problem },
        WireError::Server { code, message } if BUSY.contains(&code) => {
            EngineError::ServerUnreachable { server, problem: format!("{message} ({code})") }
        }
        WireError::Server { code, message } => {
            EngineError::InsufficientPrivileges { server, user, problem: format!("{message} ({code})") }
        }
        WireError::Method(method) => {
            let problem = format!(
                "it requires the authentication method `{method}`; expected mysql_native_password, \
                 caching_sha2_password, sha256_password or ed25519, whose passwords SQL can change"
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
            Err(WireError::Server { code: ACCESS_DENIED, .. }) => return Ok(Login::Refused),
            Err(error) => return failed(account, error),
        };
        match connection.query("SELECT 1").await {
            Ok(_) => connection.close().await,
            Err(error) => return failed(account, error),
        }
        Ok(Login::Accepted)
    }

    fn max_user_bytes(&self) -> Option<usize> {
        // The limit of MySQL; newer versions of MariaDB allow 80 characters.
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
        model: &str,
        user: &str,
        new: &SecretString,
    ) -> Result<(), EngineError> {
        let mut session = self.session(admin, user).await?;
        session.clone_privileges(model, new).await?;
        session.end().await;
        Ok(())
    }
}
