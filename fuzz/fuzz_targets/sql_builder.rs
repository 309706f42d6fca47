//! Arbitrary bytes as a job's properties: the statement must hold them whole, and nothing that escaped from a literal.
//!
//! The modules of crates/warehouse are compiled from their files, without the AWS SDK that the rest of the crate needs.
#![no_main]
#![allow(dead_code, unused_imports)]

#[path = "../../crates/lambda-kit/src/arn.rs"]
mod arn;
#[path = "../../crates/warehouse/src/bucket.rs"]
mod bucket;
#[path = "../../crates/warehouse/src/sql/mod.rs"]
mod sql;
#[path = "../checks/sql_builder.rs"]
mod sql_builder;
#[path = "../checks/tokenizer.rs"]
mod tokenizer;
#[path = "../../crates/warehouse/src/value.rs"]
mod value;

libfuzzer_sys::fuzz_target!(|data: &[u8]| sql_builder::check_bytes(data));
