//! The ports on the world in memory, with faults at calls of given numbers and pauses between them.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use alerts::message::Message;
use alerts::notification::Notification;
use alerts::publish::Publisher;
use alerts::store::{ItemKey, Put, Store, StoreError, StoredItem};
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Error;
use aws_smithy_types::error::ErrorMetadata;
use copy_monitor::ports::{Call, Document, EntryPage, FileEntry, Ledger, Listing, Objects, Statements};
use futures_util::future::{BoxFuture, FutureExt};
use lambda_kit::call::CallError;
use lambda_kit::moment::Moment;
use test_support::alerts::MemoryStore;
use test_support::faults::{Fault, Faults};
use warehouse::batch::{Page, Progress};

use crate::alerts::Alert;
use crate::ledger::Table;
use crate::world::{BUCKET, Batch, World};

/// The state that the invocations share.
pub(crate) struct Shared {
    world: Mutex<World>,
    table: Mutex<Table>,
    /// The state of the alert pipeline.
    pub(crate) alerts: MemoryStore,
    published: Mutex<Vec<Alert>>,
    /// The alerts in the order in which they were first written into an outbox.
    recorded: Mutex<Vec<Alert>>,
}

impl Shared {
    pub(crate) fn new(world: World) -> Self {
        Self {
            world: Mutex::new(world),
            table: Mutex::default(),
            alerts: MemoryStore::default(),
            published: Mutex::default(),
            recorded: Mutex::default(),
        }
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn published(&self) -> MutexGuard<'_, Vec<Alert>> {
        self.published.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn recorded(&self) -> MutexGuard<'_, Vec<Alert>> {
        self.recorded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the alerts that a transaction wrote into outboxes for the first time.
    fn note_recorded(&self, puts: &[Put], now: Moment) {
        let mut recorded = self.recorded();
        for put in puts {
            let state: serde_json::Value = serde_json::from_str(&put.body).unwrap_or_default();
            for entry in state["outbox"].as_array().into_iter().flatten() {
                let notification: Notification =
                    serde_json::from_value(entry["notification"].clone()).unwrap();
                if !recorded.iter().any(|alert| alert.id() == notification.id) {
                    recorded.push(Alert::new(&Message::of(&notification), now));
                }
            }
        }
    }
}

/// The ports of one invocation.
pub(crate) struct Ports<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) faults: Faults,
    /// Pauses before calls, so that concurrent invocations interleave.
    pauses: Mutex<fastrand::Rng>,
    pub(crate) calls: Mutex<HashMap<&'static str, u32>>,
    /// The number of entries in a page of the ledger.
    ledger_page: usize,
}

pub(crate) fn broken(action: &str) -> CallError {
    CallError::without_answer(action, "the connection broke")
}

impl<'a> Ports<'a> {
    pub(crate) fn new(shared: &'a Shared, faults: HashMap<usize, Fault>, seed: u64) -> Self {
        let pauses = Mutex::new(fastrand::Rng::with_seed(seed));
        Self { shared, faults: Faults::new(faults), pauses, calls: Mutex::default(), ledger_page: 3 }
    }

    async fn call<T>(&self, action: &'static str, call: impl Future<Output = T>) -> Result<T, CallError> {
        let pauses = self.pauses.lock().unwrap_or_else(PoisonError::into_inner).u8(..3);
        for _ in 0..pauses {
            tokio::task::yield_now().await;
        }
        *self.calls.lock().unwrap_or_else(PoisonError::into_inner).entry(action).or_default() += 1;
        self.faults.call(call).await.ok_or_else(|| broken(action))
    }
}

impl Store for &Ports<'_> {
    async fn read(&self, keys: &[ItemKey], now: Moment) -> Result<Vec<Option<StoredItem>>, StoreError> {
        self.call("alerts read", (&self.shared.alerts).read(keys, now)).await?
    }

    async fn write(&self, puts: &[Put], now: Moment) -> Result<(), StoreError> {
        let write = async {
            (&self.shared.alerts).write(puts, now).await?;
            self.shared.note_recorded(puts, now);
            Ok(())
        };
        self.call("alerts write", write).await?
    }

    async fn due(&self, now: Moment, max_items: usize) -> Result<Vec<ItemKey>, StoreError> {
        self.call("alerts due", (&self.shared.alerts).due(now, max_items)).await?
    }
}

