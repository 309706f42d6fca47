//! AWS below the SDK: what Redshift's control planes, the Data API and Secrets Manager answer to
//! HTTP requests, acting on a real PostgreSQL, with a fault at any request. What takes time on AWS
//! takes a number of requests here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use aws_credential_types::Credentials;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::retry::RetryConfig;
use local_servers::postgres::{Server, describe_error};
use rotation::engines::redshift::{ControlPlane, DataApi, ProbeSecret};
use serde_json::{Value, json};
use test_support::rotation::Fault;
use tokio::sync::Notify;
use warehouse::target::Target;

use super::sessions::Sessions;
use super::stage::Stage;

/// The probe secret.
pub(crate) const PROBE_SECRET: &str = "arn:aws:secretsmanager:us-east-1:222222222222:secret:probe";
/// Requests until a new password of the admin is in effect.
const LATER: usize = 3;

macro_rules! config {
    ($sdk:ident, $http:expr) => {
        $sdk::Config::builder()
            .behavior_version($sdk::config::BehaviorVersion::latest())
            .region($sdk::config::Region::new("us-east-1"))
            .credentials_provider(Credentials::new("a", "b", None, None, "test"))
            // A fault reaches the engine: the SDK's own attempts would hide most of them.
            .retry_config(RetryConfig::disabled())
            .http_client($http)
            .build()
    };
}
/// An account of AWS with one warehouse and one secret.
#[derive(Debug)]
pub(crate) struct Aws {
    server: Arc<Server>,
    sessions: Arc<Sessions>,
    admin: String,
    state: Mutex<State>,
    death: Notify,
}

#[derive(Debug, Default)]
struct State {
    faults: HashMap<usize, Fault>,
    requests: usize,
    fired: bool,
    dead: bool,
    /// Newest last.
    versions: Vec<Version>,
    statements: HashMap<String, Statement>,
    /// Requests until a new password of the admin is in effect; 0 stands for [`LATER`].
    later: usize,
    /// A password of the admin, and the number of the request from which on it is in effect.
    pending: Option<(String, usize)>,
    /// Put into the probe secret as soon as a statement is there.
    intruder: Option<Value>,
    /// Statements stay on the way.
    hangs: bool,
    cancelled: usize,
    log: Vec<String>,
}

#[derive(Debug)]
struct Version {
    id: String,
    value: String,
    labels: Vec<&'static str>,
}

#[derive(Debug)]
struct Statement {
    error: Option<String>,
    rows: Vec<Vec<Option<String>>>,
    polls: usize,
}

impl State {
    /// AWSPREVIOUS moves to the version that had AWSCURRENT. A version without a label is deleted at
    /// some time.
    fn move_current(&mut self, from: &Value, to: &Value) -> Result<Value, Refusal> {
        let labelled = |version: &&mut Version| !version.labels.is_empty();
        let has = |id: &Value, version: &Version| *id == version.id.as_str();
        if !self.versions.iter().any(|version| has(from, version) && version.labels.contains(&"AWSCURRENT"))
            || !self.versions.iter_mut().filter(labelled).any(|version| has(to, version))
        {
            return Err(("InvalidParameterException", "The label is not on this version.".to_owned()));
        }
        for version in &mut self.versions {
            version.labels = match &version.id {
                id if *from == id.as_str() => vec!["AWSPREVIOUS"],
                id if *to == id.as_str() => vec!["AWSCURRENT"],
                _ => version.labels.iter().copied().filter(|label| *label != "AWSPREVIOUS").collect(),
            };
        }
        Ok(json!({}))
    }
}

