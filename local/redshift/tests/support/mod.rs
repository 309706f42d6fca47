//! The stand-in with a small fake of the gateway.
#![allow(dead_code, unreachable_pub, clippy::expect_used, reason = "tests, each of which uses its part")]

mod fake_gateway;
pub mod parquet_file;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use sluice_redshift::app::{App, Settings};
use sluice_redshift::gateway::xml_text;

pub use fake_gateway::FakeGateway;

pub const SOURCE: &str = "111111111111";
pub const TARGET: &str = "222222222222";
pub const REGION: &str = "us-east-1";
pub const PASSWORD: &str = "Secret-123";
pub const ROLE: &str = "arn:aws:iam::222222222222:role/copy";

/// A running stand-in.
pub struct Local {
    pub gateway: Arc<FakeGateway>,
    pub app: Arc<App>,
    url: String,
    client: Client<HttpConnector, Full<Bytes>>,
    _dir: tempfile::TempDir,
}

impl Drop for Local {
    fn drop(&mut self) {
        self.app.stop();
    }
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: String,
}

impl Answer {
    /// The text of an element of an XML answer.
    pub fn text(&self, name: &str) -> Option<String> {
        xml_text(&self.body, name)
    }

    /// Code of an error of either protocol.
    pub fn code(&self) -> String {
        match serde_json::from_str::<Value>(&self.body) {
            Ok(json) => json["__type"].as_str().unwrap_or_default().to_owned(),
            Err(_) => self.text("Code").unwrap_or_default(),
        }
    }

    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.status, 200, "{}", self.body);
        self
    }

    #[track_caller]
    pub fn json(self) -> Value {
        serde_json::from_str(&self.ok().body).expect("JSON")
    }
}

impl Local {
    pub async fn start() -> Self {
        Self::with_integration_delay(Duration::from_millis(100)).await
    }

