//! Rules for rejected files: which of them are notified now, and which wait for their error.

use std::collections::BTreeMap;

use lambda_kit::moment::Moment;

use crate::incidents::rejected_id;
use crate::settings::Settings;
use crate::state::AwaitedError;
use crate::views::RejectedFile;

/// Most rejected files whose error is awaited. Further ones are notified without it.
const MAX_AWAITED: usize = 200;

/// The rejected files of one run whose error the views do not show yet.
///
/// Redshift's views do not change together: a file's error may appear some time after its status.
#[derive(Debug)]
pub(crate) struct Awaited<'a> {
    settings: &'a Settings,
    /// As of the last run.
    before: &'a BTreeMap<String, AwaitedError>,
    started: Moment,
    now: Moment,
    /// As of this run.
    pub(crate) after: BTreeMap<String, AwaitedError>,
}

impl<'a> Awaited<'a> {
    pub(crate) fn new(
        settings: &'a Settings,
        before: &'a BTreeMap<String, AwaitedError>,
        started: Moment,
        now: Moment,
    ) -> Self {
        Self { settings, before, started, now, after: BTreeMap::new() }
    }

    /// Takes in the rejected files of a page. Returns those to notify now, in the order of their
    /// times.
    pub(crate) fn sort_out(&mut self, page: Vec<RejectedFile>) -> Vec<RejectedFile> {
        let mut ready: BTreeMap<(Moment, String, String), RejectedFile> = BTreeMap::new();
        for file in page {
            let id = rejected_id(&self.settings.watched, file.job, &file.bucket, &file.key, &file.etag);
            if file.error.is_none() && self.waits(&id, &file) {
                continue;
            }
            ready.insert((file.enqueued, file.key.clone(), id), file);
        }
        ready.into_values().collect()
    }

    fn waits(&mut self, id: &str, file: &RejectedFile) -> bool {
        // Until the start of this run, not until now: the batch may have waited in between.
        let noticed = self.before.get(id).map_or(self.now, |known| known.noticed);
        let waits = self.started.since(noticed) < self.settings.view_delay && self.after.len() < MAX_AWAITED;
        if waits {
            self.after.insert(id.to_owned(), AwaitedError { noticed, enqueued: file.enqueued });
        }
        waits
    }
}
