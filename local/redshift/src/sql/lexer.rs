//! Tokens of Redshift's SQL, for the statements that this process parses itself.

use std::ops::Range;

use super::SqlError;

/// The kind of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An identifier or keyword without quotes, in lower case.
    Word(String),
    /// An identifier in double quotes, its ASCII letters in lower case: Redshift folds those too
    /// unless `enable_case_sensitive_identifier` is set [D: Names and identifiers].
    Quoted(String),
    /// A string literal, its escapes resolved.
    Text(String),
    /// A number as written.
    Number(String),
    /// A named parameter of the Data API, `:name`.
    Parameter(String),
    /// Any other character.
    Symbol(char),
}

/// A token and its position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) span: Range<usize>,
}

impl Token {
    /// Returns true if it is this keyword, given in lower case.
    pub(crate) fn is(&self, keyword: &str) -> bool {
        matches!(&self.kind, Kind::Word(word) if word == keyword)
    }
}

/// Splits a statement into tokens, without comments and white space.
pub(crate) fn tokens(sql: &str) -> Result<Vec<Token>, SqlError> {
    let mut lexer = Lexer { sql, at: 0 };
    let mut found = Vec::new();
    while let Some(token) = lexer.next_token()? {
        found.push(token);
    }
    Ok(found)
}

