//! SQL through the Redshift Data API: asynchronous, so a statement is started, watched, and cancelled in time.
//!
//! Source: "Using the Amazon Redshift Data API" of the Redshift management guide; limits there (Describe 100 a second).

use std::time::Duration;

use aws_sdk_redshiftdata::Client;
use aws_sdk_redshiftdata::types::{Field, StatusString};
use lambda_kit::call::CallError;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use crate::target::Target;

/// How the Data API logs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Login {
    /// With the user and password of a secret, by its ARN.
    Secret(String),
    /// As this database user, with temporary credentials (`redshift:GetClusterCredentials`).
    DbUser(String),
}

/// Why a statement has no result.
#[derive(Debug, thiserror::Error)]
pub enum SqlRunError {
    /// The API refused.
    #[error(transparent)]
    Call(#[from] CallError),
    /// Redshift refused the statement, in its own words.
    #[error("Redshift refused the statement: {0}")]
    Failed(String),
    /// Somebody cancelled it.
    #[error("the statement was aborted: {0}")]
    Aborted(String),
    /// The time ran out; the statement was cancelled.
    #[error(
        "the statement was not finished after {0} s and was cancelled; a busy or resuming warehouse does this, try again later"
    )]
    TooSlow(u64),
}

impl SqlRunError {
    /// Redshift's own words, if it refused.
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
    /// Text, if it is text.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A whole number, also one that came as text.
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

/// Whether the same statement may run again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token<'a> {
    /// A statement that only reads: each run is a new one, since an old result would be stale.
    Fresh,
    /// A statement that changes something: the same request gives the same statement, also when it is delivered twice.
    /// Redshift remembers a token for 8 hours.
    OncePer(&'a str),
}

/// A database of one warehouse, reached as one user.
#[derive(Debug, Clone)]
pub struct Database {
    pub(crate) client: Client,
    pub(crate) target: Target,
    pub(crate) database: String,
    pub(crate) login: Login,
}

impl Database {
    /// The database of a warehouse.
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
                // Every other state, also one that a later version adds, is on the way.
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
            // Serverless maps the caller's own identity; it has no DbUser.
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

/// 64 characters from the request and the statement: the longest token the API takes.
fn client_token(request: &str, sql: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(request.as_bytes());
    hash.update([0]);
    hash.update(sql.as_bytes());
    hex::encode(hash.finalize())
}
