//! Arbitrary text as the policy that is there, and arbitrary statements to merge into it.
#![no_main]
#![allow(dead_code)]

#[path = "../../crates/lambda-kit/src/arn.rs"]
mod arn;
#[path = "../checks/policy.rs"]
mod check;
#[path = "../../crates/warehouse/src/policy/document.rs"]
mod policy;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::check_bytes(data));
