//! JAAS configurations, from which Kafka's clients read a user and a password: `…ScramLoginModule
//! required username="u" password="p";`.
//!
//! Source: "JAAS configuration" in the "Security" chapter of the Apache Kafka documentation. Values
//! are words, or texts in double quotes with backslashes before quotes and backslashes.

/// Returns the configuration with every value `old` of an option replaced.
pub(crate) fn with_option(configuration: &str, option: &str, old: &str, new: &str) -> String {
    let mut result = String::with_capacity(configuration.len() + new.len());
    let mut rest = configuration;
    while let Some(token) = next_token(rest) {
        let (this, after) = rest.split_at(token);
        result.push_str(this);
        rest = after;
        if this != option {
            continue;
        }
        // Spaces are allowed around the sign.
        let equals = rest.len() - rest.trim_start().len();
        if rest[equals..].starts_with('=') {
            let value = equals + 1 + (rest[equals + 1..].len() - rest[equals + 1..].trim_start().len());
            let length = next_token(&rest[value..]).unwrap_or(0);
            result.push_str(&rest[..value]);
            let found = &rest[value..value + length];
            result.push_str(&if plain(found) == old { quoted(new) } else { found.to_owned() });
            rest = &rest[value + length..];
        }
    }
    result
}

/// Returns the length of the next token: a text in quotes, a word, or a single other character.
fn next_token(text: &str) -> Option<usize> {
    let first = text.chars().next()?;
    if first == '"' {
        let mut escaped = false;
        for (at, c) in text.char_indices().skip(1) {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => return Some(at + 1),
                _ => {}
            }
        }
        return Some(text.len());
    }
    let is_word = |c: char| !c.is_whitespace() && !matches!(c, '"' | ';' | '=');
    if is_word(first) {
        return Some(text.find(|c| !is_word(c)).unwrap_or(text.len()));
    }
    Some(first.len_utf8())
}

/// Returns the value of a token.
fn plain(token: &str) -> String {
    let Some(inner) = token.strip_prefix('"') else { return token.to_owned() };
    let mut result = String::new();
    let mut escaped = false;
    for c in inner.strip_suffix('"').unwrap_or(inner).chars() {
        if c == '\\' && !escaped {
            escaped = true;
        } else {
            result.push(c);
            escaped = false;
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

    #[test]
    fn only_the_value_of_the_option_is_replaced() {
        for (before, after) in [
            (r#"username="p" password="p";"#, r#"username="p" password="n";"#),
            (r"username=p password=p;", r#"username=p password="n";"#),
            ("username = \"u\"\n  password\t=\t\"p\" ;", "username = \"u\"\n  password\t=\t\"n\" ;"),
            (r#"note="password=p" password="p";"#, r#"note="password=p" password="n";"#),
            (r#"trustpassword="p" password="other";"#, r#"trustpassword="p" password="other";"#),
            (r#"password"#, r#"password"#),
            (r#"password="#, r#"password="#),
            (r#"password="p"#, r#"password="n""#),
        ] {
            let whole = |text| format!("{MODULE} {text}");
            assert_eq!(with_option(&whole(before), "password", "p", "n"), whole(after), "{before}");
        }
    }

    #[test]
    fn quotes_and_backslashes_are_escaped() {
        let before = r#"password="a\"b\\c";"#;
        assert_eq!(with_option(before, "password", r#"a"b\c"#, r#"\"d"#), r#"password="\\\"d";"#);
    }

    proptest! {
        #[test]
        fn replaced_value_is_found_again(configuration in "[a-z =\";\\\\]{0,30}", old in "\\PC{1,12}", new in "\\PC{1,12}") {
            prop_assert_eq!(with_option(&configuration, "absent", &old, &new), configuration.clone());
            let whole = format!("m required password={} username=\"u\";", quoted(&old));
            let replaced = with_option(&whole, "password", &old, &new);
            prop_assert_eq!(&replaced, &format!("m required password={} username=\"u\";", quoted(&new)));
            prop_assert_eq!(with_option(&replaced, "password", &new, &old), whole);
        }
    }
}