impl Publisher for &Ports<'_> {
    async fn publish(&self, message: &Message) -> Result<(), CallError> {
        let publish = async {
            let now = self.shared.world().now;
            self.shared.published().push(Alert::new(message, now));
        };
        self.call("publish", publish).await
    }
}

impl Statements for Ports<'_> {
    fn start<'a>(&'a self, name: &'a str, token: &'a str, statements: &'a [String]) -> Call<'a, String> {
        let start = async move {
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
        async { self.call("start", start).await? }.boxed()
    }

    fn progress<'a>(&'a self, id: &'a str) -> Call<'a, Progress> {
        let progress = async move { self.shared.world().batches[number(id)].progress.clone() };
        self.call("progress", progress).boxed()
    }

    fn page<'a>(&'a self, id: &'a str, statement: usize, next: Option<String>) -> Call<'a, Page> {
        let page = async move {
            let world = self.shared.world();
            let at = next.map_or(0, |next| next.parse().unwrap());
            let results = world.batches[number(id)].results.get(statement - 1);
            results.map(|pages: &Vec<Page>| pages[at].clone()).ok_or_else(|| broken("the result is gone"))
        };
        async { self.call("page", page).await? }.boxed()
    }

    fn cancel<'a>(&'a self, id: &'a str) -> BoxFuture<'a, ()> {
        let cancel = async move {
            let batch = &mut self.shared.world().batches[number(id)];
            if batch.progress == Progress::OnTheWay {
                batch.progress = Progress::Aborted("cancelled".to_owned());
            }
        };
        async { drop(self.call("cancel", cancel).await) }.boxed()
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
    fn list<'a>(
        &'a self,
        bucket: &'a str,
        prefix: &'a str,
        after: Option<&'a str>,
        limit: u16,
    ) -> Call<'a, Listing> {
        let list = async move {
            let world = self.shared.world();
            assert_eq!(bucket, BUCKET);
            if world.denied.as_deref() == Some(prefix) {
                return Err(denied());
            }
            let limit = usize::from(limit).min(world.page);
            let mut objects: Vec<_> = world
                .objects
                .range(prefix.to_owned()..)
                .map(|(_, object)| object.clone())
                .take_while(|object| object.key.starts_with(prefix))
                .filter(|object| after.is_none_or(|after| object.key.as_str() > after))
                .take(limit + 1)
                .collect();
            let more = objects.len() > limit;
            objects.truncate(limit);
            Ok(Listing { objects, more })
        };
        async { self.call("list", list).await? }.boxed()
    }
}

impl Ledger for Ports<'_> {
    fn document<'a>(&'a self, name: &'a str) -> Call<'a, Option<Document>> {
        let read = async move { self.shared.table().documents.get(name).cloned() };
        self.call("document", read).boxed()
    }

    fn save<'a>(&'a self, name: &'a str, revision: u64, body: &'a str) -> Call<'a, bool> {
        let save = async move { self.shared.table().save(name, revision, body) };
        self.call("save", save).boxed()
    }

    fn put_loaded<'a>(&'a self, entries: &'a [FileEntry]) -> Call<'a, ()> {
        let put = async move {
            let mut table = self.shared.table();
            for entry in entries {
                table.files.insert((entry.job, entry.key.clone()), entry.clone());
            }
        };
        self.call("put_loaded", put).boxed()
    }

    fn put_not_loaded<'a>(&'a self, entry: &'a FileEntry) -> Call<'a, ()> {
        let put = async move { self.shared.table().put_not_loaded(entry) };
        self.call("put_not_loaded", put).boxed()
    }

    fn entries_between<'a>(
        &'a self,
        job: i64,
        first: &'a str,
        last: &'a str,
        after: Option<&'a str>,
    ) -> Call<'a, EntryPage> {
        let read = async move { self.shared.table().entries(job, first, last, after, self.ledger_page) };
        self.call("entries_between", read).boxed()
    }

    fn entries_of<'a>(&'a self, job: i64, keys: &'a [String]) -> Call<'a, Vec<FileEntry>> {
        let read = async move {
            let table = self.shared.table();
            keys.iter().filter_map(|key| table.files.get(&(job, key.clone())).cloned()).collect()
        };
        self.call("entries_of", read).boxed()
    }
}
