//! The seeds of the fuzz targets `alert_event` and `alert_message`, replayed, and the same checks on generated texts.

// Shared with the fuzz targets, which are a crate of their own.
#![allow(unreachable_pub, dead_code, clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

#[path = "../../../fuzz/checks/alert_event.rs"]
mod check_event;
#[path = "../../../fuzz/checks/alert_message.rs"]
mod message_check;
#[path = "../../../fuzz/checks/shell.rs"]
mod shell;

use std::path::{Path, PathBuf};

use alerts::{arn, command, event, incident, kind, message, moment, notification, rules, state};
use proptest::prelude::*;

/// The files in a folder of the repository and in the folders within it.
fn files(folder: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(folder)];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else {
                let data = std::fs::read(&path).unwrap();
                found.push((path, data));
            }
        }
    }
    found
}

#[test]
fn every_sample_and_seed_is_processed_however_it_is_wrapped() {
    // The samples are seeds where they are; only what is hostile has a folder of its own.
    let (samples, seeds) = (files("events"), files("fuzz/corpus/alert_event"));
    assert!(samples.len() >= 80 && seeds.len() >= 15, "{} samples, {} seeds", samples.len(), seeds.len());
    for (path, data) in samples.into_iter().chain(seeds) {
        println!("{}", path.display());
        check_event::check_bytes(&data);
    }
}

#[test]
fn every_seed_makes_a_valid_message() {
    let seeds = files("fuzz/corpus/alert_message");
    assert!(seeds.len() >= 15, "{} seeds", seeds.len());
    for (path, data) in seeds {
        println!("{}", path.display());
        message_check::check_bytes(&data);
    }
}

#[test]
fn command_reader_rejects_more_than_words() {
    let words = |command: &str| -> Result<Vec<String>, String> {
        let words = shell::words(command)?;
        Ok(words.into_iter().map(|word| String::from_utf8(word).unwrap()).collect())
    };
    assert_eq!(
        words(r"aws s3 'a b' $'\x40\\\'c'd ''"),
        Ok(["aws", "s3", "a b", "@\\'cd", ""].map(str::to_owned).to_vec())
    );
    for bad in [
        "a;b", "a b\n", "$(x)", "`x`", "\"x\"", "a$b", "'x", "$'x", r"$'\x4'", r"$'\n'", "~", "a*", "ä",
        "#x", r"$'\x00'",
    ] {
        assert!(words(bad).is_err(), "{bad}");
    }
}

proptest! {
    // What fails here becomes a seed.
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_texts_make_a_valid_message(
        choice in any::<u8>(),
        texts in proptest::collection::vec("\\PC{0,40}|[\\x00-\\x7f]{0,40}|[@<>`\\[\\]()'\\\\!$ -]{0,20}|(?s).{0,20}", 12),
    ) {
        let mut data = vec![choice];
        for text in texts {
            data.extend(text.into_bytes());
            data.push(0xff);
        }
        message_check::check_bytes(&data);
    }
}
