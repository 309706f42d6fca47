//! The table of behaviours names tests that exist, and no integration test is missing in it.
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
fn every_behaviour_in_the_readme_has_its_test_and_every_test_of_this_folder_its_line() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(root.join("README.md")).expect("the README");
    let (mut own, mut all) = (BTreeSet::new(), BTreeSet::new());
    tests_in(&root.join("tests"), &mut own);
    tests_in(&root.join("src"), &mut all);
    all.extend(own.iter().cloned());
    let rows: Vec<&str> =
        readme.lines().filter(|line| line.starts_with("| ") && line.matches(" | ").count() == 2).collect();
    assert!(rows.len() > 50, "the tables are read");
    for row in rows {
        let cell = row.trim_end_matches('|').rsplit(" | ").next().unwrap_or_default().trim();
        let is_name = !cell.is_empty()
            && cell.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        if is_name && cell != "test" {
            assert!(all.contains(cell), "the README names a test that is not there: {cell}");
        }
    }
    for name in &own {
        let listed = readme.contains(name.as_str()) || name.starts_with("every_behaviour_in_the_readme");
        assert!(listed, "the README does not name the test {name}");
    }
}
