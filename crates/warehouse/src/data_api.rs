//! SQL through the Redshift Data API. The API is asynchronous: a statement is started, polled, and
//! cancelled in time.
//!
//! Source: "Using the Amazon Redshift Data API" of the Redshift management guide, with its limits
//! (100 descriptions a second).

use std::time::Duration;

use aws_sdk_redshiftdata::Client;
use aws_sdk_redshiftdata::types::{Field, StatusString};
use lambda_kit::call::CallError;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use crate::target::Target;

/// The first pause between two calls about one statement; each later one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// The login of the Data API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Login {
    /// With the user and password of a secret, by its ARN.
    Secret(String),
    /// As this database user, with temporary credentials (`redshift:GetClusterCredentials`).
    DbUser(String),
}

/// The error of a statement.
#[derive(Debug, thiserror::Error)]
pub enum SqlRunError {
    /// A call failed.
    #[error(transparent)]
    Call(#[from] CallError),
    /// Redshift rejected the statement, with this message.
    #[error("Redshift rejected the statement: {0}")]
    Failed(String),
    /// The statement was cancelled elsewhere.
    #[error("the statement was aborted: {0}")]
    Aborted(String),
    /// The time ran out; the statement was cancelled.
    #[error(
        "the statement was not finished after {0} s and was cancelled; the warehouse may be busy or \
         resuming, try again later"
    )]
    TooSlow(u64),
    /// The statement was sent, or may have been, and its outcome could not be read.
    #[error("the statement was sent and its outcome is unknown")]
    Unknown(#[source] CallError),
}

impl SqlRunError {
    /// Returns Redshift's message, if it rejected the statement.
    pub fn database_message(&self) -> Option<&str> {
        match self {
            Self::Failed(message) => Some(message),
            Self::Call(_) | Self::Aborted(_) | Self::TooSlow(_) | Self::Unknown(_) => None,
        }
    }

    /// Returns true if the statement may have had its effect, now or in a moment.
    pub fn may_have_effect(&self) -> bool {
        match self {
            Self::Call(_) | Self::Failed(_) => false,
            Self::Aborted(_) | Self::TooSlow(_) | Self::Unknown(_) => true,
        }
    }

    /// Returns true if the same statement may succeed in a moment.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Call(error) => error.is_transient(),
            Self::Failed(_) => false,
            Self::Aborted(_) | Self::TooSlow(_) | Self::Unknown(_) => true,
        }
    }
}

/// One cell of a result.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// NULL.
    Null,
    /// Whole numbers.
    Integer(i64),
    /// Floating point.
    Float(f64),
    /// BOOLEAN.
    Boolean(bool),
    /// Everything else, as text, without the padding of CHAR.
    Text(String),
}

impl Cell {
    /// Returns the text, if the cell is text.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the whole number, also from a text.
    pub fn integer(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(*number),
            Self::Text(text) => text.trim().parse().ok(),
            _ => None,
        }
    }
}

/// Rows of a result, in order.
pub type Rows = Vec<Vec<Cell>>;

/// The idempotency of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token<'a> {
    /// Each run is a new statement: for queries, whose old results would be stale.
    Fresh,
    /// The same request runs the statement once, also in a duplicate delivery: for changes.
    /// Redshift remembers a token for 8 hours.
    OncePer(&'a str),
}

/// A database of one warehouse, with the login of one user.
#[derive(Debug, Clone)]
pub struct Database {
    pub(crate) client: Client,
    pub(crate) target: Target,
    pub(crate) database: String,
    pub(crate) login: Login,
}

impl Database {
    /// Creates the adapter for a database.
    pub fn new(client: Client, target: Target, database: String, login: Login) -> Self {
        Self { client, target, database, login }
    }

    /// Runs a statement to its end and returns its rows, if it has any.
    ///
    /// Calls that are throttled or get no response are repeated until `until`. A statement that is
    /// not finished then is cancelled.
    ///
    /// # Errors
    /// See [`SqlRunError`].
    pub async fn run(&self, sql: &str, token: Token<'_>, until: Instant) -> Result<Rows, SqlRunError> {
        let started = Instant::now();
        let id = self.start(sql, token, until).await?;
        let mut pause = FIRST_PAUSE;
        loop {
            match self.end_of(&id).await {
                Ok(Some(has_rows)) => {
                    return if has_rows { self.rows(&id, until).await } else { Ok(Rows::new()) };
                }
                Ok(None) => {}
                // The statement runs, whatever the API says about it.
                Err(SqlRunError::Call(error)) if !error.is_transient() || Instant::now() >= until => {
                    self.cancel(&id).await;
                    return Err(SqlRunError::Unknown(error));
                }
                Err(SqlRunError::Call(error)) => {
                    tracing::warn!(statement = id, %error, "the statement's state could not be read; retrying");
                }
                Err(ended) => return Err(ended),
            }
            if !pause_until(&mut pause, until).await {
                return self.cancelled(&id, started).await;
            }
        }
    }

