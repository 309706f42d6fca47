//! One error for a call to AWS that failed, with the operation named and the service's own words kept.

use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use crate::grants::is_refusal;

/// A call that failed.
#[derive(Debug, thiserror::Error)]
#[error("{action}: {problem}")]
pub struct CallError {
    action: String,
    code: Option<String>,
    problem: String,
}

impl CallError {
    /// From an SDK error of the operation with this IAM action, for example `redshift:PutResourcePolicy`.
    ///
    /// The service's code and message are kept; a call that never got an answer is described by its causes.
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
        Self { action: action.to_owned(), code, problem }
    }

    /// A call that never got an answer.
    pub fn without_answer(action: &str, problem: &str) -> Self {
        Self { action: action.to_owned(), code: None, problem: problem.to_owned() }
    }

    /// The service's error code, if it answered.
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    /// Whether the caller lacks the permission for the action.
    pub fn is_refusal(&self) -> bool {
        is_refusal(self.code())
    }

    /// Whether the answer carried one of these codes.
    pub fn has_code(&self, codes: &[&str]) -> bool {
        self.code().is_some_and(|code| codes.contains(&code))
    }
}

/// An error and its causes in one line. A cause that the text before it already ends with is not said twice.
pub fn chain<E: std::error::Error + ?Sized>(error: &E) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let layer = inner.to_string();
        if !text.ends_with(&layer) {
            text = format!("{text}: {layer}");
        }
        cause = inner.source();
    }
    text
}
