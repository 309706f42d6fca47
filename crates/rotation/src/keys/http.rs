//! HTTP over verified TLS, one connection for each request.
//!
//! A rotation makes a handful of requests in four invocations, to two hosts, so a connection pool
//! would gain little. Without one, no request is ever repeated without the machine's knowledge.
//! Redirects are not followed.

use std::future::Future;
use std::time::Duration;

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{
    ACCEPT, CONNECTION, CONTENT_TYPE, HOST, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT,
};
use hyper_util::rt::TokioIo;
use secrecy::{ExposeSecret, SecretString};

use super::request::Request;
use crate::engine::{EngineError, Server};
use crate::engines::trust::Tls;

/// The most bytes of a response that are read.
pub const MAX_RESPONSE: usize = 64 * 1024;
/// The timeout of one request, with its connection and its response.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
/// The longest Retry-After that is honored.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// A response.
pub struct Response {
    /// The status.
    pub status: u16,
    /// Retry-After, if it is a number of seconds.
    pub retry_after: Option<Duration>,
    /// The body; empty if it was not wanted.
    pub body: SecretString,
}

/// An error without a response.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// There is no connection, or it broke: the request may have had its effect.
    #[error("{0}")]
    Broken(String),
    /// The certificate is not trusted.
    #[error("{0}")]
    Untrusted(String),
    /// The response is too long, or not text.
    #[error("{0}")]
    Unreadable(String),
}

/// Sends requests.
pub trait Http: Send + Sync {
    /// Sends a request once. The body of the response is read only if it is wanted.
    fn send(
        &self,
        request: &Request,
        headers: &[(&'static str, SecretString)],
        body_wanted: bool,
    ) -> impl Future<Output = Result<Response, HttpError>> + Send;
}

/// Sends requests over TLS.
pub struct Https {
    tls: Tls,
}

impl Https {
    /// Creates a client with the trusted certificates.
    pub fn new(tls: Tls) -> Self {
        Self { tls }
    }

    async fn exchange(
        &self,
        server: &Server,
        request: hyper::Request<Full<Bytes>>,
        body_wanted: bool,
    ) -> Result<Response, HttpError> {
        let broken = |error: hyper::Error| HttpError::Broken(lambda_kit::error::chain(&error));
        let stream = self.tls.connect(server).await.map_err(|error| match error {
            EngineError::CertificateNotTrusted { problem, .. } => HttpError::Untrusted(problem),
            EngineError::ServerUnreachable { problem, .. } => HttpError::Broken(problem),
            other => HttpError::Broken(other.to_string()),
        })?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        tokio::spawn(async move {
            // The error of a connection reaches the code that waits on it.
            let _ended = connection.await;
        });
        let response = sender.send_request(request).await.map_err(broken)?;
        let seconds = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let retry_after = seconds.map(|seconds| Duration::from_secs(seconds).min(LONGEST_WAIT));
        let status = response.status().as_u16();
        let body = if body_wanted { read(response.into_body()).await? } else { SecretString::default() };
        Ok(Response { status, retry_after, body })
    }
}

async fn read(body: Incoming) -> Result<SecretString, HttpError> {
    let collected = Limited::new(body, MAX_RESPONSE).collect().await.map_err(|error| {
        if error.is::<LengthLimitError>() {
            HttpError::Unreadable(format!("it is longer than {} KiB", MAX_RESPONSE / 1024))
        } else {
            HttpError::Broken(format!("the response broke off: {error}"))
        }
    })?;
    let text = String::from_utf8(collected.to_bytes().to_vec());
    text.map(SecretString::from).map_err(|_| HttpError::Unreadable("it is not UTF-8 text".into()))
}

impl Http for Https {
    async fn send(
        &self,
        request: &Request,
        headers: &[(&'static str, SecretString)],
        body_wanted: bool,
    ) -> Result<Response, HttpError> {
        let host =
            if request.host.contains(':') { format!("[{}]", request.host) } else { request.host.clone() };
        let host = if request.port == 443 { host } else { format!("{host}:{}", request.port) };
        let body = request.body.as_ref().map(|body| Bytes::copy_from_slice(body.expose_secret().as_bytes()));
        let mut builder = hyper::Request::builder()
            .method(request.method.name())
            .uri(request.target.as_str())
            .header(HOST, host)
            .header(USER_AGENT, "sluice-rotation")
            .header(CONNECTION, "close");
        let set = |name: &HeaderName| request.headers.iter().any(|(have, _)| have == name.as_str());
        if !set(&ACCEPT) {
            builder = builder.header(ACCEPT, "application/json");
        }
        if body.is_some() && !set(&CONTENT_TYPE) {
            builder = builder.header(CONTENT_TYPE, "application/json");
        }
        let own = headers.iter().map(|(name, value)| (*name, value));
        for (name, value) in request.headers.iter().map(|(name, value)| (name.as_str(), value)).chain(own) {
            // The texts of these errors contain no value.
            let mut value = HeaderValue::from_str(value.expose_secret())
                .map_err(|error| HttpError::Unreadable(error.to_string()))?;
            value.set_sensitive(true);
            builder = builder.header(name, value);
        }
        let built = builder
            .body(Full::new(body.unwrap_or_default()))
            .map_err(|error| HttpError::Unreadable(error.to_string()))?;
        let server = Server { host: request.host.clone(), port: request.port, database: String::new() };
        match tokio::time::timeout(REQUEST_TIMEOUT, self.exchange(&server, built, body_wanted)).await {
            Ok(result) => result,
            Err(_) => Err(HttpError::Broken(format!("no response within {} s", REQUEST_TIMEOUT.as_secs()))),
        }
    }
}
