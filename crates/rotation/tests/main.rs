//! Tests of the four steps of a rotation, in memory.

// Shared with the fuzz target, which is a crate of its own and has this module at its root.
#[allow(unreachable_pub)]
#[path = "../../../fuzz/checks/secret_document.rs"]
mod secret_document_check;

mod api_key;
mod machine;
mod msk;
mod planted;
mod repair;
mod run;

use rotation::document;

#[test]
#[allow(clippy::print_stdout, reason = "the seeds are for whoever reads the test's output")]
fn every_seed_of_secret_documents_holds() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/secret_document");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        println!("{}", path.display());
        secret_document_check::check_bytes(&std::fs::read(path).unwrap());
        count += 1;
    }
    assert!(count >= 16, "{count} seeds");
}
