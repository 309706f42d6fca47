//! Sessions on a server.

use std::path::PathBuf;
use std::time::Duration;

use tokio_postgres::{Client, Config, NoTls};

/// The login of a session.
#[derive(Clone)]
pub enum Login {
    /// As this user over the socket, to which only this process has access, after a decision of
    /// IAM.
    Trusted(String),
    /// With a password over the wire port; a wrong one fails as on Redshift.
    Password {
        /// Database user.
        user: String,
        /// Its password.
        password: String,
    },
}

impl Login {
    /// The user that owns the system tables; `rdsdb` is the name of Redshift's own superuser.
    #[must_use]
    pub fn system() -> Self {
        Self::Trusted(SYSTEM_USER.to_owned())
    }

    /// Name of the user.
    #[must_use]
    pub fn user(&self) -> &str {
        match self {
            Self::Trusted(user) | Self::Password { user, .. } => user,
        }
    }
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Login").field(&self.user()).finish()
    }
}

pub(super) const SYSTEM_USER: &str = "rdsdb";

/// The address of a server.
#[derive(Debug, Clone)]
pub struct Address {
    pub(super) socket_folder: PathBuf,
    pub(super) port: u16,
}

/// Opens a session. The connection's task ends with the client.
///
/// # Errors
/// PostgreSQL's error.
pub async fn connect(
    address: &Address,
    database: &str,
    login: &Login,
) -> Result<Client, tokio_postgres::Error> {
    let mut config = Config::new();
    config.port(address.port).dbname(database).user(login.user()).connect_timeout(Duration::from_secs(10));
    match login {
        Login::Trusted(_) => config.host_path(&address.socket_folder),
        Login::Password { password, .. } => config.host("127.0.0.1").password(password),
    };
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(async move {
        // Errors of the connection reach the user through the statement that is running on it.
        let _ended = connection.await;
    });
    Ok(client)
}

/// Ends every other session of a database, so that it can be dropped or the server stopped at once.
///
/// # Errors
/// PostgreSQL's error.
pub async fn kill_sessions(client: &Client, database: &str) -> Result<(), tokio_postgres::Error> {
    client
        .execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()",
            &[&database],
        )
        .await
        .map(|_| ())
}

/// Formats an error of PostgreSQL as the Data API does: `ERROR: message`, then detail, hint and
/// position.
#[must_use]
pub fn describe_error(error: &tokio_postgres::Error) -> String {
    use tokio_postgres::error::ErrorPosition;
    let Some(db) = error.as_db_error() else {
        let mut text = error.to_string();
        let mut source = std::error::Error::source(error);
        while let Some(cause) = source {
            text.push_str(&format!(": {cause}"));
            source = cause.source();
        }
        return text;
    };
    let mut text = format!("{}: {}", db.severity(), db.message());
    for (label, value) in [("Detail", db.detail()), ("Hint", db.hint())] {
        if let Some(value) = value {
            text.push_str(&format!("\n  {label}: {value}"));
        }
    }
    if let Some(ErrorPosition::Original(position)) = db.position() {
        text.push_str(&format!("\n  Position: {position}"));
    }
    text
}
