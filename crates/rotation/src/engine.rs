//! The port of an engine: what differs between servers whose users have passwords.

use std::fmt;
use std::future::Future;

use lambda_kit::call::CallError;
use secrecy::SecretString;

use crate::document::{DocumentError, SecretDocument};
use crate::password::PasswordPolicy;

/// A user of a server, with a password.
#[derive(Debug, Clone)]
pub struct Account {
    /// The server.
    pub server: Server,
    /// The user.
    pub user: String,
    /// The password.
    pub password: SecretString,
    /// The login mechanism, where an engine has several: the SASL mechanism of Kafka.
    pub mechanism: Option<&'static str>,
}

/// The server of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// The host name or address.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The database that a login opens.
    pub database: String,
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// The defaults for keys that a secret's value may omit.
#[derive(Debug, Clone, Copy)]
pub struct Defaults {
    /// The values of the key `engine` that name this engine.
    pub engines: &'static [&'static str],
    /// The port.
    pub port: u16,
    /// The database.
    pub database: &'static str,
    /// The expected values of the key `engine`, for errors.
    pub expected_engine: &'static str,
}

impl Account {
    /// Reads an account from a secret's value with the keys that AWS documents for databases.
    ///
    /// # Errors
    /// A key is missing or invalid, or `ssl` turns TLS off.
    pub fn read(document: &SecretDocument, defaults: Defaults) -> Result<Self, DocumentError> {
        let engine = document.optional_text("engine")?;
        if engine.is_some_and(|engine| !defaults.engines.contains(&engine)) {
            return Err(DocumentError::Invalid { key: "engine", expected: defaults.expected_engine });
        }
        if document.flag("ssl")? == Some(false) {
            let expected = "absent or true: passwords are only sent over verified TLS; with \
                            IGNORE_SSL_FALSE=true in its configuration, the function accepts the value \
                            and still uses TLS";
            return Err(DocumentError::Invalid { key: "ssl", expected });
        }
        Ok(Self {
            user: document.text("username")?.to_owned(),
            password: document.password()?,
            mechanism: None,
            server: Server {
                host: document.text("host")?.to_owned(),
                port: document.port(defaults.port)?,
                database: document.optional_text("dbname")?.unwrap_or(defaults.database).to_owned(),
            },
        })
    }

    /// Returns the first key by which the servers of two accounts differ.
    pub fn server_differs_by(&self, other: &Self) -> Option<&'static str> {
        let (mine, theirs) = (&self.server, &other.server);
        [
            ("host", mine.host != theirs.host),
            ("port", mine.port != theirs.port),
            ("dbname", mine.database != theirs.database),
        ]
        .into_iter()
        .find_map(|(key, differs)| differs.then_some(key))
    }
}

/// A server's answer to a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Login {
    /// The login succeeded, and so did a harmless read; or the server accepted the password and
    /// opens no session for another reason, such as a locked user.
    Accepted,
    /// The password is wrong or the user does not exist: servers do not distinguish the two.
    Refused,
}

/// An error of an engine. It names the server and the user, never a password.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// There is no connection.
    #[error(
        "{server} cannot be reached: {problem}; check `host` and `port` of the secret, and the \
         function's route, security groups and name servers"
    )]
    ServerUnreachable {
        /// The server.
        server: Server,
        /// The reason.
        problem: String,
    },
    /// The server's certificate is not trusted, or it offers no TLS.
    #[error(
        "the certificate of {server} is not trusted: {problem}; check `host` of the secret, and for a \
         certificate of your own CA add the CA to CA_CERTIFICATES of the function"
    )]
    CertificateNotTrusted {
        /// The server.
        server: Server,
        /// The reason.
        problem: String,
    },
    /// The server does not permit the login for another reason than the password.
    #[error("{server} does not permit the login of user `{user}`: {problem}")]
    InsufficientPrivileges {
        /// The server.
        server: Server,
        /// The user.
        user: String,
        /// The server's words.
        problem: String,
    },
    /// The password was not set.
    #[error("setting the password of user `{user}` on {server} failed: {problem}")]
    SetPasswordFailed {
        /// The server.
        server: Server,
        /// The user.
        user: String,
        /// The reason, often in the server's words, without the password.
        problem: String,
    },
    /// The secret's server is not the one that the function is configured for.
    #[error(
        "the secret names {server}, and the function is configured for {configured}; check `host` and \
         `port` of the secret, or the function's configuration"
    )]
    ServerMismatch {
        /// The server in the secret.
        server: Server,
        /// The configured server.
        configured: String,
    },
    /// A call to AWS failed, where the engine needs such calls.
    #[error(transparent)]
    Call(#[from] CallError),
}

