//! Statements on a warehouse of the local cloud, through the Redshift Data API.

use std::{
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    Error,
    aws::{Account, AwsError},
};

/// A database of a cluster or workgroup, and the user of its statements.
#[derive(Debug, Clone)]
pub struct Database {
    account: Account,
    /// `ClusterIdentifier` or `WorkgroupName`, `Database`, `SecretArn` or `DbUser`, as the Data API
    /// names them.
    target: Value,
}

/// The result of a statement.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rows {
    /// Column names.
    pub columns: Vec<String>,
    /// Values as text; `None` is null.
    pub rows: Vec<Vec<Option<String>>>,
}

/// The time that a statement may run.
const DEADLINE: Duration = Duration::from_secs(60);

impl Database {
    /// `target` has the Data API's own members, such as `{"ClusterIdentifier", "Database",
    /// "SecretArn"}`.
    pub fn new(account: Account, target: Value) -> Self {
        Self { account, target }
    }

    /// Runs one statement and waits for its end.
    ///
    /// # Errors
    /// The Data API's error; the statement's own error has the code `StatementFailed`.
    pub fn query(&self, sql: &str) -> Result<Rows, Error> {
        let mut input = self.target.clone();
        if let Some(members) = input.as_object_mut() {
            members.insert("Sql".into(), sql.into());
        }
        let started = Instant::now();
        let call = |action, input| self.account.json("redshift-data", action, input);
        let statement = call("ExecuteStatement", input)?;
        let id = json!({"Id": statement["Id"]});
        let mut pause = Duration::from_millis(5);
        loop {
            let state = call("DescribeStatement", id.clone())?;
            let status = state["Status"].as_str().unwrap_or_default();
            match status {
                "FINISHED" if state["HasResultSet"] == json!(true) => return self.result(&id),
                "FINISHED" => return Ok(Rows::default()),
                "FAILED" | "ABORTED" => {
                    return Err(Error::Aws(AwsError {
                        service: "redshift-data".into(),
                        action: "ExecuteStatement".into(),
                        status: 200,
                        code: "StatementFailed".into(),
                        message: state["Error"].as_str().unwrap_or(status).to_owned(),
                    }));
                }
                _ if started.elapsed() > DEADLINE => {
                    return Err(Error::Timeout {
                        what: format!("the end of `{sql}`"),
                        seen: status.to_owned(),
                        waited: DEADLINE,
                    });
                }
                _ => {
                    thread::sleep(pause);
                    pause = (pause * 2).min(Duration::from_millis(200));
                }
            }
        }
    }

    fn result(&self, id: &Value) -> Result<Rows, Error> {
        let mut found = Rows::default();
        let mut page = id.clone();
        loop {
            let answer = self.account.json("redshift-data", "GetStatementResult", page.clone())?;
            let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
            found.columns = list(&answer["ColumnMetadata"])
                .iter()
                .map(|column| column["name"].as_str().unwrap_or_default().to_owned())
                .collect();
            let records = list(&answer["Records"]);
            found.rows.extend(records.iter().map(|record| list(record).iter().map(text).collect()));
            match answer["NextToken"].as_str() {
                Some(token) => page["NextToken"] = token.into(),
                None => return Ok(found),
            }
        }
    }
}

/// A field of the Data API: an object with one member that is named by the type.
fn text(field: &Value) -> Option<String> {
    let (name, value) = field.as_object()?.iter().next()?;
    match (name.as_str(), value) {
        ("isNull", _) => None,
        (_, Value::String(text)) => Some(text.clone()),
        (_, other) => Some(other.to_string()),
    }
}
