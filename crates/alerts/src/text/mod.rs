//! Untrusted text: bounded, without credentials, visible, and without mentions.
//!
//! Everybody who can create a resource or send a file writes names, keys and error texts. Each text is
//! processed in two steps: [`sanitize`] when it is taken from an event, so that no secret gets further;
//! [`escape`] when it is shown to people.

mod redact;

pub use redact::redact;

/// Returns true for characters that change the appearance of the text around them: control characters,
/// bidirectional controls and invisible characters.
///
/// Source: Unicode 16.0, categories Cc, Cf, Zl and Zp of DerivedGeneralCategory.txt without the visible
/// signs before digits, and Default_Ignorable_Code_Point of DerivedCoreProperties.txt; UTS 55 lists the
/// bidirectional ones as those that sources should not hide.
pub fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{fff0}'..='\u{fffb}' | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Cuts a text to so many characters, with a note about the rest.
pub fn cut(text: &str, max: usize) -> String {
    let length = text.chars().count();
    if length <= max {
        return text.to_owned();
    }
    let note = format!("… [{} more characters]", length - max);
    text.chars().take(max).chain(note.chars()).collect()
}

/// Removes credentials from an untrusted text and cuts it to so many characters.
pub fn sanitize(text: &str, max: usize) -> String {
    // Text far beyond the limit is not searched; a credential at that point is cut with it.
    let near = text.char_indices().nth(max.saturating_mul(4)).map_or(text, |(end, _)| &text[..end]);
    let note = text.len() > near.len();
    let clean = cut(&redact(near), max);
    if note && !clean.ends_with("characters]") { format!("{clean}…") } else { clean }
}

/// Escapes hidden characters, line feeds included, and neutralizes mentions.
pub fn escape(text: &str) -> String {
    unmentioned(&visible(text))
}

/// Replaces hidden characters by escapes.
pub fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            hidden if is_hidden(hidden) => out.push_str(&format!("\\u{{{:x}}}", u32::from(hidden))),
            plain => out.push(plain),
        }
    }
    out
}

/// Neutralizes mentions: `@here`, `<!channel>`, `<@U123>`, `<users/all>` become look-alikes that no chat
/// interprets.
///
/// An `@` inside a word, as in an address, is no mention and stays. A backtick would end a code block, and
/// `](` would create a link whose text is another address.
pub fn unmentioned(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut before = ' ';
    for (at, character) in text.char_indices() {
        let rest = &text[at + character.len_utf8()..];
        // These mention everybody; some chats need no blank before them.
        let calls_all =
            || ["here", "channel", "everyone", "all"].iter().any(|name| starts_with_word(rest, name));
        let in_a_word = before.is_alphanumeric();
        out.push(match character {
            '@' if (!in_a_word && !rest.starts_with(char::is_whitespace) && !rest.is_empty())
                || calls_all() =>
            {
                '＠'
            }
            '<' => '‹',
            '>' => '›',
            '`' => '´',
            '(' if before == ']' => '❨',
            other => other,
        });
        before = character;
    }
    out
}

fn starts_with_word(text: &str, word: &str) -> bool {
    text.get(..word.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(word))
        && !text[word.len()..].starts_with(|next: char| next.is_alphanumeric() || next == '.' || next == '-')
}

/// Converts a text to one ASCII line for an e-mail header: other characters become `?`, and runs of blanks
/// become one.
pub fn ascii_line(text: &str, max: usize) -> String {
    let line: String =
        text.chars().map(|character| if character.is_ascii() { character } else { '?' }).collect();
    let words: Vec<&str> =
        line.split(|character: char| character.is_whitespace() || character.is_control()).collect();
    let line = words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    if line.len() <= max { line } else { format!("{}...", &line[..max.saturating_sub(3)]) }
}

