//! The jobs of a warehouse that load files.
//!
//! A file that fails badly or waits for a lock holds up its own job only: jobs load side by side,
//! each one file at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};

/// A job: its database and its id.
pub(crate) type JobKey = (String, i64);

/// Maximum of files that one warehouse loads at a time. Each takes three of PostgreSQL's
/// connections.
const MAX_FILES: usize = 8;

/// The state of a warehouse's jobs.
#[derive(Debug)]
pub struct Loading {
    state: Mutex<State>,
    files: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct State {
    /// Held while a job loads a file, by the worker or by COPY JOB RUN.
    turns: BTreeMap<JobKey, Arc<tokio::sync::Mutex<()>>>,
    /// The jobs whose pending files are being loaded by the worker.
    running: BTreeSet<JobKey>,
}

impl Default for Loading {
    fn default() -> Self {
        Self { state: Mutex::default(), files: Arc::new(Semaphore::new(MAX_FILES)) }
    }
}

/// The right to load one file.
#[derive(Debug)]
pub(crate) struct FilePermit {
    _turn: OwnedMutexGuard<()>,
    /// `None` only if the semaphore is closed, which never happens.
    _file: Option<OwnedSemaphorePermit>,
}

/// A run of a job by the worker; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Run {
    loading: Arc<Loading>,
    job: JobKey,
}

impl Drop for Run {
    fn drop(&mut self) {
        self.loading.state().running.remove(&self.job);
    }
}

impl Loading {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the job loads no file and the warehouse has room for one more.
    pub(crate) async fn file(&self, job: JobKey) -> FilePermit {
        let turn = Arc::clone(self.state().turns.entry(job).or_default());
        let turn = turn.lock_owned().await;
        FilePermit { _turn: turn, _file: Arc::clone(&self.files).acquire_owned().await.ok() }
    }

    /// Starts a run of a job, or returns `None` if it is running.
    pub(crate) fn start(self: &Arc<Self>, job: JobKey) -> Option<Run> {
        let new = self.state().running.insert(job.clone());
        new.then(|| Run { loading: Arc::clone(self), job })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_job_loads_one_file_at_a_time_and_others_go_on() {
        let loading = Loading::default();
        let first = loading.file(("dev".into(), 1)).await;
        let _other = loading.file(("dev".into(), 2)).await;
        let second = loading.file(("dev".into(), 1));
        let mut second = std::pin::pin!(second);
        assert!(futures_util::poll!(second.as_mut()).is_pending());
        drop(first);
        assert!(futures_util::poll!(second.as_mut()).is_ready());
    }

    #[test]
    fn a_job_has_one_run_until_it_ends() {
        let loading = Arc::new(Loading::default());
        let run = loading.start(("dev".into(), 1)).expect("not running");
        assert!(loading.start(("dev".into(), 1)).is_none());
        assert!(loading.start(("other".into(), 1)).is_some());
        drop(run);
        assert!(loading.start(("dev".into(), 1)).is_some());
    }
}
