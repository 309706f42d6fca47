//! Values of properties that are not what they should be.

/// A value that the service would not accept, or that must not be passed on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{property}`: {problem}")]
pub struct InvalidValue {
    property: String,
    problem: String,
}

impl InvalidValue {
    /// An invalid value of this property.
    pub fn new(property: &str, problem: impl Into<String>) -> Self {
        Self { property: property.to_owned(), problem: problem.into() }
    }

    /// The property that held the value.
    pub fn property(&self) -> &str {
        &self.property
    }
}

/// A value for an error text: short, and with what cannot be seen escaped.
pub(crate) fn shown(value: &str) -> String {
    let mut text: String = value.chars().take(40).flat_map(char::escape_debug).collect();
    if value.chars().count() > 40 {
        text.push('…');
    }
    format!("\"{text}\"")
}
