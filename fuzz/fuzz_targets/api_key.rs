//! Arbitrary text as the description of a provider's API, and arbitrary values to put into its
//! requests.
//!
//! The modules of crates/rotation are compiled from their files, without the AWS SDK that the rest
//! of the crate needs.
#![no_main]
#![allow(dead_code)]

#[path = "../../crates/rotation/src/keys/adapter.rs"]
mod adapter;
#[path = "../../crates/rotation/src/keys/adapter_error.rs"]
mod adapter_error;
#[path = "../../crates/rotation/src/keys/base.rs"]
mod base;
#[path = "../checks/api_key.rs"]
mod check;
#[path = "../../crates/rotation/src/keys/request.rs"]
mod request;
#[path = "../../crates/rotation/src/keys/shape.rs"]
mod shape;
#[path = "../../crates/rotation/src/keys/template.rs"]
mod template;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::check_bytes(data));
