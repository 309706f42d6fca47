//! DescribeStatement, GetStatementResult, ListStatements.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::statements::{Part, Statement, seconds};
use super::{required, string};
use crate::answer::ApiError;
use crate::app::App;
use crate::caller::Caller;

/// Rows on one page of GetStatementResult: the stand-in's choice, AWS documents none.
const PAGE_ROWS: usize = 1000;
/// Bytes on one page.
const PAGE_BYTES: usize = 1 << 20;

pub(super) fn no_statement(id: &str) -> ApiError {
    ApiError::new("ResourceNotFoundException", format!("Query does not exist. ID: {id}"))
}

/// Waits up to `WaitTimeSeconds` for the end of a statement; without it returns at once.
pub(super) async fn wait(app: &App, id: &str, input: &Value) -> Result<(), ApiError> {
    let Some(seconds) = input.get("WaitTimeSeconds").filter(|value| !value.is_null()) else { return Ok(()) };
    let seconds = seconds.as_u64().filter(|seconds| (1..=30).contains(seconds));
    let seconds = seconds.ok_or_else(|| ApiError::validation("WaitTimeSeconds must be between 1 and 30."))?;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(seconds);
    let whole = id.split(':').next().unwrap_or(id);
    loop {
        let ended = {
            let world = app.world();
            match world.statements.by_id.get(whole) {
                Some(statement) if !statement.status.is_final() => Arc::clone(&statement.ended),
                _ => return Ok(()),
            }
        };
        let notified = ended.notified();
        // The statement may end between the check and the wait, so check at least ten times a
        // second.
        let step = (tokio::time::Instant::now() + Duration::from_millis(100)).min(deadline);
        let _woken = tokio::time::timeout_at(step, notified).await;
        if tokio::time::Instant::now() >= deadline {
            return Ok(());
        }
    }
}

/// A statement, and the number and part of a batch if one is requested.
type Found<'a> = (&'a Statement, Option<(usize, &'a Part)>);

/// A statement of the caller's role, or the part of a batch that `ID:n` names.
fn find<'a>(app_statements: &'a super::Statements, caller: &Caller, id: &str) -> Result<Found<'a>, ApiError> {
    let (whole, number) = match id.split_once(':') {
        Some((whole, number)) => (whole, Some(number)),
        None => (id, None),
    };
    // [D: Using the Data API] statements of another role count as missing.
    let statement = app_statements
        .by_id
        .get(whole)
        .filter(|statement| statement.owner == caller.statement_owner())
        .ok_or_else(|| no_statement(id))?;
    let Some(number) = number else { return Ok((statement, None)) };
    let number: usize = number.parse().map_err(|_| no_statement(id))?;
    let part =
        number.checked_sub(1).and_then(|index| statement.parts.get(index)).ok_or_else(|| no_statement(id))?;
    Ok((statement, Some((number, part))))
}

pub(super) async fn describe(app: &App, caller: &Caller, input: &Value) -> Result<Value, ApiError> {
    let id = required(input, "Id")?;
    wait(app, id, input).await?;
    let world = app.world();
    let (statement, part) = find(&world.statements, caller, id)?;
    Ok(match part {
        Some((number, part)) => statement.describe_part(number, part),
        None => statement.describe(),
    })
}

pub(super) async fn result(app: &App, caller: &Caller, input: &Value) -> Result<Value, ApiError> {
    let id = required(input, "Id")?;
    wait(app, id, input).await?;
    let world = app.world();
    let (statement, part) = find(&world.statements, caller, id)?;
    let part = match part {
        Some((_, part)) => Some(part),
        None if statement.is_batch => None,
        None => statement.parts.first(),
    };
    let finished = statement.status == super::statements::Status::Finished;
    let set = part.filter(|_| finished).and_then(|part| part.result.as_ref()).ok_or_else(|| {
        ApiError::new(
            "ResourceNotFoundException",
            "Query does not have result. Please check query status with DescribeStatement.",
        )
    })?;
    let start: usize = match string(input, "NextToken") {
        Some(token) => token
            .strip_prefix("row-")
            .and_then(|number| number.parse().ok())
            .ok_or_else(|| ApiError::validation("NextToken is not one that this service gave."))?,
        None => 0,
    };
    let mut records = Vec::new();
    let mut bytes = 0;
    for row in set.rows.iter().skip(start) {
        if records.len() >= PAGE_ROWS || bytes >= PAGE_BYTES {
            break;
        }
        bytes += row.iter().flatten().map(String::len).sum::<usize>();
        records.push(set.record(row));
    }
    let next = start + records.len();
    let mut answer = json!({
        "Records": records, "ColumnMetadata": set.metadata(), "TotalNumRows": set.rows.len(),
    });
    if next < set.rows.len() {
        answer["NextToken"] = json!(format!("row-{next}"));
    }
    Ok(answer)
}

pub(super) fn list(app: &App, caller: &Caller, input: &Value) -> Result<Value, ApiError> {
    let limit = input["MaxResults"].as_u64().unwrap_or(100);
    if limit > 100 {
        return Err(ApiError::validation("MaxResults must be at most 100."));
    }
    let status = string(input, "Status").unwrap_or("FINISHED");
    let world = app.world();
    let mut found: Vec<&Statement> = world
        .statements
        .by_id
        .values()
        .filter(|statement| {
            statement.owner == caller.statement_owner()
                && (status == "ALL" || statement.status.as_str() == status)
                && string(input, "StatementName").is_none_or(|prefix| {
                    string(&statement.input, "StatementName").is_some_and(|name| name.starts_with(prefix))
                })
                && ["Database", "ClusterIdentifier", "WorkgroupName"].iter().all(|name| {
                    string(input, name).is_none_or(|wanted| string(&statement.input, name) == Some(wanted))
                })
        })
        .collect();
    found.sort_by_key(|statement| std::cmp::Reverse((statement.created, statement.id.clone())));
    let start: usize = match string(input, "NextToken") {
        Some(token) => {
            token.parse().map_err(|_| ApiError::validation("NextToken is not one that this service gave."))?
        }
        None => 0,
    };
    let size = usize::try_from(limit).unwrap_or(100).max(1);
    let page: Vec<Value> = found.iter().skip(start).take(size).map(|statement| summary(statement)).collect();
    let next = start + page.len();
    let mut answer = json!({"Statements": page});
    if next < found.len() {
        answer["NextToken"] = json!(next.to_string());
    }
    Ok(answer)
}

fn summary(statement: &Statement) -> Value {
    let mut map = serde_json::Map::new();
    for name in ["SecretArn", "StatementName"] {
        if let Some(value) = statement.input.get(name) {
            map.insert(name.to_owned(), value.clone());
        }
    }
    if let Some(parameters) = statement.input.get("Parameters") {
        map.insert("QueryParameters".into(), parameters.clone());
    }
    map.insert("Id".into(), json!(statement.id));
    map.insert("Status".into(), json!(statement.status.as_str()));
    map.insert("CreatedAt".into(), json!(seconds(statement.created)));
    map.insert("UpdatedAt".into(), json!(seconds(statement.updated)));
    map.insert("IsBatchStatement".into(), json!(statement.is_batch));
    map.insert("ResultFormat".into(), json!("JSON"));
    let texts: Vec<&str> = statement.parts.iter().map(|part| part.sql.as_str()).collect();
    if statement.is_batch {
        map.insert("QueryStrings".into(), json!(texts));
    } else {
        map.insert("QueryString".into(), json!(texts.first()));
    }
    Value::Object(map)
}
