//! Arbitrary bytes as what a Redis server answers.
#![no_main]
#![allow(dead_code)]

#[path = "../checks/resp.rs"]
mod check;
#[path = "../../crates/rotation/src/engines/resp.rs"]
mod resp;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::check_bytes(data));
