//! Arbitrary bytes as a secret's value and its next credential.
#![no_main]
#![allow(dead_code)]

#[path = "../checks/secret_document.rs"]
mod check;
#[path = "../../crates/rotation/src/document.rs"]
mod document;
#[path = "../../crates/rotation/src/embedded/mod.rs"]
mod embedded;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::check_bytes(data));
