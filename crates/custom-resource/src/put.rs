//! The one PUT that answers a request.

use std::time::Duration;

use http::{Method, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::time::Instant;

use crate::failure::chain;
use crate::secret::ResponseUrl;

/// Why an answer did not arrive. Never holds the URL.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PutError {
    /// The URL is not one.
    #[error("the response URL is not a valid URL")]
    NotAUrl,
    /// Final: sending it again cannot help (403: the URL has expired or was signed for other headers).
    #[error("the answer was refused with HTTP status {0}")]
    Refused(StatusCode),
    /// Tried until the time or the attempts ran out.
    #[error("the answer could not be delivered in {attempts} attempts: {last}")]
    Exhausted { attempts: u32, last: String },
}

impl PutError {
    /// Whether another invocation with the same event might still deliver the answer.
    pub(crate) fn worth_another_invocation(&self) -> bool {
        matches!(self, Self::Exhausted { .. })
    }
}

/// How often and how patiently an answer is sent.
#[derive(Debug, Clone, Copy)]
pub struct PutPolicy {
    /// Attempts at most.
    pub attempts: u32,
    /// One attempt is given up after this time.
    pub per_attempt: Duration,
    /// Pause before the second attempt; each later pause doubles.
    pub first_pause: Duration,
}

impl Default for PutPolicy {
    fn default() -> Self {
        Self { attempts: 6, per_attempt: Duration::from_secs(5), first_pause: Duration::from_millis(200) }
    }
}

pub(crate) struct ResponseClient {
    http: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    policy: PutPolicy,
}

impl ResponseClient {
    pub(crate) fn new(policy: PutPolicy) -> Self {
        // The ring provider supports every protocol version that rustls is built with here, so this cannot fail.
        #[allow(clippy::expect_used)]
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_webpki_roots(rustls::crypto::ring::default_provider())
            .expect("ring supports the default protocol versions")
            .https_or_http()
            .enable_http1()
            .build();
        Self { http: Client::builder(TokioExecutor::new()).build(connector), policy }
    }

    /// Sends the body until it is taken, refused for good, or `until` has come.
    pub(crate) async fn put(&self, url: &ResponseUrl, body: &str, until: Instant) -> Result<(), PutError> {
        let uri: Uri = url.expose().parse().map_err(|_| PutError::NotAUrl)?;
        let mut pause = self.policy.first_pause;
        let mut last = "no time was left to send it".to_owned();
        let mut attempts = 0;
        while attempts < self.policy.attempts {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            attempts += 1;
            let limit = self.policy.per_attempt.min(left);
            match tokio::time::timeout(limit, self.attempt(&uri, body)).await {
                Ok(Ok(status)) if status.is_success() => return Ok(()),
                Ok(Ok(status)) if is_final(status) => return Err(PutError::Refused(status)),
                Ok(Ok(status)) => last = format!("HTTP status {status}"),
                Ok(Err(error)) => last = error,
                Err(_) => last = format!("no answer within {} ms", limit.as_millis()),
            }
            tracing::warn!(attempt = attempts, problem = %last, "the answer was not taken");
            if attempts < self.policy.attempts {
                tokio::time::sleep(pause.min(until.saturating_duration_since(Instant::now()))).await;
                pause = pause.saturating_mul(2);
            }
        }
        Err(PutError::Exhausted { attempts, last })
    }

    async fn attempt(&self, uri: &Uri, body: &str) -> Result<StatusCode, String> {
        // No Content-Type: the header would be part of what the URL's signature covers.
        let request = http::Request::builder()
            .method(Method::PUT)
            .uri(uri.clone())
            .body(Full::new(Bytes::copy_from_slice(body.as_bytes())))
            .map_err(|_| "the request could not be built".to_owned())?;
        // The errors of hyper name hosts and reasons, never the path or the query.
        let response = self.http.request(request).await.map_err(|error| chain(&error))?;
        let status = response.status();
        // Drained so that the connection can be used again; what S3 says in it may quote the signature.
        let _ = response.into_body().collect().await;
        Ok(status)
    }
}

/// Whether sending it again cannot help.
///
/// 400 is not final: S3 answers it with the code `RequestTimeout` to a body that came too slowly. Source: "Error responses"
/// of the S3 API reference. An answer that is lost costs the stack an hour, one that is sent in vain a moment.
fn is_final(status: StatusCode) -> bool {
    const AGAIN: [StatusCode; 3] =
        [StatusCode::BAD_REQUEST, StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS];
    status.is_client_error() && !AGAIN.contains(&status)
}
