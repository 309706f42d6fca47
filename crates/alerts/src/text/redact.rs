//! Cuts credentials out of texts that services and functions wrote.
//!
//! Four forms carry them: addresses (query strings of pre-signed URLs and of CloudFormation's response URLs, user and password before the
//! host), names followed by a value (`password=…`, `"SecretString":"…"`, `PASSWORD '…'`), `Bearer …`, and private keys and verifiers by
//! themselves. A text that merely speaks of a password stays as it is.

/// The replacement for a removed credential.
const CUT: &str = "[cut]";

/// Names whose value is a credential; a longer name that ends with one counts too (`RotationToken`, `db_password`).
const NAMES: [&str; 16] = [
    "password",
    "passwd",
    "pwd",
    "passphrase",
    "secret",
    "secretstring",
    "secretbinary",
    "token",
    "signature",
    "credential",
    "credentials",
    "authorization",
    "apikey",
    "api_key",
    "accesskey",
    "access_key",
];

/// The text without credentials.
pub fn redact(text: &str) -> String {
    addresses(&values(&keys(text)))
}

/// Cuts private keys in PEM, and the verifiers that PostgreSQL keeps in place of passwords: as good as those to whoever reads them.
fn keys(text: &str) -> String {
    const BEGIN: &str = "-----BEGIN ";
    const END: &str = "-----END ";
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(BEGIN) {
        out.push_str(&rest[..at]);
        let block = &rest[at..];
        let end = block
            .find(END)
            .and_then(|end| block[end + END.len()..].find("-----").map(|more| end + END.len() + more + 5));
        // A certificate is public. A block without its end was cut off: whatever it is goes.
        let end = end.unwrap_or(block.len());
        let label = block[BEGIN.len()..].split("-----").next().unwrap_or_default();
        out.push_str(if label.ends_with("CERTIFICATE") { &block[..end] } else { CUT });
        rest = &block[end..];
    }
    out.push_str(rest);
    for scheme in ["SCRAM-SHA-256$", "SCRAM-SHA-512$"] {
        while let Some(at) = out.find(scheme) {
            let end = token_end(&out, at);
            out.replace_range(at..end, CUT);
        }
    }
    out
}

/// Cuts values after names.
fn values(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = String::with_capacity(text.len());
    // Everything before this was written.
    let mut written = 0;
    let mut at = 0;
    while at < bytes.len() {
        let begins = at == 0 || !is_word(bytes[at - 1]);
        if !(begins && is_word(bytes[at])) {
            at += 1;
            continue;
        }
        let end = at + bytes[at..].iter().take_while(|byte| is_word(**byte)).count();
        if let Some((from, to)) = value_after(text, at, end) {
            out.push_str(&text[written..from]);
            out.push_str(CUT);
            written = to;
            at = to;
        } else {
            at = end;
        }
    }
    out.push_str(&text[written..]);
    out
}

/// Returns the range of the credential that the word from `begin` to `end` announces.
fn value_after(text: &str, begin: usize, end: usize) -> Option<(usize, usize)> {
    let word = text[begin..end].to_ascii_lowercase();
    let skip = |at: usize, over: &[u8]| {
        at + text.as_bytes()[at..].iter().take_while(|byte| over.contains(byte)).count()
    };
    let byte = |at: usize| text.as_bytes().get(at).copied();
    if word == "bearer" || word == "basic" {
        let from = skip(end, b" ");
        let to = token_end(text, from);
        // "bearer of bad news" is prose; a token is long.
        return (from > end && to - from >= 16).then_some((from, to));
    }
    if !NAMES.iter().any(|name| word.ends_with(name)) {
        return None;
    }
    // A quote that closes the name, escaped or not, in JSON within JSON.
    let after = skip(end, b"\\\"'");
    let sign = skip(after, b" \t");
    // Part of an ARN: arn:aws:secretsmanager:us-east-1:111111111111:secret:app.
    let in_arn = begin > 0 && byte(begin - 1) == Some(b':') && byte(end) == Some(b':');
    let from = match byte(sign) {
        _ if in_arn => return None,
        Some(b'=' | b':') => skip(sign + 1, b" \t=>"),
        // SQL: ALTER USER u PASSWORD 'x', IDENTIFIED BY goes with it.
        Some(b'\'') if after == end => sign,
        _ => return None,
    };
    let opened = skip(from, b"\\");
    let (from, to) = match byte(opened) {
        Some(quote @ (b'"' | b'\'')) => (opened + 1, quoted_end(text, opened + 1, quote)),
        _ => (from, token_end(text, from)),
    };
    // The name of a secret is none.
    let value = &text[from..to];
    (to > from
        && !value.starts_with("arn:")
        && value != CUT
        && !["null", "true", "false", "Bearer", "Basic"].contains(&value))
    .then_some((from, to))
}

