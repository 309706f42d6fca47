//! Arbitrary JSON as the properties of a custom resource.
#![no_main]
#![allow(dead_code)]

#[path = "../checks/properties.rs"]
mod check;
#[path = "../../crates/custom-resource/src/properties.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::check_bytes(data));
