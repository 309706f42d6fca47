//! Reads the result of a run: hands rejected files over to the alerts, and load states to the
//! ledger.
//!
//! The marks move forward only after everything that was found was handed over. If a run ends
//! early, the next one reads the same rows again, and the alerts know what was notified.

use std::collections::BTreeMap;

use alerts::incident::IncidentKey;
use alerts::publish::Publisher;
use alerts::store::Store;
use lambda_kit::moment::Moment;
use tokio::time::Instant;

use crate::alerting::{Alerting, Handover};
use crate::commands;
use crate::error::MonitorError;
use crate::incidents::{self, Condition};
use crate::ports::{FileEntry, FileState, Ledger, Object, Objects};
use crate::report::{Outcome, Report};
use crate::rules::files::Awaited;
use crate::rules::jobs;
use crate::rules::marks::{self, FilesRead};
use crate::settings::Settings;
use crate::state::{JobState, ViewsState};
use crate::views::{ManualLoad, RejectedFile, Snapshot, Views};

/// The scope of the conditions that a result shows.
pub(crate) const VIEWS: &str = "views";

/// The reading of one result.
pub(crate) struct Reading<'a, S, P> {
    pub(crate) settings: &'a Settings,
    pub(crate) objects: &'a dyn Objects,
    pub(crate) ledger: &'a dyn Ledger,
    pub(crate) alerting: &'a Alerting<'a, S, P>,
    /// No page is begun after this.
    pub(crate) work_until: Instant,
    /// The start of the run: the views are read as of then.
    pub(crate) started: Moment,
}

