//! Texts with placeholders, and the encoding of values for each place in a request.
//!
//! The set of placeholders is closed. A value in a path is percent-encoded, one in a header must be
//! visible ASCII, one in a query or a body is encoded together with the text around it: no value
//! can leave its place. Sources: RFC 3986, sections 2 and 3.3; RFC 9110, section 5.5.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// All but the unreserved characters of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A placeholder of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placeholder {
    /// The public half of a key.
    Id,
    /// The secret half of a key.
    Secret,
    /// `owner` of the adapter.
    Owner,
    /// `resource` of the adapter.
    Resource,
    /// The rotation's token: the id of the version that it creates.
    Token,
    /// The mark of a key: it names the secret and the rotation's token.
    Mark,
    /// The secret's name, for people.
    Name,
    /// The public half of the admin's credential.
    AdminId,
    /// The secret half of the admin's credential.
    AdminSecret,
}

impl Placeholder {
    /// All placeholders.
    pub const ALL: [Self; 9] = [
        Self::Id,
        Self::Secret,
        Self::Owner,
        Self::Resource,
        Self::Token,
        Self::Mark,
        Self::Name,
        Self::AdminId,
        Self::AdminSecret,
    ];

    /// Returns the name between the braces.
    pub fn name(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Secret => "secret",
            Self::Owner => "owner",
            Self::Resource => "resource",
            Self::Token => "token",
            Self::Mark => "mark",
            Self::Name => "name",
            Self::AdminId => "admin_id",
            Self::AdminSecret => "admin_secret",
        }
    }

    /// Returns true if the value must not be in an address, which servers and proxies log.
    pub fn is_secret(self) -> bool {
        matches!(self, Self::Secret | Self::AdminSecret)
    }
}

/// An invalid template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// `{{` without `}}`, or the reverse.
    #[error("`{{{{` and `}}}}` do not match; a placeholder is written as {{{{id}}}}")]
    Braces,
    /// The placeholder does not exist.
    #[error("the placeholder {{{{{found}}}}} does not exist; the placeholders are {}", all_names())]
    Unknown {
        /// The beginning of the text between the braces.
        found: String,
    },
}

/// A value that does not fit its place. The error never contains the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the value of {{{{{}}}}} {problem}", placeholder.name())]
pub struct ExpandError {
    placeholder: Placeholder,
    problem: &'static str,
}

/// A place in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A path.
    Path,
    /// The value of a header.
    Header,
    /// A place that is encoded as a whole later: a text in a JSON body, a query parameter.
    Whole,
}

/// The values of placeholders.
#[derive(Clone, Copy, Default)]
pub struct Values<'a>([Option<&'a str>; Placeholder::ALL.len()]);

impl<'a> Values<'a> {
    /// Sets a value.
    #[must_use]
    pub fn with(mut self, placeholder: Placeholder, value: &'a str) -> Self {
        self.0[placeholder as usize] = Some(value);
        self
    }

    /// Returns the value of a placeholder.
    pub fn get(&self, placeholder: Placeholder) -> Option<&'a str> {
        self.0[placeholder as usize]
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Slot(Placeholder),
}

/// A text with placeholders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Part>);

impl Template {
    /// Parses a template.
    ///
    /// # Errors
    /// Braces do not match, or a placeholder is unknown.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut rest = text;
        let literal = |text: &str| match text {
            "" => Ok(None),
            text if text.contains("}}") => Err(TemplateError::Braces),
            text => Ok(Some(Part::Text(text.to_owned()))),
        };
        while let Some((before, after)) = rest.split_once("{{") {
            let (name, after) = after.split_once("}}").ok_or(TemplateError::Braces)?;
            parts.extend(literal(before)?);
            let slot = Placeholder::ALL.into_iter().find(|one| one.name() == name);
            parts.push(Part::Slot(slot.ok_or_else(|| TemplateError::Unknown { found: shortened(name) })?));
            rest = after;
        }
        parts.extend(literal(rest)?);
        Ok(Self(parts))
    }

    /// Returns the placeholders.
    pub fn placeholders(&self) -> impl Iterator<Item = Placeholder> + '_ {
        self.0.iter().filter_map(|part| match part {
            Part::Slot(placeholder) => Some(*placeholder),
            Part::Text(_) => None,
        })
    }

    /// Returns the text with one letter for every placeholder.
    pub fn outline(&self) -> String {
        let outline = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Slot(_) => "x".to_owned(),
        };
        self.0.iter().map(outline).collect()
    }

    /// Returns the text with values.
    ///
    /// # Errors
    /// A value is missing, or does not fit the place.
    pub fn expand(&self, values: &Values<'_>, place: Place) -> Result<String, ExpandError> {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Text(literal) => text.push_str(literal),
                Part::Slot(placeholder) => {
                    let wrong = |problem| ExpandError { placeholder: *placeholder, problem };
                    let value =
                        values.get(*placeholder).ok_or_else(|| wrong("is unknown in this request"))?;
                    push(&mut text, value, place).map_err(wrong)?;
                }
            }
        }
        Ok(text)
    }
}

