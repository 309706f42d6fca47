//! A tokenizer for Redshift's SQL, written from its documentation alone and shared with nothing that builds statements.
//!
//! * A delimited identifier ends at a double quote that is not doubled.
//!   Source: "Names and identifiers" of the Redshift database developer guide.
//! * A string literal ends at a single quote that is not doubled. Redshift descends from PostgreSQL 8.0, which also reads a
//!   backslash in it as an escape ("Lexical structure" of its manual), and Redshift's `QUOTE_LITERAL` doubles both.
//!   A statement has to mean the same under either [`Backslash`].

/// How a backslash in a string literal is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backslash {
    /// It takes the next character out of its role.
    Escapes,
    /// It is a character like any other.
    Plain,
}

/// A token and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token {
    /// A keyword or identifier without quotes, as written.
    Word(String),
    /// A delimited identifier, its quotes resolved.
    Quoted(String),
    /// A string literal, its quotes and escapes resolved.
    Text(String),
    Number(String),
    /// `--` or `/*`: no statement of ours has one.
    Comment,
    Symbol(char),
}

/// Splits a statement.
///
/// # Errors
/// A literal or identifier that does not end.
pub fn tokens(sql: &str, backslash: Backslash) -> Result<Vec<Token>, String> {
    let characters: Vec<char> = sql.chars().collect();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(&first) = characters.get(at) {
        let next = characters.get(at + 1).copied();
        match first {
            ' ' | '\t' | '\n' | '\r' | '\u{c}' | '\u{b}' => at += 1,
            '"' => {
                let (value, end) = until(&characters, at, '"', Backslash::Plain)?;
                found.push(Token::Quoted(value));
                at = end;
            }
            '\'' => {
                let (value, end) = until(&characters, at, '\'', backslash)?;
                found.push(Token::Text(value));
                at = end;
            }
            '-' if next == Some('-') => {
                found.push(Token::Comment);
                at += characters[at..].iter().take_while(|c| **c != '\n').count();
            }
            '/' if next == Some('*') => {
                found.push(Token::Comment);
                at += 2;
                while at < characters.len() && characters[at..].get(..2) != Some(&['*', '/']) {
                    at += 1;
                }
                at += 2;
            }
            _ if first.is_ascii_alphabetic() || first == '_' || !first.is_ascii() => {
                let word: String = characters[at..]
                    .iter()
                    .take_while(|c| c.is_ascii_alphanumeric() || **c == '_' || **c == '$' || !c.is_ascii())
                    .collect();
                at += word.chars().count();
                found.push(Token::Word(word));
            }
            _ if first.is_ascii_digit() => {
                let number: String = characters[at..].iter().take_while(|c| c.is_ascii_digit()).collect();
                at += number.len();
                found.push(Token::Number(number));
            }
            _ => {
                found.push(Token::Symbol(first));
                at += 1;
            }
        }
    }
    Ok(found)
}

/// The value from the quote at `start` to the one that ends it, and where it goes on.
fn until(
    characters: &[char],
    start: usize,
    quote: char,
    backslash: Backslash,
) -> Result<(String, usize), String> {
    let mut value = String::new();
    let mut at = start + 1;
    while let Some(&character) = characters.get(at) {
        let next = characters.get(at + 1).copied();
        if character == quote && next == Some(quote) {
            value.push(quote);
            at += 2;
        } else if character == quote {
            return Ok((value, at + 1));
        } else if character == '\\' && backslash == Backslash::Escapes {
            let Some(next) = next else { break };
            if let Some(digit) = next.to_digit(8) {
                let digits: Vec<u32> =
                    characters[at + 1..].iter().take(3).map_while(|c| c.to_digit(8)).collect();
                debug_assert_eq!(digits[0], digit);
                let code = digits.iter().fold(0, |code, digit| code * 8 + digit);
                value.push(char::from_u32(code).unwrap_or('\u{fffd}'));
                at += 1 + digits.len();
                continue;
            }
            value.push(match next {
                'b' => '\u{8}',
                'f' => '\u{c}',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                other => other,
            });
            at += 2;
        } else {
            value.push(character);
            at += 1;
        }
    }
    Err(format!("the {quote} at {start} has no end"))
}