/// Returns JSON in which hidden characters are escaped: the same value.
pub fn json(value: &serde_json::Value) -> String {
    let mut out = String::new();
    for character in value.to_string().chars() {
        // Outside of strings, JSON has no hidden character; in a string, the escape is the same character.
        if is_hidden(character) {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            out.push(character);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hidden_and_bidirectional_characters_are_escaped() {
        let hostile = "pay\u{202e}gpj.exe\u{2066}\u{200b}\u{0}\u{1b}[31m\nsecond\u{feff}";
        let seen = visible(hostile);
        assert_eq!(seen, "pay\\u{202e}gpj.exe\\u{2066}\\u{200b}\\u{0}\\u{1b}[31m\\nsecond\\u{feff}");
    }

    #[test]
    fn ignorable_characters_are_escaped_and_visible_signs_stay() {
        for hidden in [
            '\u{17b4}',
            '\u{180b}',
            '\u{180f}',
            '\u{fff0}',
            '\u{1343f}',
            '\u{1bca0}',
            '\u{1d17a}',
            '\u{e0fff}',
        ] {
            assert_eq!(visible(&hidden.to_string()), format!("\\u{{{:x}}}", u32::from(hidden)));
        }
        for seen in ['\u{600}', '\u{6dd}', '\u{8e2}', '\u{110bd}', '\u{a0}', 'é', '🦀'] {
            assert_eq!(visible(&seen.to_string()), seen.to_string());
        }
    }

    #[test]
    fn mentions_are_neutralized_and_addresses_stay() {
        for mention in [
            "@here",
            "@channel",
            "<!channel>",
            "<!here|x>",
            "<@U0123>",
            "<#C12>",
            "<users/all>",
            "(@everyone)",
            "x @team",
        ] {
            let text = escape(mention);
            assert!(!text.contains('<') && !text.contains('>') && !text.contains('@'), "{mention}: {text}");
        }
        assert_eq!(escape("Configuration@here now"), "Configuration＠here now");
        assert_eq!(escape("ops@example.com, a@here.com at 3 @ 4"), "ops@example.com, a@here.com at 3 @ 4");
    }

    #[test]
    fn text_is_cut_between_characters_with_the_number_of_the_rest() {
        assert_eq!(cut("äöü🦀x", 4), "äöü🦀… [1 more characters]");
        assert_eq!(cut("äöü", 3), "äöü");
        assert_eq!(sanitize(&"x".repeat(100_000), 10), "xxxxxxxxxx… [30 more characters]");
    }

    proptest! {
        #[test]
        fn escaped_text_has_no_hidden_character_and_no_mention(text in any::<String>()) {
            let seen = escape(&text);
            prop_assert!(!seen.chars().any(is_hidden));
            prop_assert!(!seen.contains('<') && !seen.contains('`'));
            let mut before = ' ';
            let characters: Vec<char> = seen.chars().collect();
            for (at, character) in characters.iter().enumerate() {
                if *character == '@' {
                    let next = characters.get(at + 1).copied().unwrap_or(' ');
                    prop_assert!(before.is_alphanumeric() || next.is_whitespace() || at + 1 == characters.len());
                }
                before = *character;
            }
        }

        #[test]
        fn escaped_json_is_the_same_value(text in any::<String>()) {
            let value = serde_json::json!({"key": text});
            let escaped = json(&value);
            prop_assert!(!escaped.chars().any(is_hidden));
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&escaped).unwrap(), value);
        }

        #[test]
        fn subject_is_one_line_of_ascii_within_its_limit(text in any::<String>(), most in 3_usize..120) {
            let line = ascii_line(&text, most);
            prop_assert!(line.len() <= most && line.bytes().all(|byte| (0x20..0x7f).contains(&byte)));
        }

        #[test]
        fn sanitized_text_is_within_the_limit_and_its_note(text in any::<String>(), most in 0_usize..200) {
            prop_assert!(sanitize(&text, most).chars().count() <= most + 40);
        }
    }
}
