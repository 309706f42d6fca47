//! Removal of account ids, names and addresses from texts that are published.

use regex_lite::Regex;

/// Replaces what identifies an account or its resources.
#[derive(Debug)]
pub struct Redactor {
    /// Known names with what each is, longest first.
    names: Vec<(String, String)>,
    patterns: Vec<(Regex, &'static str)>,
}

/// Texts that are recognized by their form. The first group, if there is one, is replaced.
const PATTERNS: [(&str, &str); 9] = [
    (r"(?:AKIA|ASIA|AROA|AIDA|ANPA|AGPA|APKA)[A-Z0-9]{8,}", "key id"),
    (
        r#"(?i)"?(?:password|secretstring|token|secretaccesskey|secretbinary)"?\s*[:=]\s*"?([^\s",}]+)"#,
        "secret",
    ),
    // The part of an ARN behind the account names the resource.
    (r#"arn:[a-z0-9-]+:[a-z0-9-]*:[a-z0-9-]*:[0-9a-z-]*:([^\s"',\]\[}{]+)"#, "resource"),
    (r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+", "e-mail"),
    (
        r"(?i)[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?\.(?:amazonaws\.com(?:\.cn)?|aws\.dev|on\.aws|api\.aws|confluent\.cloud)",
        "host",
    ),
    (r"https?://([^\s\x22'<>]+)", "address"),
    (r"[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}", "address"),
    (r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}", "id"),
    (r"[0-9]{12,}", "account"),
];

/// A name that is at most this long is replaced only where it is a word of its own.
const SHORT: usize = 8;

impl Redactor {
    /// A redactor of these values, given with what each is, such as `("my-bucket", "bucket")`, and
    /// of everything that is recognized by its form.
    pub fn new(names: impl IntoIterator<Item = (String, String)>) -> Self {
        let harmless = |name: &str| matches!(name, "" | "true" | "false");
        let mut names: Vec<_> = names.into_iter().filter(|(name, _)| !harmless(name)).collect();
        names.sort_by(|(a, _), (b, _)| b.len().cmp(&a.len()).then(a.cmp(b)));
        names.dedup_by(|(a, _), (b, _)| a == b);
        let patterns =
            PATTERNS.iter().filter_map(|(text, what)| Some((Regex::new(text).ok()?, *what))).collect();
        Self { names, patterns }
    }

    /// Returns the text with a placeholder such as `<bucket>` for each piece that is replaced.
    pub fn redact(&self, text: &str) -> String {
        // All pieces are found in the original text, so that no placeholder is searched.
        let mut pieces: Vec<(usize, usize, &str)> = Vec::new();
        for (name, what) in &self.names {
            for (start, found) in text.match_indices(name.as_str()) {
                let end = start + found.len();
                // Names of AWS are ASCII, so that another letter is a boundary.
                let word = |one: Option<char>| !one.is_some_and(|one| one.is_ascii_alphanumeric());
                if name.len() > SHORT
                    || word(text[..start].chars().next_back()) && word(text[end..].chars().next())
                {
                    pieces.push((start, end, what));
                }
            }
        }
        for (pattern, what) in &self.patterns {
            for found in pattern.captures_iter(text) {
                if let Some(piece) = found.get(1).or_else(|| found.get(0)) {
                    pieces.push((piece.start(), piece.end(), what));
                }
            }
        }
        pieces.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.cmp(&a.1)));
        let mut redacted = String::with_capacity(text.len());
        let mut position = 0;
        for (start, end, what) in pieces {
            if start >= position {
                redacted += &text[position..start];
                redacted += &format!("<{what}>");
            }
            // A piece that overlaps with the one before is covered by its placeholder.
            position = position.max(end);
        }
        redacted + &text[position..]
    }
}
