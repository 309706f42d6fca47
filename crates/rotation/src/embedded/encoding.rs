//! The encodings in which a text may hold a password.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// Everything but the unreserved characters of RFC 3986.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// A shorter password is too often a part of another word: `app` in `app.example.com`. RDS,
/// Redshift and ElastiCache accept no shorter one.
const SHORTEST: usize = 8;
/// The encodings inside of each other: JSON in a properties file.
const DEPTH: usize = 2;

/// Returns a text in percent-encoding.
pub(super) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

/// Returns a text in Base64.
pub(super) fn base64(text: &str) -> String {
    STANDARD.encode(text)
}

/// Returns the texts that a percent-encoded text may stand for: RFC 3986 keeps `+`, forms have it
/// for a space, and some clients decode nothing.
pub(super) fn decodings(text: &str) -> [String; 3] {
    let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    [decode(text), decode(&text.replace('+', " ")), text.to_owned()]
}

/// Returns the known text that a percent-encoded text stands for, otherwise its decoding.
pub(super) fn decoded(text: &str, known: &[&str]) -> String {
    let mut all = decodings(text);
    match all.iter().position(|decoding| known.contains(&decoding.as_str())) {
        Some(found) => std::mem::take(&mut all[found]),
        None => std::mem::take(&mut all[0]),
    }
}

/// Returns true if a text holds a password in any encoding. It does not find one of less than eight
/// characters.
pub(crate) fn holds(text: &str, password: &str) -> bool {
    password.chars().count() >= SHORTEST && holds_within(text, password, DEPTH)
}

fn holds_within(text: &str, password: &str, depth: usize) -> bool {
    if text.contains(password) {
        return true;
    }
    let Some(depth) = depth.checked_sub(1) else { return false };
    let [decoded, as_form, _] = decodings(text);
    let others = [decoded, as_form, without_backslashes(text), without_entities(text)];
    let mut others = others.into_iter().filter(|other| other != text).chain(base64_texts(text));
    others.any(|other| holds_within(&other, password, depth))
}

/// Resolves `\"`, `\:`, `\u0041` and a line's continuation.
fn without_backslashes(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        result.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let mut characters = rest.chars();
        match characters.next() {
            Some('u') => {
                let code = rest.get(1..5).and_then(|code| u32::from_str_radix(code, 16).ok());
                match code.and_then(char::from_u32) {
                    Some(c) => {
                        result.push(c);
                        rest = &rest[5..];
                    }
                    None => {
                        result.push('u');
                        rest = &rest[1..];
                    }
                }
            }
            Some('\n') => rest = rest[1..].trim_start(),
            Some(c) => {
                result.push(c);
                rest = characters.as_str();
            }
            None => {}
        }
    }
    result + rest
}

/// Resolves the entities of XML.
fn without_entities(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        result.push_str(&rest[..at]);
        rest = &rest[at..];
        let entity = rest.find(';').filter(|end| *end <= 8).map(|end| &rest[1..end]);
        let number = |text: &str| match text.strip_prefix(['x', 'X']) {
            Some(digits) => u32::from_str_radix(digits, 16).ok(),
            None => text.parse().ok(),
        };
        let character = entity.and_then(|name| match name {
            "amp" => Some('&'),
            "lt" => Some('<'),
            "gt" => Some('>'),
            "quot" => Some('"'),
            "apos" => Some('\''),
            other => other.strip_prefix('#').and_then(number).and_then(char::from_u32),
        });
        let length = match (character, entity) {
            (Some(c), Some(name)) => {
                result.push(c);
                name.len() + 2
            }
            _ => {
                result.push('&');
                1
            }
        };
        rest = &rest[length..];
    }
    result + rest
}

/// Returns the texts that parts of a text hold in Base64, such as the header of HTTP's basic
/// authentication.
fn base64_texts(text: &str) -> impl Iterator<Item = String> {
    let parts = text.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '-' | '_')));
    let decode = |part: &str| {
        let bytes = STANDARD_NO_PAD.decode(part).or_else(|_| URL_SAFE_NO_PAD.decode(part)).ok()?;
        String::from_utf8(bytes).ok()
    };
    parts.filter(|part| part.len() >= SHORTEST).filter_map(decode)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn password_is_found_in_every_encoding() {
        for text in [
            "OldPw#1x",
            "x OldPw%231x y",
            "%4fldPw%23%31x",
            r"password=OldPw\#1x",
            r"OldPw\u00231x",
            "OldPw&#35;1x",
            "OldPw&#x23;1x",
            "Basic YXBwOk9sZFB3IzF4",
            r#"{"a":"OldPw%5c%231x"}"#,
        ] {
            assert!(holds(text, "OldPw#1x"), "{text}");
        }
        assert!(holds("a=b+c%26d-long", "b c&d-long"));
        assert!(!holds("OldPw1x", "OldPw#1x"));
        assert!(!holds("app.example.com", "app"), "a short password is a part of other words");
    }

    proptest! {
        #[test]
        fn any_text_is_decoded_without_a_panic(text in "[ -~é\\\\&;%+]{0,60}", password in "[ -~]{8,12}") {
            holds(&text, &password);
            let whole = format!("{text}{password}");
            prop_assert!(holds(&whole, &password));
            prop_assert_eq!(decoded(&encoded(&password), &[]), password);
        }
    }
}