impl EngineError {
    /// Returns the public name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::ServerUnreachable { .. } => "ServerUnreachable",
            Self::CertificateNotTrusted { .. } => "CertificateNotTrusted",
            Self::InsufficientPrivileges { .. } => "InsufficientPrivileges",
            Self::SetPasswordFailed { .. } => "SetPasswordFailed",
            Self::ServerMismatch { .. } => "ServerMismatch",
            Self::Call(_) => "AwsCallFailed",
        }
    }

    /// Returns true if the same attempt may succeed in a moment.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::ServerUnreachable { .. })
    }
}

/// An engine: a kind of server whose users have passwords.
///
/// Implement this trait to add an engine. [`Passwords`](crate::passwords::Passwords) does the rest.
pub trait Engine: Send + Sync {
    /// Returns the name for texts, audit records and metrics.
    fn name(&self) -> &'static str;

    /// Returns the policy for new passwords.
    fn password_policy(&self) -> PasswordPolicy;

    /// Reads the account from a secret's value.
    ///
    /// # Errors
    /// A key is missing or invalid.
    fn account(&self, document: &SecretDocument) -> Result<Account, DocumentError>;

    /// Tries a credential in a session of its own.
    ///
    /// # Errors
    /// The login was neither accepted nor refused.
    fn log_in(&self, account: &Account) -> impl Future<Output = Result<Login, EngineError>> + Send;

    /// Sets a user's password in a session of `by`: the user itself, or an admin.
    ///
    /// # Errors
    /// If the connection broke, the password may or may not be set.
    fn set_password(
        &self,
        by: &Account,
        user: &str,
        new: &SecretString,
    ) -> impl Future<Output = Result<(), EngineError>> + Send;

    /// Makes the server accept a pending account: calls [`Engine::set_other_user`] if there is a
    /// `model`, otherwise [`Engine::set_password`]. An engine for which an account is more than a
    /// user and a password overrides it.
    ///
    /// # Errors
    /// The errors of those two.
    fn set(
        &self,
        by: &Account,
        model: Option<&str>,
        pending: &Account,
    ) -> impl Future<Output = Result<(), EngineError>> + Send {
        async move {
            match model {
                Some(model) => self.set_other_user(by, model, &pending.user, &pending.password).await,
                None => self.set_password(by, &pending.user, &pending.password).await,
            }
        }
    }

    /// Returns the longest user name in bytes, where a rotation can alternate between two users;
    /// `None` where it cannot.
    fn max_user_bytes(&self) -> Option<usize> {
        None
    }

    /// Returns true if the admin's session must open the database of the rotated secret, because
    /// only there the grants of its user can be read.
    fn reads_grants_in_database(&self) -> bool {
        false
    }

    /// Returns true if [`Engine::set_password`] keeps the password of `by` valid beside the new
    /// one, until the next change or [`Engine::retire_others`].
    fn keeps_previous(&self) -> bool {
        false
    }

    /// Returns true if [`Engine::retire_others`] must be called before a new password is created.
    ///
    /// It must where [`Engine::set_password`] drops the older of two passwords: an abandoned
    /// rotation leaves its password as the newer one. Later in the rotation, it could drop the new
    /// password.
    fn retires_before_create(&self) -> bool {
        false
    }

    /// Makes an account's password the only one of its user. Called only where
    /// [`Engine::keeps_previous`], after the account logged in.
    ///
    /// # Errors
    /// If a response was lost, the other passwords may or may not be gone.
    fn retire_others(&self, keep: &Account) -> impl Future<Output = Result<(), EngineError>> + Send {
        let (server, user) = (keep.server.clone(), keep.user.clone());
        let problem = format!("users of {} have one password", self.name());
        async move { Err(EngineError::SetPasswordFailed { server, user, problem }) }
    }

    /// Makes sure that `user` exists, has the privileges of `model` and this password, in a session
    /// of an admin. `model` keeps what it has. The call may be repeated after a crash anywhere.
    /// Called only where [`Engine::max_user_bytes`] is not `None`.
    ///
    /// # Errors
    /// If the connection broke, the user may be incomplete.
    fn set_other_user(
        &self,
        admin: &Account,
        model: &str,
        user: &str,
        new: &SecretString,
    ) -> impl Future<Output = Result<(), EngineError>> + Send {
        let _ = (model, new);
        let (server, user) = (admin.server.clone(), user.to_owned());
        let problem = format!("users of {} cannot alternate", self.name());
        async move { Err(EngineError::SetPasswordFailed { server, user, problem }) }
    }
}
