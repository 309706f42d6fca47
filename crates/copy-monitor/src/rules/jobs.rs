//! Rules for the jobs: which conditions hold.

use std::collections::BTreeMap;

use alerts::incident::Incident;
use lambda_kit::moment::Moment;

use crate::incidents;
use crate::report::JobReport;
use crate::settings::Settings;
use crate::state::{JobState, ViewsState};
use crate::views::{Counts, JobSnapshot, Snapshot};

/// Takes the jobs of a snapshot over into the state.
pub(crate) fn sync_jobs(all: &Settings, state: &mut ViewsState, snapshot: &Snapshot, started: Moment) {
    for (id, found) in &snapshot.jobs {
        let integration = snapshot.integration(&found.name);
        let settings = all.job(&found.name);
        let text = warehouse::job_text::read(&found.text);
        let job =
            state.jobs.entry(*id).or_insert_with(|| JobState { first_seen: started, ..JobState::default() });
        job.name.clone_from(&found.name);
        let (bucket, prefix, copy) =
            text.map_or((None, None, None), |text| (Some(text.bucket), Some(text.prefix), text.copy));
        job.bucket = settings.bucket.clone().or(bucket).or_else(|| integration?.bucket.clone());
        job.prefix = settings.prefix.clone().or(prefix);
        job.copy = copy;
        job.owner = integration.and_then(|integration| integration.owner).or(job.owner);
        job.login = all.watched.login_of(job.owner, snapshot.user());
        job.bucket_account =
            integration.and_then(|integration| integration.account.clone()).or(job.bucket_account.take());
    }
}

/// Removes the jobs that no longer exist from the state. Returns their incidents.
pub(crate) fn remove_gone(
    settings: &Settings,
    state: &mut ViewsState,
    snapshot: &Snapshot,
    started: Moment,
) -> Vec<Incident> {
    let is_gone = |id: &i64, _: &mut JobState| !snapshot.jobs.contains_key(id);
    state
        .jobs
        .extract_if(.., is_gone)
        .map(|(id, job)| incidents::gone(&settings.watched, id, &job, started))
        .collect()
}

/// Evaluates the jobs of a complete snapshot. Returns the incidents of the conditions that hold.
///
/// `newest` has the newest object of each job in its bucket that Redshift has not noticed.
pub(crate) fn evaluate(
    settings: &Settings,
    state: &mut ViewsState,
    snapshot: &Snapshot,
    newest: &BTreeMap<i64, Moment>,
    started: Moment,
    reports: &mut BTreeMap<i64, JobReport>,
) -> Vec<Incident> {
    let mut incidents = Vec::new();
    for (id, found) in &snapshot.jobs {
        let Some(job) = state.jobs.get_mut(id) else { continue };
        let counts = snapshot.counts.get(id).cloned().unwrap_or_default();
        job.take_over(&counts, newest.get(id).copied());
        let report = reports.entry(*id).or_default();
        report.name.clone_from(&job.name);
        report.waiting = counts.waiting;
        report.lag = job.waits_since.map(|since| started.since(since)).unwrap_or_default();
        incidents.extend(conditions(settings, *id, job, found, snapshot, &counts, started));
    }
    incidents
}

fn conditions(
    settings: &Settings,
    id: i64,
    job: &JobState,
    found: &JobSnapshot,
    snapshot: &Snapshot,
    counts: &Counts,
    started: Moment,
) -> Vec<Incident> {
    let (watched, settings) = (&settings.watched, settings.job(&job.name));
    let mut incidents = Vec::new();

    let integration = snapshot.integration(&job.name);
    let inactive = integration.filter(|integration| integration.is_inactive());
    if let Some(integration) = inactive {
        incidents.push(incidents::integration_inactive(watched, id, job, &integration.state, started));
    }
    if inactive.is_none() && !integration.is_some_and(|integration| integration.is_established()) {
        incidents.push(incidents::integration_missing(watched, id, job, settings.grace, started));
    }
    if !found.auto && !settings.manual {
        incidents.push(incidents::auto_off(watched, id, job, started));
    }
    if job.bucket.is_none() || job.prefix.is_none() {
        incidents.push(incidents::location_unknown(watched, id, job, started));
    }
    if let Some(oldest) =
        counts.oldest_waiting.filter(|oldest| !settings.manual && started.since(*oldest) >= settings.grace)
    {
        incidents.push(incidents::files_waiting(watched, id, job, counts, oldest, started));
    }
    if job.waits_since.is_some_and(|since| !settings.manual && started.since(since) >= settings.freshness) {
        incidents.push(incidents::stale(watched, id, job, settings.freshness, started));
    }
    incidents
}

impl JobState {
    /// Takes the numbers of a run over: the newest objects, and since when one waits.
    fn take_over(&mut self, counts: &Counts, listed: Option<Moment>) {
        self.newest_loaded = self.newest_loaded.max(counts.newest_loaded);
        self.newest_handled = self.newest_handled.max(self.newest_loaded).max(counts.newest_rejected);
        self.newest_noticed = self.newest_noticed.max(counts.newest_seen);
        self.newest_seen = self.newest_noticed.max(listed);
        self.waits_since = match (self.newest_seen, self.newest_handled) {
            (Some(seen), Some(handled)) if seen <= handled => None,
            // After a load or a rejection that is newer than the waiting object, the newest object is
            // the one that waits, as far as is known.
            (Some(seen), handled) => Some(match self.waits_since {
                Some(since) if handled.is_none_or(|handled| handled < since) => since,
                _ => seen,
            }),
            (None, _) => None,
        };
    }
}
