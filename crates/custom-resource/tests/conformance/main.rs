//! The protocol of CloudFormation custom resources, kept by this crate: each test is one sentence of it.
//!
//! The answers go to a real HTTP server, and what is compared is the whole body of every PUT that arrived. What holds
//! for every case (the URL arrives as it was, no Content-Type, a right Content-Length, at most 4096 bytes, no secret in a log)
//! is checked in `support`.
//!
//! Source of the rules: "Custom resource request and response reference" of the CloudFormation user guide and
//! "Asynchronous invocation" of the Lambda developer guide.

// The helpers of a test are outside of `#[test]` functions, which is all that clippy.toml exempts.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod deadline;
mod delivery;
mod life_cycle;
mod malformed;
mod process;
mod properties;
mod start;
mod support;
mod waiting;
