//! For arbitrary input, no template value becomes SQL, and foreign statements stay in a policy.
//!
//! The checks are those of the fuzz targets (fuzz/README.md); here they run on generated input and
//! on the seeds.

// Shared with the fuzz targets, which are crates of their own.
#![allow(unreachable_pub, dead_code)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod corpus;
#[path = "../../../../fuzz/checks/policy.rs"]
mod policy_merge;
#[path = "../../../../fuzz/checks/sql_builder.rs"]
mod sql_builder;
mod statements;
#[path = "../../../../fuzz/checks/tokenizer.rs"]
mod tokenizer;

use warehouse::{policy, sql, value};
