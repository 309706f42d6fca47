//! ExecuteStatement, BatchExecuteStatement, CancelStatement.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio_postgres::NoTls;

use super::access::{Target, login, target};
use super::session::{Session, error_text};
use super::statements::{Part, Statement, Status, seconds};
use super::{required, string};
use crate::answer::ApiError;
use crate::app::App;
use crate::caller::Caller;
use local_servers::postgres::Login;

/// Longest SQL text, bytes [D: quotas].
const MAX_SQL: usize = 200 * 1024;
/// Statements in a batch [M: redshift-data].
const MAX_BATCH: usize = 40;
/// Maximum of active statements on one warehouse [D: quotas].
const MAX_ACTIVE: usize = 500;

pub(super) async fn execute(app: &Arc<App>, caller: &Caller, input: &Value) -> Result<Value, ApiError> {
    let sql = required(input, "Sql")?.to_owned();
    submit(app, caller, input, vec![sql], false).await
}

pub(super) async fn batch(app: &Arc<App>, caller: &Caller, input: &Value) -> Result<Value, ApiError> {
    let sqls: Vec<String> = input["Sqls"]
        .as_array()
        .map(|list| list.iter().filter_map(Value::as_str).map(str::to_owned).collect())
        .unwrap_or_default();
    if sqls.is_empty() || sqls.len() > MAX_BATCH {
        return Err(ApiError::validation(format!(
            "Sqls must hold 1 to {MAX_BATCH} statements; found {}.",
            sqls.len()
        )));
    }
    if !matches!(string(input, "ExecutionMode"), None | Some("TRANSACTION" | "AUTO_COMMIT")) {
        return Err(ApiError::validation("ExecutionMode must be TRANSACTION or AUTO_COMMIT."));
    }
    submit(app, caller, input, sqls, true).await
}

/// Named parameters: each has a name and a value of at least one character, and is used.
fn parameters(input: &Value, sqls: &[String]) -> Result<Vec<(String, String)>, ApiError> {
    let mut found: Vec<(String, String)> = Vec::new();
    for parameter in input["Parameters"].as_array().into_iter().flatten() {
        let (name, value) = (string(parameter, "name"), string(parameter, "value"));
        let (Some(name), Some(value)) = (name, value) else {
            return Err(ApiError::validation("A parameter needs a name and a value, both strings."));
        };
        if value.is_empty() {
            return Err(ApiError::validation(format!(
                "The value of the parameter {name} must have at least 1 character."
            )));
        }
        if found.iter().any(|(known, _)| known == name) {
            return Err(ApiError::validation(format!("The parameter {name} is given twice.")));
        }
        found.push((name.to_owned(), value.to_owned()));
    }
    let used: Vec<String> = sqls.iter().flat_map(|sql| crate::sql::used_parameters(sql)).collect();
    if let Some((unused, _)) = found.iter().find(|(name, _)| !used.contains(name)) {
        return Err(ApiError::validation(format!("Parameters list contains unused parameters: {unused}.")));
    }
    Ok(found)
}

fn refuse_what_is_not_imitated(input: &Value) -> Result<(), ApiError> {
    for name in ["SessionId", "SessionKeepAliveSeconds"] {
        if input.get(name).is_some_and(|value| !value.is_null()) {
            return Err(ApiError::not_imitated(format!("{name} (sessions)")));
        }
    }
    if string(input, "ResultFormat") == Some("CSV") {
        return Err(ApiError::not_imitated("ResultFormat=CSV"));
    }
    Ok(())
}

