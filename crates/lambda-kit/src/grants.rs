//! Patience with fresh grants: a policy that was just written takes seconds to reach every service.
//!
//! A stack creates a role and uses it moments later, so the first calls may be refused although the grant exists.
//! Such a refusal is retried like a throttled call, for about as long as grants need to spread, before it counts.
//! Source: "Troubleshoot IAM", "Changes that I make are not always immediately visible", of the IAM user guide.

use std::time::Duration;

use aws_smithy_runtime_api::client::interceptors::context::InterceptorContext;
use aws_smithy_runtime_api::client::retries::classifiers::{
    ClassifyRetry, RetryAction, RetryClassifierPriority, SharedRetryClassifier,
};
use aws_smithy_types::retry::{ErrorKind, RetryConfig};

use crate::env::{Env, EnvError};

/// Longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(20);

/// The codes by which the services refuse a caller that lacks a grant.
const REFUSALS: [&str; 4] =
    ["AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "NotAuthorized"];

/// Whether an error code says that the caller lacks a grant.
pub fn is_refusal(code: Option<&str>) -> bool {
    code.is_some_and(|code| REFUSALS.contains(&code))
}

/// How long a refusal is taken for a grant that is still spreading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience(Duration);

impl Patience {
    /// Patience of this length; zero retries no refusal.
    pub fn new(length: Duration) -> Self {
        Self(length)
    }

    /// From `ACCESS_GRANT_WAIT_SECONDS`, 60 by default.
    ///
    /// # Errors
    /// The variable is not a whole number.
    pub fn from_env(env: Env<'_>) -> Result<Self, EnvError> {
        let seconds = env.parsed("ACCESS_GRANT_WAIT_SECONDS", "a whole number of seconds", 60_u32)?;
        Ok(Self(Duration::from_secs(seconds.into())))
    }

    /// The retry settings of every client: as many attempts as fit, pauses of 1, 2, 4, … seconds at most (with the
    /// SDK's jitter each pause is a random part of that).
    pub fn retries(self) -> RetryConfig {
        let mut total = Duration::ZERO;
        let mut pause = Duration::from_secs(1);
        let mut attempts = 1;
        while total + pause <= self.0 {
            total += pause;
            attempts += 1;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        // Throttling and lost connections deserve three attempts even where refusals are not retried.
        RetryConfig::standard().with_max_attempts(attempts.max(3)).with_max_backoff(LONGEST_PAUSE)
    }

    /// The classifier for every client: `Config::builder().retry_classifier(patience.classifier())`.
    pub fn classifier(self) -> SharedRetryClassifier {
        SharedRetryClassifier::new(Refused { retried: !self.0.is_zero() })
    }
}

/// Whether an error answer, XML or JSON, carries one of the codes of [`is_refusal`].
fn names_a_refusal(answer: &[u8]) -> bool {
    answer
        .split(|byte| !byte.is_ascii_alphanumeric())
        .any(|word| REFUSALS.iter().any(|code| code.as_bytes() == word))
}

#[derive(Debug)]
struct Refused {
    retried: bool,
}

impl ClassifyRetry for Refused {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        // The error's type differs from call to call; the answer's form does not.
        let refused = context.response().is_some_and(|response| {
            let kind = response.headers().get("x-amzn-errortype").unwrap_or_default();
            !response.status().is_success()
                && (names_a_refusal(kind.as_bytes()) || response.body().bytes().is_some_and(names_a_refusal))
        });
        if self.retried && refused {
            RetryAction::retryable_error(ErrorKind::ThrottlingError)
        } else {
            RetryAction::NoActionIndicated
        }
    }

    fn name(&self) -> &'static str {
        "Fresh grant"
    }

    fn priority(&self) -> RetryClassifierPriority {
        RetryClassifierPriority::run_after(RetryClassifierPriority::transient_error_classifier())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_from_other_errors_in_xml_and_json() {
        for refusal in [
            &b"<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>"[..],
            br#"{"__type":"com.amazonaws.kms#AccessDeniedException","message":"x"}"#,
            b"AccessDeniedException:http://internal.amazon.com/coral/",
        ] {
            assert!(names_a_refusal(refusal));
        }
        assert!(!names_a_refusal(br#"{"__type":"ResourceNotFoundException"}"#));
        assert!(!names_a_refusal(b"<Code>AccessDeniedByNobody</Code>"));
    }

    #[test]
    fn attempts_fit_into_the_patience() {
        // 1 + 2 + 4 + 8 + 16 = 31 seconds of pauses; one more pause of 20 seconds makes 51.
        assert_eq!(Patience::new(Duration::from_secs(60)).retries().max_attempts(), 7);
        assert_eq!(Patience::new(Duration::from_secs(3)).retries().max_attempts(), 3);
        assert_eq!(Patience::new(Duration::ZERO).retries().max_attempts(), 3);
    }
}
