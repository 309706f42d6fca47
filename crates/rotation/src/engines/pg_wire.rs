//! Sessions in PostgreSQL's wire protocol, which Redshift uses too.

use rustls::ClientConfig;
use secrecy::ExposeSecret;
use tokio_postgres::config::SslMode;
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{Client, Config, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::trust::{CONNECT_TIMEOUT, Tls};
use crate::engine::{Account, EngineError};

/// TLS that checks certificates for a name that need not be the host's.
#[derive(Clone)]
pub(crate) struct Certified {
    connector: MakeRustlsConnect,
    name: Option<String>,
}

impl Certified {
    /// Creates it for one host.
    pub(crate) fn new(tls: &Tls, host: &str) -> Self {
        Self {
            connector: MakeRustlsConnect::new(ClientConfig::clone(&tls.config())),
            name: tls.server_name(host).map(|name| name.to_str().into_owned()),
        }
    }
}

impl MakeTlsConnect<Socket> for Certified {
    type Stream = <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream;
    type TlsConnect = <MakeRustlsConnect as MakeTlsConnect<Socket>>::TlsConnect;
    type Error = <MakeRustlsConnect as MakeTlsConnect<Socket>>::Error;

    fn make_tls_connect(&mut self, host: &str) -> Result<Self::TlsConnect, Self::Error> {
        let name = self.name.as_deref().unwrap_or(host);
        <MakeRustlsConnect as MakeTlsConnect<Socket>>::make_tls_connect(&mut self.connector, name)
    }
}

/// Opens a session. Returns `None` if the password is rejected.
pub(crate) async fn connect<T>(account: &Account, tls: T) -> Result<Option<Client>, EngineError>
where
    T: MakeTlsConnect<Socket>,
    T::TlsConnect: TlsConnect<Socket, Stream = T::Stream>,
    T::Stream: Send + 'static,
{
    match open(account, tls).await {
        Ok(client) => Ok(Some(client)),
        Err(error) if is_refusal(&error) => Ok(None),
        Err(error) => Err(not_connected(account, &error)),
    }
}

/// Opens a session.
pub(crate) async fn open<T>(account: &Account, tls: T) -> Result<Client, tokio_postgres::Error>
where
    T: MakeTlsConnect<Socket>,
    T::TlsConnect: TlsConnect<Socket, Stream = T::Stream>,
    T::Stream: Send + 'static,
{
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
    let (client, connection) = config.connect(tls).await?;
    tokio::spawn(async move {
        // The error of a connection reaches the client that waits on it.
        let _ended = connection.await;
    });
    Ok(client)
}

/// Returns true if PostgreSQL accepted the password and opens no session for a reason that it checks
/// later: the role may not log in (NOLOGIN), or has too many sessions. Source:
/// `InitializeSessionUserId` in miscinit.c, which runs after `PerformAuthentication`.
pub(crate) fn is_known_and_barred(error: &tokio_postgres::Error) -> bool {
    error.as_db_error().is_some_and(|db| {
        db.routine() == Some("InitializeSessionUserId")
            && (*db.code() == SqlState::TOO_MANY_CONNECTIONS
                || *db.code() == SqlState::INVALID_AUTHORIZATION_SPECIFICATION)
            && !db.message().contains("does not exist")
    })
}

/// Returns true if the password was rejected. Redshift does not use 28P01. It uses 28000, as for
/// other errors, with this message (aws/amazon-redshift-python-driver#237).
pub(crate) fn is_refusal(error: &tokio_postgres::Error) -> bool {
    error.as_db_error().is_some_and(|db| {
        *db.code() == SqlState::INVALID_PASSWORD
            || *db.code() == SqlState::INVALID_AUTHORIZATION_SPECIFICATION
                && db.message().starts_with("password authentication failed")
    })
}

/// Returns the error of a failed connection, apart from a rejected password.
pub(crate) fn not_connected(account: &Account, error: &tokio_postgres::Error) -> EngineError {
    let (server, problem) = (account.server.clone(), lambda_kit::error::chain(error));
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
        return EngineError::CertificateNotTrusted { server, problem };
    }
    match error.as_db_error() {
        // Starting, stopping, too many connections: 57P0x, 53xxx.
        Some(db) if db.code().code().starts_with("57P") || db.code().code().starts_with("53") => {
            EngineError::ServerUnreachable { server, problem }
        }
        Some(_) => EngineError::InsufficientPrivileges { server, user: account.user.clone(), problem },
        None => EngineError::ServerUnreachable { server, problem },
    }
}
