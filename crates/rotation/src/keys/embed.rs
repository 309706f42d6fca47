//! Texts of a secret with both halves of a key: `key:secret`, also in Base64, an address, a JAAS
//! line, a properties file, JSON.
//!
//! [`embedded`](crate::embedded) writes each half in the encoding of its place. A half that is put
//! there as it is could move the host of an address (`x@other.example/` as a secret) or end a
//! quoted value.

use crate::embedded::{self, Part, Rewrite};

/// The halves of a key, in clear.
#[derive(Clone, Copy)]
pub(crate) struct Halves<'a> {
    pub(crate) id: &'a str,
    pub(crate) secret: &'a str,
}

/// The reason why a text cannot get a new key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The form of the text is not known, so that nobody knows how to write a key there.
    UnknownForm,
    /// The form has no escape for a character of the new key.
    Inexpressible,
}

/// Returns the text with the new halves; `None` unless it contains both old halves: a text with
/// only one of them belongs to somebody else.
///
/// # Errors
/// The text has both halves and cannot get the new ones.
pub(crate) fn refreshed(
    name: &str,
    text: &str,
    old: Halves<'_>,
    new: Halves<'_>,
) -> Result<Option<String>, Refusal> {
    let known = [old.id, old.secret];
    let pair = (old.id, old.secret);
    let mut found = (false, false);
    let mut look = |part, value: &str| {
        match part {
            Part::User => found.0 |= value == old.id,
            Part::Password => found.1 |= value == old.secret,
        }
        None
    };
    // Nothing is written, so that every value can be expressed.
    let read =
        embedded::rewrite_text(name, &mut text.to_owned(), &mut Rewrite::of_key(pair, &known, &mut look));
    if read.is_err() || found != (true, true) {
        return if has_word(text, old.id) && has_word(text, old.secret) {
            Err(Refusal::UnknownForm)
        } else {
            Ok(None)
        };
    }
    let mut replace = |part, value: &str| match part {
        Part::User => (value == old.id).then(|| new.id.to_owned()),
        Part::Password => (value == old.secret).then(|| new.secret.to_owned()),
    };
    let mut result = text.to_owned();
    embedded::rewrite_text(name, &mut result, &mut Rewrite::of_key(pair, &known, &mut replace))
        .map(|_| Some(result))
        .map_err(|_| Refusal::Inexpressible)
}

