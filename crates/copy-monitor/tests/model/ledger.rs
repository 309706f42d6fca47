//! A ledger in memory.

use std::collections::{BTreeMap, HashMap};

use copy_monitor::ports::{Document, EntryPage, FileEntry};

/// The content of the ledger's table.
#[derive(Default)]
pub(crate) struct Table {
    pub(crate) documents: HashMap<String, Document>,
    pub(crate) files: BTreeMap<(i64, String), FileEntry>,
}

impl Table {
    pub(crate) fn save(&mut self, name: &str, revision: u64, body: &str) -> bool {
        let current = self.documents.get(name).map_or(0, |document| document.revision);
        if current == revision {
            let document = Document { revision: revision + 1, body: body.to_owned() };
            self.documents.insert(name.to_owned(), document);
        }
        current == revision
    }

    pub(crate) fn put_not_loaded(&mut self, entry: &FileEntry) {
        let key = (entry.job, entry.key.clone());
        if self.files.get(&key).is_none_or(|known| known.state <= entry.state) {
            self.files.insert(key, entry.clone());
        }
    }

    pub(crate) fn entries(
        &self,
        job: i64,
        first: &str,
        last: &str,
        after: Option<&str>,
        page: usize,
    ) -> EntryPage {
        let mut entries: Vec<_> = self
            .files
            .range((job, first.to_owned())..=(job, last.to_owned()))
            .map(|(_, entry)| entry.clone())
            .filter(|entry| after.is_none_or(|after| entry.key.as_str() > after))
            .take(page + 1)
            .collect();
        let more = entries.len() > page;
        entries.truncate(page);
        let next = entries.last().filter(|_| more).map(|entry| entry.key.clone());
        EntryPage { entries, next }
    }
}
