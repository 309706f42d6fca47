//! Texts of a secret with both halves of a key: `key:secret`, also in Base64, a JAAS line, an
//! address.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// The halves of a key, in clear.
#[derive(Clone, Copy)]
pub(super) struct Halves<'a> {
    pub(super) id: &'a str,
    pub(super) secret: &'a str,
}

/// Returns the text with the new halves; `None` unless it contains both old halves, each as a whole
/// word, plain or percent-encoded: a text with only one of them belongs to somebody else.
pub(super) fn refreshed(text: &str, old: Halves<'_>, new: Halves<'_>) -> Option<String> {
    let pair = |halves: Halves<'_>| STANDARD.encode(format!("{}:{}", halves.id, halves.secret));
    if let Some(text) = replaced(text, &pair(old), &pair(new)) {
        return Some(text);
    }
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    // The longer half first: it may contain the other.
    let both = |text: &str, old: Halves<'_>, new: Halves<'_>| {
        let mut pairs = [(old.id, new.id), (old.secret, new.secret)];
        pairs.sort_by_key(|(old, _)| std::cmp::Reverse(old.len()));
        let [(first, by_first), (second, by_second)] = pairs;
        // The replacement is not searched again.
        let mut found = (false, false);
        let pieces = split(text, first).map(|piece| match piece {
            Piece::Word => {
                found.0 = true;
                by_first.to_owned()
            }
            Piece::Text(text) => match replaced(text, second, by_second) {
                Some(text) => {
                    found.1 = true;
                    text
                }
                None => text.to_owned(),
            },
        });
        let text: String = pieces.collect();
        (found == (true, true)).then_some(text)
    };
    both(text, old, new).or_else(|| {
        let (old, new) = ((encoded(old.id), encoded(old.secret)), (encoded(new.id), encoded(new.secret)));
        both(text, Halves { id: &old.0, secret: &old.1 }, Halves { id: &new.0, secret: &new.1 })
    })
}

enum Piece<'a> {
    Word,
    Text(&'a str),
}

/// Splits the text around a word that stands alone.
fn split<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = Piece<'a>> {
    let ends = |byte: Option<&u8>| byte.is_none_or(|byte| byte.is_ascii() && !byte.is_ascii_alphanumeric());
    let mut places = Vec::new();
    let mut from = 0;
    while let Some(at) = text.get(from..).filter(|_| !word.is_empty()).and_then(|rest| rest.find(word)) {
        let (begin, end) = (from + at, from + at + word.len());
        let before = begin.checked_sub(1).and_then(|at| text.as_bytes().get(at));
        if ends(before) && ends(text.as_bytes().get(end)) {
            places.push((begin, end));
        }
        from = end;
    }
    let mut pieces = Vec::new();
    let mut from = 0;
    for (begin, end) in places {
        pieces.extend([Piece::Text(&text[from..begin]), Piece::Word]);
        from = end;
    }
    pieces.push(Piece::Text(&text[from..]));
    pieces.into_iter()
}

fn replaced(text: &str, old: &str, new: &str) -> Option<String> {
    let mut found = false;
    let pieces = split(text, old).map(|piece| match piece {
        Piece::Word => {
            found = true;
            new
        }
        Piece::Text(text) => text,
    });
    let text: String = pieces.collect();
    found.then_some(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OLD: Halves<'_> = Halves { id: "ABC", secret: "s3+/x" };
    const NEW: Halves<'_> = Halves { id: "DEF", secret: "n/w" };

    #[test]
    fn texts_with_both_halves_are_updated() {
        for (before, after) in [
            ("ABC:s3+/x", "DEF:n/w"),
            ("https://ABC:s3%2B%2Fx@h/p", "https://DEF:n%2Fw@h/p"),
            (
                r#"… required username="ABC" password="s3+/x";"#,
                r#"… required username="DEF" password="n/w";"#,
            ),
        ] {
            assert_eq!(refreshed(before, OLD, NEW).as_deref(), Some(after));
        }
        let basic = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
        assert_eq!(refreshed(&basic("ABC:s3+/x"), OLD, NEW), Some(basic("DEF:n/w")));
    }

    #[test]
    fn texts_with_one_half_or_a_longer_word_are_unchanged() {
        for text in ["ABC", "s3+/x", "ABCD:s3+/x", "ABC:s3+/xy", "", "another:one"] {
            assert_eq!(refreshed(text, OLD, NEW), None, "{text}");
        }
        // A replacement is not taken for the other half.
        let new = Halves { id: "s3+/x", secret: "ABC" };
        assert_eq!(refreshed("ABC:s3+/x", OLD, new).as_deref(), Some("s3+/x:ABC"));
    }

    proptest! {
        #[test]
        fn pair_of_any_halves_is_replaced(id in "[A-Za-z0-9-]{4,16}", secret in "[A-Za-z0-9+/=é]{4,24}", new_id in "[a-z]{1,9}", new in "[ -~]{1,9}") {
            prop_assume!(id != secret && !id.contains(&secret) && !secret.contains(&id));
            let (old, new) = (Halves { id: &id, secret: &secret }, Halves { id: &new_id, secret: &new });
            let after = refreshed(&format!("{id}:{secret}"), old, new);
            prop_assert_eq!(after, Some(format!("{}:{}", new.id, new.secret)));
        }
    }
}
