//! Rules for objects: which of them were never loaded, or overwritten after their load.

use std::collections::HashMap;

use alerts::incident::Incident;
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
    pub(crate) now: Moment,
}

/// The result of a comparison.
#[derive(Debug, Default)]
pub(crate) struct Compared {
    pub(crate) incidents: Vec<Incident>,
    /// The newest of the objects.
    pub(crate) newest: Option<Moment>,
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
            compared.newest = compared.newest.max(Some(object.modified));
            compared.incidents.extend(self.evaluate(object, entries.get(key_in_views(&object.key))));
        }
        compared
    }

    fn evaluate(&self, object: &Object, entry: Option<&FileEntry>) -> Option<Incident> {
        let Self { id, job, bucket, .. } = *self;
        let watched = &self.settings.watched;
        let grace = self.settings.job(&job.name).grace;
        match entry {
            Some(entry) if entry.state == FileState::Loaded && entry.etag != object.etag => {
                Some(incidents::overwritten(watched, id, job, bucket, object, &entry.etag))
            }
            Some(_) => None,
            None if object.modified >= self.ledger_until.minus(grace) => None,
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
