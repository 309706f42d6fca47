//! A string that must not reach a log, an error text or a state machine's history.

use std::fmt;

/// The pre-signed URL to which the response goes.
///
/// It is a bearer credential: whoever holds it can respond for the resource. Its `Debug` shows
/// nothing, it has no `Display`, and it cannot be serialized.
#[derive(Clone, PartialEq, Eq)]
pub struct ResponseUrl(String);

impl ResponseUrl {
    /// Wraps a URL.
    pub fn new(url: impl Into<String>) -> Self {
        Self(url.into())
    }

    /// Returns the URL in clear, for the request line and for sealing only.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ResponseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResponseUrl(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_of_a_response_url_shows_no_part_of_it() {
        let url = ResponseUrl::new("https://bucket.example/key?X-Amz-Signature=abc");
        assert_eq!(format!("{url:?}"), "ResponseUrl(redacted)");
    }
}
