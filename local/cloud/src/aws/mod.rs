//! A small AWS client for tests and the demo: plain HTTP to the local cloud, in the wire protocols
//! of the services.
//!
//! The emulator takes the caller from the access key and does not check signatures
//! (local/README.md, seam 2), so a call takes about a millisecond instead of the second that the
//! AWS CLI needs to start.

mod s3;
mod xml;

use std::time::Duration;

use serde_json::{Value, json};
pub use xml::Element;

/// A failed call: the gateway's error response, or no response.
#[derive(Debug, thiserror::Error)]
#[error("{service}:{action} failed with {code} (HTTP status {status}): {message}")]
pub struct AwsError {
    /// Endpoint name of the service, such as `redshift-data`.
    pub service: String,
    /// Name of the operation, or method and path of a REST call.
    pub action: String,
    /// HTTP status, or 0 if there was no response.
    pub status: u16,
    /// AWS's error code, such as `AccessDenied`.
    pub code: String,
    /// AWS's message.
    pub message: String,
}

/// Calls services as one principal in one Region.
#[derive(Debug, Clone)]
pub struct Account {
    agent: ureq::Agent,
    endpoint: String,
    region: String,
    access_key: String,
    session_token: Option<String>,
}

/// A connection to the gateway; an error status is a regular response.
pub(crate) fn agent(timeout: Duration) -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .proxy(None)
        .timeout_global(Some(timeout))
        .build()
        .new_agent()
}

/// The `X-Amz-Target` prefix and JSON version of the services that speak JSON (from the botocore
/// service models).
const JSON_SERVICES: [(&str, &str, &str); 10] = [
    ("dynamodb", "DynamoDB_20120810", "1.0"),
    ("redshift-data", "RedshiftData", "1.1"),
    ("redshift-serverless", "RedshiftServerless", "1.1"),
    ("secretsmanager", "secretsmanager", "1.1"),
    ("kms", "TrentService", "1.1"),
    ("states", "AWSStepFunctions", "1.0"),
    ("events", "AWSEvents", "1.1"),
    ("logs", "Logs_20140328", "1.1"),
    ("sqs", "AmazonSQS", "1.0"),
    ("ssm", "AmazonSSM", "1.1"),
];

/// The API versions of the services that speak Query (from the botocore service models).
const QUERY_SERVICES: [(&str, &str); 8] = [
    ("cloudformation", "2010-05-15"),
    ("iam", "2010-05-08"),
    ("sts", "2011-06-15"),
    ("redshift", "2012-12-01"),
    ("ec2", "2016-11-15"),
    ("sns", "2010-03-31"),
    ("elasticache", "2015-02-02"),
    ("monitoring", "2010-08-01"),
];

impl Account {
    /// Returns a client for the root of an account.
    pub fn root(endpoint: &str, region: &str, account: &str) -> Self {
        Self {
            agent: agent(Duration::from_secs(120)),
            endpoint: endpoint.to_owned(),
            region: region.to_owned(),
            access_key: account.to_owned(),
            session_token: None,
        }
    }

    /// Returns the same client for another Region.
    pub fn in_region(&self, region: &str) -> Self {
        Self { region: region.to_owned(), ..self.clone() }
    }

    /// The Region of the calls.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The access key of the calls; an account's root has the account's id.
    pub fn access_key(&self) -> &str {
        &self.access_key
    }

    /// Returns a client with another access key, such as that of a user that a test created.
    pub fn with_key(&self, access_key: &str, session_token: Option<&str>) -> Self {
        Self {
            access_key: access_key.to_owned(),
            session_token: session_token.map(str::to_owned),
            ..self.clone()
        }
    }

    /// Assumes a role and returns a client for the session.
    ///
    /// # Errors
    /// The role does not exist or does not trust this principal.
    pub fn assume(&self, role_arn: &str) -> Result<Self, AwsError> {
        let answer =
            self.query("sts", "AssumeRole", &[("RoleArn", role_arn), ("RoleSessionName", "local-cloud")])?;
        let field = |name| answer.text(name).unwrap_or_default();
        Ok(self.with_key(&field("AccessKeyId"), Some(&field("SessionToken"))))
    }

    /// Calls an operation of a service that speaks JSON.
    ///
    /// # Errors
    /// The service's error, or `UnknownService` for one that is not in the table.
    pub fn json(&self, service: &str, action: &str, input: Value) -> Result<Value, AwsError> {
        let error = |code: &str, message: String| failure(service, action, 0, code, message);
        let (_, target, version) = JSON_SERVICES
            .iter()
            .find(|(name, _, _)| *name == service)
            .ok_or_else(|| error("UnknownService", "add it to JSON_SERVICES".into()))?;
        let request = self
            .request("POST", service, "/")
            .header("content-type", format!("application/x-amz-json-{version}"))
            .header("x-amz-target", format!("{target}.{action}"));
        let answer = self.send(service, action, request, input.to_string().into_bytes())?;
        if answer.body.is_empty() {
            return Ok(json!({}));
        }
        serde_json::from_slice(&answer.body).map_err(|cause| error("NotJson", cause.to_string()))
    }

