//! Sessions in PostgreSQL's wire protocol, which Redshift uses too.

use std::time::Duration;

use rustls::ClientConfig;
use secrecy::ExposeSecret;
use tokio_postgres::config::SslMode;
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{Client, Config};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::bounded::Bounded;
use super::trust::Tls;
use crate::engine::{Account, EngineError};

/// The timeout of a login. A paused Aurora Serverless database resumes in about 15 seconds
/// ("Scaling to Zero ACUs with automatic pause and resume" of the Aurora user guide).
const LOGIN_TIMEOUT: Duration = Duration::from_secs(20);

/// TLS that checks certificates for a name that need not be the host's.
pub(crate) type Certified = <MakeRustlsConnect as MakeTlsConnect<Bounded>>::TlsConnect;

/// Returns the TLS for one host.
pub(crate) fn certified(tls: &Tls, host: &str) -> Certified {
    let mut connector = MakeRustlsConnect::new(ClientConfig::clone(&tls.config()));
    let name = tls.server_name(host).map(|name| name.to_str().into_owned());
    let Ok(certified) =
        MakeTlsConnect::<Bounded>::make_tls_connect(&mut connector, name.as_deref().unwrap_or(host));
    certified
}

/// A session that was not opened.
#[derive(Debug)]
pub(crate) enum NotOpened {
    /// The server's answer, or a broken connection.
    Postgres(tokio_postgres::Error),
    /// There is no connection.
    Engine(EngineError),
}

impl NotOpened {
    /// Returns the error, apart from a rejected password.
    pub(crate) fn into_engine(self, account: &Account) -> EngineError {
        match self {
            Self::Postgres(error) => not_connected(account, &error),
            Self::Engine(error) => error,
        }
    }
}

/// Opens a session. Returns `None` if the password is rejected.
pub(crate) async fn connect<T>(tls: &Tls, account: &Account, inside: T) -> Result<Option<Client>, EngineError>
where
    T: TlsConnect<Bounded>,
    T::Stream: Send + 'static,
{
    match open(tls, account, inside).await {
        Ok(client) => Ok(Some(client)),
        Err(NotOpened::Postgres(error)) if is_refusal(&error) => Ok(None),
        Err(error) => Err(error.into_engine(account)),
    }
}

/// Opens a session: a TCP connection, then TLS by `inside`, then the login.
pub(crate) async fn open<T>(tls: &Tls, account: &Account, inside: T) -> Result<Client, NotOpened>
where
    T: TlsConnect<Bounded>,
    T::Stream: Send + 'static,
{
    let server = &account.server;
    let mut config = Config::new();
    config
        .dbname(&server.database)
        .user(&account.user)
        .password(account.password.expose_secret())
        .application_name("sluice-rotation")
        .ssl_mode(SslMode::Require);
    let plain = tls.connect_plain(server).await.map_err(NotOpened::Engine)?;
    let opened = tokio::time::timeout(LOGIN_TIMEOUT, config.connect_raw(plain, inside)).await;
    let (client, connection) = match opened {
        Ok(opened) => opened.map_err(NotOpened::Postgres)?,
        Err(_) => {
            let problem = format!("no login within {} s", LOGIN_TIMEOUT.as_secs());
            return Err(NotOpened::Engine(EngineError::ServerUnreachable {
                server: server.clone(),
                problem,
            }));
        }
    };
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
