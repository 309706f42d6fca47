//! Sessions on Redshift, over the wire or through the Data API.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;
use tokio_postgres::{Client, SimpleQueryMessage};
use warehouse::data_api::{Cell, Database, Login as DataApiLogin, SqlRunError, Token};
use warehouse::password_hash::without_literals;
use warehouse::target::Target;

use super::digest::DigestTls;
use super::probe_secret::{Exclusivity, Lease, ProbeSecret};
use crate::engine::{Account, EngineError};
use crate::engines::pg_wire::{self, certified, not_connected};
use crate::engines::trust::Tls;

/// The way in which SQL reaches Redshift.
pub enum Access {
    /// Over the wire, with TLS: from inside the VPC, or to a public endpoint.
    Wire(Tls),
    /// Through the Data API.
    DataApi(DataApi),
}

/// The Data API and its login.
pub struct DataApi {
    /// The client.
    pub client: aws_sdk_redshiftdata::Client,
    /// The warehouse.
    pub target: Target,
    /// The secret that the Data API logs in with.
    pub probe_secret: ProbeSecret,
    /// The timeout of one statement. A busy cluster, or a workgroup that resumes, needs some time.
    pub within: Duration,
}

/// Rows of texts.
pub(super) type Rows = Vec<Vec<Option<String>>>;

/// A session as one user.
pub(super) struct Session<'a> {
    account: Cow<'a, Account>,
    kind: Kind,
    /// True once it is known that names keep their case.
    case_is_kept: AtomicBool,
}

enum Kind {
    Wire { client: Client, digest: bool },
    DataApi { database: Database, lease: Option<Lease>, within: Duration },
}

/// An error of a session.
#[derive(Debug)]
pub(super) enum SessionError {
    /// The password is rejected. Through the Data API, this is known with the first statement only.
    Refused,
    /// Redshift rejected the statement, in its words.
    Statement(String),
    /// Another error.
    Engine(EngineError),
}

impl<'a> Session<'a> {
    /// Opens a session. Returns `None` if the password is rejected.
    pub(super) async fn open(access: &Access, account: &'a Account) -> Result<Option<Self>, EngineError> {
        match access {
            Access::Wire(tls) => Self::connect(tls, Cow::Borrowed(account)).await,
            Access::DataApi(api) => {
                let lease = Box::pin(api.probe_secret.lease(account, &api.target)).await?;
                Ok(Some(Self::with_lease(api, Cow::Borrowed(account), Some(lease))))
            }
        }
    }