    /// Calls an operation of a service that speaks Query; nested parameters are written out as on
    /// the wire (`Capabilities.member.1`).
    ///
    /// # Errors
    /// The service's error, or `UnknownService` for one that is not in the table.
    pub fn query(
        &self,
        service: &str,
        action: &str,
        parameters: &[(&str, &str)],
    ) -> Result<Element, AwsError> {
        let error = |code: &str, message: String| failure(service, action, 0, code, message);
        let (_, version) = QUERY_SERVICES
            .iter()
            .find(|(name, _)| *name == service)
            .ok_or_else(|| error("UnknownService", "add it to QUERY_SERVICES".into()))?;
        let body = form_urlencoded::Serializer::new(String::new())
            .append_pair("Action", action)
            .append_pair("Version", version)
            .extend_pairs(parameters)
            .finish();
        let request = self
            .request("POST", service, "/")
            .header("content-type", "application/x-www-form-urlencoded; charset=utf-8");
        let answer = self.send(service, action, request, body.into_bytes())?;
        Element::parse(&answer.text()).map_err(|message| error("NotXml", message))
    }

    /// Calls a service that speaks REST with JSON bodies, such as Lambda; the response need not be
    /// JSON.
    ///
    /// # Errors
    /// The service's error.
    pub fn rest(
        &self,
        service: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer, AwsError> {
        let mut request = self.request(method, service, path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(service, &format!("{method} {path}"), request, body.to_vec())
    }

    /// Invokes a Lambda function and waits for its response.
    ///
    /// # Errors
    /// Lambda's own error. An error of the function is a response with the header
    /// `x-amz-function-error`.
    pub fn invoke(&self, function: &str, event: &Value) -> Result<Answer, AwsError> {
        let path = format!("/2015-03-31/functions/{function}/invocations");
        let headers = [("content-type", "application/json")];
        self.rest("lambda", "POST", &path, &headers, event.to_string().as_bytes())
    }

    fn request(&self, method: &str, service: &str, path: &str) -> http::request::Builder {
        let scope = format!("{}/20260101/{}/{service}/aws4_request", self.access_key, self.region);
        let request = http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.endpoint))
            .header("x-amz-date", "20260101T000000Z")
            .header(
                "authorization",
                format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=none"),
            );
        match &self.session_token {
            Some(token) => request.header("x-amz-security-token", token),
            None => request,
        }
    }

    fn send(
        &self,
        service: &str,
        action: &str,
        request: http::request::Builder,
        body: Vec<u8>,
    ) -> Result<Answer, AwsError> {
        let unsent = |message: String| failure(service, action, 0, "NoAnswer", message);
        let sent = if body.is_empty() {
            request
                .body(())
                .map_err(|error| unsent(error.to_string()))
                .and_then(|request| self.agent.run(request).map_err(|error| unsent(error.to_string())))
        } else {
            request
                .body(body)
                .map_err(|error| unsent(error.to_string()))
                .and_then(|request| self.agent.run(request).map_err(|error| unsent(error.to_string())))
        };
        let (head, mut body) = sent?.into_parts();
        let body = body
            .with_config()
            .limit(256 << 20)
            .read_to_vec()
            .map_err(|error| unsent(format!("the response ended early: {error}")))?;
        let answer = Answer { status: head.status.as_u16(), headers: head.headers, body };
        if head.status.is_success() { Ok(answer) } else { Err(answer.into_error(service, action)) }
    }
}

/// The response of a REST call.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status, 200 to 299.
    pub status: u16,
    /// Headers.
    pub headers: http::HeaderMap,
    /// Body as it came.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as text; bytes that are not UTF-8 are replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON, or null.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// Finds code and message in the JSON members or XML elements of an error response.
    fn into_error(self, service: &str, action: &str) -> AwsError {
        let body = self.json();
        let member =
            |names: &[&str]| names.iter().find_map(|name| body.get(name)?.as_str()).map(str::to_owned);
        let xml = Element::parse(&self.text()).ok();
        let element = |name| xml.as_ref().and_then(|root: &Element| root.text(name));
        let header = self.headers.get("x-amzn-errortype").and_then(|value| value.to_str().ok());
        let code = member(&["__type", "code", "Code"])
            .or_else(|| element("Code"))
            .or_else(|| header.map(str::to_owned))
            .unwrap_or_else(|| "Unknown".into());
        // A type may have a namespace in front and a URL behind.
        let code = code.rsplit('#').next().unwrap_or_default().split(':').next().unwrap_or_default();
        let message = member(&["message", "Message", "errorMessage"])
            .or_else(|| element("Message"))
            .unwrap_or_else(|| self.text());
        failure(service, action, self.status, code, message)
    }
}

fn failure(service: &str, action: &str, status: u16, code: &str, message: String) -> AwsError {
    AwsError { service: service.into(), action: action.into(), status, code: code.into(), message }
}