    /// Starts a stand-in whose integrations are created and deleted after this time.
    pub async fn with_integration_delay(integration_delay: Duration) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let gateway = FakeGateway::start().await;
        let settings = Settings {
            gateway: gateway.url.clone(),
            data_dir: dir.path().to_owned(),
            template_cache: Some(env!("CARGO_TARGET_TMPDIR").into()),
            integration_delay,
            role_delay: Duration::from_millis(200),
            password_delay: Duration::from_millis(200),
        };
        let app = tokio::task::spawn_blocking(move || App::prepare(settings))
            .await
            .expect("no panic")
            .expect("PostgreSQL");
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let router = sluice_redshift::http::router(Arc::clone(&app));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { gateway, app, url, client, _dir: dir }
    }

    pub async fn post(&self, path: &str, headers: &[(&str, String)], body: String) -> Answer {
        let mut request = Request::builder().method(Method::POST).uri(format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let response = self
            .client
            .request(request.body(Full::new(body.into())).expect("valid"))
            .await
            .expect("an answer");
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.expect("a body").to_bytes();
        Answer { status, body: String::from_utf8(body.to_vec()).expect("UTF-8") }
    }

    fn caller(account: &str, principal: &str) -> Vec<(&'static str, String)> {
        vec![
            ("x-sluice-account", account.to_owned()),
            ("x-sluice-region", REGION.to_owned()),
            ("x-sluice-principal", principal.to_owned()),
            ("x-sluice-access-key", account.to_owned()),
        ]
    }

    /// Calls an action of the control plane as the root of an account.
    pub async fn redshift(&self, account: &str, action: &str, parameters: &[(&str, &str)]) -> Answer {
        self.redshift_in(account, REGION, action, parameters).await
    }

    pub async fn redshift_in(
        &self,
        account: &str,
        region: &str,
        action: &str,
        parameters: &[(&str, &str)],
    ) -> Answer {
        let mut headers = Self::caller(account, &format!("arn:aws:iam::{account}:root"));
        headers[1].1 = region.to_owned();
        let body = form_urlencoded::Serializer::new(String::new())
            .append_pair("Action", action)
            .append_pair("Version", "2012-12-01")
            .extend_pairs(parameters)
            .finish();
        self.post("/aws/redshift", &headers, body).await
    }

    /// Calls an operation of a JSON service as the root of the target.
    pub async fn json(&self, service: &str, operation: &str, input: Value) -> Answer {
        self.json_as(&format!("arn:aws:iam::{TARGET}:root"), service, operation, input).await
    }

    pub async fn json_as(&self, principal: &str, service: &str, operation: &str, input: Value) -> Answer {
        let mut headers = Self::caller(TARGET, principal);
        headers.push(("x-amz-target", format!("Any.{operation}")));
        self.post(&format!("/aws/{service}"), &headers, input.to_string()).await
    }

    /// Waits until a condition is true.
    pub async fn until<T, F: Future<Output = Option<T>>>(
        &self,
        what: &str,
        mut check: impl FnMut() -> F,
    ) -> T {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            if let Some(found) = check().await {
                return found;
            }
            assert!(Instant::now() < deadline, "not within 30 s: {what}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Creates the cluster `c1` in the target account; returns its namespace ARN.
    pub async fn cluster(&self) -> String {
        let parameters = [
            ("ClusterIdentifier", "c1"),
            ("NodeType", "ra3.large"),
            ("MasterUsername", "admin"),
            ("MasterUserPassword", PASSWORD),
            ("DBName", "dev"),
        ];
        let created = self.redshift(TARGET, "CreateCluster", &parameters).await.ok();
        self.cluster_status("available").await;
        created.text("ClusterNamespaceArn").expect("an ARN")
    }

    pub async fn cluster_status(&self, status: &str) -> Answer {
        self.until(status, || async {
            let answer = self.redshift(TARGET, "DescribeClusters", &[("ClusterIdentifier", "c1")]).await;
            (answer.text("ClusterStatus").as_deref() == Some(status)).then_some(answer)
        })
        .await
    }

    /// Runs SQL as the administrator of `c1`; returns DescribeStatement at its end.
    pub async fn describe_sql(&self, sql: &str) -> Value {
        self.describe_request(
            json!({"Sql": sql, "ClusterIdentifier": "c1", "Database": "dev", "DbUser": "admin"}),
        )
        .await
    }

    pub async fn describe_request(&self, request: Value) -> Value {
        let operation =
            if request.get("Sqls").is_some() { "BatchExecuteStatement" } else { "ExecuteStatement" };
        let id = self.json("redshift-data", operation, request).await.json()["Id"].clone();
        self.ended(&id).await
    }

    pub async fn ended(&self, id: &Value) -> Value {
        self.until("the end of the statement", || async {
            let answer = self.json("redshift-data", "DescribeStatement", json!({"Id": id})).await.json();
            matches!(answer["Status"].as_str(), Some("FINISHED" | "FAILED" | "ABORTED")).then_some(answer)
        })
        .await
    }

    /// Creates a database user without privileges; its statements run with
    /// `rows_as`.
    pub async fn user(&self, name: &str) {
        self.sql(&format!("CREATE USER {name} PASSWORD 'Secret-123'")).await;
    }

    pub async fn describe_as(&self, user: &str, sql: &str) -> Value {
        self.describe_request(
            json!({"Sql": sql, "ClusterIdentifier": "c1", "Database": "dev", "DbUser": user}),
        )
        .await
    }

    /// Runs SQL that must succeed.
    #[track_caller]
    pub fn sql<'a>(&'a self, sql: &'a str) -> impl Future<Output = Value> + 'a {
        let place = std::panic::Location::caller();
        async move {
            let described = self.describe_sql(sql).await;
            assert_eq!(described["Status"], "FINISHED", "{sql} at {place}: {}", described["Error"]);
            described
        }
    }

    /// Runs SQL that must fail; returns its error.
    pub async fn sql_error(&self, sql: &str) -> String {
        let described = self.describe_sql(sql).await;
        assert_eq!(described["Status"], "FAILED", "{sql}");
        described["Error"].as_str().expect("an error").to_owned()
    }

    /// Returns the rows of a query, every value as text without trailing blanks.
    pub async fn rows(&self, sql: &str) -> Vec<Vec<String>> {
        self.rows_as("admin", sql).await
    }

    pub async fn rows_as(&self, user: &str, sql: &str) -> Vec<Vec<String>> {
        let described = self.describe_as(user, sql).await;
        assert_eq!(described["Status"], "FINISHED", "{sql}: {}", described["Error"]);
        let result =
            self.json("redshift-data", "GetStatementResult", json!({"Id": described["Id"]})).await.json();
        let text = |field: &Value| match field.as_object().and_then(|field| field.iter().next()) {
            Some((name, _)) if name == "isNull" => "NULL".to_owned(),
            Some((_, Value::String(text))) => text.trim_end().to_owned(),
            Some((_, other)) => other.to_string(),
            None => String::new(),
        };
        let row = |row: &Value| row.as_array().expect("fields").iter().map(text).collect();
        result["Records"].as_array().expect("records").iter().map(row).collect()
    }

    /// Returns a namespace policy that authorises a bucket of the source account.
    pub async fn authorize_source(&self, namespace: &str, bucket: &str) {
        let policy = json!({"Version": "2012-10-17", "Statement": [
            {"Sid": "authorize", "Effect": "Allow", "Principal": {"Service": "redshift.amazonaws.com"},
             "Action": "redshift:AuthorizeInboundIntegration", "Resource": namespace,
             "Condition": {"StringEquals": {"aws:SourceArn": format!("arn:aws:s3:::{bucket}"), "aws:SourceAccount": SOURCE}}},
            {"Sid": "create", "Effect": "Allow", "Principal": {"AWS": SOURCE},
             "Action": "redshift:CreateInboundIntegration", "Resource": namespace}]});
        let policy = policy.to_string();
        let parameters = [("ResourceArn", namespace), ("Policy", policy.as_str())];
        self.redshift(TARGET, "PutResourcePolicy", &parameters).await.ok();
    }

    /// Creates an integration that becomes active; returns its ARN.
    pub async fn integration(&self, namespace: &str, bucket: &str) -> String {
        self.gateway.bucket(bucket, SOURCE);
        self.authorize_source(namespace, bucket).await;
        let source = format!("arn:aws:s3:::{bucket}");
        let parameters =
            [("IntegrationName", "files"), ("SourceArn", source.as_str()), ("TargetArn", namespace)];
        let created = self.redshift(SOURCE, "CreateIntegration", &parameters).await.ok();
        let arn = created.text("IntegrationArn").expect("an ARN");
        self.integration_status(&arn, "active").await;
        arn
    }

    pub async fn integration_status(&self, arn: &str, status: &str) -> Answer {
        self.until(status, || async {
            let answer = self.redshift(SOURCE, "DescribeIntegrations", &[("IntegrationArn", arn)]).await;
            let found = answer.text("Status").unwrap_or_default();
            assert!(found == status || matches!(found.as_str(), "creating" | "active"), "{}", answer.body);
            (found == status).then_some(answer)
        })
        .await
    }

    /// Attaches the COPY role and waits until it is in sync.
    pub async fn role(&self) {
        self.gateway.role("copy", "redshift.amazonaws.com");
        let parameters = [("ClusterIdentifier", "c1"), ("AddIamRoles.IamRoleArn.1", ROLE)];
        self.redshift(TARGET, "ModifyClusterIamRoles", &parameters).await.ok();
        self.until("in-sync", || async {
            let answer = self.redshift(TARGET, "DescribeClusters", &[("ClusterIdentifier", "c1")]).await;
            (answer.text("ApplyStatus").as_deref() == Some("in-sync")).then_some(())
        })
        .await;
    }

    /// Puts an object into a bucket of the source and sends the event to the stand-in.
    pub async fn put(&self, bucket: &str, key: &str, body: impl Into<Vec<u8>>) {
        self.put_at(bucket, key, body, jiff::Timestamp::now()).await;
    }

    pub async fn put_at(&self, bucket: &str, key: &str, body: impl Into<Vec<u8>>, at: jiff::Timestamp) {
        let body = body.into();
        let size = body.len();
        self.gateway.object(bucket, key, body);
        let event = json!({"account": SOURCE, "region": REGION, "bucket": bucket, "key": key, "size": size, "etag": "\"e\"",
            "event_name": "ObjectCreated:Put", "event_time": at.to_string(), "sequencer": "1",
            "integrations": self.gateway.entries(bucket)});
        let answer = self.post("/internal/s3-event", &[], event.to_string()).await;
        assert_eq!(answer.status, 204, "{}", answer.body);
    }

    /// Waits until a file of a job has a status.
    pub async fn file_status(&self, key: &str, status: &str) {
        let sql = format!("SELECT TRIM(status) FROM sys_copy_job_detail WHERE TRIM(file_name) = '{key}'");
        self.until(&format!("{key} in {status}"), || async {
            (self.rows(&sql).await == [[status.to_owned()]]).then_some(())
        })
        .await;
    }
}
