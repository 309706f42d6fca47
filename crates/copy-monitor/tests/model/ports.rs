//! The ports on the world in memory, with faults at calls of given numbers and pauses between them.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Error;
use aws_smithy_types::error::ErrorMetadata;
use lambda_kit::call::CallError;
use lambda_kit::faults::{Fault, Faults};
use warehouse::batch::{Page, Progress};

use super::ledger::{Table, broken};
use super::world::{BUCKET, Batch, World};
use crate::finding::Finding;
use crate::moment::Moment;
use crate::ports::{Announcer, Claimed, Document, FileEntry, Ledger, Object, Objects, Statements};

/// The world and the table, shared by the invocations.
pub(super) struct Shared {
    world: Mutex<World>,
    table: Mutex<Table>,
}

impl Shared {
    pub(super) fn new(world: World) -> Self {
        Self { world: Mutex::new(world), table: Mutex::default() }
    }

    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The ports of one invocation.
pub(super) struct Ports<'a> {
    pub(super) shared: &'a Shared,
    pub(super) faults: Faults,
    /// Pauses before calls, so that invocations run into each other.
    pauses: Mutex<fastrand::Rng>,
    pub(super) calls: Mutex<HashMap<&'static str, u32>>,
    /// Findings that were told, as far as can be known, without an answer.
    pub(super) unanswered: Mutex<HashSet<String>>,
    /// Entries that one call of the ledger gives.
    pub(super) ledger_page: usize,
}

impl<'a> Ports<'a> {
    pub(super) fn new(shared: &'a Shared, faults: HashMap<usize, Fault>, seed: u64) -> Self {
        let pauses = Mutex::new(fastrand::Rng::with_seed(seed));
        Self {
            shared,
            faults: Faults::new(faults),
            pauses,
            calls: Mutex::default(),
            unanswered: Mutex::default(),
            ledger_page: 3,
        }
    }

    async fn call<T>(&self, action: &'static str, call: impl FnOnce() -> T) -> Result<T, CallError> {
        let pauses = self.pauses.lock().unwrap_or_else(PoisonError::into_inner).u8(..3);
        for _ in 0..pauses {
            tokio::task::yield_now().await;
        }
        *self.calls.lock().unwrap_or_else(PoisonError::into_inner).entry(action).or_default() += 1;
        self.faults.call(async { call() }).await.ok_or_else(|| broken(action))
    }
}

impl Statements for Ports<'_> {
    async fn start(&self, name: &str, token: &str, statements: &[String]) -> Result<String, CallError> {
        let start = || {
            let mut world = self.shared.world();
            if world.paused {
                return Err(CallError::without_answer("BatchExecuteStatement", "the cluster is paused"));
            }
            if let Some(at) = world.batches.iter().position(|batch| batch.token == token) {
                assert_eq!(world.batches[at].statements, statements, "one token, two requests");
                return Ok(format!("statement-{at}"));
            }
            world.batches.push(Batch {
                name: name.to_owned(),
                token: token.to_owned(),
                statements: statements.to_vec(),
                progress: Progress::OnTheWay,
                results: Vec::new(),
                ended: None,
            });
            Ok(format!("statement-{}", world.batches.len() - 1))
        };
        self.call("start", start).await?
    }

    async fn progress(&self, id: &str) -> Result<Progress, CallError> {
        self.call("progress", || self.shared.world().batches[number(id)].progress.clone()).await
    }

    async fn page(&self, id: &str, statement: usize, next: Option<String>) -> Result<Page, CallError> {
        let page = || {
            let world = self.shared.world();
            let at = next.map_or(0, |next| next.parse().unwrap());
            let results = world.batches[number(id)].results.get(statement - 1);
            results.map(|pages: &Vec<Page>| pages[at].clone()).ok_or_else(|| broken("the result is gone"))
        };
        self.call("page", page).await?
    }

    async fn cancel(&self, id: &str) {
        let cancel = || {
            let batch = &mut self.shared.world().batches[number(id)];
            if batch.progress == Progress::OnTheWay {
                batch.progress = Progress::Aborted("cancelled".to_owned());
            }
        };
        let _ = self.call("cancel", cancel).await;
    }
}

