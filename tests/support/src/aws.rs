//! AWS in memory: the SDKs' requests go to a [`Service`], each with the fault of its turn.
//!
//! The clients do not retry, so that a fault reaches the tested code.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_async::time::SystemTimeSource;
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::retry::RetryConfig;
use aws_types::SdkConfig;
use aws_types::region::Region;
use serde_json::Value;

use crate::faults::Faults;

/// A request of an SDK.
#[derive(Debug, Clone)]
pub struct Call {
    /// The operation, for example `ExecuteStatement`. For S3, which has no names, method and query,
    /// for example `GET ?policy`.
    pub action: String,
    /// The input of a JSON service.
    pub input: Value,
    /// The input of a query service.
    pub form: BTreeMap<String, String>,
}

impl Call {
    /// Returns a text of the input, of either protocol; empty if it is absent.
    pub fn text(&self, name: &str) -> &str {
        let json = self.input.get(name).and_then(Value::as_str);
        json.or_else(|| self.form.get(name).map(String::as_str)).unwrap_or_default()
    }
}

/// A response.
#[derive(Debug, Clone)]
pub enum Answer {
    /// The output of a JSON service.
    Json(Value),
    /// The content of the result element of a query service, or the whole body of S3.
    Xml(String),
    /// An error, by its HTTP status, code and message.
    Error(u16, &'static str, String),
}

/// The state of AWS in memory.
pub trait Service: Send {
    /// Has the effect of a request and returns its response.
    fn serve(&mut self, call: &Call) -> Answer;
}

/// Returns the configuration of clients whose requests go to `service`, with faults.
pub fn config(service: Arc<Mutex<dyn Service>>, faults: Arc<Faults>) -> SdkConfig {
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new("A", "s", None, None, "test")))
        .http_client(SharedHttpClient::new(Memory { service, faults }))
        .retry_config(RetryConfig::disabled())
        .sleep_impl(TokioSleep::new())
        .time_source(SystemTimeSource::new())
        .build()
}

#[derive(Clone)]
struct Memory {
    service: Arc<Mutex<dyn Service>>,
    faults: Arc<Faults>,
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Memory")
    }
}

impl HttpClient for Memory {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Memory {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let this = self.clone();
        HttpConnectorFuture::new(async move {
            let call = read(&request);
            let serve = async { this.service.lock().unwrap_or_else(PoisonError::into_inner).serve(&call) };
            let served = this.faults.call(serve).await;
            let answer = served.ok_or_else(|| ConnectorError::io("the connection broke".into()))?;
            respond(&call, answer)
        })
    }
}

fn read(request: &HttpRequest) -> Call {
    let body = request.body().bytes().unwrap_or_default();
    if let Some(target) = request.headers().get("x-amz-target") {
        let action = target.rsplit('.').next().unwrap_or(target).to_owned();
        let input = serde_json::from_slice(body).unwrap_or_default();
        return Call { action, input, form: BTreeMap::new() };
    }
    let form: BTreeMap<String, String> = form_urlencoded::parse(body).into_owned().collect();
    let action = form.get("Action").cloned().unwrap_or_else(|| {
        let query = request.uri().split_once('?').map_or("", |(_, query)| query);
        let name = query.split('&').find(|part| !part.starts_with("x-id")).unwrap_or_default();
        format!("{} ?{}", request.method(), name.trim_end_matches('='))
    });
    Call { action, input: Value::Null, form }
}

fn respond(call: &Call, answer: Answer) -> Result<HttpResponse, ConnectorError> {
    let is_json = !call.input.is_null();
    let is_query = call.form.contains_key("Action");
    let (status, body, code) = match answer {
        Answer::Json(output) => (200, output.to_string(), None),
        Answer::Xml(body) if is_query => {
            let action = &call.action;
            let result = format!("<{action}Result>{body}</{action}Result>");
            (200, format!("<{action}Response>{result}</{action}Response>"), None)
        }
        Answer::Xml(body) => (200, body, None),
        Answer::Error(status, code, message) if is_json => {
            (status, serde_json::json!({"__type": code, "message": message}).to_string(), Some(code))
        }
        Answer::Error(status, code, message) => {
            let error = format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>");
            let body = if is_query { format!("<ErrorResponse>{error}</ErrorResponse>") } else { error };
            (status, body, None)
        }
    };
    let status = StatusCode::try_from(status).map_err(|error| ConnectorError::user(error.into()))?;
    let mut response = HttpResponse::new(status, SdkBody::from(body));
    if let Some(code) = code {
        response.headers_mut().insert("x-amzn-errortype", code);
    }
    Ok(response)
}
