//! The PUT request that delivers a response.

use std::time::Duration;

use http::{Method, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::time::Instant;

use crate::failure::chain;
use crate::secret::ResponseUrl;

/// The error of a delivery. It never holds the URL.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PutError {
    /// The response URL is invalid.
    #[error("the response URL is not a valid URL")]
    InvalidUrl,
    /// The status is final (403: the URL has expired or was signed for other headers).
    #[error("the response was rejected with HTTP status {0}")]
    Rejected(StatusCode),
    /// The time or the attempts ran out.
    #[error("the response could not be delivered in {attempts} attempts: {last}")]
    Exhausted { attempts: u32, last: String },
}

impl PutError {
    /// Returns true if another invocation with the same event may deliver the response.
    pub(crate) fn is_retryable(&self) -> bool {
        matches!(self, Self::Exhausted { .. })
    }
}

/// The policy for retries of a delivery.
#[derive(Debug, Clone, Copy)]
pub struct PutPolicy {
    /// The most attempts.
    pub attempts: u32,
    /// The time limit of one attempt.
    pub attempt_timeout: Duration,
    /// The pause before the second attempt. Each later pause is twice as long.
    pub first_pause: Duration,
}

impl Default for PutPolicy {
    fn default() -> Self {
        Self { attempts: 6, attempt_timeout: Duration::from_secs(5), first_pause: Duration::from_millis(200) }
    }
}

/// The most bytes of an answer's body that are read. S3 sends an empty body or a short error.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

pub(crate) struct ResponseClient {
    http: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    policy: PutPolicy,
}

impl ResponseClient {
    pub(crate) fn new(policy: PutPolicy) -> Self {
        // The ring provider supports every protocol version that rustls is built with, so this
        // cannot fail.
        #[allow(clippy::expect_used)]
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_webpki_roots(rustls::crypto::ring::default_provider())
            .expect("ring supports the default protocol versions")
            .https_or_http()
            .enable_http1()
            .build();
        Self { http: Client::builder(TokioExecutor::new()).build(connector), policy }
    }

    /// Sends the body until it is accepted or rejected for good, or until `until`.
    pub(crate) async fn put(&self, url: &ResponseUrl, body: &str, until: Instant) -> Result<(), PutError> {
        let uri: Uri = url.expose().parse().map_err(|_| PutError::InvalidUrl)?;
        let mut pause = self.policy.first_pause;
        let mut last = "there was no time to send it".to_owned();
        let mut attempts = 0;
        while attempts < self.policy.attempts {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            attempts += 1;
            let limit = self.policy.attempt_timeout.min(left);
            match tokio::time::timeout(limit, self.attempt(&uri, body)).await {
                Ok(Ok(status)) if status.is_success() => return Ok(()),
                Ok(Ok(status)) if is_final(status) => return Err(PutError::Rejected(status)),
                Ok(Ok(status)) => last = format!("HTTP status {status}"),
                Ok(Err(error)) => last = error,
                Err(_) => last = format!("no response within {} ms", limit.as_millis()),
            }
            tracing::warn!(attempt = attempts, problem = %last, "an attempt to deliver the response failed");
            if attempts < self.policy.attempts {
                tokio::time::sleep(pause.min(until.saturating_duration_since(Instant::now()))).await;
                pause = pause.saturating_mul(2);
            }
        }
        Err(PutError::Exhausted { attempts, last })
    }

    async fn attempt(&self, uri: &Uri, body: &str) -> Result<StatusCode, String> {
        // No Content-Type: the URL's signature would have to cover the header.
        let request = http::Request::builder()
            .method(Method::PUT)
            .uri(uri.clone())
            .body(Full::new(Bytes::copy_from_slice(body.as_bytes())))
            .map_err(|_| "the request could not be built".to_owned())?;
        // The errors of hyper name hosts and reasons, never the path or the query.
        let response = self.http.request(request).await.map_err(|error| chain(&error))?;
        let status = response.status();
        // Drained so that the connection can be reused; a longer body closes it. It is not logged: S3
        // quotes the signature.
        let _ = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await;
        Ok(status)
    }
}

/// Returns true if a retry cannot succeed.
///
/// 400 is not final: S3 returns it with the code `RequestTimeout` for a body that was too slow.
/// Source: "Error responses" of the S3 API reference. A lost response costs the stack an hour, a
/// useless retry a moment.
fn is_final(status: StatusCode) -> bool {
    const RETRYABLE: [StatusCode; 3] =
        [StatusCode::BAD_REQUEST, StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS];
    status.is_client_error() && !RETRYABLE.contains(&status)
}
