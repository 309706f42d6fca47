//! The failure of a request.

use std::error::Error;
use std::fmt;

/// The failure of one request, in a sentence that the stack's events show.
///
/// The sentence names the property or permission, what was found, what was expected and what to do.
/// It holds no secret.
#[derive(Debug)]
pub struct Failure {
    /// Absent if the source's text is the sentence.
    message: Option<String>,
    source: Option<Box<dyn Error + Send + Sync>>,
    has_leftovers: bool,
}

impl Failure {
    /// Creates a failure from a sentence.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: Some(message.into()), source: None, has_leftovers: false }
    }

    /// Creates a failure from a sentence and its cause. The response appends all causes.
    pub fn caused_by(message: impl Into<String>, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { message: Some(message.into()), source: Some(cause.into()), has_leftovers: false }
    }

    /// Creates a failure from an error whose text is the sentence. It keeps the error's causes.
    pub fn from_error(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { message: None, source: Some(error.into()), has_leftovers: false }
    }

    /// Marks that the failed request left something behind.
    ///
    /// A failed Create then responds with the real physical id instead of the create-failed marker,
    /// so that CloudFormation sends a Delete for it.
    #[must_use]
    pub fn with_leftovers(self) -> Self {
        self.with_leftovers_if(true)
    }

    /// Marks that the failed request left something behind, if `left` is true.
    #[must_use]
    pub fn with_leftovers_if(mut self, left: bool) -> Self {
        self.has_leftovers |= left;
        self
    }

    /// Returns true if a Delete has something to clean up.
    pub fn has_leftovers(&self) -> bool {
        self.has_leftovers
    }

    /// Returns the sentence and its causes, outermost first, separated by colons.
    pub fn chain(&self) -> String {
        chain(self)
    }
}

/// Returns an error and its causes, outermost first, separated by colons.
///
/// Some libraries repeat their cause's text at the end of their own; it is printed once.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let layer = inner.to_string();
        if !text.ends_with(&layer) {
            text.push_str(": ");
            text.push_str(&layer);
        }
        cause = inner.source();
    }
    text
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.message, &self.source) {
            (Some(message), _) => f.write_str(message),
            (None, Some(error)) => error.fmt(f),
            (None, None) => Ok(()),
        }
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        let source = self.source.as_deref().map(|error| error as &(dyn Error + 'static));
        if self.message.is_some() { source } else { source.and_then(Error::source) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chain_prints_each_cause_once() {
        let cause = std::io::Error::other("connection refused");
        let failure =
            Failure::caused_by("cannot read the policy", Failure::caused_by("GetResourcePolicy", cause));
        assert_eq!(failure.chain(), "cannot read the policy: GetResourcePolicy: connection refused");
    }

    #[test]
    fn failure_from_an_error_keeps_its_text_and_causes() {
        let error = Failure::caused_by("GetResourcePolicy", std::io::Error::other("connection refused"));
        assert_eq!(Failure::from_error(error).chain(), "GetResourcePolicy: connection refused");
    }

    #[test]
    fn leftovers_stay_once_they_are_marked() {
        assert!(!Failure::new("x").has_leftovers());
        assert!(Failure::new("x").with_leftovers().with_leftovers_if(false).has_leftovers());
    }
}
