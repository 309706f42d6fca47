//! Texts with placeholders, and how a value goes into each place of a request without leaving it.
//!
//! The set of placeholders is closed. A value in a path is percent-encoded, one in a header has to be visible ASCII, one in a query or a
//! body is encoded with the text around it: none can end the place that it stands in. Sources: RFC 3986, sections 2 and 3.3; RFC 9110, section 5.5.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Everything but the unreserved characters of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What a text may leave open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placeholder {
    /// The public half of a key.
    Id,
    /// Its secret half.
    Secret,
    /// `owner` of the adapter.
    Owner,
    /// `resource` of the adapter.
    Resource,
    /// The rotation's token: the id of the version it makes.
    Token,
    /// What tells the keys of this secret's rotation from all others: it names the secret and the rotation's token.
    Mark,
    /// The secret's name, for people.
    Name,
    /// The public half of the admin's credential.
    AdminId,
    /// Its secret half.
    AdminSecret,
}

impl Placeholder {
    /// All of them.
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

    /// As it stands between the braces.
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

    /// Whether its value may stand in no address, which servers and proxies log.
    pub fn is_secret(self) -> bool {
        matches!(self, Self::Secret | Self::AdminSecret)
    }
}

/// Why a text is no template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// `{{` without `}}`, or the other way round.
    #[error("`{{{{` and `}}}}` do not pair; a placeholder is written as in {{{{id}}}}")]
    Braces,
    /// None of ours.
    #[error("there is no placeholder {{{{{found}}}}}; there are {}", all_names())]
    Unknown {
        /// What stands between the braces, cut short.
        found: String,
    },
}

/// Why a value cannot be put where the template wants it. Never holds the value.
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
    /// What is encoded as a whole afterwards: a text in a JSON body, a parameter of a query.
    Whole,
}

/// The values of placeholders.
#[derive(Clone, Copy, Default)]
pub struct Values<'a>([Option<&'a str>; Placeholder::ALL.len()]);

impl<'a> Values<'a> {
    /// The same with one more, or another one.
    #[must_use]
    pub fn with(mut self, placeholder: Placeholder, value: &'a str) -> Self {
        self.0[placeholder as usize] = Some(value);
        self
    }

    /// The value of a placeholder.
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
    /// From its text.
    ///
    /// # Errors
    /// Braces that do not pair, or an unknown placeholder.
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

    /// What it leaves open.
    pub fn placeholders(&self) -> impl Iterator<Item = Placeholder> + '_ {
        self.0.iter().filter_map(|part| match part {
            Part::Slot(placeholder) => Some(*placeholder),
            Part::Text(_) => None,
        })
    }

    /// The text that it does not leave open, with one letter for every placeholder.
    pub fn outline(&self) -> String {
        let outline = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Slot(_) => "x".to_owned(),
        };
        self.0.iter().map(outline).collect()
    }

    /// The text with values.
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
                    let value = values.get(*placeholder).ok_or_else(|| wrong("is not known here"))?;
                    push(&mut text, value, place).map_err(wrong)?;
                }
            }
        }
        Ok(text)
    }
}

fn push(text: &mut String, value: &str, place: Place) -> Result<(), &'static str> {
    match place {
        // Dots are unreserved, and a part of a path that is only dots is another path.
        Place::Path if value.is_empty() || value.bytes().all(|byte| byte == b'.') => {
            return Err("cannot stand in a path: it is empty or only dots");
        }
        Place::Path => text.extend(utf8_percent_encode(value, RESERVED)),
        Place::Header if !value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) => {
            return Err("cannot stand in a header: it has a character that is no visible ASCII");
        }
        Place::Header | Place::Whole => text.push_str(value),
    }
    Ok(())
}

/// A text from outside for an error: short, and nothing in it that moves a cursor.
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
    fn a_placeholder_that_is_none_is_named_with_those_that_there_are() {
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
    fn a_value_that_is_only_dots_stands_in_no_path_and_one_with_a_line_break_in_no_header() {
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
            template.expand(&Values::default(), Place::Whole).unwrap_err().to_string().contains("not known")
        );
    }

    proptest! {
        #[test]
        fn a_value_in_a_path_holds_no_reserved_character_and_decodes_to_itself(value in "\\PC{1,20}|[\\x00-\\x7f]{1,20}") {
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
        fn text_around_placeholders_stays_as_it_is(before in "[a-z/]{0,9}", after in "[a-z/]{0,9}", value in "[ -~]{1,9}") {
            let template = Template::parse(&format!("{before}{{{{mark}}}}{after}")).unwrap();
            let text = template.expand(&Values::default().with(Placeholder::Mark, &value), Place::Whole).unwrap();
            prop_assert_eq!(text, format!("{before}{value}{after}"));
        }
    }
}
