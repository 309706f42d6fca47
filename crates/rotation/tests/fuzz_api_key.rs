//! The seeds of the fuzz target `api_key`, replayed, and the same checks on generated values.

#![cfg(feature = "api-key")]
// Shared with the fuzz target, which is a crate of its own.
#![allow(unreachable_pub, dead_code, clippy::unwrap_used)]

#[path = "../../../fuzz/checks/api_key.rs"]
mod check;

use proptest::prelude::*;
use rotation::keys::{adapter, request, shape, template};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/api_key");

fn seeds() -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(FOLDER).unwrap().map(|entry| entry.unwrap());
    let read = |entry: std::fs::DirEntry| {
        (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap())
    };
    entries.map(read).collect()
}

#[test]
fn every_seed_of_an_adapter_holds() {
    let (mut accepted, mut refused) = (0, 0);
    for (name, data) in seeds() {
        let parsed = adapter::Adapter::parse(&check::fields(&data)[0]);
        // A seed's name begins with the expected result.
        let expected = name.starts_with("accepted-");
        assert!(expected || name.starts_with("refused-"), "{name}");
        assert_eq!(parsed.is_ok(), expected, "{name}: {:?}", parsed.err().map(|error| error.to_string()));
        if expected {
            accepted += 1
        } else {
            refused += 1
        }
        check::check_bytes(&data);
    }
    assert!(accepted >= 15 && refused >= 35, "{accepted} accepted, {refused} refused");
}

fn accepted() -> Vec<u8> {
    std::fs::read(format!("{FOLDER}/accepted-everything")).unwrap()
}

proptest! {
    // Commit a failing input as a seed.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_value_stays_in_its_place(values in proptest::collection::vec("\\PC{0,12}|[\\x00-\\x7f]{0,12}|[./%{}?&#]{0,6}", 8)) {
        let description = check::fields(&accepted())[0].clone();
        let mut data = description.into_bytes();
        for value in values {
            data.push(0xff);
            data.extend(value.into_bytes());
        }
        check::check_bytes(&data);
    }

    #[test]
    fn changed_adapter_is_rejected_or_valid(at in 0_usize..800, with in any::<u8>(), remove in any::<bool>()) {
        let mut data = accepted();
        let at = at.min(data.len() - 1);
        if remove { data.remove(at); } else { data[at] = with; }
        check::check_bytes(&data);
    }
}

#[test]
fn error_names_the_place_and_the_reason() {
    let good = check::fields(&accepted())[0].clone();
    for (from, to, place, part) in [
        (
            r#""auth":"bearer""#,
            r#""auht":"bearer""#,
            "`create.request.auht`",
            "unknown field `auht`, expected one of",
        ),
        (r#""auth":"bearer""#, r#""auth":"digest""#, "`create.request.auth`", "unknown variant `digest`"),
        (r#""https://keys"#, r#""http://keys"#, "`base`", "expected https://host"),
        (
            "{{id}}/revoke",
            "{{key}}/revoke",
            "`revoke.request.path`",
            "the placeholder {{key}} does not exist; the placeholders are {{id}}",
        ),
        ("{{name}}: {{mark}}", "x", "`create.request`", "it has no {{mark}}"),
        (r#""/credential/name""#, r#""credential""#, "`create.id`", "a JSON Pointer such as /spec/secret"),
        (r#""items":"/items","#, "", "`list`", "missing field `items`"),
    ] {
        assert!(good.contains(from), "{from}");
        let text = adapter::Adapter::parse(&good.replacen(from, to, 1)).unwrap_err().to_string();
        assert!(text.starts_with(place) && text.contains(part), "{text}");
    }
}