/// An error of a service.
type Refusal = (&'static str, String);

impl Aws {
    /// Around a server; the warehouse's admin is this user.
    pub(crate) fn new(stage: &Stage, admin: &str) -> Arc<Self> {
        let state = State { versions: vec![version("first", "{}")], ..State::default() };
        let (server, sessions) = (Arc::clone(&stage.server), Arc::clone(&stage.sessions));
        Arc::new(Self {
            server,
            sessions,
            admin: admin.to_owned(),
            state: Mutex::new(state),
            death: Notify::new(),
        })
    }

    /// Faults by number of the request, counted from the next one.
    pub(crate) fn plan(&self, faults: HashMap<usize, Fault>) {
        let mut state = self.state();
        (state.faults, state.requests, state.log) = (faults, 0, Vec::new());
        // What earlier runs asked for has long been in effect.
        state.pending = None;
    }

    /// From now on, a new password of the admin takes effect after this many requests.
    pub(crate) fn take_requests(&self, later: usize) {
        self.state().later = later;
    }

    /// Requests since then.
    pub(crate) fn requests(&self) -> usize {
        self.state().requests
    }

    /// The calls since then.
    pub(crate) fn log(&self) -> Vec<String> {
        self.state().log.clone()
    }

    /// Returns true if a fault happened since the last call of this function.
    pub(crate) fn fault_fired(&self) -> bool {
        std::mem::take(&mut self.state().fired)
    }

    /// Waits until a fault kills the function.
    pub(crate) async fn died(&self) {
        self.death.notified().await;
    }

    /// The function's next life.
    pub(crate) fn revive(&self) {
        self.state().dead = false;
    }

    /// Somebody else writes this into the probe secret while a statement runs.
    pub(crate) fn intrude(&self, value: Value) {
        self.state().intruder = Some(value);
    }

    /// From now on no statement ends, or every one does.
    pub(crate) fn hang(&self, hangs: bool) {
        self.state().hangs = hangs;
    }

    /// Statements that were cancelled.
    pub(crate) fn cancelled(&self) -> usize {
        self.state().cancelled
    }

    /// Returns true if no labelled version of the probe secret holds a password.
    pub(crate) fn is_blank(&self) -> bool {
        let state = self.state();
        state.versions.iter().all(|version| version.labels.is_empty() || !version.value.contains("password"))
    }

    /// Versions of the probe secret that were written.
    pub(crate) fn probe_versions(&self) -> usize {
        self.state().versions.len() - 1
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn client(self: &Arc<Self>) -> SharedHttpClient {
        let connector = SharedHttpConnector::new(Connector(Arc::clone(self)));
        http_client_fn(move |_, _| connector.clone())
    }

    /// The control plane of one kind of warehouse.
    pub(crate) fn control_plane(self: &Arc<Self>, target: Target) -> ControlPlane {
        ControlPlane {
            redshift: aws_sdk_redshift::Client::from_conf(config!(aws_sdk_redshift, self.client())),
            serverless: aws_sdk_redshiftserverless::Client::from_conf(config!(
                aws_sdk_redshiftserverless,
                self.client()
            )),
            target,
        }
    }

    /// The Data API.
    pub(crate) fn data_api(self: &Arc<Self>, target: Target, within: std::time::Duration) -> DataApi {
        let secrets =
            aws_sdk_secretsmanager::Client::from_conf(config!(aws_sdk_secretsmanager, self.client()));
        DataApi {
            client: aws_sdk_redshiftdata::Client::from_conf(config!(aws_sdk_redshiftdata, self.client())),
            target,
            probe_secret: ProbeSecret::new(secrets, PROBE_SECRET.to_owned()),
            within,
        }
    }
}

fn version(id: &str, value: &str) -> Version {
    Version { id: id.to_owned(), value: value.to_owned(), labels: vec!["AWSCURRENT"] }
}

#[derive(Debug)]
struct Connector(Arc<Aws>);

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let aws = Arc::clone(&self.0);
        HttpConnectorFuture::new(async move { aws.call(request).await })
    }
}

