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

#[test]
fn every_test_that_the_readme_names_is_there() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(folder.join("README.md")).unwrap();
    let table = readme.lines().filter(|line| line.starts_with("| "));
    let named: Vec<&str> = table
        .flat_map(|line| line.rsplit('|').nth(1).unwrap().split('`').skip(1).step_by(2))
        .filter(|name| name.contains("::") && !name.ends_with("::*") && !name.starts_with("support::"))
        .collect();
    assert!(named.len() > 15, "{named:?}");
    for name in named {
        let (module, test) = name.split_once("::").unwrap();
        let (file, test) = match test.strip_prefix("tests::") {
            Some(test) => (format!("src/{module}.rs"), test),
            None => (format!("tests/conformance/{module}.rs"), test),
        };
        let source = std::fs::read_to_string(folder.join(&file)).unwrap();
        let there = source.contains(&format!("fn {test}(")) || source.contains(&format!("    {test}:"));
        assert!(there, "{file} has no test {test}");
    }
}
