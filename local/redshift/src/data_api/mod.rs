//! The Data API `redshift-data` (JSON 1.1, 2019-12-20).

mod access;
mod execute;
mod fields;
mod read;
mod session;
mod statements;

use std::sync::Arc;

use axum::response::Response;
use serde_json::Value;

use crate::answer::{ApiError, json_answer};
use crate::app::App;
use crate::caller::Caller;

pub(crate) use fields::{Outcome, ResultSet};
pub(crate) use session::{Session, postgres as sql_error};
pub use statements::Statements;

/// Handles one request.
pub async fn serve(app: &Arc<App>, caller: &Caller, target: &str, body: &[u8]) -> Response {
    let operation = target.rsplit('.').next().unwrap_or_default();
    match dispatch(app, caller, operation, body).await {
        Ok(answer) => json_answer(&answer),
        Err(error) => error.into_json(),
    }
}

async fn dispatch(app: &Arc<App>, caller: &Caller, operation: &str, body: &[u8]) -> Result<Value, ApiError> {
    let input: Value = serde_json::from_slice(body)
        .map_err(|error| ApiError::new("SerializationException", format!("The body is not JSON: {error}")))?;
    match operation {
        "ExecuteStatement" => execute::execute(app, caller, &input).await,
        "BatchExecuteStatement" => execute::batch(app, caller, &input).await,
        "DescribeStatement" => read::describe(app, caller, &input).await,
        "GetStatementResult" => read::result(app, caller, &input).await,
        "CancelStatement" => execute::cancel(app, caller, &input).await,
        "ListStatements" => read::list(app, caller, &input),
        other => Err(ApiError::not_imitated(format!("the action redshift-data:{other}"))),
    }
}

/// An optional string of the request.
fn string<'a>(input: &'a Value, name: &str) -> Option<&'a str> {
    input.get(name).and_then(Value::as_str)
}

/// A required string of the request.
fn required<'a>(input: &'a Value, name: &str) -> Result<&'a str, ApiError> {
    string(input, name).ok_or_else(|| ApiError::validation(format!("{name} is required.")))
}
