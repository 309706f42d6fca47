//! Calls to the gateway: AWS APIs as some principal, and the gateway's own paths (local/README.md,
//! seam 2).

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Value, json};

/// Characters that stay as they are in a path or query of S3.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
const IN_PATH: &AsciiSet = &UNRESERVED.remove(b'/');

/// A failed call.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// No response.
    #[error("the gateway {url} does not respond: {source}")]
    Unreachable {
        /// Its address.
        url: String,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An error response of the AWS API or of the gateway.
    #[error("{message}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// The error's code, for example `AccessDenied`.
        code: String,
        /// Its text.
        message: String,
    },
    /// A response that does not match the API.
    #[error("the gateway sent an unexpected response to {call}: {found}")]
    Unexpected {
        /// The call.
        call: String,
        /// The response, truncated.
        found: String,
    },
}

impl GatewayError {
    /// The code of an error response.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { code, .. } => Some(code),
            _ => None,
        }
    }
}

/// Credentials for one call.
#[derive(Clone)]
pub struct Credentials {
    /// Access key id.
    pub access_key: String,
    /// Session token of a role's session.
    pub token: Option<String>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("access_key", &self.access_key).finish_non_exhaustive()
    }
}

/// An IAM decision.
#[derive(Debug, Clone, Deserialize)]
pub struct Decision {
    /// True if the action is allowed.
    pub allowed: bool,
    /// AWS's message if it is not.
    #[serde(default)]
    pub message: String,
}

/// A bucket's owner and configuration.
#[derive(Debug, Clone, Deserialize)]
pub struct Bucket {
    /// Owner, 12 digits.
    pub account: String,
    /// Its Region.
    pub region: String,
    /// Bucket policy as JSON text.
    pub policy: Option<String>,
    /// Notification configuration in the shape of GetBucketNotificationConfiguration.
    #[serde(default)]
    pub notifications: Value,
}