    /// Cancels a statement, and returns how it ended: it may have finished just before.
    async fn cancelled(&self, id: &str, started: Instant) -> Result<Rows, SqlRunError> {
        self.cancel(id).await;
        for _ in 0..3 {
            match self.end_of(id).await {
                Ok(Some(true)) => return self.rows(id, Instant::now()).await,
                Ok(Some(false)) => return Ok(Rows::new()),
                Err(SqlRunError::Failed(message)) => return Err(SqlRunError::Failed(message)),
                Err(SqlRunError::Aborted(_)) => break,
                Ok(None) | Err(_) => tokio::time::sleep(Duration::from_millis(250)).await,
            }
        }
        Err(SqlRunError::TooSlow(started.elapsed().as_secs()))
    }

    /// Returns `None` while a statement runs, and at its end whether it has rows.
    async fn end_of(&self, id: &str) -> Result<Option<bool>, SqlRunError> {
        let status = self
            .client
            .describe_statement()
            .id(id)
            .send()
            .await
            .map_err(|error| CallError::new("redshift-data:DescribeStatement", &error))?;
        let message = || status.error().unwrap_or("no reason given").to_owned();
        match status.status() {
            Some(StatusString::Finished) => Ok(Some(status.has_result_set() == Some(true))),
            Some(StatusString::Failed) => Err(SqlRunError::Failed(message())),
            Some(StatusString::Aborted) => Err(SqlRunError::Aborted(message())),
            // Every other state, also one of a later version of the API, is not an end.
            _ => Ok(None),
        }
    }

    /// Starts a statement. With a token, repeated calls start it once.
    async fn start(&self, sql: &str, token: Token<'_>, until: Instant) -> Result<String, SqlRunError> {
        let (mut pause, mut may_be_sent) = (FIRST_PAUSE, false);
        loop {
            let error = match self.execute(sql, token).await {
                Ok(id) => return Ok(id),
                Err(error) => error,
            };
            may_be_sent |= error.is_transient();
            if !error.is_transient() || !pause_until(&mut pause, until).await {
                return Err(if may_be_sent { SqlRunError::Unknown(error) } else { SqlRunError::Call(error) });
            }
            tracing::warn!(%error, "the statement could not be sent; retrying");
        }
    }

    async fn execute(&self, sql: &str, token: Token<'_>) -> Result<String, CallError> {
        const ACTION: &str = "redshift-data:ExecuteStatement";
        let mut call = self.client.execute_statement().sql(sql).database(&self.database);
        call = match &self.target {
            Target::Cluster(name) => call.cluster_identifier(name),
            Target::Workgroup(name) => call.workgroup_name(name),
        };
        call = match (&self.login, &self.target) {
            (Login::Secret(arn), _) => call.secret_arn(arn),
            // Serverless maps the caller's own identity. It has no DbUser.
            (Login::DbUser(_), Target::Workgroup(_)) => call,
            (Login::DbUser(user), Target::Cluster(_)) => call.db_user(user),
        };
        if let Token::OncePer(request) = token {
            call = call.client_token(client_token(request, sql));
        }
        let output = call.send().await.map_err(|error| CallError::new(ACTION, &error))?;
        output.id.ok_or_else(|| CallError::without_answer(ACTION, "the response has no id"))
    }

    async fn rows(&self, id: &str, until: Instant) -> Result<Rows, SqlRunError> {
        let (mut rows, mut next, mut pause) = (Rows::new(), None, FIRST_PAUSE);
        loop {
            match self.page(id, next.clone()).await {
                Ok(page) => {
                    rows.extend(page.rows);
                    next = page.next;
                    if next.is_none() {
                        return Ok(rows);
                    }
                }
                Err(error) if error.is_transient() && pause_until(&mut pause, until).await => {
                    tracing::warn!(statement = id, %error, "a result could not be read; retrying");
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Pauses, each time twice as long. Returns false, at once, if the time is over.
async fn pause_until(pause: &mut Duration, until: Instant) -> bool {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return false;
    }
    tokio::time::sleep((*pause).min(left)).await;
    *pause = (*pause * 2).min(LONGEST_PAUSE);
    true
}

pub(crate) fn cell(field: &Field) -> Cell {
    match field {
        Field::LongValue(number) => Cell::Integer(*number),
        Field::DoubleValue(number) => Cell::Float(*number),
        Field::BooleanValue(flag) => Cell::Boolean(*flag),
        Field::StringValue(text) => Cell::Text(text.trim_end_matches(' ').to_owned()),
        Field::BlobValue(bytes) => Cell::Text(hex::encode(bytes.as_ref())),
        _ => Cell::Null,
    }
}

/// Returns 64 characters, the longest token of the API, from the request and the statement.
fn client_token(request: &str, sql: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(request.as_bytes());
    hash.update([0]);
    hash.update(sql.as_bytes());
    hex::encode(hash.finalize())
}