async fn submit(
    app: &Arc<App>,
    caller: &Caller,
    input: &Value,
    sqls: Vec<String>,
    is_batch: bool,
) -> Result<Value, ApiError> {
    refuse_what_is_not_imitated(input)?;
    if let Some(long) = sqls.iter().find(|sql| sql.is_empty() || sql.len() > MAX_SQL) {
        return Err(ApiError::validation(format!(
            "A statement must have 1 to {MAX_SQL} bytes; found {}.",
            long.len()
        )));
    }
    let parameters = parameters(input, &sqls)?;
    let token = string(input, "ClientToken").map(|token| (caller.statement_owner(), token.to_owned()));
    if token.as_ref().is_some_and(|(_, token)| token.is_empty() || token.len() > 64) {
        return Err(ApiError::validation("ClientToken must have 1 to 64 characters."));
    }
    if let Some(token) = &token
        && let Some(answer) = repeated(app, token, input)?
    {
        return Ok(answer);
    }
    let target = target(app, caller, input)?;
    let database = required(input, "Database")?.to_owned();
    let login = login(app, caller, input, &target).await?;
    let statement = Statement {
        id: uuid::Uuid::new_v4().to_string(),
        owner: caller.statement_owner(),
        principal: caller.principal.clone(),
        account: caller.account.clone(),
        region: caller.region.clone(),
        input: input.clone(),
        db_user: login.user().to_owned(),
        is_batch,
        parts: sqls.into_iter().map(Part::new).collect(),
        status: Status::Submitted,
        error: None,
        created: Timestamp::now(),
        updated: Timestamp::now(),
        started: Instant::now(),
        duration: Duration::ZERO,
        pid: 0,
        cancel: None,
        cancelled: false,
        ended: Arc::default(),
        resource: target.resource.clone(),
    };
    let id = statement.id.clone();
    let mut answer = statement.repeated();
    {
        let mut world = app.world();
        // A second call with the same token may have arrived while this one called the gateway.
        if let Some(token) = token {
            if let Some((_, known)) = world.statements.tokens.get(&token)
                && let Some(known) = world.statements.by_id.get(known)
            {
                return Ok(Value::Object(known.repeated()));
            }
            world.statements.tokens.insert(token, (input.clone(), id.clone()));
        }
        let active = world
            .statements
            .by_id
            .values()
            .filter(|known| known.resource == statement.resource && !known.status.is_final())
            .count();
        if active >= MAX_ACTIVE {
            return Err(ApiError::new(
                "ActiveStatementsExceededException",
                format!("There are {MAX_ACTIVE} active statements already."),
            ));
        }
        world.statements.by_id.insert(id.clone(), statement);
    }
    tokio::spawn(work(Arc::clone(app), id.clone(), target, database, login, parameters));
    super::read::wait(app, &id, input).await?;
    if input.get("WaitTimeSeconds").is_some() {
        let world = app.world();
        if let Some(done) = world.statements.by_id.get(&id) {
            answer.insert("Status".to_owned(), json!(done.status.as_str()));
            answer.insert("RedshiftPid".to_owned(), json!(done.pid));
            answer.insert(
                "HasResultSet".to_owned(),
                json!(done.parts.iter().any(|part| part.result.is_some())),
            );
        }
    }
    Ok(Value::Object(answer))
}

/// Returns the statement of a token that was used before, if the request is the same.
fn repeated(app: &App, token: &(String, String), input: &Value) -> Result<Option<Value>, ApiError> {
    let world = app.world();
    let Some((known_input, id)) = world.statements.tokens.get(token) else { return Ok(None) };
    if known_input != input {
        return Err(ApiError::validation("ClientToken was used before with another request."));
    }
    Ok(world.statements.by_id.get(id).map(|statement| Value::Object(statement.repeated())))
}

/// Runs a statement and records its outcome.
async fn work(
    app: Arc<App>,
    id: String,
    target: Target,
    database: String,
    login: Login,
    parameters: Vec<(String, String)>,
) {
    let result = run_parts(&app, &id, &target, &database, &login, &parameters).await;
    let event = {
        let mut world = app.world();
        let Some(statement) = world.statements.by_id.get_mut(&id) else { return };
        statement.duration = statement.started.elapsed();
        statement.updated = Timestamp::now();
        statement.cancel = None;
        statement.status = match &result {
            _ if statement.cancelled => Status::Aborted,
            Ok(()) => Status::Finished,
            Err(_) => Status::Failed,
        };
        if statement.status == Status::Failed {
            statement.error = result.err();
        }
        for part in statement.parts.iter_mut().filter(|part| !part.status.is_final()) {
            // Statements that did not run are aborted with the batch.
            part.status = Status::Aborted;
        }
        statement.ended.notify_waiters();
        (statement.input["WithEvent"] == json!(true)).then(|| event(statement))
    };
    if let Some(event) = event
        && let Err(error) = app.gateway.event(&event).await
    {
        crate::report(&format!("the event of statement {id} was not delivered: {error}"));
    }
}

/// [D: Monitoring Data API events]
fn event(statement: &Statement) -> Value {
    let part = statement.parts.last();
    json!({
        "account": statement.account, "region": statement.region, "source": "aws.redshift-data",
        "detail_type": "Redshift Data Statement Status Change", "resources": [statement.resource],
        "detail": {
            "principal": statement.principal, "statementName": string(&statement.input, "StatementName").unwrap_or_default(),
            "statementId": statement.id, "redshiftQueryId": part.map_or(-1, |part| part.query_id),
            "state": statement.status.as_str(), "rows": part.map_or(-1, |part| part.rows),
            // Results are kept for a day.
            "expireAt": seconds(statement.created).trunc() + 86400.0,
        },
    })
}

