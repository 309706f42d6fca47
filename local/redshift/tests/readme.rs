//! The README's list of behaviours names existing tests, and every integration test.
#![allow(clippy::expect_used, reason = "tests")]

use std::collections::BTreeSet;
use std::path::Path;

/// The names of all test functions below a folder.
fn tests_in(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            tests_in(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).expect("UTF-8");
            let mut is_test = false;
            for line in text.lines().map(str::trim) {
                let function = line.strip_prefix("async fn ").or_else(|| line.strip_prefix("fn "));
                if let (true, Some(rest)) = (is_test, function) {
                    found.extend(rest.split('(').next().map(str::to_owned));
                    is_test = false;
                }
                is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
            }
        }
    }
}

#[test]
fn readme_names_every_test_and_no_other() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(root.join("README.md")).expect("the README");
    let (mut own, mut all) = (BTreeSet::new(), BTreeSet::new());
    tests_in(&root.join("tests"), &mut own);
    tests_in(&root.join("src"), &mut all);
    all.extend(own.iter().cloned());
    let named: BTreeSet<&str> = readme
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("Test: "))
        .flat_map(|names| names.split(',').map(|name| name.trim().trim_matches('`')))
        .collect();
    assert!(named.len() > 50, "{} tests are named", named.len());
    for name in named {
        assert!(all.contains(name), "the README names a test that does not exist: {name}");
    }
    for name in &own {
        let listed = readme.contains(name.as_str()) || name == "readme_names_every_test_and_no_other";
        assert!(listed, "the README does not name the test {name}");
    }
}
