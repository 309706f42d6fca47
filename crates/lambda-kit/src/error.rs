//! The text of an error at the boundary: in a log line or an answer.

use std::error::Error;

/// Returns an error and its causes in one line, outermost first, separated by colons.
///
/// Some libraries repeat their cause's text at the end of their own; it is printed once.
pub fn chain<E: Error + ?Sized>(error: &E) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Layer {
        text: &'static str,
        #[source]
        cause: Option<Box<Self>>,
    }

    #[test]
    fn chain_prints_every_cause_once() {
        let layer = |text, cause: Option<Layer>| Layer { text, cause: cause.map(Box::new) };
        let repeated = layer("login failed: refused", Some(layer("refused", None)));
        let error = layer("cannot rotate", Some(repeated));
        assert_eq!(chain(&error), "cannot rotate: login failed: refused");
    }
}