async fn run_parts(
    app: &Arc<App>,
    id: &str,
    target: &Target,
    database: &str,
    login: &Login,
    parameters: &[(String, String)],
) -> Result<(), String> {
    let mut session =
        Session::open(app, target, database, login).await.map_err(|error| error_text(&error))?;
    let pid: i32 =
        session.client.query_one("SELECT pg_backend_pid()", &[]).await.map(|row| row.get(0)).unwrap_or(0);
    let (sqls, in_block) = {
        let mut world = app.world();
        let Some(statement) = world.statements.by_id.get_mut(id) else { return Ok(()) };
        if statement.cancelled {
            return Err("cancelled".to_owned());
        }
        statement.status = Status::Started;
        statement.updated = Timestamp::now();
        statement.pid = pid;
        statement.cancel = Some(session.client.cancel_token());
        let sqls: Vec<String> = statement.parts.iter().map(|part| part.sql.clone()).collect();
        // [M] one transaction, unless ExecutionMode says otherwise.
        let in_block = statement.is_batch && string(&statement.input, "ExecutionMode") != Some("AUTO_COMMIT");
        (sqls, in_block)
    };
    session.in_block = in_block;
    if in_block {
        session
            .client
            .batch_execute("BEGIN")
            .await
            .map_err(|error| local_servers::postgres::describe_error(&error))?;
    }
    let mut failure = None;
    for (number, sql) in sqls.iter().enumerate() {
        let used = crate::sql::used_parameters(sql);
        let mine: Vec<(String, String)> =
            parameters.iter().filter(|(name, _)| used.contains(name)).cloned().collect();
        let begun = Instant::now();
        set_part(app, id, number, |part| part.status = Status::Started);
        let outcome = session.run(sql, &mine).await;
        let cancelled = app.world().statements.by_id.get(id).is_none_or(|statement| statement.cancelled);
        let error = outcome.as_ref().err().map(error_text);
        set_part(app, id, number, |part| {
            part.duration = begun.elapsed();
            part.error.clone_from(&error);
            part.status = match &outcome {
                _ if cancelled => Status::Aborted,
                Ok(_) => Status::Finished,
                Err(_) => Status::Failed,
            };
            if let Ok(outcome) = outcome {
                part.rows = outcome.rows;
                part.query_id = outcome.query_id;
                part.result = outcome.result.map(Arc::new);
            }
        });
        if let Some(error) = error {
            let message =
                if sqls.len() > 1 { format!("Query #{} failed with {error}", number + 1) } else { error };
            failure.get_or_insert(message);
            if in_block || cancelled {
                break;
            }
        }
    }
    if in_block {
        let end = if failure.is_some() { "ROLLBACK" } else { "COMMIT" };
        session
            .client
            .batch_execute(end)
            .await
            .map_err(|error| local_servers::postgres::describe_error(&error))?;
    }
    failure.map_or(Ok(()), Err)
}

fn set_part(app: &App, id: &str, number: usize, change: impl FnOnce(&mut Part)) {
    let mut world = app.world();
    if let Some(part) =
        world.statements.by_id.get_mut(id).and_then(|statement| statement.parts.get_mut(number))
    {
        change(part);
        part.updated = Timestamp::now();
    }
}

pub(super) async fn cancel(app: &Arc<App>, caller: &Caller, input: &Value) -> Result<Value, ApiError> {
    let id = required(input, "Id")?;
    let token = {
        let mut world = app.world();
        let statement = world
            .statements
            .by_id
            .get_mut(id)
            .filter(|statement| statement.owner == caller.statement_owner())
            .ok_or_else(|| super::read::no_statement(id))?;
        if statement.status.is_final() {
            let message = format!(
                "Could not cancel a query that is already in {} state with ID: {id}",
                statement.status.as_str()
            );
            return Err(ApiError::validation(message));
        }
        statement.cancelled = true;
        statement.cancel.clone()
    };
    if let Some(token) = token {
        token
            .cancel_query(NoTls)
            .await
            .map_err(|error| ApiError::new("DatabaseConnectionException", error.to_string()))?;
    }
    Ok(json!({"Status": true}))
}
