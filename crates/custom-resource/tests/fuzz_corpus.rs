//! The seeds of the fuzz target `properties`, replayed. Not part of the published crate: the seeds are the repository's.

// Shared with the fuzz target, which is a crate of its own.
#![allow(unreachable_pub, dead_code)]

#[path = "../../../fuzz/checks/properties.rs"]
mod check;

use custom_resource::properties;

#[test]
fn every_seed_of_the_property_parser_holds() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/properties");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        check::check_bytes(&std::fs::read(entry.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count >= 20, "{count} seeds");
}
