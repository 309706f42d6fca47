//! What differs from engine to engine.

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
    /// How it logs in, where an engine has several ways: the SASL mechanism of Kafka.
    pub mechanism: Option<&'static str>,
}

/// Where an account is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Database that a login opens.
    pub database: String,
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// What a secret's value means where it leaves something out.
#[derive(Debug, Clone, Copy)]
pub struct Defaults {
    /// Values of the key `engine` that are meant for this engine.
    pub engines: &'static [&'static str],
    /// Port.
    pub port: u16,
    /// Database.
    pub database: &'static str,
    /// Said when `engine` is none of ours.
    pub expected_engine: &'static str,
}

impl Account {
    /// From a secret's value with the keys that AWS documents for databases.
    ///
    /// # Errors
    /// A key is missing or makes no sense, or `ssl` turns TLS off.
    pub fn read(document: &SecretDocument, defaults: Defaults) -> Result<Self, DocumentError> {
        let engine = document.optional_text("engine")?;
        if engine.is_some_and(|engine| !defaults.engines.contains(&engine)) {
            return Err(DocumentError::Invalid { key: "engine", expected: defaults.expected_engine });
        }
        if document.flag("ssl")? == Some(false) {
            let expected = "absent or true: passwords are only ever sent over verified TLS. IGNORE_SSL_FALSE=true of the function's configuration \
                            takes the value all the same, and its logins stay with TLS";
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

    /// The key by which two accounts' servers differ.
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

/// What a server said to a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Login {
    /// It is in, and a harmless read worked.
    Accepted,
    /// Wrong password, or no such user: servers do not tell.
    Refused,
}

/// Why an engine did not do what was asked. The text names the server and the user, never a password.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// No connection.
    #[error(
        "{server} cannot be reached: {problem}. Check `host` and `port` of the secret, and the route, security groups and name servers of the function"
    )]
    Unreachable {
        /// Server.
        server: Server,
        /// What happened.
        problem: String,
    },
    /// TLS failed.
    #[error(
        "{server} has no certificate that the function trusts for this name: {problem}. Check `host` of the secret; a server with a certificate of your own CA \
         needs that CA in the function's configuration"
    )]
    Untrusted {
        /// Server.
        server: Server,
        /// What happened.
        problem: String,
    },
    /// The server refuses the user for another reason than the password.
    #[error("{server} does not let user `{user}` in: {problem}")]
    NotPermitted {
        /// Server.
        server: Server,
        /// User.
        user: String,
        /// In the server's words.
        problem: String,
    },
    /// The server refused to change the password.
    #[error("{server} did not set the password of user `{user}`: {problem}")]
    NotSet {
        /// Server.
        server: Server,
        /// User.
        user: String,
        /// In the server's words, which do not repeat the password.
        problem: String,
    },
    /// The secret's server is not the one that the function is configured for.
    #[error(
        "{server} is not {configured}: a credential goes only to the server that the function is configured for. Check `host` and `port` of the secret, or \
         the function's configuration"
    )]
    OtherServer {
        /// Server of the secret.
        server: Server,
        /// What is configured.
        configured: String,
    },
    /// A call of AWS failed, where the engine is reached by such calls.
    #[error(transparent)]
    Call(#[from] CallError),
}

impl EngineError {
    /// The public name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "ServerUnreachable",
            Self::Untrusted { .. } => "CertificateNotTrusted",
            Self::NotPermitted { .. } => "InsufficientPrivileges",
            Self::NotSet { .. } => "SetPasswordFailed",
            Self::OtherServer { .. } => "ServerMismatch",
            Self::Call(_) => "AwsCallFailed",
        }
    }

    /// Whether the same attempt may succeed in a moment.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }
}

/// One kind of server.
pub trait Engine: Send + Sync {
    /// Its name in texts, audit records and metrics.
    fn name(&self) -> &'static str;

    /// What a new password looks like.
    fn password_policy(&self) -> PasswordPolicy;

    /// The account that a secret's value describes.
    ///
    /// # Errors
    /// A key is missing or makes no sense.
    fn account(&self, document: &SecretDocument) -> Result<Account, DocumentError>;

    /// Tries a credential in a session of its own.
    ///
    /// # Errors
    /// Anything but a clear yes or no.
    fn log_in(&self, account: &Account) -> impl Future<Output = Result<Login, EngineError>> + Send;

    /// Gives a user another password, in a session of `by`: the user itself, or an admin.
    ///
    /// # Errors
    /// The password may or may not be set if the connection broke.
    fn set_password(
        &self,
        by: &Account,
        user: &str,
        new: &SecretString,
    ) -> impl Future<Output = Result<(), EngineError>> + Send;

    /// Makes a pending account one that logs in: [`Engine::set_other_user`] with a user to be `like`, else [`Engine::set_password`]. An engine
    /// for which an account is more than a user and a password has its own.
    ///
    /// # Errors
    /// As those two.
    fn set(
        &self,
        by: &Account,
        like: Option<&str>,
        pending: &Account,
    ) -> impl Future<Output = Result<(), EngineError>> + Send {
        async move {
            match like {
                Some(like) => self.set_other_user(by, like, &pending.user, &pending.password).await,
                None => self.set_password(by, &pending.user, &pending.password).await,
            }
        }
    }

    /// Bytes that a user's name may have, where a rotation can alternate between two users; `None` where it cannot.
    fn longest_user(&self) -> Option<usize> {
        None
    }

    /// Whether [`Engine::set_password`] leaves the password of `by` in force beside the new one, until the next change or
    /// [`Engine::retire_others`].
    fn overlaps(&self) -> bool {
        false
    }

    /// Whether [`Engine::retire_others`] has to come before a new password is made, because [`Engine::set_password`] drops the older of two, and
    /// a rotation that was given up has left its password as the newer one. Later than that it is not done: it could drop the new one.
    fn retires_first(&self) -> bool {
        false
    }

    /// Makes this account's password the only one of its user. Called only where [`Engine::overlaps`], and after the account has logged in.
    ///
    /// # Errors
    /// The others may or may not be gone if an answer was lost.
    fn retire_others(&self, keep: &Account) -> impl Future<Output = Result<(), EngineError>> + Send {
        let (server, user) = (keep.server.clone(), keep.user.clone());
        let problem = format!("users of {} have one password", self.name());
        async move { Err(EngineError::NotSet { server, user, problem }) }
    }

    /// Makes sure that `user` exists, may do what `like` may, and has this password, in a session of an admin. Nothing is taken
    /// from `like`. It may be called again after it died anywhere. Called only where [`Engine::longest_user`] is not `None`.
    ///
    /// # Errors
    /// The user may be half made if the connection broke.
    fn set_other_user(
        &self,
        admin: &Account,
        like: &str,
        user: &str,
        new: &SecretString,
    ) -> impl Future<Output = Result<(), EngineError>> + Send {
        let _ = (like, new);
        let (server, user) = (admin.server.clone(), user.to_owned());
        let problem = format!("users of {} do not alternate", self.name());
        async move { Err(EngineError::NotSet { server, user, problem }) }
    }
}