fn number(id: &str) -> usize {
    id.strip_prefix("statement-").unwrap().parse().unwrap()
}

fn denied() -> CallError {
    let code = ErrorMetadata::builder().code("AccessDenied").message("Access Denied").build();
    let error = SdkError::service_error(ListObjectsV2Error::generic(code), ());
    CallError::new("s3:ListBucket", &error)
}

impl Objects for Ports<'_> {
    async fn list(
        &self,
        bucket: &str,
        prefix: &str,
        after: Option<&str>,
        limit: u16,
    ) -> Result<(Vec<Object>, bool), CallError> {
        let list = || {
            let world = self.shared.world();
            assert_eq!(bucket, BUCKET);
            if world.denied.as_deref() == Some(prefix) {
                return Err(denied());
            }
            let limit = usize::from(limit).min(world.page);
            let mut found: Vec<_> = world
                .objects
                .range(prefix.to_owned()..)
                .map(|(_, object)| object.clone())
                .take_while(|object| object.key.starts_with(prefix))
                .filter(|object| after.is_none_or(|after| object.key.as_str() > after))
                .take(limit + 1)
                .collect();
            let more = found.len() > limit;
            found.truncate(limit);
            Ok((found, more))
        };
        self.call("list", list).await?
    }
}

impl Ledger for Ports<'_> {
    async fn document(&self, name: &str) -> Result<Option<Document>, CallError> {
        self.call("document", || self.shared.table().documents.get(name).cloned()).await
    }

    async fn save(&self, name: &str, revision: u64, body: &str) -> Result<bool, CallError> {
        self.call("save", || self.shared.table().save(name, revision, body)).await
    }

    async fn put_loaded(&self, entries: &[FileEntry]) -> Result<(), CallError> {
        let put = || {
            let mut table = self.shared.table();
            for entry in entries {
                table.files.insert((entry.job, entry.key.clone()), entry.clone());
            }
        };
        self.call("put_loaded", put).await
    }

    async fn put_unloaded(&self, entry: &FileEntry) -> Result<(), CallError> {
        self.call("put_unloaded", || self.shared.table().put_unloaded(entry)).await
    }

    async fn entries(
        &self,
        job: i64,
        first: &str,
        last: &str,
        after: Option<&str>,
    ) -> Result<(Vec<FileEntry>, Option<String>), CallError> {
        let page = self.ledger_page;
        self.call("entries", || self.shared.table().entries(job, first, last, after, page)).await
    }

    async fn entries_of(&self, job: i64, keys: &[String]) -> Result<Vec<FileEntry>, CallError> {
        let get = || {
            let table = self.shared.table();
            keys.iter().filter_map(|key| table.files.get(&(job, key.clone())).cloned()).collect()
        };
        self.call("entries_of", get).await
    }

    async fn told_among(&self, ids: &[String]) -> Result<HashSet<String>, CallError> {
        self.call("told_among", || self.shared.table().told_among(ids)).await
    }

    async fn claim(&self, id: &str, holder: &str, now: Moment, until: Moment) -> Result<Claimed, CallError> {
        self.call("claim", || self.shared.table().claim(id, holder, now, until)).await
    }

    async fn told(&self, id: &str, now: Moment) -> Result<(), CallError> {
        self.call("told", || self.shared.table().told(id, now)).await
    }

    async fn release(&self, id: &str, holder: &str) -> Result<(), CallError> {
        self.call("release", || self.shared.table().release(id, holder)).await
    }
}

impl Announcer for Ports<'_> {
    async fn announce(&self, finding: &Finding) -> Result<(), CallError> {
        let result = self.call("announce", || self.shared.table().received.push(finding.clone())).await;
        if result.is_err() {
            self.unanswered.lock().unwrap_or_else(PoisonError::into_inner).insert(finding.id.clone());
        }
        result
    }
}
