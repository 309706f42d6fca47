//! Texts with variables, `${name}`, and command lines made of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::Deserialize;

/// The values of variables by name.
pub type Variables = BTreeMap<String, String>;

/// A text with variables.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Text(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    Variable(String),
}

/// A text that is not well-formed, or a variable without a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// `${` without `}`, or a name with other characters.
    #[error("`{0}` has a `${{` that is not followed by a name and `}}`")]
    Malformed(String),
    /// Quotes that are not closed.
    #[error("`{0}` is not a command line: a quote is not closed")]
    Quotes(String),
    /// An empty command line.
    #[error("a command line is empty")]
    Empty,
    /// A variable that has no value.
    #[error("variable `{0}` has no value")]
    Unknown(String),
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|one| one.is_ascii_alphanumeric() || matches!(one, '-' | '_' | '.'))
}

impl Text {
    /// Parses a text. `$` without a brace is itself.
    ///
    /// # Errors
    /// [`TextError::Malformed`].
    pub fn parse(text: &str) -> Result<Self, TextError> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(start) = rest.find("${") {
            let (before, after) = (&rest[..start], &rest[start + 2..]);
            let (name, behind) = after.split_once('}').ok_or_else(|| TextError::Malformed(text.into()))?;
            if !is_name(name) {
                return Err(TextError::Malformed(text.into()));
            }
            if !before.is_empty() {
                parts.push(Part::Literal(before.into()));
            }
            parts.push(Part::Variable(name.into()));
            rest = behind;
        }
        if !rest.is_empty() {
            parts.push(Part::Literal(rest.into()));
        }
        Ok(Self(parts))
    }

    /// Returns the text with the values of its variables.
    ///
    /// # Errors
    /// [`TextError::Unknown`].
    pub fn fill(&self, variables: &Variables) -> Result<String, TextError> {
        let part = |part: &Part| match part {
            Part::Literal(text) => Ok(text.clone()),
            Part::Variable(name) => {
                variables.get(name).cloned().ok_or_else(|| TextError::Unknown(name.clone()))
            }
        };
        self.0.iter().map(part).collect()
    }

    /// Returns true if the text begins so, before any variable.
    pub fn starts_with(&self, start: &str) -> bool {
        matches!(self.0.first(), Some(Part::Literal(text)) if text.starts_with(start))
    }

    /// Returns the text, `None` if it has a variable.
    fn literal(&self) -> Option<&str> {
        match self.0.as_slice() {
            [] => Some(""),
            [Part::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// Returns the names of its variables.
    pub fn names(&self) -> BTreeSet<&str> {
        let mut names = BTreeSet::new();
        for part in &self.0 {
            if let Part::Variable(name) = part {
                names.insert(name.as_str());
            }
        }
        names
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|part| match part {
            Part::Literal(text) => f.write_str(text),
            Part::Variable(name) => write!(f, "${{{name}}}"),
        })
    }
}

/// A command: a program and its arguments. It is split into words before the variables get their
/// values, so that no value becomes two words or an option of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine(Vec<Text>);

impl CommandLine {
    /// Splits a line by the rules of a POSIX shell's quotes.
    ///
    /// # Errors
    /// A quote or brace is not closed, or the line is empty.
    pub fn parse(line: &str) -> Result<Self, TextError> {
        let words = shlex::split(line).ok_or_else(|| TextError::Quotes(line.into()))?;
        if words.is_empty() {
            return Err(TextError::Empty);
        }
        words.iter().map(|word| Text::parse(word)).collect::<Result<_, _>>().map(Self)
    }

    /// Returns the words with the values of their variables. The word `@warehouse` becomes the
    /// options of the Data API, from the outputs of the kit's stack.
    ///
    /// # Errors
    /// [`TextError::Unknown`].
    pub fn fill(&self, variables: &Variables) -> Result<Vec<String>, TextError> {
        let mut words = Vec::new();
        for word in &self.0 {
            if word.literal() == Some(WAREHOUSE) {
                words.extend(warehouse_options(variables));
            } else {
                words.push(word.fill(variables)?);
            }
        }
        Ok(words)
    }

    /// Returns true if a word is `@warehouse`.
    pub fn is_about_warehouse(&self) -> bool {
        self.0.iter().any(|word| word.literal() == Some(WAREHOUSE))
    }

    /// Returns the names of its variables.
    pub fn names(&self) -> BTreeSet<&str> {
        self.0.iter().flat_map(Text::names).collect()
    }

    /// Returns the words, `None` for one that has a variable.
    pub fn literals(&self) -> Vec<Option<&str>> {
        self.0.iter().map(Text::literal).collect()
    }

    /// Returns the words as they are written.
    pub fn words(&self) -> Vec<String> {
        self.0.iter().map(ToString::to_string).collect()
    }

    /// Returns the program, `None` if it is a variable.
    pub fn program(&self) -> Option<&str> {
        self.literals().first().copied().flatten()
    }
}

const WAREHOUSE: &str = "@warehouse";

/// Returns the options of the Data API that select the warehouse, its database and its user.
pub fn warehouse_options(variables: &Variables) -> Vec<String> {
    let options = [
        ("--cluster-identifier", "warehouse.ClusterIdentifier"),
        ("--workgroup-name", "warehouse.WorkgroupName"),
        ("--database", "warehouse.Database"),
        ("--secret-arn", "warehouse.SecretArn"),
    ];
    let given = options.into_iter().filter_map(|(option, name)| Some((option, variables.get(name)?)));
    given
        .filter(|(_, value)| !value.is_empty())
        .flat_map(|(option, value)| [option.to_owned(), value.clone()])
        .collect()
}

/// Words as a line for a POSIX shell, so that an operator can run them by hand.
pub fn shell_line<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    // A word with a NUL cannot be quoted, and no argument has one.
    shlex::try_join(words).unwrap_or_else(|_| "(not printable)".into())
}

macro_rules! deserialize_by_parsing {
    ($($kind:ty),*) => {$(
        impl<'de> Deserialize<'de> for $kind {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }
    )*};
}
deserialize_by_parsing!(Text, CommandLine);

#[cfg(test)]
mod tests {
    use super::*;

    fn variables() -> Variables {
        [("q".to_owned(), "a b --force".to_owned()), ("n.x".to_owned(), "1".to_owned())].into()
    }

    #[test]
    fn value_with_spaces_and_options_stays_one_word() {
        let line = CommandLine::parse("aws sqs delete-queue --queue-url ${q} '{\"a\": \"${n.x}\"}'").unwrap();
        assert_eq!(line.program(), Some("aws"));
        let words = line.fill(&variables()).unwrap();
        assert_eq!(words[3..], ["--queue-url", "a b --force", "{\"a\": \"1\"}"]);
        assert_eq!(shell_line(["a b", "c"]), "'a b' c");
    }

    #[test]
    fn malformed_and_unknown_variables_are_named() {
        assert_eq!(Text::parse("a ${b"), Err(TextError::Malformed("a ${b".into())));
        assert_eq!(Text::parse("${a b}"), Err(TextError::Malformed("${a b}".into())));
        assert_eq!(Text::parse("$1 {x}").unwrap().fill(&variables()).unwrap(), "$1 {x}");
        assert_eq!(Text::parse("${z}").unwrap().fill(&variables()), Err(TextError::Unknown("z".into())));
        assert_eq!(CommandLine::parse("aws 'x"), Err(TextError::Quotes("aws 'x".into())));
        assert_eq!(CommandLine::parse("  "), Err(TextError::Empty));
    }
}
