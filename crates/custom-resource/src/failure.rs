//! Why a provider could not do what was asked.

use std::error::Error;
use std::fmt;

/// The failure of one request, in words that a person will read in the stack's events.
///
/// The text names the property or permission, what was found, what was expected and the remedy. It holds no secret.
#[derive(Debug)]
pub struct Failure {
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
    made_something: bool,
}

impl Failure {
    /// A failure with its sentence.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), source: None, made_something: false }
    }

    /// A failure with its sentence and what caused it; the causes are appended to the sentence in the answer.
    pub fn caused_by(message: impl Into<String>, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { message: message.into(), source: Some(source.into()), made_something: false }
    }

    /// Says that something exists already although the request failed.
    ///
    /// A failed Create then answers with the real physical id instead of the create-failed marker, so that
    /// CloudFormation's Delete comes back for it.
    #[must_use]
    pub fn leaving_something(mut self) -> Self {
        self.made_something = true;
        self
    }

    /// [`leaving_something`](Self::leaving_something) if `left` holds.
    #[must_use]
    pub fn leaving_something_if(self, left: bool) -> Self {
        if left { self.leaving_something() } else { self }
    }

    /// Whether a Delete has something to clean up.
    pub fn left_something(&self) -> bool {
        self.made_something
    }

    /// The sentence and its causes, outermost first, each separated by a colon.
    pub fn chain(&self) -> String {
        chain(self)
    }
}

/// An error and its causes, outermost first, separated by colons. Some libraries repeat their cause's text in their own;
/// a reader needs it once.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let layer = inner.to_string();
        if !layer.is_empty() && !text.ends_with(&layer) {
            text.push_str(": ");
            text.push_str(&layer);
        }
        cause = inner.source();
    }
    text
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|e| e as &(dyn Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chain_prints_each_cause_once() {
        let cause = std::io::Error::other("connection refused");
        let failure =
            Failure::caused_by("cannot read the policy", Failure::caused_by("GetResourcePolicy", cause));
        assert_eq!(failure.chain(), "cannot read the policy: GetResourcePolicy: connection refused");
    }
}
