//! The protocol of CloudFormation custom resources: each test is one rule of it.
//!
//! The responses go to a real HTTP server, and the tests compare the whole body of every PUT.
//! `support` checks the rules for every case: an unchanged URL, no Content-Type, a correct
//! Content-Length, at most 4096 bytes, no secret in a log.
//!
//! Source of the rules: "Custom resource request and response reference" of the CloudFormation user
//! guide and "Asynchronous invocation" of the Lambda developer guide.

// clippy.toml exempts `#[test]` functions only, not their helpers.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod allowed;
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
fn tests_named_in_the_readme_exist() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(folder.join("README.md")).unwrap();
    let list = readme.split("## Guarantees").nth(1).unwrap().split("\n## ").next().unwrap();
    let named: Vec<&str> = list
        .split('`')
        .skip(1)
        .step_by(2)
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
