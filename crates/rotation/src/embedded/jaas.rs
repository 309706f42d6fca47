//! JAAS configurations, from which Kafka's clients read a user and a password: `…ScramLoginModule
//! required username="u" password="p";`.
//!
//! Source: "JAAS configuration" in the "Security" chapter of the Apache Kafka documentation;
//! `JaasConfig` of Kafka, which reads with `java.io.StreamTokenizer`: values are words, or texts in
//! single or double quotes with the escapes of Java.

use super::{Part, Rewrite};

/// Returns the configuration with the new values of its options; `None` if none changed.
pub(super) fn rewrite(configuration: &str, with: &mut Rewrite<'_>) -> Option<String> {
    let mut result = String::with_capacity(configuration.len());
    let mut changed = false;
    let mut rest = configuration;
    while let Some(token) = next_token(rest) {
        let (this, after) = rest.split_at(token);
        result.push_str(this);
        rest = after;
        let part = match this {
            "username" => Part::User,
            "password" => Part::Password,
            _ => continue,
        };
        // Spaces are allowed around the sign.
        let equals = rest.len() - rest.trim_start().len();
        if rest[equals..].starts_with('=') {
            let value = equals + 1 + (rest[equals + 1..].len() - rest[equals + 1..].trim_start().len());
            let length = next_token(&rest[value..]).unwrap_or(0);
            result.push_str(&rest[..value]);
            let found = &rest[value..value + length];
            match with.new_value(part, &plain(found)) {
                Some(new) => {
                    result.push_str(&quoted(&new));
                    changed = true;
                }
                None => result.push_str(found),
            }
            rest = &rest[value + length..];
        }
    }
    result.push_str(rest);
    changed.then_some(result)
}

/// Returns the length of the next token: a text in quotes, a word, or a single other character.
fn next_token(text: &str) -> Option<usize> {
    let first = text.chars().next()?;
    if matches!(first, '"' | '\'') {
        let mut escaped = false;
        for (at, c) in text.char_indices().skip(1) {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                c if c == first => return Some(at + 1),
                _ => {}
            }
        }
        return Some(text.len());
    }
    let is_word = |c: char| !c.is_whitespace() && !matches!(c, '"' | '\'' | ';' | '=');
    if is_word(first) {
        return Some(text.find(|c| !is_word(c)).unwrap_or(text.len()));
    }
    Some(first.len_utf8())
}

/// Returns the value of a token.
fn plain(token: &str) -> String {
    let Some(quote) = token.chars().next().filter(|first| matches!(first, '"' | '\'')) else {
        return token.to_owned();
    };
    let mut result = String::new();
    let inner = &token[1..];
    let mut characters = inner.strip_suffix(quote).unwrap_or(inner).chars().peekable();
    while let Some(c) = characters.next() {
        if c != '\\' {
            result.push(c);
            continue;
        }
        match characters.next() {
            Some('n') => result.push('\n'),
            Some('r') => result.push('\r'),
            Some('t') => result.push('\t'),
            Some(first @ '0'..='7') => {
                let mut code = first.to_digit(8).unwrap_or_default();
                // Up to three digits, the first of three at most 3.
                for _ in 0..if first <= '3' { 2 } else { 1 } {
                    let Some(digit) = characters.peek().and_then(|digit| digit.to_digit(8)) else { break };
                    code = code * 8 + digit;
                    characters.next();
                }
                result.extend(char::from_u32(code));
            }
            Some(other) => result.push(other),
            None => {}
        }
    }
    result
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MODULE: &str = "org.apache.kafka.common.security.scram.ScramLoginModule required";

    fn with_password(configuration: &str, old: &str, new: &str) -> String {
        let known = [old];
        let mut replace =
            |part, value: &str| (part == Part::Password && value == old).then(|| new.to_owned());
        rewrite(configuration, &mut Rewrite::new(&known, &mut replace))
            .unwrap_or_else(|| configuration.to_owned())
    }

    #[test]
    fn only_the_value_of_the_option_is_replaced() {
        for (before, after) in [
            (r#"username="p" password="p";"#, r#"username="p" password="n";"#),
            (r"username=p password=p;", r#"username=p password="n";"#),
            (r"username='p' password='p';", r#"username='p' password="n";"#),
            ("username = \"u\"\n  password\t=\t\"p\" ;", "username = \"u\"\n  password\t=\t\"n\" ;"),
            (r#"note="password=p" password="p";"#, r#"note="password=p" password="n";"#),
            (r#"note='password="p"' password='p';"#, r#"note='password="p"' password="n";"#),
            (r#"trustpassword="p" password="other";"#, r#"trustpassword="p" password="other";"#),
            (r#"password"#, r#"password"#),
            (r#"password="#, r#"password="#),
            (r#"password="p"#, r#"password="n""#),
        ] {
            let whole = |text| format!("{MODULE} {text}");
            assert_eq!(with_password(&whole(before), "p", "n"), whole(after), "{before}");
        }
    }

    #[test]
    fn quotes_and_backslashes_are_escaped() {
        for (before, old) in [
            (r#"password="a\"b\\c";"#, r#"a"b\c"#),
            (r#"password='a"b\\c';"#, r#"a"b\c"#),
            (r#"password='a\'b\103';"#, r"a'bC"),
            (r#"password="a\tb\1019";"#, "a\tbA9"),
        ] {
            assert_eq!(with_password(before, old, r#"\"d"#), r#"password="\\\"d";"#, "{before}");
        }
    }

    proptest! {
        #[test]
        fn replaced_value_is_found_again(configuration in "[a-z =\";'\\\\]{0,30}", old in "\\PC{1,12}", new in "\\PC{1,12}") {
            with_password(&configuration, &old, &new);
            let whole = format!("m required password={} username=\"u\";", quoted(&old));
            let replaced = with_password(&whole, &old, &new);
            prop_assert_eq!(&replaced, &format!("m required password={} username=\"u\";", quoted(&new)));
            prop_assert_eq!(with_password(&replaced, &new, &old), whole);
        }
    }
}