fn push(text: &mut String, value: &str, place: Place) -> Result<(), &'static str> {
    match place {
        // Dots are unreserved, and a path segment of dots only is another path.
        Place::Path if value.is_empty() || value.bytes().all(|byte| byte == b'.') => {
            return Err("is not allowed in a path: it is empty or only dots");
        }
        Place::Path => text.extend(utf8_percent_encode(value, RESERVED)),
        Place::Header if !value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) => {
            return Err("is not allowed in a header: it has a character that is not visible ASCII");
        }
        Place::Header | Place::Whole => text.push_str(value),
    }
    Ok(())
}

/// Returns the beginning of an external text for an error, without control characters.
fn shortened(text: &str) -> String {
    let printable = |c: char| if c.is_ascii_graphic() || c == ' ' { c } else { '?' };
    text.chars().take(40).map(printable).collect()
}

fn all_names() -> String {
    Placeholder::ALL.map(|one| format!("{{{{{}}}}}", one.name())).join(", ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn unknown_placeholder_is_rejected_with_the_known_ones() {
        let text = Template::parse("/keys/{{key}}").unwrap_err().to_string();
        assert!(text.contains("{{key}}") && text.contains("{{id}}, {{secret}}"), "{text}");
        for broken in ["{{id", "id}}", "{{id}} }}", "{{{{id}}"] {
            assert!(Template::parse(broken).is_err(), "{broken}");
        }
        assert_eq!(
            Template::parse("{a} }{{{id}}").unwrap_err(),
            TemplateError::Unknown { found: "{id".into() }
        );
    }

    #[test]
    fn dots_are_rejected_in_paths_and_line_breaks_in_headers() {
        let template = Template::parse("{{id}}").unwrap();
        for value in ["", ".", ".."] {
            assert!(template.expand(&Values::default().with(Placeholder::Id, value), Place::Path).is_err());
        }
        for value in ["a\r\nX: y", "a\nb", "\u{7f}", "é", "\0"] {
            let error = template.expand(&Values::default().with(Placeholder::Id, value), Place::Header);
            let text = error.unwrap_err().to_string();
            assert!(text.contains("{{id}}") && text.contains("visible ASCII"), "{text}");
        }
        assert!(
            template
                .expand(&Values::default(), Place::Whole)
                .unwrap_err()
                .to_string()
                .contains("unknown in this request")
        );
    }

    proptest! {
        #[test]
        fn value_in_a_path_is_encoded_and_decodes_to_itself(value in "\\PC{1,20}|[\\x00-\\x7f]{1,20}") {
            let template = Template::parse("{{id}}").unwrap();
            let Ok(text) = template.expand(&Values::default().with(Placeholder::Id, &value), Place::Path) else {
                prop_assert!(value.bytes().all(|byte| byte == b'.'));
                return Ok(());
            };
            prop_assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%".contains(&b)), "{}", text);
            let decoded = percent_encoding::percent_decode_str(&text).decode_utf8().unwrap();
            prop_assert_eq!(decoded, value.as_str());
        }

        #[test]
        fn text_around_placeholders_is_unchanged(before in "[a-z/]{0,9}", after in "[a-z/]{0,9}", value in "[ -~]{1,9}") {
            let template = Template::parse(&format!("{before}{{{{mark}}}}{after}")).unwrap();
            let text = template.expand(&Values::default().with(Placeholder::Mark, &value), Place::Whole).unwrap();
            prop_assert_eq!(text, format!("{before}{value}{after}"));
        }
    }
}
