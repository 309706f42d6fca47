//! Lists the buckets, a bounded number of pages an invocation, and compares them with the ledger.
//!
//! A page of the bucket is compared with the ledger's entries between its first and its last key. The place is remembered by key, not by S3's token, so that it
//! outlives everything. A page counts as done when everything found in it is told. A cycle over all jobs takes as many invocations as the buckets have pages, divided by
//! `pages_per_run`: with 10^6 objects, 50 pages and a schedule of 5 minutes, 20 invocations or 100 minutes. The last cycle's time is in the report.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use crate::finding::{FileId, Finding, Problem, file_id, id};
use crate::moment::Moment;
use crate::monitor::{Monitor, MonitorError};
use crate::ports::{Announcer, FileEntry, FileState, Ledger, Object, Objects, Statements};
use crate::remedy;
use crate::report::{Report, SweepReport};
use crate::standing::Judged;
use crate::state::{Cycle, JobState, SWEEP, SweepState, TargetState};

/// Objects in a page of S3.
const PAGE: u16 = 1000;
/// Pages of the ledger that are read for one page of a bucket. Where the ledger has more (objects that were deleted after their load), the rest is looked up by key.
const LEDGER_PAGES: usize = 3;

impl<S: Statements, O: Objects, L: Ledger, A: Announcer> Monitor<'_, S, O, L, A> {
    /// Lists some pages and judges their objects.
    pub(crate) async fn sweep(&self, now: Moment, report: &mut Report) -> Result<SweepReport, MonitorError> {
        let (_, target) = self.target().await?;
        let (revision, mut state) = self.sweep_state().await?;
        let mut done = SweepReport { last_cycle: state.last_cycle, ..SweepReport::default() };
        // Before the first whole reading of the views there is nothing to compare with.
        if target.ledger_until.is_none() || target.jobs.is_empty() {
            return Ok(done);
        }
        let before = state.clone();
        let (mut all, mut ended) = (true, false);
        while all && done.pages < self.settings.pages_per_run && !self.out_of_time() {
            let Some((job_id, job)) = target.jobs.range(state.job..).next() else {
                let began = state.began.take().unwrap_or(now);
                let cycle =
                    Cycle { seconds: now.since(began).as_secs(), pages: state.pages, objects: state.objects };
                state.last_cycle = Some(cycle);
                done.last_cycle = Some(cycle);
                (state.job, state.after, state.pages, state.objects) = (0, None, 0, 0);
                state.newest.retain(|id, _| target.jobs.contains_key(id));
                // One cycle an invocation is enough, unless this invocation only found that there was nothing left of it.
                if done.pages > 0 || ended {
                    break;
                }
                ended = true;
                continue;
            };
            if *job_id != state.job {
                (state.job, state.after) = (*job_id, None);
            }
            state.began.get_or_insert(now);
            all = self.page_of(*job_id, job, &target, &mut state, &mut done, now, report).await?;
        }
        if state != before {
            // If another invocation listed the same pages, its place is as good as this one's.
            self.save(SWEEP, revision, &state).await?;
        }
        Ok(done)
    }

    /// One page of a job's prefix; whether everything in it is told.
    #[allow(clippy::too_many_arguments)]
    async fn page_of(
        &self,
        job_id: i64,
        job: &JobState,
        target: &TargetState,
        state: &mut SweepState,
        done: &mut SweepReport,
        now: Moment,
        report: &mut Report,
    ) -> Result<bool, MonitorError> {
        let (Some(bucket), Some(prefix)) = (&job.bucket, &job.prefix) else {
            // The reader of the views tells that they are not known.
            (state.job, state.after) = (job_id + 1, None);
            return Ok(true);
        };
        done.pages += 1;
        state.pages += 1;
        let listed = self.objects.list(bucket, prefix, state.after.as_deref(), PAGE).await;
        let refused =
            listed.as_ref().err().filter(|error| error.is_refusal() || error.has_code(&["NoSuchBucket"]));
        let refusal = refused.map(ToString::to_string);
        // Told by the second invocation that is refused: its beginning is then written down, so that each one tells the same.
        let judged = Judged {
            key: format!("list:{job_id}"),
            holds: refusal.is_some(),
            patience: Duration::from_micros(1),
        };
        let finding = state.standings.judge(&judged, now, |since| {
            let id = id(&[
                &self.settings.watched.name,
                "CannotList",
                &job_id.to_string(),
                &since.micros().to_string(),
            ]);
            let problem =
                Problem::CannotList { bucket: bucket.clone(), message: refusal.clone().unwrap_or_default() };
            self.finding(id, problem, Some(&job.name), since, now, remedy::list(bucket, prefix))
        });
        let (told, all) = self.tell_all(finding.as_slice(), now).await?;
        report.told += told;
        if refusal.is_some() {
            (state.job, state.after) = (job_id + 1, None);
            return Ok(all);
        }
        let (objects, more) = listed?;
        let last = objects.last().map(|object| object.key.clone());

        let findings = self.compare(job_id, job, bucket, target, &objects, state, done, now).await?;
        let (told, told_all) = self.tell_all(&findings, now).await?;
        report.told += told;
        if !(all && told_all) {
            return Ok(false);
        }
        done.objects += objects.len() as u64;
        state.objects += objects.len() as u64;
        match last {
            Some(key) if more => state.after = Some(key),
            _ => (state.job, state.after) = (job_id + 1, None),
        }
        Ok(true)
    }

    #[allow(clippy::too_many_arguments)]
    async fn compare(
        &self,
        job_id: i64,
        job: &JobState,
        bucket: &str,
        target: &TargetState,
        objects: &[Object],
        state: &mut SweepState,
        done: &mut SweepReport,
        now: Moment,
    ) -> Result<Vec<Finding>, MonitorError> {
        let from = job.first_seen.max(self.settings.remembered_since(now));
        let grace = self.settings.job(&job.name).grace;
        let judged_until = target.ledger_until.unwrap_or(Moment::BEGINNING).minus(grace);
        let entries = self.entries_for(job_id, objects).await?;
        let mut candidates = Vec::new();
        for object in objects {
            if object.size == 0 && object.key.ends_with('/') {
                // A folder as the console makes it.
                continue;
            }
            if object.modified < from {
                done.not_judged += 1;
                continue;
            }
            let newest = state.newest.entry(job_id).or_insert(object.modified);
            *newest = (*newest).max(object.modified);
            let file =
                FileId { bucket: bucket.to_owned(), key: object.key.clone(), etag: object.etag.clone() };
            let watched = &self.settings.watched.name;
            match entries.get(in_views(&object.key)) {
                Some(entry) if entry.state == FileState::Loaded && entry.etag != object.etag => {
                    let id = file_id(watched, "Overwritten", job_id, bucket, &object.key, &object.etag);
                    let command = remedy::reload(&self.settings.watched, job, &file, false);
                    let problem = Problem::Overwritten {
                        file,
                        loaded_etag: entry.etag.clone(),
                        modified: object.modified,
                    };
                    candidates.push(self.finding(
                        id,
                        problem,
                        Some(&job.name),
                        object.modified,
                        now,
                        command,
                    ));
                }
                Some(_) => {}
                None if object.modified >= judged_until => {}
                None => {
                    // Redshift may have put it into its queue any time until the grace was over.
                    let gap = target
                        .gaps
                        .iter()
                        .find(|gap| object.modified.plus(grace) >= gap.from && object.modified <= gap.to);
                    let (id, problem, command) = match gap {
                        Some(gap) => (
                            // Told for the first such object of the job, not for each.
                            id(&[
                                watched,
                                "UnknownFile",
                                &job_id.to_string(),
                                &gap.from.micros().to_string(),
                            ]),
                            Problem::UnknownFile { file, modified: object.modified },
                            remedy::list(bucket, job.prefix.as_deref().unwrap_or_default()),
                        ),
                        None => (
                            file_id(watched, "NeverLoaded", job_id, bucket, &object.key, &object.etag),
                            Problem::NeverLoaded {
                                file: file.clone(),
                                modified: object.modified,
                                size: object.size,
                            },
                            remedy::send_again(&file),
                        ),
                    };
                    candidates.push(self.finding(
                        id,
                        problem,
                        Some(&job.name),
                        object.modified,
                        now,
                        command,
                    ));
                }
            }
        }
        let mut untold = self.untold(candidates.iter().map(|finding| finding.id.clone()).collect()).await?;
        // Each once, though many objects may have led to the same one.
        candidates.retain(|finding| untold.remove(&finding.id));
        Ok(candidates)
    }

    /// The ledger's entries for the objects of a page.
    async fn entries_for(
        &self,
        job: i64,
        objects: &[Object],
    ) -> Result<HashMap<String, FileEntry>, MonitorError> {
        let (Some(first), Some(last)) = (objects.first(), objects.last()) else { return Ok(HashMap::new()) };
        let wanted: HashSet<&str> = objects.iter().map(|object| in_views(&object.key)).collect();
        let mut found = HashMap::new();
        let mut after: Option<String> = None;
        for _ in 0..LEDGER_PAGES {
            let (entries, next) =
                self.ledger.entries(job, in_views(&first.key), &last.key, after.as_deref()).await?;
            found.extend(
                entries
                    .into_iter()
                    .filter(|entry| wanted.contains(entry.key.as_str()))
                    .map(|entry| (entry.key.clone(), entry)),
            );
            let Some(next) = next else { return Ok(found) };
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

/// A key as the views show it: without the blanks at its end, which they pad with.
fn in_views(key: &str) -> &str {
    key.trim_end_matches(' ')
}
