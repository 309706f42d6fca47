//! The seeds of the fuzz target `key_texts`, replayed, and the same checks on generated keys.

#![cfg(feature = "api-key")]
// Shared with the fuzz target, which is a crate of its own.
#![allow(unreachable_pub, dead_code, unused_imports, clippy::unwrap_used, clippy::panic)]

#[path = "../../../fuzz/checks/key_texts.rs"]
mod check;
#[path = "../src/keys/embed.rs"]
mod embed;
#[path = "../src/embedded/mod.rs"]
mod embedded;

use proptest::prelude::*;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/key_texts");

#[test]
fn every_seed_of_a_key_keeps_its_place() {
    let mut seeds = 0;
    for entry in std::fs::read_dir(FOLDER).unwrap() {
        check::check_bytes(&std::fs::read(entry.unwrap().path()).unwrap());
        seeds += 1;
    }
    assert!(seeds >= 8, "{seeds}");
}

proptest! {
    // Commit a failing input as a seed.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_key_is_read_back_and_the_host_stays(keys in proptest::collection::vec("[!-~]{1,12}", 4), text in "[a-zA-Z0-9:/@?&=#%;,]{0,30}") {
        let fields: Vec<&[u8]> = keys.iter().chain([&text]).map(|field| field.as_bytes()).collect();
        check::check_bytes(&fields.join(&0xff));
    }

    #[test]
    fn any_text_with_a_key_is_read_without_a_panic(text in "\\PC{0,40}", at in 0_usize..40) {
        let at = text.char_indices().nth(at).map_or(text.len(), |(at, _)| at);
        let text = format!("{}ABC:s3{}", &text[..at], &text[at..]);
        let fields = ["ABC", "s3", "n\"w", "x@evil.example/", &text];
        check::check_bytes(&fields.map(|field| field.as_bytes()).join(&0xff));
    }
}