    /// Opens a session of the same user in another database, which ends before this one. Returns
    /// `None` if the password is rejected.
    pub(super) async fn in_database(
        &self,
        access: &Access,
        name: String,
    ) -> Result<Option<Session<'static>>, EngineError> {
        let mut account = self.account.clone().into_owned();
        account.server.database = name;
        match access {
            Access::Wire(tls) => Session::connect(tls, Cow::Owned(account)).await,
            // The lease is for any database.
            Access::DataApi(api) => Ok(Some(Session::with_lease(api, Cow::Owned(account), None))),
        }
    }

    /// Returns the name of the database.
    pub(super) fn database(&self) -> &str {
        &self.account.server.database
    }

    fn new(account: Cow<'a, Account>, kind: Kind) -> Self {
        Self { account, kind, case_is_kept: AtomicBool::new(false) }
    }

    async fn connect(tls: &Tls, account: Cow<'a, Account>) -> Result<Option<Self>, EngineError> {
        let requested = Arc::new(AtomicBool::new(false));
        let inside = DigestTls {
            tls: certified(tls, &account.server.host),
            password: account.password.clone(),
            requested: Arc::clone(&requested),
        };
        Ok(pg_wire::connect(tls, &account, inside).await?.map(|client| {
            let digest = requested.load(Ordering::Relaxed);
            Self::new(account, Kind::Wire { client, digest })
        }))
    }

    fn with_lease(api: &DataApi, account: Cow<'a, Account>, lease: Option<Lease>) -> Self {
        let login = DataApiLogin::Secret(api.probe_secret.arn.clone());
        let database = account.server.database.clone();
        let database = Database::new(api.client.clone(), api.target.clone(), database, login);
        Self::new(account, Kind::DataApi { database, lease, within: api.within })
    }

    /// Returns true if the login needed a digest: the user's password is stored as sha256.
    pub(super) fn digest(&self) -> bool {
        matches!(self.kind, Kind::Wire { digest: true, .. })
    }

    /// Runs one statement.
    pub(super) async fn run(&self, sql: &SecretString) -> Result<Rows, SessionError> {
        if has_capitals(sql.expose_secret()) {
            self.keep_case().await?;
        }
        self.send(sql).await
    }

    /// Sets the search path of the session, so that a setting of the user or of the database does not
    /// choose what its statements mean. The Data API has a session for every statement: there, the
    /// names in the statements are qualified and nothing more.
    pub(super) async fn pin_search_path(&self) -> Result<(), SessionError> {
        match self.kind {
            Kind::Wire { .. } => self.send(&"SET search_path TO pg_catalog".into()).await.map(|_| ()),
            Kind::DataApi { .. } => Ok(()),
        }
    }

    /// Makes sure that Redshift keeps the capitals of names: it folds names to lower case, also in
    /// quotes, and `LoaderUser` would be another user.
    async fn keep_case(&self) -> Result<(), SessionError> {
        if self.case_is_kept.load(Ordering::Relaxed) {
            return Ok(());
        }
        if !self.keeps_case().await? {
            if matches!(self.kind, Kind::DataApi { .. }) {
                let problem = "a name has capitals, and this warehouse folds names to lower case; the Data API has a \
                               session for every statement, so set the parameter enable_case_sensitive_identifier of \
                               the warehouse to true, or use RedshiftAccess=wire; nothing was changed";
                return Err(SessionError::Statement(problem.to_owned()));
            }
            self.send(&"SET enable_case_sensitive_identifier TO true".into()).await?;
            if !self.keeps_case().await? {
                let problem = "a name has capitals, and the warehouse folds names to lower case in spite of \
                               enable_case_sensitive_identifier; nothing was changed";
                return Err(SessionError::Statement(problem.to_owned()));
            }
        }
        self.case_is_kept.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Returns true if names that differ only in case are different.
    async fn keeps_case(&self) -> Result<bool, SessionError> {
        match self.send(&r#"SELECT "a" FROM (SELECT 1 AS "a", 2 AS "A") AS one"#.into()).await {
            Ok(_) => Ok(true),
            // The name is ambiguous.
            Err(SessionError::Statement(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn send(&self, sql: &SecretString) -> Result<Rows, SessionError> {
        match &self.kind {
            Kind::Wire { client, .. } => match client.simple_query(sql.expose_secret()).await {
                Ok(messages) => Ok(messages.iter().filter_map(texts).collect()),
                Err(error) if error.as_db_error().is_some() => {
                    Err(SessionError::Statement(without_literals(&lambda_kit::error::chain(&error))))
                }
                Err(error) => Err(SessionError::Engine(not_connected(&self.account, &error))),
            },
            Kind::DataApi { database, within, .. } => {
                // Every run is a statement of its own: an earlier one with this text may have
                // failed with another password. The future is on the heap: with the SDK's calls in
                // it, all futures above would be huge.
                let running = database.run(sql.expose_secret(), Token::Fresh, Instant::now() + *within);
                let rows = Box::pin(running).await;
                rows.map(|rows| rows.iter().map(|row| row.iter().map(cell).collect()).collect())
                    .map_err(|error| self.problem(error))
            }
        }
    }

    fn problem(&self, error: SqlRunError) -> SessionError {
        let words = lambda_kit::error::chain(&error);
        // The message is: FATAL: password authentication failed for user "u".
        if words.contains("password authentication failed") {
            return SessionError::Refused;
        }
        match error {
            SqlRunError::Call(error) | SqlRunError::Unknown(error) => {
                SessionError::Engine(EngineError::Call(error))
            }
            SqlRunError::Failed(words) if words.starts_with("FATAL") => {
                SessionError::Engine(self.not_permitted(words))
            }
            SqlRunError::Failed(words) => SessionError::Statement(without_literals(&words)),
            SqlRunError::Aborted(_) | SqlRunError::TooSlow(_) => {
                SessionError::Engine(self.not_permitted(words))
            }
        }
    }

    fn not_permitted(&self, problem: String) -> EngineError {
        let (server, user) = (self.account.server.clone(), self.account.user.clone());
        EngineError::InsufficientPrivileges { server, user, problem }
    }

    /// Ends the session. Its results are valid only if this succeeds.
    pub(super) async fn close(self) -> Result<(), EngineError> {
        let not_ours = "something else wrote the probe secret at the same time, so the Data API's answer proves \
                        nothing; the next attempt tries again; only one function may use this probe secret";
        let not_ours = self.not_permitted(not_ours.to_owned());
        match self.kind {
            Kind::Wire { .. } | Kind::DataApi { lease: None, .. } => Ok(()),
            Kind::DataApi { lease: Some(lease), .. } => match Box::pin(lease.end()).await? {
                Exclusivity::Exclusive => Ok(()),
                Exclusivity::Unknown => Err(not_ours),
            },
        }
    }
}

/// Returns true if a name in a statement has a capital. Names are in double quotes, and texts in
/// single ones.
fn has_capitals(sql: &str) -> bool {
    let mut quote = None;
    let mut escaped = false;
    for c in sql.chars() {
        match (quote, c) {
            _ if escaped => escaped = false,
            (Some('\''), '\\') => escaped = true,
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            (Some('"'), c) if c.is_uppercase() => return true,
            _ => {}
        }
    }
    false
}

fn texts(message: &SimpleQueryMessage) -> Option<Vec<Option<String>>> {
    match message {
        SimpleQueryMessage::Row(row) => {
            Some((0..row.len()).map(|column| row.get(column).map(str::to_owned)).collect())
        }
        _ => None,
    }
}

fn cell(cell: &Cell) -> Option<String> {
    match cell {
        Cell::Null => None,
        Cell::Integer(number) => Some(number.to_string()),
        Cell::Float(number) => Some(number.to_string()),
        Cell::Boolean(flag) => Some(if *flag { "t" } else { "f" }.to_owned()),
        Cell::Text(text) => Some(text.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capitals_count_in_names_only() {
        for (sql, expected) in [
            (r#"ALTER USER "LoaderUser" PASSWORD 'md5x'"#, true),
            (r#"GRANT SELECT ON TABLE "s"."Orders" TO "u""#, true),
            (r#"ALTER USER "u" PASSWORD 'md5"X"Y'"#, false),
            (r#"SELECT 1 FROM t WHERE a = 'it''s "B"'"#, false),
            (r#"SELECT 'a\\' || "B""#, true),
            (r#"SELECT 'a\' "B"'"#, false),
        ] {
            assert_eq!(has_capitals(sql), expected, "{sql}");
        }
    }
}
