//! SQL as text: quotes values in statements, and parses the output of `SHOW`.
//!
//! Both require the session settings of [`SESSION`]: with them a backslash is an ordinary
//! character, whatever the server's `sql_mode`, and names are printed in backticks.

/// The first statement of every session.
pub(super) const SESSION: &str = "SET SESSION sql_mode = 'NO_BACKSLASH_ESCAPES', sql_quote_show_create = 1, character_set_client = utf8mb4, \
     character_set_results = utf8mb4, collation_connection = utf8mb4_bin";

/// Returns a text in quotes.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Returns a name in backticks.
pub(super) fn name(text: &str) -> String {
    format!("`{}`", text.replace('`', "``"))
}

/// The name of an account: the user and the hosts that it may connect from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AccountName {
    pub(super) user: String,
    pub(super) host: String,
}

impl AccountName {
    /// Returns the name for a statement.
    pub(super) fn quoted(&self) -> String {
        format!("{}@{}", name(&self.user), name(&self.host))
    }
}

/// A token of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// A keyword or a number.
    Word(String),
    /// A name in backticks.
    Name(String),
    /// A text in quotes.
    Text(String),
    /// Anything else.
    Symbol(char),
}

impl Token {
    pub(super) fn is(&self, word: &str) -> bool {
        matches!(self, Self::Word(found) if found == word)
    }

    /// Returns the name or the text.
    pub(super) fn value(&self) -> Option<&str> {
        match self {
            Self::Name(value) | Self::Text(value) => Some(value),
            _ => None,
        }
    }
}

/// Splits the output of a server into tokens. Returns `None` if a quote is not closed.
pub(super) fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut found = Vec::new();
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            c if c.is_whitespace() => {}
            '`' | '\'' | '"' => {
                let mut value = String::new();
                loop {
                    let inner = rest.next()?;
                    if inner != c {
                        value.push(inner);
                    } else if rest.next_if_eq(&c).is_some() {
                        value.push(c);
                    } else {
                        break;
                    }
                }
                found.push(if c == '`' { Token::Name(value) } else { Token::Text(value) });
            }
            c if c.is_ascii_alphanumeric() || c == '_' => {
                let mut word = String::from(c);
                while let Some(more) = rest.next_if(|c| c.is_ascii_alphanumeric() || *c == '_') {
                    word.push(more);
                }
                found.push(Token::Word(word));
            }
            other => found.push(Token::Symbol(other)),
        }
    }
    Some(found)
}

/// Returns tokens as the text of a statement, each quoted again.
pub(super) fn text_of(tokens: &[Token]) -> String {
    let mut text = String::new();
    let mut word_before = false;
    for token in tokens {
        let is_word = matches!(token, Token::Word(_));
        if !text.is_empty() && (is_word || word_before) {
            text.push(' ');
        }
        match token {
            Token::Word(word) => text.push_str(word),
            Token::Name(value) => text.push_str(&name(value)),
            Token::Text(value) => text.push_str(&literal(value)),
            Token::Symbol(symbol) => text.push(*symbol),
        }
        word_before = is_word;
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn output_is_split_into_words_names_and_texts() {
        let found = tokens("GRANT SELECT (`a`) ON `d``1`.* TO 'o''b'@`%`").unwrap();
        assert_eq!(found[3], Token::Name("a".into()));
        assert_eq!(found[6], Token::Name("d`1".into()));
        assert_eq!(found[10], Token::Text("o'b".into()));
        assert_eq!(text_of(&found[5..9]), "ON `d``1`.*");
        assert_eq!(tokens("GRANT `open"), None);
    }

    proptest! {
        #[test]
        fn text_inside_quotes_never_ends_them(user in any::<String>(), host in any::<String>(), text in any::<String>()) {
            let account = AccountName { user: user.clone(), host: host.clone() };
            let found = tokens(&format!("{} {}", account.quoted(), literal(&text))).unwrap();
            let expected = [Token::Name(user), Token::Symbol('@'), Token::Name(host), Token::Text(text)];
            prop_assert_eq!(found.as_slice(), &expected);
            prop_assert_eq!(tokens(&text_of(&found)).unwrap(), found);
        }
    }
}