/// The client.
#[derive(Debug, Clone)]
pub struct Gateway {
    url: String,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Gateway {
    /// A client of the gateway at `url`, for example `http://127.0.0.1:4566`.
    #[must_use]
    pub fn new(url: &str) -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { url: url.trim_end_matches('/').to_owned(), client }
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes), GatewayError> {
        let unreachable = |source: Box<dyn std::error::Error + Send + Sync>| GatewayError::Unreachable {
            url: self.url.clone(),
            source,
        };
        let response = self.client.request(request).await.map_err(|error| unreachable(Box::new(error)))?;
        let status = response.status();
        let body =
            response.into_body().collect().await.map_err(|error| unreachable(Box::new(error)))?.to_bytes();
        Ok((status, body))
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, String)],
        body: impl Into<Bytes>,
    ) -> Result<Request<Full<Bytes>>, GatewayError> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        request.body(Full::new(body.into())).map_err(|error| GatewayError::Unexpected {
            call: path.to_owned(),
            found: format!("a request that cannot be sent: {error}"),
        })
    }

    async fn own(&self, path: &str, body: &Value) -> Result<Option<Value>, GatewayError> {
        let headers = [("content-type", "application/json".to_owned())];
        let request = self.request(Method::POST, &format!("/_sluice/{path}"), &headers, body.to_string())?;
        let (status, answer) = self.send(request).await?;
        if status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        if !status.is_success() {
            return Err(refused(status, &answer));
        }
        serde_json::from_slice(&answer).map(Some).map_err(|_| unexpected(path, &answer))
    }

    async fn decision(&self, path: &str, body: &Value) -> Result<Decision, GatewayError> {
        let answer = self.own(path, body).await?.unwrap_or_default();
        serde_json::from_value(answer.clone()).map_err(|_| unexpected(path, answer.to_string().as_bytes()))
    }

    /// Evaluates an action of a principal: its identity policies together with a resource policy.
    ///
    /// # Errors
    /// The call failed, or the response is not valid.
    pub async fn authorize(&self, question: &Question<'_>) -> Result<Decision, GatewayError> {
        let body = json!({
            "access_key": question.access_key, "action": question.action, "resource": question.resource,
            "region": question.region, "context": question.context, "resource_policy": question.resource_policy,
            "resource_account": question.resource_account,
        });
        self.decision("authorize", &body).await
    }

    /// Evaluates an action of the service `redshift.amazonaws.com` by a resource policy alone.
    ///
    /// # Errors
    /// The call failed, or the response is not valid.
    pub async fn authorize_service(
        &self,
        action: &str,
        resource: &str,
        context: &Value,
        resource_policy: &str,
    ) -> Result<Decision, GatewayError> {
        let body = json!({
            "service": "redshift.amazonaws.com", "action": action, "resource": resource, "context": context,
            "resource_policy": resource_policy,
        });
        self.decision("authorize-service", &body).await
    }

    /// Returns a bucket's owner and configuration, or `None` if there is no such bucket.
    ///
    /// # Errors
    /// The call failed, or the response is not valid.
    pub async fn bucket(&self, bucket: &str) -> Result<Option<Bucket>, GatewayError> {
        let Some(answer) = self.own("bucket", &json!({"bucket": bucket})).await? else { return Ok(None) };
        serde_json::from_value(answer.clone())
            .map(Some)
            .map_err(|_| unexpected("bucket", answer.to_string().as_bytes()))
    }

    /// Writes (`add`) or removes (`remove`) Redshift's own entry in a bucket's notification
    /// configuration.
    ///
    /// # Errors
    /// The call failed, or the response is not valid.
    pub async fn bucket_notification(
        &self,
        bucket: &str,
        integration_arn: &str,
        operation: &str,
    ) -> Result<(), GatewayError> {
        let body = json!({"bucket": bucket, "integration_arn": integration_arn, "operation": operation});
        self.own("bucket-notification", &body).await.map(|_| ())
    }

    /// Puts an event of a service on an account's default bus.
    ///
    /// # Errors
    /// The call failed, or the response is not valid.
    pub async fn event(&self, event: &Value) -> Result<(), GatewayError> {
        self.own("event", event).await.map(|_| ())
    }

    /// A call of a JSON 1.1 service.
    ///
    /// # Errors
    /// The service's error, with its code.
    pub async fn json(
        &self,
        service: &str,
        target: &str,
        region: &str,
        credentials: &Credentials,
        body: &Value,
    ) -> Result<Value, GatewayError> {
        let mut headers = authorization(service, region, credentials);
        headers.push(("content-type", "application/x-amz-json-1.1".to_owned()));
        headers.push(("x-amz-target", target.to_owned()));
        let (status, answer) =
            self.send(self.request(Method::POST, "/", &headers, body.to_string())?).await?;
        if !status.is_success() {
            return Err(refused(status, &answer));
        }
        serde_json::from_slice(&answer).map_err(|_| unexpected(target, &answer))
    }

    /// A call of a query-protocol service; the response is XML.
    ///
    /// # Errors
    /// The service's error, with its code.
    pub async fn query(
        &self,
        service: &str,
        region: &str,
        credentials: &Credentials,
        parameters: &[(&str, &str)],
    ) -> Result<String, GatewayError> {
        let mut headers = authorization(service, region, credentials);
        headers.push(("content-type", "application/x-www-form-urlencoded".to_owned()));
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
        let (status, answer) = self.send(self.request(Method::POST, "/", &headers, body)?).await?;
        if !status.is_success() {
            return Err(refused(status, &answer));
        }
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    /// A GET of S3 in path style; `query` is already encoded.
    ///
    /// # Errors
    /// The service's error, with its code.
    pub async fn s3_get(
        &self,
        region: &str,
        credentials: &Credentials,
        bucket: &str,
        key: &str,
        query: &[(&str, &str)],
    ) -> Result<Bytes, GatewayError> {
        let mut path = format!("/{bucket}");
        if !key.is_empty() {
            path.push('/');
            path.push_str(&utf8_percent_encode(key, IN_PATH).to_string());
        }
        for (number, (name, value)) in query.iter().enumerate() {
            path.push(if number == 0 { '?' } else { '&' });
            path.push_str(&format!("{name}={}", utf8_percent_encode(value, UNRESERVED)));
        }
        let headers = authorization("s3", region, credentials);
        let (status, answer) = self.send(self.request(Method::GET, &path, &headers, Bytes::new())?).await?;
        if status.is_success() { Ok(answer) } else { Err(refused(status, &answer)) }
    }
}