impl Aws {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let body = String::from_utf8(request.body().bytes().unwrap_or_default().to_vec()).unwrap();
        let target = request.headers().get("x-amz-target").map(str::to_owned);
        let form: HashMap<String, String> = form_urlencoded::parse(body.as_bytes()).into_owned().collect();
        let action = target.clone().unwrap_or_else(|| form["Action"].clone());
        let fault = {
            let mut state = self.state();
            let number = state.requests;
            // A dead function sends nothing.
            if state.dead {
                None
            } else {
                state.requests += 1;
                state.log.push(action.clone());
                let fault = state.faults.remove(&number);
                state.fired |= fault.is_some();
                state.dead = matches!(fault, Some(Fault::DiesBefore | Fault::DiesAfter));
                Some(fault)
            }
        };
        let Some(fault) = fault else { return std::future::pending().await };
        let lost = || Err(ConnectorError::io("the connection broke".into()));
        match fault {
            Some(Fault::DiesBefore) => return self.die().await,
            Some(Fault::Fails) => return lost(),
            None | Some(Fault::AnswerLost | Fault::DiesAfter) => {}
        }
        self.time_passes().await;
        let answer = match &target {
            Some(_) => {
                let input = serde_json::from_str(&body).unwrap();
                let answer = self.json(&action, &input).await;
                let (status, body) = match answer {
                    Ok(answer) => (200, answer),
                    Err((code, message)) => (400, json!({"__type": code, "message": message})),
                };
                response(status, body.to_string())
            }
            None => match self.query(&action, &form) {
                Ok(answer) => response(200, answer),
                Err((code, message)) => response(
                    400,
                    format!(
                        "<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
                    ),
                ),
            },
        };
        match fault {
            Some(Fault::DiesAfter) => self.die().await,
            Some(Fault::AnswerLost) => lost(),
            _ => Ok(answer),
        }
    }

    async fn die(&self) -> Result<HttpResponse, ConnectorError> {
        self.death.notify_one();
        std::future::pending().await
    }

    /// A password of the admin is in effect a few requests after it was asked for.
    async fn time_passes(&self) {
        let due = {
            let mut state = self.state();
            let now = state.requests;
            state.pending.take_if(|(_, when)| *when <= now)
        };
        if let Some((password, _)) = due {
            let client = self.sessions.superuser().await;
            let user = self.admin.replace('"', "\"\"");
            client.batch_execute(&format!("ALTER ROLE \"{user}\" PASSWORD '{password}'")).await.unwrap();
        }
    }

    fn query(&self, action: &str, form: &HashMap<String, String>) -> Result<String, Refusal> {
        let mut state = self.state();
        if form["ClusterIdentifier"] != "c1" {
            return Err(("ClusterNotFound", "Cluster not found.".to_owned()));
        }
        if action == "ModifyCluster" {
            if state.pending.is_some() {
                return Err(("InvalidClusterState", "A change is pending.".to_owned()));
            }
            let when = state.requests + state.later.max(LATER);
            state.pending = Some((form["MasterUserPassword"].clone(), when));
        } else {
            assert_eq!(action, "DescribeClusters");
        }
        let pending =
            if state.pending.is_some() { "<MasterUserPassword>****</MasterUserPassword>" } else { "" };
        let cluster = format!(
            "<ClusterIdentifier>c1</ClusterIdentifier><ClusterStatus>available</ClusterStatus><MasterUsername>{}</MasterUsername>\
             <Endpoint><Address>127.0.0.1</Address><Port>{}</Port></Endpoint><PendingModifiedValues>{pending}</PendingModifiedValues>",
            self.admin.replace('"', "&quot;"),
            self.server.port()
        );
        let cluster = format!("<Cluster>{cluster}</Cluster>");
        let result =
            if action == "ModifyCluster" { cluster } else { format!("<Clusters>{cluster}</Clusters>") };
        Ok(format!("<{action}Response><{action}Result>{result}</{action}Result></{action}Response>"))
    }

    async fn json(&self, action: &str, input: &Value) -> Result<Value, Refusal> {
        match action {
            "secretsmanager.GetSecretValue" => self.get(input),
            "secretsmanager.PutSecretValue" => {
                let id = input["ClientRequestToken"].as_str().unwrap();
                self.put(id, input["SecretString"].as_str().unwrap());
                Ok(json!({"VersionId": id}))
            }
            "secretsmanager.UpdateSecretVersionStage" => self.unlabel(input),
            "RedshiftData.ExecuteStatement" => self.execute(input).await,
            "RedshiftData.DescribeStatement" => self.describe(input),
            "RedshiftData.CancelStatement" => {
                self.state().cancelled += 1;
                Ok(json!({"Status": true}))
            }
            "RedshiftData.GetStatementResult" => {
                let state = self.state();
                let statement = &state.statements[input["Id"].as_str().unwrap()];
                let cell = |cell: &Option<String>| match cell {
                    Some(text) => json!({"stringValue": text}),
                    None => json!({"isNull": true}),
                };
                let rows: Vec<Vec<Value>> =
                    statement.rows.iter().map(|row| row.iter().map(cell).collect()).collect();
                Ok(json!({"Records": rows}))
            }
            "RedshiftServerless.GetWorkgroup" if input["workgroupName"] == "w1" => Ok(json!({"workgroup": {
                "workgroupName": "w1", "namespaceName": "n1", "status": "AVAILABLE",
                "endpoint": {"address": "127.0.0.1", "port": self.server.port()}}})),
            "RedshiftServerless.GetNamespace" if input["namespaceName"] == "n1" => Ok(self.namespace()),
            "RedshiftServerless.UpdateNamespace" if input["namespaceName"] == "n1" => {
                if input["adminUsername"] != self.admin.as_str() || !input["adminUserPassword"].is_string() {
                    let message = "Specify both the user name and password, or neither.";
                    return Err(("ValidationException", message.to_owned()));
                }
                let mut state = self.state();
                // The service does not report when it is in effect.
                let when = state.requests + state.later.max(LATER);
                state.pending = Some((input["adminUserPassword"].as_str().unwrap().to_owned(), when));
                drop(state);
                Ok(self.namespace())
            }
            other => Err(("ResourceNotFoundException", format!("{other} of something that is not there"))),
        }
    }

    fn namespace(&self) -> Value {
        json!({"namespace": {"namespaceName": "n1", "status": "AVAILABLE", "adminUsername": self.admin}})
    }

    fn get(&self, input: &Value) -> Result<Value, Refusal> {
        assert_eq!(input["SecretId"], PROBE_SECRET);
        let state = self.state();
        let found = state
            .versions
            .iter()
            .find(|version| version.labels.iter().any(|label| input["VersionStage"] == *label));
        let found = found.ok_or(("ResourceNotFoundException", "no such version".to_owned()))?;
        Ok(json!({"VersionId": found.id, "SecretString": found.value}))
    }

    /// AWSCURRENT moves to the new version, AWSPREVIOUS to the one that had it.
    fn put(&self, id: &str, value: &str) {
        let mut state = self.state();
        for version in &mut state.versions {
            let was_current = version.labels.contains(&"AWSCURRENT");
            version.labels = if was_current { vec!["AWSPREVIOUS"] } else { Vec::new() };
        }
        state.versions.push(version(id, value));
    }

    fn unlabel(&self, input: &Value) -> Result<Value, Refusal> {
        let mut state = self.state();
        if input["VersionStage"] == "AWSCURRENT" {
            return state.move_current(&input["RemoveFromVersionId"], &input["MoveToVersionId"]);
        }
        assert_eq!(
            (&input["VersionStage"], &input["MoveToVersionId"]),
            (&json!("AWSPREVIOUS"), &Value::Null)
        );
        let found =
            state.versions.iter_mut().find(|version| input["RemoveFromVersionId"] == version.id.as_str());
        let found = found.filter(|version| version.labels.contains(&"AWSPREVIOUS"));
        let found =
            found.ok_or(("InvalidParameterException", "The label is not on this version.".to_owned()))?;
        found.labels.clear();
        Ok(json!({}))
    }

    async fn execute(&self, input: &Value) -> Result<Value, Refusal> {
        let secret = self.get(&json!({"SecretId": input["SecretArn"], "VersionStage": "AWSCURRENT"}))?;
        let mut value: Value = serde_json::from_str(secret["SecretString"].as_str().unwrap()).unwrap();
        let intruder = self.state().intruder.take();
        if let Some(intruder) = intruder {
            self.put("of-the-intruder", &intruder.to_string());
            value = intruder;
        }
        let [user, password] = ["username", "password"].map(|key| value[key].as_str().map(str::to_owned));
        let (Some(user), Some(password)) = (user, password) else {
            return Err(("ValidationException", "The secret has no username and password.".to_owned()));
        };
        let target = (input["ClusterIdentifier"].as_str(), input["WorkgroupName"].as_str());
        assert!(matches!(target, (Some("c1"), None) | (None, Some("w1"))), "{target:?}");
        if target.0.is_some() && value["dbClusterIdentifier"] != "c1" {
            let message = "The dbClusterIdentifier of the secret does not match the ClusterIdentifier.";
            return Err(("ValidationException", message.to_owned()));
        }
        let database = input["Database"].as_str().unwrap();
        let done = async {
            let session = self.sessions.log_in(database, &user, &password).await?;
            let statement = session.simple_query(input["Sql"].as_str().unwrap()).await;
            statement.map_err(|error| describe_error(&error))
        };
        let (rows, error) = match done.await {
            Ok(messages) => (messages.iter().filter_map(row).collect(), None),
            Err(error) => (Vec::new(), Some(error)),
        };
        let mut state = self.state();
        let id = format!("statement-{}", state.statements.len());
        state.statements.insert(id.clone(), Statement { error, rows, polls: 0 });
        Ok(json!({"Id": id}))
    }

    fn describe(&self, input: &Value) -> Result<Value, Refusal> {
        let id = input["Id"].as_str().unwrap();
        let mut state = self.state();
        let (hangs, number) = (state.hangs, state.statements.len());
        let statement = state.statements.get_mut(id).unwrap();
        statement.polls += 1;
        // Every sixteenth is still on the way when it is asked for first.
        if hangs || number.is_multiple_of(16) && statement.polls == 1 {
            return Ok(json!({"Id": id, "Status": "STARTED"}));
        }
        Ok(match &statement.error {
            Some(error) => json!({"Id": id, "Status": "FAILED", "Error": error}),
            None => json!({"Id": id, "Status": "FINISHED", "HasResultSet": !statement.rows.is_empty()}),
        })
    }
}

fn row(message: &tokio_postgres::SimpleQueryMessage) -> Option<Vec<Option<String>>> {
    match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => {
            Some((0..row.len()).map(|column| row.get(column).map(str::to_owned)).collect())
        }
        _ => None,
    }
}

fn response(status: u16, body: String) -> HttpResponse {
    HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body))
}
