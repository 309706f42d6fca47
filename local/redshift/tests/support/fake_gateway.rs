//! A gateway in memory for the stand-in. It evaluates only the parts of IAM that these tests
//! need.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};

use super::{REGION, SOURCE};

/// An object of a bucket.
pub type Object = Vec<u8>;

#[derive(Default)]
pub struct BucketState {
    pub account: String,
    pub region: String,
    pub policy: Option<String>,
    pub notifications: Vec<Value>,
    pub objects: BTreeMap<String, Object>,
}

#[derive(Default)]
pub struct State_ {
    pub buckets: BTreeMap<String, BucketState>,
    pub secrets: BTreeMap<String, String>,
    pub roles: BTreeMap<String, String>,
    /// Actions that `authorize` denies.
    pub denied: BTreeSet<String>,
    /// Every request to `authorize`.
    pub asked: Vec<Value>,
    pub events: Vec<Value>,
    /// Keys to which S3 denies access.
    pub forbidden: BTreeSet<String>,
}

pub struct FakeGateway {
    pub url: String,
    state: Arc<Mutex<State_>>,
}

type Shared = State<Arc<Mutex<State_>>>;

impl FakeGateway {
    pub async fn start() -> Arc<Self> {
        let state: Arc<Mutex<State_>> = Arc::default();
        let router = Router::new()
            .route("/_sluice/{path}", post(own))
            .route("/", post(aws))
            .route("/{bucket}", get(list))
            .route("/{bucket}/{*key}", get(object))
            .with_state(Arc::clone(&state));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Arc::new(Self { url, state })
    }

    pub fn state(&self) -> MutexGuard<'_, State_> {
        self.state.lock().expect("no panic")
    }

    /// Creates a bucket with the documented policy for Redshift.
    pub fn bucket(&self, name: &str, account: &str) {
        let policy = json!({"Version": "2012-10-17", "Statement": [{
            "Sid": "redshift", "Effect": "Allow", "Principal": {"Service": "redshift.amazonaws.com"},
            "Action": ["s3:GetBucketNotification", "s3:PutBucketNotification", "s3:GetBucketLocation"],
            "Resource": format!("arn:aws:s3:::{name}"),
            "Condition": {"ArnLike": {"aws:SourceArn": format!("arn:aws:redshift:{REGION}:{account}:integration:*")},
                          "StringEquals": {"aws:SourceAccount": account}}}]});
        let bucket = BucketState {
            account: account.into(),
            region: REGION.into(),
            policy: Some(policy.to_string()),
            ..BucketState::default()
        };
        self.state().buckets.insert(name.into(), bucket);
    }

    pub fn object(&self, bucket: &str, key: &str, body: Object) {
        let mut state = self.state();
        let bucket = state.buckets.entry(bucket.into()).or_insert_with(|| BucketState {
            account: SOURCE.into(),
            region: REGION.into(),
            ..BucketState::default()
        });
        bucket.objects.insert(key.into(), body);
    }

    /// Integrations with an entry in the bucket's notification configuration.
    pub fn entries(&self, bucket: &str) -> Vec<Value> {
        let state = self.state();
        state
            .buckets
            .get(bucket)
            .into_iter()
            .flat_map(|bucket| &bucket.notifications)
            .map(|entry| entry["Id"].clone())
            .collect()
    }

    pub fn secret(&self, arn: &str, value: &Value) {
        self.state().secrets.insert(arn.into(), value.to_string());
    }

    pub fn role(&self, name: &str, service: &str) {
        let trust = json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}]});
        self.state().roles.insert(name.into(), trust.to_string());
    }

    pub fn deny(&self, action: &str) {
        self.state().denied.insert(action.into());
    }
}

