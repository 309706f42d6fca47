//! The error of an invalid adapter.

/// The largest configuration, in bytes. Lambda allows 4 KB for all variables together.
pub const LARGEST: usize = 3072;

/// An invalid adapter. The error names the place in its text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdapterError {
    /// The text is too long.
    #[error("it has {0} bytes, the limit is {LARGEST}")]
    TooLong(usize),
    /// The text is not JSON, a key is unknown or missing, or a value has the wrong form.
    #[error("`{place}`: {problem}")]
    Invalid {
        /// The path of the key, `.` for the whole text.
        place: String,
        /// The reason.
        problem: String,
    },
}

pub(super) fn invalid(place: &str, problem: impl Into<String>) -> AdapterError {
    // Both may quote the text, which may hold anything.
    let printable =
        |text: &str, most| text.chars().map(|c| if c.is_control() { '?' } else { c }).take(most).collect();
    AdapterError::Invalid { place: printable(place, 80), problem: printable(&problem.into(), 300) }
}
