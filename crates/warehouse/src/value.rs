//! Invalid values of properties.

/// A value that the service would not accept, or that must not reach it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{property}`: {problem}")]
pub struct InvalidValue {
    property: String,
    problem: String,
}

impl InvalidValue {
    /// Creates the error for a property.
    pub fn new(property: &str, problem: impl Into<String>) -> Self {
        Self { property: property.to_owned(), problem: problem.into() }
    }

    /// Returns the property's name.
    pub fn property(&self) -> &str {
        &self.property
    }
}

/// Returns a value for an error text: shortened, and with invisible characters escaped.
pub(crate) fn escape(value: &str) -> String {
    let mut text: String = value.chars().take(40).flat_map(char::escape_debug).collect();
    if value.chars().count() > 40 {
        text.push('…');
    }
    format!("\"{text}\"")
}