impl<S: Store, P: Publisher> Reading<'_, S, P> {
    /// Reads a result to its end and changes the state accordingly.
    ///
    /// `newest` has the newest object of each job in its bucket that Redshift has not noticed. The
    /// outcome is [`Outcome::Partly`] if the result has to be read again.
    pub(crate) async fn run(
        &self,
        views: &mut Views<'_>,
        state: &mut ViewsState,
        newest: &BTreeMap<i64, Moment>,
        report: &mut Report,
    ) -> Result<Outcome, MonitorError> {
        let snapshot = views.snapshot().await?;
        // The steps below need the names and prefixes of the jobs, also of a new one.
        jobs::sync_jobs(self.settings, state, &snapshot, self.started);
        if !self.rejected_files(views, state, &snapshot, report).await? {
            return Ok(Outcome::Partly);
        }
        let Some(files) = self.files(views, state, report).await? else { return Ok(Outcome::Partly) };
        report.rows += files.rows;
        self.loads(views, report).await?;
        if !self.manual_loads(views, state, &files, report).await? {
            return Ok(Outcome::Partly);
        }
        self.conditions(state, &snapshot, newest, &files, report).await
    }

    /// Hands the rejected files over. Returns false if the result has to be read again.
    async fn rejected_files(
        &self,
        views: &mut Views<'_>,
        state: &mut ViewsState,
        snapshot: &Snapshot,
        report: &mut Report,
    ) -> Result<bool, MonitorError> {
        let watched = &self.settings.watched;
        let mut awaited = Awaited::new(self.settings, &state.awaited, self.started, self.alerting.window.now);
        let (mut next, mut is_complete) = (None, true);
        loop {
            if self.is_out_of_time() {
                return Ok(false);
            }
            let page = views.rejected(next).await?;
            let key = |file: &RejectedFile| {
                incidents::rejected_key(watched, file.job, &file.bucket, &file.key, &file.etag)
            };
            let new = self.alerting.new_ones(page.items, key).await?;
            let mut found = Vec::new();
            for file in awaited.sort_out(new) {
                let unknown = JobState::default();
                let job = state.jobs.get(&file.job).unwrap_or(&unknown);
                let sole_key = self.is_sole_key(&file).await;
                let message = snapshot.message(file.job, &file.bucket, &file.key);
                found.push(incidents::rejected(watched, job, &file, sole_key, message));
                report.jobs.entry(file.job).or_default().rejected += 1;
            }
            is_complete &= self.hand_over(self.alerting.record(found).await?, report);
            next = page.next;
            if next.is_none() {
                break;
            }
        }
        state.awaited = awaited.after;
        Ok(is_complete)
    }

    /// Returns true if no other key begins with the file's key. `FROM` is a prefix: a COPY of this
    /// key would load every key that begins with it.
    async fn is_sole_key(&self, file: &RejectedFile) -> bool {
        match self.objects.list(&file.bucket, &file.key, None, 2).await {
            Ok(page) => !page.more && page.objects.len() <= 1,
            Err(error) => {
                tracing::warn!(bucket = file.bucket, %error, "could not check whether another key begins with the key of a rejected file");
                false
            }
        }
    }

    /// Writes the load states of the view into the ledger. Returns `None` if the result has to be read
    /// again.
    async fn files(
        &self,
        views: &mut Views<'_>,
        state: &ViewsState,
        report: &mut Report,
    ) -> Result<Option<FilesRead>, MonitorError> {
        let (mut read, mut next, mut is_complete) = (FilesRead::default(), None, true);
        loop {
            if self.is_out_of_time() {
                return Ok(None);
            }
            let page = views.files(next).await?;
            read.add(&page.items, page.count);
            let (loaded, others): (Vec<FileEntry>, Vec<FileEntry>) =
                page.items.into_iter().partition(|entry| entry.state == FileState::Loaded);
            self.ledger.put_loaded(&loaded).await?;
            for entry in &others {
                self.ledger.put_not_loaded(entry).await?;
            }
            is_complete &= self.loaded_under_new_name(&loaded, state, report).await?;
            next = page.next;
            if next.is_none() {
                return Ok(is_complete.then_some(read));
            }
        }
    }

    /// Resolves the rejected files whose copy under the new name in their alert is loaded. Returns
    /// false if the result has to be read again.
    async fn loaded_under_new_name(
        &self,
        loaded: &[FileEntry],
        state: &ViewsState,
        report: &mut Report,
    ) -> Result<bool, MonitorError> {
        let mut resolved = Vec::new();
        for copy in loaded {
            let Some(key) = copy.key.strip_suffix(commands::NEW_NAME_SUFFIX) else { continue };
            let Some(bucket) = state.jobs.get(&copy.job).and_then(|job| job.bucket.as_deref()) else {
                continue;
            };
            let entry = self.entry(copy.job, key).await?;
            resolved.extend(entry.and_then(|entry| self.rejected_before(&entry, bucket, copy.enqueued)));
        }
        let done = self.alerting.resolve(resolved, incidents::LOADED_UNDER_NEW_NAME).await?;
        Ok(self.hand_over(done, report))
    }

    async fn entry(&self, job: i64, key: &str) -> Result<Option<FileEntry>, MonitorError> {
        Ok(self.ledger.entries_of(job, &[key.to_owned()]).await?.into_iter().next())
    }

    /// Returns the incident of a file, with its beginning, if the file was rejected before this time.
    fn rejected_before(
        &self,
        entry: &FileEntry,
        bucket: &str,
        time: Moment,
    ) -> Option<(IncidentKey, Moment)> {
        let watched = &self.settings.watched;
        let is_rejected = entry.state == FileState::Rejected && entry.enqueued < time;
        is_rejected.then(|| {
            let key = incidents::rejected_key(watched, entry.job, bucket, &entry.key, &entry.etag);
            (key, entry.enqueued)
        })
    }

    async fn loads(&self, views: &mut Views<'_>, report: &mut Report) -> Result<(), MonitorError> {
        let mut next = None;
        loop {
            let page = views.loads(next).await?;
            for loads in page.items {
                let job = report.jobs.entry(loads.job).or_default();
                job.rows += loads.rows;
                job.files += loads.files;
            }
            next = page.next;
            if next.is_none() {
                return Ok(());
            }
        }
    }

    /// Takes in the loads of exactly one key by a COPY without a job: resolves the rejected file, and
    /// writes an object that Redshift never noticed into the ledger. Returns false if the result has
    /// to be read again.
    async fn manual_loads(
        &self,
        views: &mut Views<'_>,
        state: &ViewsState,
        files: &FilesRead,
        report: &mut Report,
    ) -> Result<bool, MonitorError> {
        let (mut next, mut is_complete) = (None, true);
        loop {
            let page = views.manual_loads(next).await?;
            let mut resolved = Vec::new();
            for load in &page.items {
                let jobs = state.jobs.iter().filter(|(_, job)| job.reads(&load.bucket, &load.key));
                for (job, _) in jobs {
                    match self.entry(*job, &load.key).await? {
                        Some(entry) => {
                            resolved.extend(self.rejected_before(&entry, &load.bucket, load.ended));
                        }
                        // Every file that was noticed before the load is in the ledger.
                        None if files.are_complete(self.settings, self.started, load.ended) => {
                            self.note_unnoticed(*job, load).await?;
                        }
                        None => {}
                    }
                }
            }
            let done = self.alerting.resolve(resolved, incidents::LOADED_MANUALLY).await?;
            is_complete &= self.hand_over(done, report);
            next = page.next;
            if next.is_none() {
                return Ok(is_complete);
            }
        }
    }

    /// Writes an object that Redshift never noticed, and that a COPY without a job has loaded, into
    /// the ledger.
    async fn note_unnoticed(&self, job: i64, load: &ManualLoad) -> Result<(), MonitorError> {
        let page = match self.objects.list(&load.bucket, &load.key, None, 1).await {
            Ok(page) => page,
            Err(error) => {
                tracing::warn!(bucket = load.bucket, %error, "could not read the object that a COPY without a job loaded");
                return Ok(());
            }
        };
        // A COPY of a prefix has loaded other objects. A later object is not what was loaded.
        let is_loaded = |object: &Object| object.key == load.key && object.modified <= load.ended;
        if let Some(object) = page.objects.into_iter().find(is_loaded) {
            let entry = FileEntry {
                job,
                key: object.key,
                etag: object.etag,
                size: Some(object.size),
                modified: object.modified,
                enqueued: load.ended,
                state: FileState::Loaded,
            };
            self.ledger.put_loaded(&[entry]).await?;
        }
        Ok(())
    }

    /// Evaluates the conditions of the reader and of the jobs, and moves the marks.
    async fn conditions(
        &self,
        state: &mut ViewsState,
        snapshot: &Snapshot,
        newest: &BTreeMap<i64, Moment>,
        files: &FilesRead,
        report: &mut Report,
    ) -> Result<Outcome, MonitorError> {
        let (settings, started) = (self.settings, self.started);
        let (mut events, mut found) = (Vec::new(), Vec::new());
        let is_complete = snapshot.is_complete(state);
        if is_complete {
            events.extend(jobs::remove_gone(settings, state, snapshot, started));
            found = jobs::evaluate(settings, state, snapshot, newest, started, &mut report.jobs);
            events.extend(marks::note_gap(settings, state, started));
            marks::advance(settings, state, snapshot, files, started);
        } else {
            let (user, access) = (snapshot.user_name.as_deref(), snapshot.access.as_str());
            found.push(incidents::access_restricted(&settings.watched, user, access, started));
        }
        let handover = self.alerting.record_new(events).await?;
        if !self.hand_over(handover, report) {
            return Ok(Outcome::Partly);
        }
        let resolution = |condition: Condition, job: Option<i64>| {
            // Unless the reader sees everything, nothing about the jobs is known to be over.
            let is_covered = is_complete || condition == Condition::ViewsUnreadable;
            let exists = job.is_none_or(|id| snapshot.jobs.contains_key(&id));
            is_covered.then(|| if exists { condition.resolution() } else { incidents::JOB_GONE })
        };
        let handover = self.alerting.reconcile(VIEWS, &found, resolution, started).await?;
        Ok(if self.hand_over(handover, report) { Outcome::Read } else { Outcome::Partly })
    }

    fn hand_over(&self, handover: Handover, report: &mut Report) -> bool {
        match handover {
            Handover::Done(notified) => {
                report.notified += notified;
                true
            }
            Handover::Incomplete => false,
        }
    }

    fn is_out_of_time(&self) -> bool {
        Instant::now() >= self.work_until
    }
}
