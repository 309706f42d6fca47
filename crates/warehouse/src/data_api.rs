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
}

impl SqlRunError {
    /// Returns Redshift's message, if it rejected the statement.
    pub fn database_message(&self) -> Option<&str> {
        match self {
            Self::Failed(message) => Some(message),
            Self::Call(_) | Self::Aborted(_) | Self::TooSlow(_) => None,
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
    /// A statement that is not finished at `until` is cancelled.
    ///
    /// # Errors
    /// See [`SqlRunError`].
    pub async fn run(&self, sql: &str, token: Token<'_>, until: Instant) -> Result<Rows, SqlRunError> {
        let started = Instant::now();
        let id = self.start(sql, token).await?;
        let mut pause = Duration::from_millis(50);
        loop {
            let status = self
                .client
                .describe_statement()
                .id(&id)
                .send()
                .await
                .map_err(|error| CallError::new("redshift-data:DescribeStatement", &error))?;
            let message = || status.error().unwrap_or("no reason given").to_owned();
            match status.status() {
                Some(StatusString::Finished) if status.has_result_set() == Some(true) => {
                    return self.rows(&id).await;
                }
                Some(StatusString::Finished) => return Ok(Rows::new()),
                Some(StatusString::Failed) => return Err(SqlRunError::Failed(message())),
                Some(StatusString::Aborted) => return Err(SqlRunError::Aborted(message())),
                // Every other state, also one of a later version of the API, is not an end.
                _ => {}
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                self.cancel(&id).await;
                return Err(SqlRunError::TooSlow(started.elapsed().as_secs()));
            }
            tokio::time::sleep(pause.min(left)).await;
            pause = (pause * 2).min(Duration::from_secs(2));
        }
    }

    async fn start(&self, sql: &str, token: Token<'_>) -> Result<String, CallError> {
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
        let output =
            call.send().await.map_err(|error| CallError::new("redshift-data:ExecuteStatement", &error))?;
        Ok(output.id().unwrap_or_default().to_owned())
    }

    async fn rows(&self, id: &str) -> Result<Rows, SqlRunError> {
        let mut rows = Rows::new();
        let mut next = None;
        loop {
            let page = self.page(id, next).await?;
            rows.extend(page.rows);
            next = page.next;
            if next.is_none() {
                return Ok(rows);
            }
        }
    }
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