struct Lexer<'a> {
    sql: &'a str,
    at: usize,
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        &self.sql[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next_token(&mut self) -> Result<Option<Token>, SqlError> {
        self.skip_blank()?;
        let start = self.at;
        let Some(first) = self.peek() else { return Ok(None) };
        let kind = if first == '\'' {
            self.at += 1;
            Kind::Text(self.text(start)?)
        } else if first == '"' {
            self.at += 1;
            Kind::Quoted(self.quoted(start)?)
        } else if first == '$' && self.dollar_tag().is_some() {
            self.dollar_text(start)?
        } else if first.is_alphabetic() || first == '_' {
            let word = self.take_while(|c| c.is_alphanumeric() || c == '_' || c == '$');
            Kind::Word(word.to_ascii_lowercase())
        } else if first.is_ascii_digit() {
            Kind::Number(self.take_while(|c| c.is_ascii_alphanumeric() || c == '.'))
        } else if first == ':' && self.rest()[1..].starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        {
            self.at += 1;
            Kind::Parameter(self.take_while(|c| c.is_ascii_alphanumeric() || c == '_'))
        } else if self.rest().starts_with("::") {
            // A cast: not the start of a parameter.
            self.at += 2;
            return Ok(Some(Token { kind: Kind::Symbol(':'), span: start..self.at }));
        } else {
            self.at += first.len_utf8();
            Kind::Symbol(first)
        };
        Ok(Some(Token { kind, span: start..self.at }))
    }

    fn take_while(&mut self, keep: impl Fn(char) -> bool) -> String {
        let rest = self.rest();
        let end = rest.find(|c| !keep(c)).unwrap_or(rest.len());
        let taken = rest[..end].to_owned();
        self.at += end;
        taken
    }

    fn skip_blank(&mut self) -> Result<(), SqlError> {
        loop {
            let rest = self.rest();
            if rest.starts_with("--") {
                self.at += rest.find('\n').unwrap_or(rest.len());
            } else if rest.starts_with("/*") {
                self.skip_comment()?;
            } else if let Some(blank) = rest.chars().next().filter(|c| c.is_whitespace()) {
                self.at += blank.len_utf8();
            } else {
                return Ok(());
            }
        }
    }

    fn skip_comment(&mut self) -> Result<(), SqlError> {
        let start = self.at;
        let mut depth = 0;
        while self.at < self.sql.len() {
            let rest = self.rest();
            if rest.starts_with("/*") {
                depth += 1;
                self.at += 2;
            } else if rest.starts_with("*/") {
                depth -= 1;
                self.at += 2;
                if depth == 0 {
                    return Ok(());
                }
            } else {
                self.at += rest.chars().next().map_or(1, char::len_utf8);
            }
        }
        Err(SqlError::unterminated("/* comment", self.sql, start))
    }

    /// A literal after its opening quote. Backslashes are escapes, as in PostgreSQL 8.0, from which
    /// Redshift stems; its own QUOTE_LITERAL doubles them [D: QUOTE_LITERAL function].
    fn text(&mut self, start: usize) -> Result<String, SqlError> {
        let mut value = String::new();
        while let Some(c) = self.peek() {
            self.at += c.len_utf8();
            match c {
                '\'' if self.peek() == Some('\'') => {
                    self.at += 1;
                    value.push('\'');
                }
                '\'' => return Ok(value),
                '\\' => {
                    let Some(escaped) = self.peek() else { break };
                    self.at += escaped.len_utf8();
                    value.push(match escaped {
                        'b' => '\u{8}',
                        'f' => '\u{c}',
                        'n' => '\n',
                        'r' => '\r',
                        't' => '\t',
                        '0'..='7' => self.octal(escaped),
                        other => other,
                    });
                }
                other => value.push(other),
            }
        }
        Err(SqlError::unterminated("quoted string", self.sql, start))
    }

    fn octal(&mut self, first: char) -> char {
        let mut value = first.to_digit(8).unwrap_or(0);
        for _ in 0..2 {
            let Some(digit) = self.peek().and_then(|c| c.to_digit(8)) else { break };
            value = value * 8 + digit;
            self.at += 1;
        }
        char::from_u32(value & 0xff).unwrap_or('\0')
    }

    fn quoted(&mut self, start: usize) -> Result<String, SqlError> {
        let mut value = String::new();
        while let Some(c) = self.peek() {
            self.at += c.len_utf8();
            if c != '"' {
                value.push(c);
            } else if self.peek() == Some('"') {
                self.at += 1;
                value.push('"');
            } else if value.is_empty() {
                return Err(SqlError::syntax(
                    "zero-length delimited identifier at or near \"\"\"\"",
                    self.sql,
                    start,
                ));
            } else {
                return Ok(value.to_ascii_lowercase());
            }
        }
        Err(SqlError::unterminated("quoted identifier", self.sql, start))
    }

    fn dollar_tag(&self) -> Option<&str> {
        let rest = &self.rest()[1..];
        let end = rest.find('$')?;
        let tag = &rest[..end];
        let named = tag.chars().all(|c| c.is_alphanumeric() || c == '_')
            && !tag.starts_with(|c: char| c.is_ascii_digit());
        named.then(|| &self.rest()[..end + 2])
    }

    fn dollar_text(&mut self, start: usize) -> Result<Kind, SqlError> {
        let tag = self.dollar_tag().unwrap_or_default().to_owned();
        self.at += tag.len();
        let Some(end) = self.rest().find(&tag) else {
            return Err(SqlError::unterminated("dollar-quoted string", self.sql, start));
        };
        let text = self.rest()[..end].to_owned();
        self.at += end + tag.len();
        Ok(Kind::Text(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(sql: &str) -> Vec<Kind> {
        tokens(sql).expect(sql).into_iter().map(|token| token.kind).collect()
    }

    #[test]
    fn comments_casts_quotes_and_parameters_are_distinguished() {
        assert_eq!(
            kinds("SELECT /* :a /* b */ */ x::int, :p -- :q\n, 'it''s :r', \"A\"\"b\""),
            [
                Kind::Word("select".into()),
                Kind::Word("x".into()),
                Kind::Symbol(':'),
                Kind::Word("int".into()),
                Kind::Symbol(','),
                Kind::Parameter("p".into()),
                Kind::Symbol(','),
                Kind::Text("it's :r".into()),
                Kind::Symbol(','),
                Kind::Quoted("a\"b".into()),
            ]
        );
    }

    #[test]
    fn backslashes_escape_in_literals() {
        assert_eq!(kinds(r"'a\'b\\\t\101'"), [Kind::Text("a'b\\\tA".into())]);
    }

    #[test]
    fn an_open_literal_comment_or_identifier_is_an_error() {
        for sql in ["'a", "\"a", "/* a", "$$ a", "'a\\"] {
            assert!(tokens(sql).is_err(), "{sql}");
        }
    }
}
