//! The bucket sweep: lists the buckets, a bounded number of pages in each run, and compares the
//! objects with the ledger.
//!
//! A page of a bucket is compared with the ledger's entries between its first and its last key. The
//! position is remembered by key, not by S3's token, so that it stays valid. A page is done when
//! everything found in it was handed over to the alerts. A cycle over all jobs takes as many runs
//! as the buckets have pages, divided by `pages_per_run`: with 10^6 objects, 50 pages and a
//! schedule of 5 minutes, 20 runs or 100 minutes. The report has the duration of the last cycle.

use std::collections::{HashMap, HashSet};

use alerts::incident::Incident;
use alerts::publish::Publisher;
use alerts::store::Store;
use lambda_kit::moment::Moment;
use tokio::time::Instant;

use crate::alerting::{Alerting, Handover};
use crate::error::MonitorError;
use crate::incidents::{self, Condition};
use crate::ports::{FileEntry, Ledger, Object, Objects};
use crate::report::SweepReport;
use crate::rules::objects::{Comparison, key_in_views};
use crate::settings::Settings;
use crate::state::{Cycle, SweepState, ViewsState};

/// Objects in a page of S3.
const PAGE: u16 = 1000;
/// Pages of the ledger that are read for one page of a bucket. If the ledger has more (objects that
/// were deleted after their load), the other entries are read by key.
const LEDGER_PAGES: usize = 3;

/// The bucket sweep of one run.
pub(crate) struct Sweep<'a, S, P> {
    pub(crate) settings: &'a Settings,
    pub(crate) objects: &'a dyn Objects,
    pub(crate) ledger: &'a dyn Ledger,
    pub(crate) alerting: &'a Alerting<'a, S, P>,
    /// No page is begun after this.
    pub(crate) work_until: Instant,
}

/// The jobs whose prefix this run has listed, and those that it may not list.
#[derive(Default)]
struct Listed {
    jobs: HashSet<i64>,
    denied: HashMap<i64, String>,
}

