//! The seeds of the fuzz targets, replayed.

use std::path::PathBuf;

use crate::{policy_merge, sql_builder};

fn seeds(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut seeds: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), std::fs::read(&path).unwrap()))
        .collect();
    seeds.sort();
    seeds
}

#[test]
fn seeds_of_the_sql_builder_hold() {
    let seeds = seeds("sql_builder");
    let (mut accepted, mut refused) = (0, 0);
    for (path, data) in &seeds {
        let given = sql_builder::read(data);
        let built = sql_builder::build(&given);
        // A seed's name has the expected result.
        let name = path.file_name().unwrap().to_str().unwrap();
        let expected = name.starts_with("accepted-");
        assert!(expected || name.starts_with("refused-"), "{name}");
        assert_eq!(built.is_ok(), expected, "{name}: {:?}", built.err());
        if expected {
            accepted += 1
        } else {
            refused += 1
        }
        sql_builder::check_bytes(data);
    }
    assert!(accepted >= 15 && refused >= 15, "{accepted} accepted, {refused} refused");
}

#[test]
fn seeds_of_the_policy_merge_hold() {
    let seeds = seeds("policy");
    assert!(seeds.len() >= 10, "{}", seeds.len());
    for (_, data) in &seeds {
        policy_merge::check_bytes(data);
    }
}
