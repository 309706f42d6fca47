//! Golden files: one file for each case holds what people read of it, and a change is a difference in
//! that file.
//!
//! After an intended change, run the test with `SLUICE_UPDATE_GOLDEN=1`, then read the difference as an
//! on-call engineer would at three in the morning.

#![allow(clippy::disallowed_methods)]

use std::collections::BTreeSet;
use std::path::PathBuf;

/// A folder of golden files.
#[derive(Debug)]
pub struct Golden {
    folder: PathBuf,
    update: bool,
    expected: BTreeSet<PathBuf>,
}

impl Golden {
    /// Opens the folder `tests/golden` of the crate at this path, which is
    /// `env!("CARGO_MANIFEST_DIR")`.
    pub fn of_crate(root: &str) -> Self {
        let folder = PathBuf::from(root).join("tests/golden");
        let update = std::env::var_os("SLUICE_UPDATE_GOLDEN").is_some();
        Self { folder, update, expected: BTreeSet::new() }
    }

    /// Compares a text with the file of this name, or writes the file.
    ///
    /// # Panics
    /// They differ.
    pub fn check(&mut self, name: &str, found: &str) {
        let path = self.folder.join(name);
        if self.update {
            std::fs::create_dir_all(&self.folder).unwrap();
            std::fs::write(&path, found).unwrap();
        }
        assert_eq!(found, std::fs::read_to_string(&path).unwrap_or_default(), "{}", path.display());
        assert!(self.expected.insert(path), "two cases have the file {name}");
    }

    /// Ends the comparison.
    ///
    /// # Panics
    /// A file has no case.
    pub fn end(self) {
        let there = std::fs::read_dir(&self.folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(self.expected, there, "a golden file without a case, or the reverse");
    }
}