impl<S: Store, P: Publisher> Sweep<'_, S, P> {
    /// Lists some pages and compares their objects.
    pub(crate) async fn run(
        &self,
        views: &ViewsState,
        state: &mut SweepState,
        notified: &mut u32,
    ) -> Result<SweepReport, MonitorError> {
        let now = self.alerting.window.now;
        let mut report = SweepReport { last_cycle: state.last_cycle, ..SweepReport::default() };
        if views.jobs.is_empty() {
            // After a complete run, every condition that is still open is about a job that is gone.
            if views.seen_until.is_some() {
                *notified += self.reconcile(views, &Listed::default()).await?;
            }
            return Ok(report);
        }
        // Before the views were first read completely there is nothing to compare with, but a
        // listing that is denied is noticed.
        let ledger_until = views.ledger_until.unwrap_or(Moment::BEGINNING);
        let (mut listed, mut ended) = (Listed::default(), false);
        while report.pages < self.settings.pages_per_run && Instant::now() < self.work_until {
            let Some((id, job)) = views.jobs.range(state.job..).next() else {
                report.last_cycle = Some(state.end_cycle(now, views));
                // One cycle in a run is enough, unless this run only found that there was nothing
                // left of the last one.
                if report.pages > 0 || ended {
                    break;
                }
                ended = true;
                continue;
            };
            if *id != state.job {
                state.begin_job(*id);
            }
            state.began.get_or_insert(now);
            let (Some(bucket), Some(prefix)) = (&job.bucket, &job.prefix) else {
                // The run that reads the views notifies that they are unknown.
                state.begin_job(id + 1);
                continue;
            };
            report.pages += 1;
            state.pages += 1;
            let page = match self.objects.list(bucket, prefix, state.after.as_deref(), PAGE).await {
                Ok(page) => page,
                Err(error) if error.is_access_denied() || error.has_code(&["NoSuchBucket"]) => {
                    listed.denied.insert(*id, error.to_string());
                    state.begin_job(id + 1);
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            listed.jobs.insert(*id);
            let comparison = Comparison {
                settings: self.settings,
                id: *id,
                job,
                bucket,
                ledger_until,
                gaps: &views.gaps,
                missing: &state.missing,
                missing_before: &state.missing_before,
                now,
            };
            let entries = self.entries_for(*id, &page.objects).await?;
            let compared = comparison.compare(&page.objects, &entries);
            report.too_old += compared.too_old;
            state.newest_of_pass = state.newest_of_pass.max(compared.newest);
            if let Some(newest) = compared.newest {
                let known = state.newest.entry(*id).or_insert(newest);
                *known = (*known).max(newest);
            }
            state.missing.extend(compared.missing);
            match self.alerting.record_new(compared.incidents).await? {
                Handover::Done(sent) => *notified += sent,
                Handover::Incomplete => break,
            }
            report.objects += page.objects.len() as u64;
            state.objects += page.objects.len() as u64;
            match page.objects.last() {
                Some(last) if page.more => state.after = Some(last.key.clone()),
                _ => state.end_job(*id),
            }
        }
        *notified += self.reconcile(views, &listed).await?;
        Ok(report)
    }

    /// Reconciles which of the listed jobs may not be listed.
    async fn reconcile(&self, views: &ViewsState, listed: &Listed) -> Result<u32, MonitorError> {
        let now = self.alerting.window.now;
        let denied = listed.denied.iter().filter_map(|(id, message)| {
            let job = views.jobs.get(id)?;
            Some(incidents::listing_denied(&self.settings.watched, *id, job, message, now))
        });
        let found: Vec<Incident> = denied.collect();
        let resolution = |condition: Condition, job: Option<i64>| match job {
            Some(id) if !views.jobs.contains_key(&id) => Some(incidents::JOB_GONE),
            Some(id) => listed.jobs.contains(&id).then(|| condition.resolution()),
            None => None,
        };
        match self.alerting.reconcile("bucket", &found, resolution, now).await? {
            Handover::Done(notified) => Ok(notified),
            // The next run covers the same jobs again.
            Handover::Incomplete => Ok(0),
        }
    }

    /// Returns the ledger's entries for the objects of a page, by key.
    async fn entries_for(
        &self,
        job: i64,
        objects: &[Object],
    ) -> Result<HashMap<String, FileEntry>, MonitorError> {
        let (Some(first), Some(last)) = (objects.first(), objects.last()) else { return Ok(HashMap::new()) };
        let wanted: HashSet<&str> = objects.iter().map(|object| key_in_views(&object.key)).collect();
        let mut found = HashMap::new();
        let mut after: Option<String> = None;
        for _ in 0..LEDGER_PAGES {
            let page = self
                .ledger
                .entries_between(job, key_in_views(&first.key), &last.key, after.as_deref())
                .await?;
            let entries = page.entries.into_iter().filter(|entry| wanted.contains(entry.key.as_str()));
            found.extend(entries.map(|entry| (entry.key.clone(), entry)));
            let Some(next) = page.next else { return Ok(found) };
            after = Some(next);
        }
        let read_until = after.unwrap_or_default();
        let rest: Vec<String> =
            wanted.into_iter().filter(|key| *key > read_until.as_str()).map(str::to_owned).collect();
        for some in rest.chunks(100) {
            let entries = self.ledger.entries_of(job, some).await?;
            found.extend(entries.into_iter().map(|entry| (entry.key.clone(), entry)));
        }
        Ok(found)
    }
}

impl SweepState {
    /// Begins with the first page of a job.
    fn begin_job(&mut self, id: i64) {
        (self.job, self.after, self.newest_of_pass) = (id, None, None);
    }

    /// Ends a job whose pages were all listed. An object that was the newest one in an earlier pass
    /// may be in the ledger now.
    fn end_job(&mut self, id: i64) {
        match self.newest_of_pass {
            Some(newest) => self.newest.insert(id, newest),
            None => self.newest.remove(&id),
        };
        self.begin_job(id + 1);
    }

    /// Ends the current cycle over all jobs and returns it.
    fn end_cycle(&mut self, now: Moment, views: &ViewsState) -> Cycle {
        let began = self.began.take().unwrap_or(now);
        let cycle = Cycle { seconds: now.since(began).as_secs(), pages: self.pages, objects: self.objects };
        self.last_cycle = Some(cycle);
        (self.pages, self.objects) = (0, 0);
        self.begin_job(0);
        self.missing_before = std::mem::take(&mut self.missing);
        self.newest.retain(|id, _| views.jobs.contains_key(id));
        cycle
    }
}
