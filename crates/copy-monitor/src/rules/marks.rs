//! The marks: from where the next run reads. Everything before them is notified, or in the ledger.

use alerts::incident::Incident;
use lambda_kit::moment::Moment;

use crate::incidents;
use crate::ports::{FileEntry, FileState};
use crate::settings::Settings;
use crate::state::{Cursor, Gap, ViewsState};
use crate::views::Snapshot;

/// The files that a run has read into the ledger.
#[derive(Debug, Default)]
pub(crate) struct FilesRead {
    /// The number of rows.
    pub(crate) rows: u64,
    last: Option<(Moment, i64, String)>,
    waiting: u64,
    oldest_waiting: Option<Moment>,
}

impl FilesRead {
    /// Takes in a page of so many rows.
    pub(crate) fn add(&mut self, entries: &[FileEntry], rows: u64) {
        self.rows += rows;
        if let Some(entry) = entries.last() {
            self.last = Some((entry.enqueued, entry.job, entry.key.clone()));
        }
        for entry in entries.iter().filter(|entry| entry.state == FileState::Waiting) {
            self.waiting += 1;
            self.oldest_waiting = earliest(self.oldest_waiting, Some(entry.enqueued));
        }
    }

    /// Returns true if, after this run, the ledger has every file that was put into the queue before
    /// this time.
    pub(crate) fn are_complete(&self, settings: &Settings, started: Moment, time: Moment) -> bool {
        !self.is_cut(settings) && time < started.minus(settings.view_delay)
    }

    /// Returns true if the statement returned as many rows as it may, so that there are more.
    fn is_cut(&self, settings: &Settings) -> bool {
        self.rows >= u64::from(settings.rows_per_run)
    }
}

/// Moves the marks after a run that saw everything.
pub(crate) fn advance(
    settings: &Settings,
    state: &mut ViewsState,
    snapshot: &Snapshot,
    read: &FilesRead,
    started: Moment,
) {
    // No late row can appear before this any more.
    let complete_until = started.minus(settings.view_delay);
    let oldest_waiting = snapshot.oldest_waiting();
    let awaited = state.awaited.values().map(|awaited| awaited.enqueued).min();
    state.errors_from = [oldest_waiting, awaited].into_iter().flatten().fold(complete_until, Moment::min);

    let behind: u64 = snapshot.counts.values().map(|counts| counts.waiting_behind).sum();
    let changed = behind != state.waiting_behind;
    let reached = match read.last.clone().filter(|_| read.is_cut(settings)) {
        Some((time, job, key)) => Cursor { time, row: Some((job, key)) },
        None => Cursor { time: complete_until.max(state.cursor.time), row: None },
    };
    state.ledger_until = Some(reached.time);
    if let (true, Some(from)) = (changed, earliest(state.oldest_waiting, oldest_waiting)) {
        // A file that waited when the cursor passed it has been loaded or rejected. Read it again.
        state.cursor = Cursor { time: from.min(reached.time), row: None };
        state.waiting_behind = 0;
    } else {
        state.cursor = reached;
        state.waiting_behind = behind + read.waiting;
    }
    state.oldest_waiting = earliest(oldest_waiting, read.oldest_waiting);
    state.loads_until = started;
    state.seen_until = Some(started);
}

/// Notes a period whose rows the views dropped before they were read. Returns its incident.
pub(crate) fn note_gap(settings: &Settings, state: &mut ViewsState, started: Moment) -> Option<Incident> {
    let dropped = started.minus(settings.view_retention);
    let from = state.seen_until.filter(|seen| *seen < dropped)?.minus(settings.view_delay);
    state.gaps.retain(|gap| gap.to >= settings.remembered_since(started));
    state.gaps.push(Gap { from, to: dropped });
    Some(incidents::history_unknown(&settings.watched, from, dropped))
}

fn earliest(one: Option<Moment>, other: Option<Moment>) -> Option<Moment> {
    one.into_iter().chain(other).min()
}
