//! A warehouse in memory: its control plane, and the statements that the function runs.

use serde_json::{Value, json};
use test_support::aws::{Answer, Call, Service};

pub(crate) const ROLE: &str = "arn:aws:iam::222222222222:role/copy";

/// A statement of the Data API.
#[derive(Debug, Clone)]
struct Statement {
    token: String,
    error: Option<String>,
    rows: Option<Vec<Vec<Value>>>,
}

/// The warehouse.
#[derive(Debug, Default)]
pub(crate) struct World {
    /// Names of the jobs, with the text that the view shows.
    pub(crate) jobs: Vec<(String, String)>,
    /// Columns of the one table, if it exists.
    pub(crate) table: Option<Vec<String>>,
    pub(crate) may_insert: bool,
    /// The user was not granted the COPY role.
    pub(crate) role_is_revoked: bool,
    /// The number of looks at `SYS_COPY_JOB` in which a new job is not there yet.
    pub(crate) lag: usize,
    /// The number of descriptions that are throttled once a job was made.
    pub(crate) throttled: usize,
    /// The error of every login.
    pub(crate) login_error: Option<String>,
    /// The refusal of every ExecuteStatement.
    pub(crate) refusal: Option<String>,
    statements: Vec<Statement>,
}

fn text(value: &str) -> Value {
    json!({"stringValue": value})
}

impl World {
    fn run(&mut self, sql: &str) -> Statement {
        let done = |error: Option<&str>, rows| Statement {
            token: String::new(),
            error: error.map(str::to_owned),
            rows,
        };
        if let Some(error) = &self.login_error {
            return done(Some(error), None);
        }
        let name_after = |words: &str| {
            let (_, rest) = sql.split_once(words)?;
            rest.split_whitespace().next().map(str::to_owned)
        };
        if sql.contains("FROM sys_copy_job") {
            let hidden = usize::from(self.lag > 0);
            self.lag = self.lag.saturating_sub(1);
            let visible = self.jobs.len().saturating_sub(hidden);
            let row = |(name, shown): &(String, String)| {
                vec![json!({"longValue": 7}), json!({"longValue": 1}), text(name), text(shown)]
            };
            return done(None, Some(self.jobs[..visible].iter().map(row).collect()));
        }
        if sql.contains("has_assumerole_privilege") {
            return done(None, Some(vec![vec![json!({"booleanValue": !self.role_is_revoked})]]));
        }
        if sql == "SELECT CURRENT_USER" {
            return done(None, Some(vec![vec![text("loader")]]));
        }
        if sql.starts_with("SELECT a.attname") {
            let may_insert = self.may_insert;
            let flag = |on: bool| json!({"booleanValue": on});
            let row = |name: &String| vec![text(name), text("loader"), flag(true), flag(may_insert)];
            return done(None, Some(self.table.iter().flatten().map(row).collect()));
        }
        if sql.starts_with("SELECT 1 FROM") {
            return done(None, Some(Vec::new()));
        }
        if sql.starts_with("CREATE TABLE") {
            return match self.table.replace(vec!["id".to_owned()]) {
                None => done(None, None),
                Some(_) => done(Some("ERROR: relation \"t\" already exists"), None),
            };
        }
        if sql.starts_with("DROP TABLE") {
            self.table = None;
            return done(None, None);
        }
        if sql.ends_with("NOLOAD") {
            return done(Some("ERROR: the prefix does not exist"), None);
        }
        if let Some(name) = name_after("JOB CREATE ") {
            self.jobs.push((name, sql.to_owned()));
            return done(None, None);
        }
        if let Some(name) = name_after("COPY JOB DROP ") {
            let before = self.jobs.len();
            self.jobs.retain(|(job, _)| *job != name);
            let absent = format!("ERROR: copy job {name} does not exist");
            return done((before == self.jobs.len()).then_some(&*absent), None);
        }
        panic!("an unexpected statement: {sql}");
    }

    fn execute(&mut self, call: &Call) -> Answer {
        if let Some(refusal) = &self.refusal {
            return Answer::Error(400, "ValidationException", refusal.clone());
        }
        // The same token is the same statement.
        let token = call.text("ClientToken");
        let known = self.statements.iter().position(|one| !token.is_empty() && one.token == token);
        let index = known.unwrap_or_else(|| {
            let statement = self.run(call.text("Sql"));
            self.statements.push(Statement { token: token.to_owned(), ..statement });
            self.statements.len() - 1
        });
        Answer::Json(json!({"Id": index.to_string()}))
    }

    fn describe(&mut self, call: &Call) -> Answer {
        if self.throttled > 0 && !self.jobs.is_empty() {
            self.throttled -= 1;
            return Answer::Error(400, "ThrottlingException", "Rate exceeded".into());
        }
        let found = &self.statements[call.text("Id").parse::<usize>().unwrap()];
        let status = if found.error.is_some() { "FAILED" } else { "FINISHED" };
        Answer::Json(json!({
            "Id": call.text("Id"), "Status": status, "Error": found.error, "HasResultSet": found.rows.is_some(),
        }))
    }
}

impl Service for World {
    fn serve(&mut self, call: &Call) -> Answer {
        match call.action.as_str() {
            "DescribeClusters" => Answer::Xml(format!(
                "<Clusters><Cluster><ClusterIdentifier>main</ClusterIdentifier><ClusterStatus>available</ClusterStatus>\
                 <ClusterNamespaceArn>arn:aws:redshift:us-east-1:222222222222:namespace:n</ClusterNamespaceArn>\
                 <IamRoles><ClusterIamRole><IamRoleArn>{ROLE}</IamRoleArn><ApplyStatus>in-sync</ApplyStatus>\
                 </ClusterIamRole></IamRoles></Cluster></Clusters>"
            )),
            "DescribeInboundIntegrations" => Answer::Xml(
                "<InboundIntegrations><InboundIntegration><SourceArn>arn:aws:s3:::bucket-a</SourceArn>\
                 <Status>active</Status></InboundIntegration></InboundIntegrations>"
                    .into(),
            ),
            "ExecuteStatement" => self.execute(call),
            "DescribeStatement" => self.describe(call),
            "GetStatementResult" => {
                let found = &self.statements[call.text("Id").parse::<usize>().unwrap()];
                Answer::Json(json!({"Records": found.rows.clone().unwrap_or_default()}))
            }
            "CancelStatement" => Answer::Json(json!({"Status": true})),
            other => panic!("an unexpected call: {other}"),
        }
    }
}
