//! Connection strings of keywords: libpq's `host=h user=u password='p'`, and those of ADO.NET and
//! ODBC, `Server=h;Uid=u;Pwd=p`.
//!
//! Sources: "Keyword/Value Connection Strings" of the PostgreSQL manual; "Connection String Syntax"
//! of ADO.NET; "SQLDriverConnect Function" of ODBC.

use super::address::value_length;
use super::keys::part_of_parameter;
use super::{Inexpressible, Rewrite};

/// A kind of connection string.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Syntax {
    /// Pairs between spaces; values in single quotes with backslashes.
    Libpq,
    /// Pairs between semicolons; values in either quotes, doubled inside.
    AdoNet,
    /// Pairs between semicolons; values in braces.
    Odbc,
}

impl Syntax {
    fn of(text: &str) -> Self {
        let names = |name: &str| {
            let mut parts = text.split(';').filter_map(|pair| pair.split_once('='));
            parts.any(|(key, _)| key.trim().eq_ignore_ascii_case(name))
        };
        if !has_semicolon(text) {
            Self::Libpq
        } else if names("driver") || names("dsn") {
            Self::Odbc
        } else {
            Self::AdoNet
        }
    }

    fn delimiters(self) -> &'static [char] {
        match self {
            Self::Libpq => &[' ', '\t', '\r', '\n'],
            Self::AdoNet | Self::Odbc => &[';'],
        }
    }

    /// Returns a value as it is written, in the quotes of the value before.
    fn quoted(self, value: &str, quote: Option<char>) -> String {
        let plain = |c: char| c.is_ascii_alphanumeric() || "!#$%&()*+,-./:<>?@[]^_|~".contains(c);
        match (quote, self) {
            (None, _) if !value.is_empty() && value.chars().all(plain) => value.to_owned(),
            (_, Self::Libpq) => format!("'{}'", value.replace('\\', "\\\\").replace('\'', "\\'")),
            (Some('{'), _) | (None, Self::Odbc) => format!("{{{}}}", value.replace('}', "}}")),
            (Some('\''), _) => format!("'{}'", value.replace('\'', "''")),
            _ => format!("\"{}\"", value.replace('"', "\"\"")),
        }
    }
}

/// Returns true if there is a semicolon outside of the quotes of values.
fn has_semicolon(text: &str) -> bool {
    let (mut close, mut after_sign, mut escaped) = (None, false, false);
    for c in text.chars() {
        match (close, c) {
            _ if escaped => escaped = false,
            (Some('\''), '\\') => escaped = true,
            (Some(end), c) if c == end => close = None,
            (Some(_), _) => {}
            (None, '\'' | '"') if after_sign => close = Some(c),
            (None, '{') if after_sign => close = Some('}'),
            (None, ';') => return true,
            (None, _) => {}
        }
        after_sign = c == '=' || after_sign && c.is_whitespace();
    }
    false
}

pub(super) fn rewrite(text: &str, with: &mut Rewrite<'_>) -> Result<Option<String>, Inexpressible> {
    let syntax = Syntax::of(text);
    let delimiters = syntax.delimiters();
    let is_delimiter = |c: char| c.is_whitespace() || delimiters.contains(&c);
    let mut result = String::with_capacity(text.len());
    let (mut at, mut changed) = (0, false);
    while at < text.len() {
        let pair = at + (text[at..].len() - text[at..].trim_start_matches(is_delimiter).len());
        let Some(sign) = text[pair..].find('=').map(|sign| pair + sign) else { break };
        let name = text[pair..sign].trim_end();
        // A word without a value.
        if let Some(end) = name.find(|c| delimiters.contains(&c)) {
            result.push_str(&text[at..pair + end]);
            at = pair + end;
            continue;
        }
        let value = sign + 1 + (text[sign + 1..].len() - text[sign + 1..].trim_start().len());
        let known = |value: &str| with.known.contains(&value.trim_end());
        let (plain, quote, length) = match read_quoted(&text[value..], syntax) {
            Some((plain, quote, length)) => (plain, Some(quote), length),
            None => {
                let length = value_length(&text[value..], delimiters, known);
                (text[value..value + length].trim_end().to_owned(), None, length)
            }
        };
        result.push_str(&text[at..value]);
        let new = part_of_parameter(name).and_then(|part| with.new_value(part, &plain));
        match new {
            Some(new) => {
                result.push_str(&syntax.quoted(&new, quote));
                changed = true;
            }
            None => result.push_str(&text[value..value + length]),
        }
        at = value + length;
    }
    result.push_str(&text[at..]);
    Ok(changed.then_some(result))
}

