//! Replays the seeds of the fuzz target `properties`. Not part of the published crate, because the
//! seeds belong to the repository.

// Shared with the fuzz target, which is a crate of its own.
#![allow(unreachable_pub, dead_code)]

#[path = "../../../fuzz/checks/properties.rs"]
mod check;

use custom_resource::properties;

#[test]
fn seeds_of_the_property_parser_hold() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/properties");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        check::check_bytes(&std::fs::read(entry.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count >= 20, "{count} seeds");
}
