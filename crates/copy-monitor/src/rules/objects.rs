//! Rules for objects: which of them were never loaded, or overwritten after their load.

use std::collections::{BTreeMap, HashMap};

use alerts::incident::{Incident, digest};
use lambda_kit::moment::Moment;

use crate::incidents;
use crate::ports::{FileEntry, FileState, Object};
use crate::settings::Settings;
use crate::state::{Gap, JobState};

/// A job whose objects are compared with the ledger.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Comparison<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) id: i64,
    pub(crate) job: &'a JobState,
    pub(crate) bucket: &'a str,
    /// The ledger has every file that was put into the queue before this.
    pub(crate) ledger_until: Moment,
    pub(crate) gaps: &'a [Gap],
    /// Objects that were uploaded in parts and are not in the ledger, with the time at which they
    /// were first listed.
    pub(crate) missing: &'a BTreeMap<String, Moment>,
    pub(crate) missing_before: &'a BTreeMap<String, Moment>,
    pub(crate) now: Moment,
}

/// The number of objects whose first listing is remembered. Of further ones the time of the object
/// counts.
const MAX_MISSING: usize = 1000;

/// The result of a comparison.
#[derive(Debug, Default)]
pub(crate) struct Compared {
    pub(crate) incidents: Vec<Incident>,
    /// The newest of the objects that Redshift has not noticed: the others are loaded or rejected, or
    /// the views show that they wait.
    pub(crate) newest: Option<Moment>,
    /// Objects that were uploaded in parts and are not in the ledger.
    pub(crate) missing: BTreeMap<String, Moment>,
    /// The number of objects that are too old to be checked.
    pub(crate) too_old: u64,
}

impl Comparison<'_> {
    /// Compares objects with the ledger's entries of their keys.
    pub(crate) fn compare(&self, objects: &[Object], entries: &HashMap<String, FileEntry>) -> Compared {
        let from = self.job.first_seen.max(self.settings.remembered_since(self.now));
        let mut compared = Compared::default();
        // A folder as the console creates it is no file.
        for object in objects.iter().filter(|object| object.size > 0 || !object.key.ends_with('/')) {
            if object.modified < from {
                compared.too_old += 1;
                continue;
            }
            let entry = entries.get(key_in_views(&object.key));
            let mut exists_since = object.modified;
            if entry.is_none() {
                exists_since = self.exists_since(object, &mut compared.missing);
                // Until the ledger is complete up to its time, nothing is known about an object.
                let is_unnoticed = exists_since < self.ledger_until;
                compared.newest = compared.newest.max(is_unnoticed.then_some(exists_since));
            }
            compared.incidents.extend(self.evaluate(object, entry, exists_since));
        }
        compared
    }

    /// Returns the time since which an object that is not in the ledger exists. The time of an object
    /// that was uploaded in parts is the beginning of its upload, which may be hours before its event.
    fn exists_since(&self, object: &Object, missing: &mut BTreeMap<String, Moment>) -> Moment {
        if !object.is_multipart() {
            return object.modified;
        }
        let id = digest(&[&self.id.to_string(), &object.key, &object.etag]);
        let known = self.missing.get(&id).or_else(|| self.missing_before.get(&id)).copied();
        if known.is_none() && self.missing.len() + missing.len() >= MAX_MISSING {
            return object.modified;
        }
        let since = known.unwrap_or(self.now);
        missing.insert(id, since);
        since
    }

    fn evaluate(&self, object: &Object, entry: Option<&FileEntry>, exists_since: Moment) -> Option<Incident> {
        let Self { id, job, bucket, .. } = *self;
        let watched = &self.settings.watched;
        let grace = self.settings.job(&job.name).grace;
        match entry {
            Some(entry) if entry.state == FileState::Loaded && !entry.is_content_of(object) => {
                Some(incidents::overwritten(watched, id, job, bucket, object, &entry.etag))
            }
            Some(_) => None,
            None if exists_since >= self.ledger_until.minus(grace) => None,
            None => {
                // Redshift may have put the object into its queue at any time in the grace period.
                let in_gap =
                    |gap: &&Gap| object.modified.plus(grace) >= gap.from && object.modified <= gap.to;
                Some(match self.gaps.iter().find(in_gap) {
                    Some(gap) => incidents::unknown(watched, id, job, bucket, object, gap),
                    None => incidents::never_loaded(watched, id, job, bucket, object),
                })
            }
        }
    }
}

/// Returns a key as the views show it: without the blanks at its end, as the views pad with blanks.
pub(crate) fn key_in_views(key: &str) -> &str {
    key.trim_end_matches(' ')
}