/// Reads a value in quotes: the value, the opening quote, and the length with the quotes.
fn read_quoted(text: &str, syntax: Syntax) -> Option<(String, char, usize)> {
    let open = text.chars().next()?;
    let close = match (open, syntax) {
        ('\'', _) => '\'',
        ('"', Syntax::AdoNet | Syntax::Odbc) => '"',
        ('{', Syntax::AdoNet | Syntax::Odbc) => '}',
        _ => return None,
    };
    let mut value = String::new();
    let mut characters = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = characters.next() {
        if c == '\\' && syntax == Syntax::Libpq {
            value.push(characters.next()?.1);
        } else if c != close {
            value.push(c);
        } else if syntax != Syntax::Libpq && characters.next_if(|(_, next)| *next == close).is_some() {
            value.push(close);
        } else {
            return Some((value, open, at + 1));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Part;
    use super::*;

    fn changed(text: &str, password: &str, new: &str) -> Option<String> {
        let known = ["app", password];
        let mut replace = |part, value: &str| match part {
            Part::User if value == "app" => Some("app_clone".to_owned()),
            Part::Password if value == password => Some(new.to_owned()),
            _ => None,
        };
        rewrite(text, &mut Rewrite::new(&known, &mut replace)).unwrap()
    }

    #[test]
    fn documented_strings_get_user_and_password() {
        for (before, after) in [
            (
                "host=h dbname=app user=app password=OldPw1xx",
                "host=h dbname=app user=app_clone password='n w'",
            ),
            (
                "host = h user = 'app' password = 'OldPw1xx' x=y",
                "host = h user = 'app_clone' password = 'n w' x=y",
            ),
            (
                "Host=h;Database=app;Username=app;Password=OldPw1xx;Pooling=true",
                "Host=h;Database=app;Username=app_clone;Password=\"n w\";Pooling=true",
            ),
            (
                "Server=tcp://h; User Id = app ; Pwd='OldPw1xx';",
                "Server=tcp://h; User Id = app_clone; Pwd='n w';",
            ),
            (
                "Driver={Amazon Redshift (x64)};Server=h;UID=app;PWD=OldPw1xx",
                "Driver={Amazon Redshift (x64)};Server=h;UID=app_clone;PWD={n w}",
            ),
            ("DSN=warehouse;UID=app;PWD={OldPw1xx}", "DSN=warehouse;UID=app_clone;PWD={n w}"),
        ] {
            assert_eq!(changed(before, "OldPw1xx", "n w").as_deref(), Some(after), "{before}");
        }
    }

    #[test]
    fn quotes_inside_a_value_are_escaped() {
        assert_eq!(changed(r"password='O\'l\\d'", r"O'l\d", r"n'\").as_deref(), Some(r"password='n\'\\'"));
        assert_eq!(changed("a=b;Pwd=\"O\"\"ld\"", "O\"ld", "n\"").as_deref(), Some("a=b;Pwd=\"n\"\"\""));
        assert_eq!(changed("Driver=x;Pwd={O}}ld}", "O}ld", "n}").as_deref(), Some("Driver=x;Pwd={n}}}"));
        assert_eq!(changed("a=b;Pwd=O;ld;x=y", "O;ld", "n").as_deref(), Some("a=b;Pwd=n;x=y"));
        assert_eq!(changed("a=b;TrustPassword=OldPw1xx", "OldPw1xx", "n"), None);
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in "[a-z =;'\"{}\\\\é\\n]{0,40}", password in "\\PC{1,12}") {
            changed(&text, &password, "n");
            changed(&format!("password={text}"), &password, "n");
        }

        #[test]
        fn new_password_is_found_again(new in "[ -~é]{1,16}") {
            for text in ["user=u password=OldPw1xx x=y", "Uid=u;Pwd=OldPw1xx;x=y", "Driver=d;UID=u;PWD=OldPw1xx;x=y", "Uid=u;Pwd='OldPw1xx'"] {
                let written = changed(text, "OldPw1xx", &new).unwrap();
                prop_assert!(changed(&written, &new, "OldPw1xx").is_some(), "{}", written);
            }
        }
    }
}
