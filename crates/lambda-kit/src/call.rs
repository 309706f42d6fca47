//! One error type for failed calls to AWS: it names the operation and keeps the service's message.

use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use crate::error::chain;
use crate::grants::is_access_denied;

/// A failed call to AWS.
#[derive(Debug, thiserror::Error)]
#[error("{action}: {problem}")]
pub struct CallError {
    action: String,
    code: Option<String>,
    problem: String,
    is_transient: bool,
}

/// The error codes of a service that is busy or broken for the moment.
///
/// Sources: "Common errors" of the API references of Amazon Redshift, Redshift Serverless and
/// Amazon S3; the throttling codes are those of the SDKs' standard retry mode ("Retry behavior" of
/// the AWS SDKs and tools reference guide).
const TRANSIENT: [&str; 19] = [
    "BandwidthLimitExceeded",
    "DependentServiceRequestThrottlingFault",
    "DependentServiceUnavailableFault",
    "InternalError",
    "InternalFailure",
    "InternalServerError",
    "InternalServerException",
    "PriorRequestNotComplete",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "RequestTimeout",
    "ServiceUnavailable",
    "SlowDown",
    "Throttling",
    "ThrottledException",
    "ThrottlingException",
    "TooManyRequestsException",
    "TransactionInProgressException",
];

impl CallError {
    /// Creates the error from an SDK error of the operation with this IAM action, for example
    /// `redshift:PutResourcePolicy`.
    ///
    /// It keeps the service's code and message. If there was no response, it keeps the causes.
    pub fn new<E, R>(action: &str, error: &SdkError<E, R>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        R: std::fmt::Debug,
    {
        let code = error.code().map(str::to_owned);
        let problem = match (error.code(), error.message()) {
            (Some(code), Some(message)) => format!("{code}: {message}"),
            (Some(code), None) => code.to_owned(),
            (None, Some(message)) => message.to_owned(),
            (None, None) => chain(error),
        };
        // A response without a code is not the service's own, such as a gateway's error page.
        let is_transient = match (error, &code) {
            (SdkError::ConstructionFailure(_), _) => false,
            (_, Some(code)) => TRANSIENT.contains(&code.as_str()),
            (_, None) => true,
        };
        Self { action: action.to_owned(), code, problem, is_transient }
    }

    /// Creates the error of a call that has no response, or an unusable one.
    pub fn without_answer(action: &str, problem: &str) -> Self {
        Self { action: action.to_owned(), code: None, problem: problem.to_owned(), is_transient: true }
    }

    /// Creates the error of a call that has no response because of `cause`, such as a request that
    /// could not be built.
    pub fn caused_by(action: &str, cause: &(dyn std::error::Error + 'static)) -> Self {
        Self { action: action.to_owned(), code: None, problem: chain(cause), is_transient: false }
    }

    /// Returns the service's error code, if there was a response.
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    /// Returns true if the same call may succeed in a moment: there was no response, or the service
    /// was busy or broken. A call that changes something may have had its effect.
    pub fn is_transient(&self) -> bool {
        self.is_transient
    }

    /// Returns true if the caller lacks the permission for the action.
    pub fn is_access_denied(&self) -> bool {
        is_access_denied(self.code())
    }

    /// Returns true if the response has one of these error codes.
    pub fn has_code(&self, codes: &[&str]) -> bool {
        self.code().is_some_and(|code| codes.contains(&code))
    }
}
