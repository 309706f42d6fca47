//! The main loop in a real process: `examples/conformance.rs` between a Runtime API and a response
//! server.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use custom_resource::CREATE_FAILED;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use crate::support::events::{ID_A, SECRETS, create, delete, done, failed, success, without};
use crate::support::response_server::{Reply, ResponseServer, URL_SECRETS};
use crate::support::runtime_api::{Report, RuntimeApi};

const TIME: Duration = Duration::from_secs(60);

/// A running function.
struct Function {
    server: ResponseServer,
    api: RuntimeApi,
    child: Child,
    logs: [JoinHandle<String>; 2],
}

impl Function {
    /// Starts a function whose environment sends calls of S3 elsewhere.
    async fn start(how: &str, replies: &[Reply]) -> Self {
        Self::start_with(how, replies, "http://127.0.0.1").await
    }

    async fn start_with(how: &str, replies: &[Reply], endpoint_of_s3: &str) -> Self {
        let server = ResponseServer::start(replies.to_vec()).await;
        let api = RuntimeApi::start().await;
        let mut child = Command::new(example())
            .env_clear()
            .env("CONFORMANCE_START", how)
            .env("AWS_LAMBDA_RUNTIME_API", api.address())
            .env("AWS_LAMBDA_FUNCTION_NAME", "thing")
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ENDPOINT_URL_S3", endpoint_of_s3)
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let logs = [read_all(child.stdout.take().unwrap()), read_all(child.stderr.take().unwrap())];
        Self { server, api, child, logs }
    }

    fn invoke(&self, mut event: Value, left: Duration) {
        if event.get("ResponseURL").is_some() {
            event["ResponseURL"] = Value::from(self.server.url());
        }
        self.api.invoke(event, left);
    }

    /// Ends the process and returns its output, in which no secret may be.
    async fn end(mut self) -> String {
        assert!(self.child.try_wait().unwrap().is_none(), "the function ended by itself");
        self.child.kill().await.unwrap();
        let mut text = String::new();
        for log in self.logs {
            text.push_str(&log.await.unwrap());
        }
        for secret in URL_SECRETS.iter().chain(SECRETS) {
            assert!(!text.contains(secret), "{secret:?} stands in the log:\n{text}");
        }
        text
    }
}

/// Cargo puts examples beside the folder of the test binaries.
fn example() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let built = tests.parent().unwrap().parent().unwrap().join("examples/conformance");
    assert!(built.is_file(), "the example is not built: cargo build -p custom-resource --examples");
    built
}

fn read_all(mut stream: impl AsyncRead + Unpin + Send + 'static) -> JoinHandle<String> {
    tokio::spawn(async move {
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    })
}

fn succeeded(number: usize) -> Report {
    Report::Response(number, Value::Null)
}

#[tokio::test]
async fn main_loop_responds_to_every_event() {
    let function = Function::start("good", &[]).await;
    function.invoke(create(json!({"Name": "a"})), TIME);
    function.invoke(create(json!({"Name": "a"})), TIME);
    function.invoke(delete(ID_A, json!({"Name": "a"})), TIME);
    assert_eq!(function.api.reports(3).await, [succeeded(0), succeeded(1), succeeded(2)]);
    let made = success(ID_A, json!({"Name": "a"}));
    assert_eq!(function.server.bodies(), [made.clone(), made, done(ID_A)]);
    let log = function.end().await;
    assert!(log.contains("request received") && log.contains("response sent"), "{log}");
}

#[tokio::test]
async fn panic_is_logged_with_its_place_and_without_its_message() {
    let function = Function::start("good", &[]).await;
    function.invoke(create(json!({"Name": "a", "Behaviour": "Panic"})), TIME);
    function.invoke(create(json!({"Name": "a"})), TIME);
    assert_eq!(function.api.reports(2).await, [succeeded(0), succeeded(1)]);
    let reason = "the function of this custom resource panicked, which is a bug; its log shows the place";
    assert_eq!(function.server.bodies(), [failed(ID_A, reason), success(ID_A, json!({"Name": "a"}))]);
    let log = function.end().await;
    assert!(log.contains("examples/conformance.rs:"), "{log}");
}