/// The end of a quoted value: the quote that closes it, doubled quotes and quotes after a backslash belonging to it.
fn quoted_end(text: &str, from: usize, quote: u8) -> usize {
    let bytes = text.as_bytes();
    // In JSON within JSON the quotes themselves have a backslash: then the next quote closes.
    let nested = from >= 2 && bytes[from - 2] == b'\\';
    let mut at = from;
    while at < bytes.len() {
        if bytes[at] == quote {
            if bytes.get(at + 1) == Some(&quote) && quote == b'\'' {
                at += 2;
                continue;
            }
            return if nested && at > from && bytes[at - 1] == b'\\' { at - 1 } else { at };
        }
        at += if bytes[at] == b'\\' && !nested { 2 } else { 1 };
    }
    // Unclosed, or it ended in the middle of a character: everything goes.
    text.len()
}

/// The end of a value without quotes.
fn token_end(text: &str, from: usize) -> usize {
    let ends = |character: char| character.is_whitespace() || ",;&\"'`)}]<>".contains(character);
    text[from..].find(ends).map_or(text.len(), |length| from + length)
}

/// Cuts the query strings of addresses, and the user and password before the host.
fn addresses(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        let end = after
            .find(|character: char| character.is_whitespace() || "\"'<>`".contains(character))
            .unwrap_or(after.len());
        let (address, later) = after.split_at(end);
        let host_end = address.find(['/', '?', '#']).unwrap_or(address.len());
        let (host, path) = match address[..host_end].rfind('@') {
            Some(user) => {
                out.push_str(CUT);
                (&address[user..host_end], &address[host_end..])
            }
            None => address.split_at(host_end),
        };
        out.push_str(host);
        match path.find(['?', '#']) {
            Some(query) => {
                out.push_str(&path[..=query]);
                out.push_str(CUT);
            }
            None => out.push_str(path),
        }
        rest = later;
    }
    out.push_str(rest);
    out
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn credentials_are_cut_in_every_form_that_services_write_them() {
        for text in [
            "https://cloudformation-custom-resource-response-useast1.s3.amazonaws.com/arn%3Aaws?AWSAccessKeyId=A&Signature=hunter2",
            "GET https://b.s3.amazonaws.com/k?X-Amz-Signature=hunter2 failed",
            "postgres://app:hunter2@db.example.com:5432/app",
            "connect: password=hunter2 host=db",
            "connect: db_password = 'hun''ter2 hunter2'",
            r#"{"SecretString":"hunter2"}"#,
            r#"{"body":"{\"password\":\"hunter2\"}"}"#,
            r#"{"password": "a\"hunter2"}"#,
            "ALTER USER \"u\" PASSWORD 'hunter2'",
            "RotationToken: hunter2, Step: x",
            "Authorization: Bearer abcdefgh12345678hunter2",
            "the token was Bearer abcdefgh12345678hunter2",
            "{'apiKey' => 'hunter2'}",
            "password='unclosed hunter2",
            "key: -----BEGIN RSA PRIVATE KEY-----\nhunter2\n-----END RSA PRIVATE KEY----- end",
            "cut off: -----BEGIN PRIVATE KEY-----\nhunter2",
            "role app has SCRAM-SHA-256$4096:c2FsdA==$aHVudGVyMg==:hunter2 now",
        ] {
            let clean = redact(text);
            assert!(!clean.contains("hunter2") && clean.contains(CUT), "{text}: {clean}");
        }
    }

    #[test]
    fn a_text_that_only_speaks_of_secrets_stays_as_it_is() {
        for text in [
            "password authentication failed for user \"app\"",
            "secret: arn:aws:secretsmanager:us-east-1:111111111111:secret:app-AbCdEf",
            "the bearer of this token may not decrypt",
            "https://console.aws.amazon.com/rds/home",
            "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE----- is not trusted",
            "{\"SecretId\":\"app\",\"token\":null}",
        ] {
            assert_eq!(redact(text), text);
        }
    }

    proptest! {
        #[test]
        fn no_value_after_a_name_survives(
            before in ".{0,20}", name in prop::sample::select(&NAMES[..]), quote in prop::sample::select(&["", "'", "\""][..]),
            value in "[A-Za-z0-9+/]{8,40}", after in ".{0,20}",
        ) {
            let text = format!("{before} {name}={quote}{value}{quote} {after}");
            prop_assert!(!redact(&text).contains(&value) || before.contains(&value) || after.contains(&value), "{}", redact(&text));
        }

        #[test]
        fn any_text_is_treated_without_a_panic(text in any::<String>()) {
            redact(&text);
        }
    }
}
