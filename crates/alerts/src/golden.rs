//! Golden files: what people read of each case stands in a file of its own, and a change shows as a difference there.
//!
//! After a change that is meant: run the test with `SLUICE_UPDATE_GOLDEN=1`, then read the difference as somebody would at three in the morning.

// Only tests use this.
#![allow(clippy::disallowed_methods, clippy::expect_used, clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::announcement::{Announcement, End, Status};
use crate::incident::Incident;
use crate::message::Message;

/// A folder of golden files, and which of them belong to a case.
#[derive(Debug)]
pub struct Golden {
    folder: PathBuf,
    update: bool,
    expected: BTreeSet<PathBuf>,
}

impl Golden {
    /// The folder `tests/golden` of the crate at this path: `env!("CARGO_MANIFEST_DIR")`.
    pub fn of_crate(root: &str) -> Self {
        let folder = PathBuf::from(root).join("tests/golden");
        let update = std::env::var_os("SLUICE_UPDATE_GOLDEN").is_some();
        Self { folder, update, expected: BTreeSet::new() }
    }

    /// Compares what was found with the file of this name, or writes it.
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

    /// Ends the comparison: no file is without its case.
    ///
    /// # Panics
    /// One is.
    pub fn end(self) {
        let there = std::fs::read_dir(&self.folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(self.expected, there, "a golden file without its case, or the other way round");
    }
}

/// What is told of an incident, as people read it, when it begins or, with an end, when it is over.
pub fn told(incident: Incident, end: Option<End>) -> String {
    let status = if end.is_some() { Status::Recovered } else { Status::Opened };
    mail(&announcement(incident, status, end))
}

/// What there is to say of an incident that happened once, with ids that are the same every time.
pub fn announcement(incident: Incident, status: Status, end: Option<End>) -> Announcement {
    Announcement {
        id: "0123456789abcdef".into(),
        thread: "fedcba9876543210".into(),
        status,
        first: incident.since,
        last: incident.since,
        incident,
        count: 1,
        end,
    }
}

/// Subject and text of the mail.
///
/// # Panics
/// The message is not JSON with a text for mails.
pub fn mail(announcement: &Announcement) -> String {
    let message = Message::of(announcement);
    let body: serde_json::Value = serde_json::from_str(&message.body).expect("a message is JSON");
    format!("Subject: {}\n\n{}", message.subject, body["email"].as_str().expect("with a text for mails"))
}
