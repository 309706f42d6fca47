//! A ledger and a receiver in memory.

use std::collections::{BTreeMap, HashMap, HashSet};

use lambda_kit::call::CallError;

use crate::finding::Finding;
use crate::moment::Moment;
use crate::ports::{Claimed, Document, FileEntry, FileState};

/// What DynamoDB would hold.
#[derive(Default)]
pub(super) struct Table {
    pub(super) documents: HashMap<String, Document>,
    pub(super) files: BTreeMap<(i64, String), FileEntry>,
    findings: HashMap<String, (Option<Moment>, String, Moment)>,
    /// Every call of the receiver, in order.
    pub(super) received: Vec<Finding>,
}

impl Table {
    pub(super) fn save(&mut self, name: &str, revision: u64, body: &str) -> bool {
        let current = self.documents.get(name).map_or(0, |document| document.revision);
        if current == revision {
            let document = Document { revision: revision + 1, body: body.to_owned() };
            self.documents.insert(name.to_owned(), document);
        }
        current == revision
    }

    pub(super) fn put_unloaded(&mut self, entry: &FileEntry) {
        let rank = |state: FileState| match state {
            FileState::Waiting => 0,
            FileState::Failed => 1,
            FileState::Loaded => 2,
        };
        let key = (entry.job, entry.key.clone());
        if self.files.get(&key).is_none_or(|known| rank(known.state) <= rank(entry.state)) {
            self.files.insert(key, entry.clone());
        }
    }

    pub(super) fn entries(
        &self,
        job: i64,
        first: &str,
        last: &str,
        after: Option<&str>,
        page: usize,
    ) -> (Vec<FileEntry>, Option<String>) {
        let mut found: Vec<_> = self
            .files
            .range((job, first.to_owned())..=(job, last.to_owned()))
            .map(|(_, entry)| entry.clone())
            .filter(|entry| after.is_none_or(|after| entry.key.as_str() > after))
            .take(page + 1)
            .collect();
        let more = found.len() > page;
        found.truncate(page);
        let next = found.last().filter(|_| more).map(|entry| entry.key.clone());
        (found, next)
    }

    pub(super) fn told_among(&self, ids: &[String]) -> HashSet<String> {
        assert!(ids.len() <= 100);
        let told = |id: &&String| self.findings.get(*id).is_some_and(|(told, ..)| told.is_some());
        ids.iter().filter(told).cloned().collect()
    }

    pub(super) fn claim(&mut self, id: &str, holder: &str, now: Moment, until: Moment) -> Claimed {
        match self.findings.get(id) {
            Some((Some(_), ..)) => Claimed::Told,
            Some((None, by, held)) if *held > now && by != holder => Claimed::ByAnother,
            _ => {
                self.findings.insert(id.to_owned(), (None, holder.to_owned(), until));
                Claimed::Yes
            }
        }
    }

    pub(super) fn told(&mut self, id: &str, now: Moment) {
        if let Some((told, ..)) = self.findings.get_mut(id) {
            told.get_or_insert(now);
        }
    }

    /// Findings that were taken up and are not noted as told.
    pub(super) fn unfinished(&self) -> impl Iterator<Item = &String> {
        self.findings.iter().filter(|(_, (told, ..))| told.is_none()).map(|(id, _)| id)
    }

    pub(super) fn release(&mut self, id: &str, holder: &str) {
        if self.findings.get(id).is_some_and(|(told, by, _)| told.is_none() && by == holder) {
            self.findings.remove(id);
        }
    }
}

pub(super) fn broken(action: &str) -> CallError {
    CallError::without_answer(action, "the connection broke")
}
