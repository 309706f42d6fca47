//! Redaction: no name, account id or address of an operator is in a report.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use verify::redact::Redactor;

/// Removes the placeholders, whose words are ours.
fn without_placeholders(text: &str) -> String {
    let mut rest = text;
    let mut plain = String::new();
    while let Some((before, after)) = rest.split_once('<') {
        plain += before;
        plain.push('\u{0}');
        rest = after.split_once('>').map_or("", |(_, behind)| behind);
    }
    plain + rest
}

fn redactor(names: &[&str]) -> Redactor {
    Redactor::new(names.iter().map(|name| ((*name).to_owned(), "name".to_owned())))
}

#[test]
fn forms_of_identifiers_are_replaced() {
    let redactor = redactor(&["acme-files", "dev"]);
    for (text, expected) in [
        ("arn:aws:s3:::acme-files/x.csv", "arn:aws:s3:::<resource>"),
        ("arn:aws:iam::123456789012:role/Admin denied", "arn:aws:iam::<account>:<resource> denied"),
        ("s3://acme-files/2026", "s3://<name>/2026"),
        ("database dev, development", "database <name>, development"),
        ("account 123456789012.", "account <account>."),
        ("at wh.abc123.us-east-1.redshift.amazonaws.com:5439", "at <host>:5439"),
        ("mail ops@example.com now", "mail <e-mail> now"),
        ("key AKIAIOSFODNN7EXAMPLE", "key <key id>"),
        ("from 10.1.2.3", "from <address>"),
        ("\"password\": \"hunter2\"", "\"password\": \"<secret>\""),
        ("{\"token\":\"abc\"}", "{\"token\":\"<secret>\"}"),
        ("http://127.0.0.1:4566/queue", "http://<address>"),
        ("id 0f8fad5b-d9cb-469f-a165-70867728950e", "id <id>"),
        ("status FAILED: prefix does not exist", "status FAILED: prefix does not exist"),
    ] {
        assert_eq!(redactor.redact(text), expected);
    }
}

proptest! {
    #[test]
    fn names_never_survive(
        names in proptest::collection::vec("[A-Za-z][A-Za-z0-9_./-]{2,30}[A-Za-z0-9]", 1..5),
        between in proptest::collection::vec("[ ,:\"'{}\\[\\]=é\n-]{1,6}", 6),
        account in "[0-9]{12}",
    ) {
        let redactor = redactor(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let mut text = String::new();
        for (name, gap) in names.iter().zip(&between) {
            text += &format!("{gap}{name}{gap}arn:aws:secretsmanager:us-east-1:{account}:secret:{name}{gap}{account}{gap}");
        }
        let plain = without_placeholders(&redactor.redact(&text));
        for name in &names {
            // "arn", "aws", and words of the ARN's beginning are not names of anything.
            prop_assume!(!"arn:aws:secretsmanager:us-east-1:secret".contains(name.as_str()));
            prop_assert!(!plain.contains(name.as_str()), "{name} in {plain}");
        }
        prop_assert!(!plain.contains(&account));
    }

    #[test]
    fn no_twelve_digits_survive_anything(text in "(?s).{0,120}", digits in "[0-9]{12,20}", at in 0usize..100) {
        let at = text.char_indices().map(|(index, _)| index).nth(at).unwrap_or(text.len());
        let text = format!("{}{digits}{}", &text[..at], &text[at..]);
        let plain = without_placeholders(&Redactor::new([]).redact(&text));
        let longest = plain.split(|one: char| !one.is_ascii_digit()).map(str::len).max();
        prop_assert!(longest.unwrap_or(0) < 12, "{plain}");
    }

    #[test]
    fn redaction_of_anything_does_not_fail(text in "(?s).{0,200}", name in "(?s).{0,10}") {
        let _ = redactor(&[name.as_str()]).redact(&text);
    }
}
