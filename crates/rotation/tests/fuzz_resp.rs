//! The seeds of the fuzz target `resp`, replayed.

// Shared with the fuzz target, which is a crate of its own; what writes commands is not under test
// here.
#![allow(dead_code)]

#[path = "../../../fuzz/checks/resp.rs"]
mod check;
#[path = "../src/engines/resp.rs"]
mod resp;

#[test]
fn every_seed_of_the_redis_protocol_holds() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/resp");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        check::check_bytes(&std::fs::read(entry.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count >= 12, "{count} seeds");
}