/// Returns true if the text has a word that stands alone.
fn has_word(text: &str, word: &str) -> bool {
    let ends = |c: Option<char>| c.is_none_or(|c| c.is_ascii() && !c.is_ascii_alphanumeric());
    !word.is_empty()
        && text.match_indices(word).any(|(at, _)| {
            ends(text[..at].chars().next_back()) && ends(text[at + word.len()..].chars().next())
        })
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    use super::*;

    const OLD: Halves<'_> = Halves { id: "ABC", secret: "s3+/x" };
    const NEW: Halves<'_> = Halves { id: "DEF", secret: "n/w@x" };

    fn changed(text: &str) -> Result<Option<String>, Refusal> {
        refreshed("text", text, OLD, NEW)
    }

    #[test]
    fn texts_with_both_halves_get_the_key_encoded_for_the_place() {
        for (before, after) in [
            ("ABC:s3+/x", "DEF:n/w@x"),
            ("https://ABC:s3%2B%2Fx@h/p", "https://DEF:n%2Fw%40x@h/p"),
            ("https://ABC:s3+/x@h/p", "https://DEF:n%2Fw%40x@h/p"),
            ("https://h/ABC/s3%2b%2Fx/p", "https://h/DEF/n%2Fw%40x/p"),
            ("https://h/p?key=ABC&secret=s3+/x&x=1", "https://h/p?key=DEF&secret=n%2Fw%40x&x=1"),
            ("https://h/p?auth=ABC:s3%2B%2Fx", "https://h/p?auth=DEF:n%2Fw%40x"),
            (
                r#"a.LoginModule required username="ABC" password="s3+/x";"#,
                r#"a.LoginModule required username="DEF" password="n/w@x";"#,
            ),
            (
                "a=b\nbasic.auth.user.info=ABC:s3+/x\nurl=https://ABC:s3%2B%2Fx@h\n",
                "a=b\nbasic.auth.user.info=DEF:n/w@x\nurl=https://DEF:n%2Fw%40x@h\n",
            ),
            ("a=b\napi.key=ABC\napi.secret=s3+/x\n", "a=b\napi.key=DEF\napi.secret=n/w@x\n"),
            (r#"{"k":"ABC","s":["s3+/x"]}"#, r#"{"k":"DEF","s":["n/w@x"]}"#),
            // The word does not make a JAAS line of an address, nor an address in its first line less
            // than a file with one.
            ("https://ABC:s3%2B%2Fx@h/LoginModule", "https://DEF:n%2Fw%40x@h/LoginModule"),
            (
                "https://h\nsasl.jaas.config=m.LoginModule required username=\"ABC\" password=\"s3+/x\";\n",
                "https://h\nsasl.jaas.config=m.LoginModule required username=\"DEF\" password=\"n/w@x\";\n",
            ),
        ] {
            assert_eq!(changed(before), Ok(Some(after.to_owned())), "{before}");
        }
        let basic = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
        assert_eq!(changed(&basic("ABC:s3+/x")), Ok(Some(basic("DEF:n/w@x"))));
        assert_eq!(changed(&STANDARD.encode("ABC:s3+/x")), Ok(Some(STANDARD.encode("DEF:n/w@x"))));
    }

    #[test]
    fn text_that_has_the_new_key_already_is_not_somebody_elses() {
        for text in ["ABC:s3+/x", "https://ABC:s3%2b%2Fx@h/p", "a=b\napi.key=ABC\napi.secret=s3+/x\n"] {
            assert_eq!(refreshed("text", text, OLD, OLD), Ok(Some(text.to_owned())), "{text}");
        }
    }

    #[test]
    fn host_stays_where_the_old_key_had_no_special_character() {
        let old = Halves { id: "ABC", secret: "s3" };
        let with = |secret| refreshed("url", "https://ABC:s3@h/p", old, Halves { id: "DEF", secret });
        assert_eq!(with("n/w@x"), Ok(Some("https://DEF:n%2Fw%40x@h/p".to_owned())));
        assert_eq!(with("x@evil.example/"), Ok(Some("https://DEF:x%40evil.example%2F@h/p".to_owned())));
        // A `;` does not end the host of such an address (RFC 3986).
        let new = Halves { id: "DEF", secret: "x" };
        assert_eq!(refreshed("url", "https://;ABC:s3", old, new), Err(Refusal::UnknownForm));
    }

    #[test]
    fn key_that_a_place_cannot_hold_is_refused() {
        let new = |text: &str, id, secret| refreshed("text", text, OLD, Halves { id, secret });
        // The public half of `key:secret` ends at the first colon (RFC 7617).
        assert_eq!(new("ABC:s3+/x", "D:F", "n"), Err(Refusal::Inexpressible));
        assert_eq!(new("a=b\nk=ABC\ns=\"s3+/x\"\n", "D", "n\"w"), Err(Refusal::Inexpressible));
        let jaas = "a=b\nsasl.jaas.config=m.LoginModule required username=\"ABC\" password=\"s3+/x\";\n";
        assert_eq!(new(jaas, "D", "n\"w"), Err(Refusal::Inexpressible));
        let mariadb = "jdbc:mariadb://h/d?user=ABC&password=s3+/x";
        assert_eq!(new(mariadb, "D", "n&w"), Err(Refusal::Inexpressible));
        // It could be an address, a list, anything.
        assert_eq!(new("see https://ABC:s3+/x@h", "D", "n"), Err(Refusal::UnknownForm));
        assert_eq!(new("ABC s3+/x", "D", "n"), Err(Refusal::UnknownForm));
    }

    #[test]
    fn texts_with_one_half_or_a_longer_word_are_unchanged() {
        for text in ["ABC", "s3+/x", "ABCD:s3+/x", "ABC:s3+/xy", "", "another:one", "https://ABC:other@h"] {
            assert_eq!(changed(text), Ok(None), "{text}");
        }
        // A replacement is not taken for the other half.
        let new = Halves { id: "s3+/x", secret: "ABC" };
        assert_eq!(refreshed("text", "ABC:s3+/x", OLD, new), Ok(Some("s3+/x:ABC".to_owned())));
    }

    proptest! {
        #[test]
        fn pair_of_any_halves_is_replaced(id in "[A-Za-z0-9-]{4,16}", secret in "[A-Za-z0-9+/=é]{4,24}", new_id in "[a-z]{1,9}", new in "[ -~]{1,9}") {
            prop_assume!(id != secret && !id.contains(&secret) && !secret.contains(&id));
            let (old, new) = (Halves { id: &id, secret: &secret }, Halves { id: &new_id, secret: &new });
            let after = refreshed("text", &format!("{id}:{secret}"), old, new);
            prop_assert_eq!(after, Ok(Some(format!("{}:{}", new.id, new.secret))));
        }
    }
}