/// A request to `/_sluice/authorize`.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The principal.
    pub access_key: &'a str,
    /// For example `redshift:CreateInboundIntegration`.
    pub action: &'a str,
    /// ARN of the resource, or `*`.
    pub resource: &'a str,
    /// Region of the request.
    pub region: &'a str,
    /// Condition keys and values.
    pub context: &'a Value,
    /// The resource's own policy, if the service has one for it.
    pub resource_policy: Option<&'a str>,
    /// Account that owns the resource.
    pub resource_account: &'a str,
}

fn authorization(service: &str, region: &str, credentials: &Credentials) -> Vec<(&'static str, String)> {
    let now = Timestamp::now();
    let date = now.strftime("%Y%m%d");
    let mut headers = vec![
        (
            "authorization",
            format!(
                "AWS4-HMAC-SHA256 Credential={}/{date}/{region}/{service}/aws4_request, SignedHeaders=host, Signature={}",
                credentials.access_key,
                "0".repeat(64)
            ),
        ),
        ("x-amz-date", now.strftime("%Y%m%dT%H%M%SZ").to_string()),
    ];
    if let Some(token) = &credentials.token {
        headers.push(("x-amz-security-token", token.clone()));
    }
    headers
}

fn refused(status: StatusCode, body: &[u8]) -> GatewayError {
    let text = String::from_utf8_lossy(body);
    let (code, message) = match serde_json::from_slice::<Value>(body) {
        Ok(json) => {
            let get = |names: &[&str]| names.iter().find_map(|name| json[*name].as_str()).map(str::to_owned);
            let code = get(&["__type", "code", "error"]).unwrap_or_default();
            (
                code.rsplit('#').next().unwrap_or_default().to_owned(),
                get(&["message", "Message"]).unwrap_or_default(),
            )
        }
        Err(_) => {
            (xml_text(&text, "Code").unwrap_or_default(), xml_text(&text, "Message").unwrap_or_default())
        }
    };
    let message = if message.is_empty() { cut(&text) } else { message };
    GatewayError::Refused { status: status.as_u16(), code, message }
}

fn unexpected(call: &str, body: &[u8]) -> GatewayError {
    GatewayError::Unexpected { call: call.to_owned(), found: cut(&String::from_utf8_lossy(body)) }
}

fn cut(text: &str) -> String {
    text.chars().take(300).collect()
}

/// The text of the first element of this name.
#[must_use]
pub fn xml_text(xml: &str, name: &str) -> Option<String> {
    xml_texts(xml, name).into_iter().next()
}

/// The texts of all elements of this name, in document order.
#[must_use]
pub fn xml_texts(xml: &str, name: &str) -> Vec<String> {
    use quick_xml::Reader;
    use quick_xml::events::Event;
    let mut reader = Reader::from_str(xml);
    let mut found = Vec::new();
    let mut inside: Option<String> = None;
    loop {
        match reader.read_event() {
            Ok(Event::Start(start)) if start.local_name().as_ref() == name => inside = Some(String::new()),
            Ok(Event::Text(text)) => {
                if let Some(value) = inside.as_mut() {
                    value.push_str(&text);
                }
            }
            Ok(Event::GeneralRef(reference)) => {
                if let Some(value) = inside.as_mut() {
                    let name: &str = &reference;
                    value.push_str(&quick_xml::escape::unescape(&format!("&{name};")).unwrap_or_default());
                }
            }
            Ok(Event::End(end)) if end.local_name().as_ref() == name => found.extend(inside.take()),
            Ok(Event::Eof) | Err(_) => return found,
            Ok(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_an_xml_answer_are_found_and_unescaped() {
        let xml = "<R><Contents><Key>a&amp;b.csv</Key></Contents><Contents><Key>c</Key></Contents></R>";
        assert_eq!(xml_texts(xml, "Key"), ["a&b.csv", "c"]);
    }

    #[test]
    fn an_error_of_either_protocol_keeps_its_code_and_text() {
        for body in [
            "<Error><Code>AccessDenied</Code><Message>no</Message></Error>",
            "{\"__type\":\"x#AccessDenied\",\"message\":\"no\"}",
        ] {
            let error = refused(StatusCode::FORBIDDEN, body.as_bytes());
            assert_eq!(error.code(), Some("AccessDenied"));
            assert_eq!(error.to_string(), "no");
        }
    }
}
