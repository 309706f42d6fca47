//! Retries of calls that are denied because a new grant has not propagated yet.
//!
//! A stack creates a role and uses it moments later, so the first calls may be denied although the
//! grant exists. Such a call is retried like a throttled one, for about as long as grants need to
//! propagate. Source: "Troubleshoot IAM", "Changes that I make are not always immediately visible",
//! of the IAM user guide.

use std::time::Duration;

use aws_smithy_runtime_api::client::interceptors::context::InterceptorContext;
use aws_smithy_runtime_api::client::retries::classifiers::{
    ClassifyRetry, RetryAction, RetryClassifierPriority, SharedRetryClassifier,
};
use aws_smithy_types::retry::{ErrorKind, RetryConfig};

use crate::env::{Env, EnvError};

/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(20);

/// The error codes with which services deny a call.
const ACCESS_DENIED: [&str; 4] =
    ["AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "NotAuthorized"];

/// Returns true if an error code means that the caller lacks a grant.
pub fn is_access_denied(code: Option<&str>) -> bool {
    code.is_some_and(|code| ACCESS_DENIED.contains(&code))
}

/// The time for which denied calls are retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GrantPropagationRetry(Duration);

impl GrantPropagationRetry {
    /// Retries denied calls for this long; zero disables the retries.
    pub fn new(length: Duration) -> Self {
        Self(length)
    }

    /// Reads `ACCESS_GRANT_WAIT_SECONDS`, 60 by default.
    ///
    /// # Errors
    /// The variable is not a whole number.
    pub fn from_env(env: Env<'_>) -> Result<Self, EnvError> {
        let seconds = env.parsed("ACCESS_GRANT_WAIT_SECONDS", "a whole number of seconds", 60_u32)?;
        Ok(Self(Duration::from_secs(seconds.into())))
    }

    /// Returns the retry settings of every client: as many attempts as fit, with pauses of at most
    /// 1, 2, 4, … seconds. The SDK's jitter makes each pause a random part of that.
    pub fn config(self) -> RetryConfig {
        let mut total = Duration::ZERO;
        let mut pause = Duration::from_secs(1);
        let mut attempts = 1;
        while total + pause <= self.0 {
            total += pause;
            attempts += 1;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        // Throttling and lost connections get three attempts even if denied calls are not retried.
        RetryConfig::standard().with_max_attempts(attempts.max(3)).with_max_backoff(LONGEST_PAUSE)
    }

    /// Returns the retry classifier of every client.
    pub fn classifier(self) -> SharedRetryClassifier {
        SharedRetryClassifier::new(AccessDeniedClassifier { retried: !self.0.is_zero() })
    }
}

/// Returns true if an error response, XML or JSON, has a code of [`is_access_denied`].
fn says_access_denied(response: &[u8]) -> bool {
    response
        .split(|byte| !byte.is_ascii_alphanumeric())
        .any(|word| ACCESS_DENIED.iter().any(|code| code.as_bytes() == word))
}

#[derive(Debug)]
struct AccessDeniedClassifier {
    retried: bool,
}

impl ClassifyRetry for AccessDeniedClassifier {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        // The error's type differs from operation to operation; the response's form does not.
        let denied = context.response().is_some_and(|response| {
            let kind = response.headers().get("x-amzn-errortype").unwrap_or_default();
            !response.status().is_success()
                && (says_access_denied(kind.as_bytes())
                    || response.body().bytes().is_some_and(says_access_denied))
        });
        if self.retried && denied {
            RetryAction::retryable_error(ErrorKind::ThrottlingError)
        } else {
            RetryAction::NoActionIndicated
        }
    }

    fn name(&self) -> &'static str {
        "grant propagation"
    }

    fn priority(&self) -> RetryClassifierPriority {
        RetryClassifierPriority::run_after(RetryClassifierPriority::transient_error_classifier())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn access_denied_is_recognized_in_xml_and_json() {
        for denied in [
            &b"<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>"[..],
            br#"{"__type":"com.amazonaws.kms#AccessDeniedException","message":"x"}"#,
            b"AccessDeniedException:http://internal.amazon.com/coral/",
        ] {
            assert!(says_access_denied(denied));
        }
        assert!(!says_access_denied(br#"{"__type":"ResourceNotFoundException"}"#));
        assert!(!says_access_denied(b"<Code>AccessDeniedByNobody</Code>"));
    }

    #[test]
    fn number_of_attempts_follows_from_the_time() {
        // 1 + 2 + 4 + 8 + 16 = 31 seconds of pauses; one more pause of 20 seconds makes 51.
        assert_eq!(GrantPropagationRetry::new(Duration::from_secs(60)).config().max_attempts(), 7);
        assert_eq!(GrantPropagationRetry::new(Duration::from_secs(3)).config().max_attempts(), 3);
        assert_eq!(GrantPropagationRetry::new(Duration::ZERO).config().max_attempts(), 3);
    }
}
