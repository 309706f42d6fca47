//! Texts that hold an API key, rewritten for arbitrary other keys.
//!
//! The modules of crates/rotation are compiled from their files, without the AWS SDK that the rest
//! of the crate needs.
#![no_main]
#![allow(dead_code, unexpected_cfgs, unused_imports)]

#[path = "../checks/key_texts.rs"]
mod check;
#[path = "../../crates/rotation/src/keys/embed.rs"]
mod embed;
#[path = "../../crates/rotation/src/embedded/mod.rs"]
mod embedded;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::check_bytes(data));