fn list_of(value: &Value) -> Vec<String> {
    match value {
        Value::String(one) => vec![one.clone()],
        Value::Array(list) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

/// Returns true if a statement of the policy allows a service the action in the context.
fn service_allowed(question: &Value) -> bool {
    let policy: Value =
        serde_json::from_str(question["resource_policy"].as_str().unwrap_or("{}")).unwrap_or_default();
    let holds = |statement: &Value| {
        let principals = list_of(&statement["Principal"]["Service"]);
        let conditions = statement["Condition"].as_object().cloned().unwrap_or_default();
        principals.iter().any(|principal| question["service"] == principal.as_str())
            && list_of(&statement["Action"]).iter().any(|action| question["action"] == action.as_str())
            && conditions.values().filter_map(Value::as_object).flatten().all(|(key, wanted)| {
                let found = question["context"][key].as_str().unwrap_or_default();
                list_of(wanted).iter().any(|wanted| match wanted.strip_suffix('*') {
                    Some(head) => found.starts_with(head),
                    None => found == wanted,
                })
            })
    };
    policy["Statement"].as_array().is_some_and(|statements| statements.iter().any(holds))
}

async fn own(State(state): Shared, Path(path): Path<String>, body: Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).expect("JSON");
    let mut state = state.lock().expect("no panic");
    match path.as_str() {
        "authorize" => {
            state.asked.push(body.clone());
            let action = body["action"].as_str().unwrap_or_default();
            let cross = body["resource_account"] != body["access_key"];
            // Another account's resource needs a policy that names the caller's account.
            let policy = body["resource_policy"].as_str().unwrap_or_default();
            let named =
                policy.contains(&format!("::{}:root", body["access_key"].as_str().unwrap_or_default()));
            let allowed = !state.denied.contains(action) && (!cross || named);
            let message = format!("User: x is not authorized to perform: {action}");
            axum::Json(json!({"allowed": allowed, "message": message})).into_response()
        }
        "authorize-service" => {
            axum::Json(json!({"allowed": service_allowed(&body), "message": "no statement"})).into_response()
        }
        "bucket" => match state.buckets.get(body["bucket"].as_str().unwrap_or_default()) {
            None => StatusCode::NOT_FOUND.into_response(),
            Some(bucket) => axum::Json(
                json!({"account": bucket.account, "region": bucket.region, "policy": bucket.policy,
                "notifications": {"QueueConfigurations": bucket.notifications}}),
            )
            .into_response(),
        },
        "bucket-notification" => {
            let id = body["integration_arn"].clone();
            if let Some(bucket) = state.buckets.get_mut(body["bucket"].as_str().unwrap_or_default()) {
                bucket.notifications.retain(|known| known["Id"] != id);
                if body["operation"] == "add" {
                    bucket.notifications.push(json!({"Id": id, "Events": ["s3:ObjectCreated:*"]}));
                }
            }
            axum::Json(json!({})).into_response()
        }
        "event" => {
            state.events.push(body);
            axum::Json(json!({})).into_response()
        }
        other => panic!("unknown path {other}"),
    }
}

async fn aws(State(state): Shared, headers: HeaderMap, body: Bytes) -> Response {
    let state = state.lock().expect("no panic");
    if headers.contains_key("x-amz-target") {
        let body: Value = serde_json::from_slice(&body).expect("JSON");
        let refuse = |code: &str, message: &str| {
            (StatusCode::BAD_REQUEST, axum::Json(json!({"__type": code, "message": message}))).into_response()
        };
        if state.denied.contains("secretsmanager:GetSecretValue") {
            return refuse(
                "AccessDeniedException",
                "User: x is not authorized to perform: secretsmanager:GetSecretValue",
            );
        }
        return match state.secrets.get(body["SecretId"].as_str().unwrap_or_default()) {
            Some(secret) => axum::Json(json!({"SecretString": secret})).into_response(),
            None => refuse("ResourceNotFoundException", "Secrets Manager can't find the specified secret."),
        };
    }
    let form: BTreeMap<String, String> = form_urlencoded::parse(&body).into_owned().collect();
    match form["Action"].as_str() {
        "GetRole" => match state.roles.get(&form["RoleName"]) {
            Some(trust) => {
                let trust: String = form_urlencoded::byte_serialize(trust.as_bytes()).collect();
                format!("<R><Role><AssumeRolePolicyDocument>{trust}</AssumeRolePolicyDocument></Role></R>")
                    .into_response()
            }
            None => (
                StatusCode::NOT_FOUND,
                "<E><Error><Code>NoSuchEntity</Code><Message>no role</Message></Error></E>",
            )
                .into_response(),
        },
        "AssumeRole" => {
            "<R><AccessKeyId>ASIACOPY</AccessKeyId><SessionToken>token</SessionToken></R>".into_response()
        }
        other => panic!("unknown action {other}"),
    }
}

fn denied(headers: &HeaderMap) -> bool {
    let text =
        |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    !text("authorization").contains("Credential=ASIACOPY/") || text("x-amz-security-token") != "token"
}

fn access_denied() -> Response {
    (StatusCode::FORBIDDEN, "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>")
        .into_response()
}

async fn list(
    State(state): Shared,
    Path(bucket): Path<String>,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    let state = state.lock().expect("no panic");
    if denied(&headers) || state.denied.contains("s3:ListBucket") {
        return access_denied();
    }
    let Some(bucket) = state.buckets.get(&bucket) else {
        return (
            StatusCode::NOT_FOUND,
            "<Error><Code>NoSuchBucket</Code><Message>no bucket</Message></Error>",
        )
            .into_response();
    };
    let entry = |(key, body): (&String, &Object)| {
        format!("<Contents><Key>{key}</Key><Size>{}</Size></Contents>", body.len())
    };
    let found: String =
        bucket.objects.iter().filter(|(key, _)| key.starts_with(&query["prefix"])).map(entry).collect();
    format!("<ListBucketResult>{found}</ListBucketResult>").into_response()
}

async fn object(
    State(state): Shared,
    Path((bucket, key)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let state = state.lock().expect("no panic");
    if denied(&headers) || state.denied.contains("s3:GetObject") {
        return access_denied();
    }
    match state.buckets.get(&bucket).and_then(|bucket| bucket.objects.get(&key)) {
        Some(body) => body.clone().into_response(),
        None => (StatusCode::NOT_FOUND, "<Error><Code>NoSuchKey</Code><Message>no key</Message></Error>")
            .into_response(),
    }
}
