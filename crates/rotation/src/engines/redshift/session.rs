//! SQL on Redshift, over the wire or through the Data API.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;
use tokio_postgres::{Client, SimpleQueryMessage};
use warehouse::data_api::{Cell, Database, Login as DataApiLogin, SqlRunError, Token};
use warehouse::target::Target;

use super::companion::{Companion, Held, Lent};
use super::digest::Digesting;
use super::form::without_literals;
use crate::engine::{Account, EngineError};
use crate::engines::pg_wire::{self, Certified, not_connected};
use crate::engines::trust::Tls;

/// How SQL reaches Redshift.
pub enum Access {
    /// Over the wire, with TLS: from inside the VPC, or to a public endpoint.
    Wire(Tls),
    /// Through the Data API.
    DataApi(DataApi),
}

/// What the Data API needs.
pub struct DataApi {
    /// Its client.
    pub client: aws_sdk_redshiftdata::Client,
    /// The warehouse.
    pub target: Target,
    /// With it the Data API logs in.
    pub companion: Companion,
    /// How long one statement may take. A cluster that is busy or a workgroup that wakes up takes its time.
    pub within: Duration,
}

/// Rows of texts.
pub(super) type Rows = Vec<Vec<Option<String>>>;

/// A session as one user.
pub(super) struct Session<'a> {
    account: &'a Account,
    kind: Kind,
}

enum Kind {
    Wire { client: Client, digest: bool },
    DataApi { database: Database, lent: Lent, within: Duration },
}

/// Why there are no rows.
#[derive(Debug)]
pub(super) enum Problem {
    /// The password is refused: through the Data API this shows with the first statement only.
    Refused,
    /// Redshift refused the statement, in its words.
    Statement(String),
    /// Everything else.
    Engine(EngineError),
}

impl<'a> Session<'a> {
    /// A session, or `None` if the password is refused.
    pub(super) async fn open(access: &Access, account: &'a Account) -> Result<Option<Self>, EngineError> {
        let kind = match access {
            Access::Wire(tls) => {
                let asked = Arc::new(AtomicBool::new(false));
                let tls = Digesting {
                    tls: Certified::new(tls, &account.server.host),
                    password: account.password.clone(),
                    asked: Arc::clone(&asked),
                };
                match pg_wire::connect(account, tls).await? {
                    Some(client) => Kind::Wire { client, digest: asked.load(Ordering::Relaxed) },
                    None => return Ok(None),
                }
            }
            Access::DataApi(api) => {
                let lent = Box::pin(api.companion.lend(account)).await?;
                let login = DataApiLogin::Secret(api.companion.arn.clone());
                let database = account.server.database.clone();
                let database = Database::new(api.client.clone(), api.target.clone(), database, login);
                Kind::DataApi { database, lent, within: api.within }
            }
        };
        Ok(Some(Self { account, kind }))
    }

    /// Whether the login was asked for a digest: the user's password is stored as sha256.
    pub(super) fn digest(&self) -> bool {
        matches!(self.kind, Kind::Wire { digest: true, .. })
    }

    /// Runs one statement.
    pub(super) async fn run(&self, sql: &SecretString) -> Result<Rows, Problem> {
        match &self.kind {
            Kind::Wire { client, .. } => match client.simple_query(sql.expose_secret()).await {
                Ok(messages) => Ok(messages.iter().filter_map(texts).collect()),
                Err(error) if error.as_db_error().is_some() => {
                    Err(Problem::Statement(without_literals(&lambda_kit::call::chain(&error))))
                }
                Err(error) => Err(Problem::Engine(not_connected(self.account, &error))),
            },
            Kind::DataApi { database, within, .. } => {
                // Every run is a statement of its own: an earlier one with this text may have failed with another password.
                // Boxed, as below: what the SDK's calls keep would make every future above them huge.
                let running = database.run(sql.expose_secret(), Token::Fresh, Instant::now() + *within);
                let rows = Box::pin(running).await;
                rows.map(|rows| rows.iter().map(|row| row.iter().map(cell).collect()).collect())
                    .map_err(|error| self.problem(error))
            }
        }
    }

    fn problem(&self, error: SqlRunError) -> Problem {
        let words = lambda_kit::call::chain(&error);
        // FATAL: password authentication failed for user "u".
        if words.contains("password authentication failed") {
            return Problem::Refused;
        }
        match error {
            SqlRunError::Call(error) => Problem::Engine(EngineError::Call(error)),
            SqlRunError::Failed(words) if words.starts_with("FATAL") => {
                Problem::Engine(self.not_permitted(words))
            }
            SqlRunError::Failed(words) => Problem::Statement(without_literals(&words)),
            SqlRunError::Aborted(_) | SqlRunError::TooSlow(_) => Problem::Engine(self.not_permitted(words)),
        }
    }

    fn not_permitted(&self, problem: String) -> EngineError {
        let (server, user) = (self.account.server.clone(), self.account.user.clone());
        EngineError::NotPermitted { server, user, problem }
    }

    /// Ends the session. What it said holds only if this succeeds.
    pub(super) async fn close(self) -> Result<(), EngineError> {
        let not_ours = "something else wrote the companion secret at the same time, so what the Data API answered proves nothing. The next \
                        attempt asks again; only one function may have this companion";
        let not_ours = self.not_permitted(not_ours.to_owned());
        match self.kind {
            Kind::Wire { .. } => Ok(()),
            Kind::DataApi { lent, .. } => match Box::pin(lent.take_back()).await? {
                Held::Ours => Ok(()),
                Held::Unknown => Err(not_ours),
            },
        }
    }
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