#[tokio::test]
async fn failed_start_is_the_response_and_the_rollback_succeeds() {
    for (how, why) in [
        ("failure", "the environment variable SHELF is required and missing"),
        ("panic", "it panicked while starting; its log shows the place"),
    ] {
        let function = Function::start(how, &[]).await;
        function.invoke(create(json!({"Name": "a"})), TIME);
        function.invoke(delete(CREATE_FAILED, json!({"Name": "a"})), TIME);
        assert_eq!(
            function.api.reports(2).await,
            [succeeded(0), succeeded(1)],
            "no init error, no failed invocation"
        );
        let reason = format!("the function of this custom resource could not start: {why}");
        assert_eq!(function.server.bodies(), [failed(CREATE_FAILED, &reason), done(CREATE_FAILED)]);
        function.end().await;
    }
}

#[tokio::test]
async fn response_is_sent_before_the_deadline() {
    let function = Function::start("good", &[]).await;
    // Up and polling, so that the start does not count.
    function.invoke(delete(CREATE_FAILED, json!({"Name": "a"})), TIME);
    function.api.reports(1).await;
    let began = Instant::now();
    function.invoke(create(json!({"Name": "a", "Behaviour": "Hang"})), Duration::from_secs(3));
    assert_eq!(function.api.reports(2).await[1], succeeded(1));
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    let reason = "the function timed out before the work was done, and part of it may be done; \
                  give the function a longer timeout, or repeat the operation";
    assert_eq!(function.server.bodies()[1..], [failed(ID_A, reason)]);
    function.end().await;
}

#[tokio::test]
async fn undelivered_response_fails_the_invocation() {
    let function = Function::start("good", &[Reply::Status(503); 20]).await;
    function.invoke(create(json!({"Name": "a"})), Duration::from_secs(1));
    let reports = function.api.reports(1).await;
    let Report::Error(0, error) = &reports[0] else { panic!("{reports:?}") };
    assert_eq!(error["errorType"], "ResponseNotDelivered");
    let message = error["errorMessage"].as_str().unwrap();
    assert!(message.starts_with("the response was not delivered: "), "{message}");
    assert!(message.ends_with(" attempts: HTTP status 503 Service Unavailable"), "{message}");
    assert!(!message.contains("http:"), "{message}");
    let bodies = function.server.bodies();
    assert!(bodies.len() > 1, "it was tried more than once");
    assert!(bodies.iter().all(|body| *body == success(ID_A, json!({"Name": "a"}))), "{bodies:?}");
    function.end().await;
}

#[tokio::test]
async fn response_url_of_another_host_fails_the_invocation() {
    for how in ["good", "failure"] {
        let function = Function::start_with(how, &[], "").await;
        function.invoke(create(json!({"Name": "a"})), TIME);
        let reports = function.api.reports(1).await;
        let Report::Error(0, error) = &reports[0] else { panic!("{reports:?}") };
        assert_eq!(error["errorType"], "ResponseUrlRejected");
        assert!(!error["errorMessage"].as_str().unwrap().contains("127.0.0.1"), "{error}");
        assert_eq!(function.server.bodies(), [Value::Null; 0]);
        function.end().await;
    }
}

#[tokio::test]
async fn event_without_an_addressee_fails_only_its_invocation() {
    let function = Function::start("good", &[]).await;
    function.invoke(without(create(json!({"Name": "a"})), "ResponseURL"), TIME);
    function.invoke(create(json!({"Name": "a"})), TIME);
    let reports = function.api.reports(2).await;
    let Report::Error(0, error) = &reports[0] else { panic!("{reports:?}") };
    assert_eq!(error["errorType"], "InvalidRequest");
    assert_eq!(reports[1], succeeded(1));
    assert_eq!(function.server.bodies(), [success(ID_A, json!({"Name": "a"}))]);
    assert!(function.api.polls() >= 2);
    function.end().await;
}
