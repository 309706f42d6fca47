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
    const MOST: usize = 40;
    let mut text = String::new();
    let mut room = MOST;
    for character in value.chars() {
        let escaped = character.escape_debug();
        // An escaped control character is six characters long.
        if escaped.len() > room {
            text.push('…');
            break;
        }
        room -= escaped.len();
        text.extend(escaped);
    }
    format!("\"{text}\"")
}
