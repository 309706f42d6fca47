//! A world in memory in which any call can go wrong: the invocation dies before or after it, its answer is lost, or it is refused.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};

use lambda_kit::call::CallError;
use lambda_kit::faults::Faults;

pub use lambda_kit::faults::Fault;

use crate::message::Message;
use crate::moment::Moment;
use crate::publish::Publisher;
use crate::store::{ItemKey, Memory, Put, Store, StoreError, Stored};

#[derive(Debug, Default)]
struct Inner {
    writes: usize,
    published: Vec<Message>,
}

/// Store and publisher of the world.
#[derive(Debug)]
pub struct World {
    memory: Memory,
    faults: Faults,
    inner: Mutex<Inner>,
}

impl Default for World {
    fn default() -> Self {
        Self::new(HashMap::new())
    }
}

impl World {
    /// A world with these faults, by the number of the call from the beginning.
    pub fn new(faults: HashMap<usize, Fault>) -> Self {
        Self { memory: Memory::default(), faults: Faults::new(faults), inner: Mutex::default() }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is remembered.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Begins an invocation: what died before is another one.
    pub fn revive(&self) {
        self.faults.revive();
    }

    /// Whether the invocation died.
    pub fn is_dead(&self) -> bool {
        self.faults.is_dead()
    }

    /// Calls so far: all, and writes.
    pub fn calls(&self) -> (usize, usize) {
        (self.faults.calls(), self.inner().writes)
    }

    /// What was published.
    pub fn published(&self) -> Vec<Message> {
        self.inner().published.clone()
    }

    async fn call<T>(&self, call: impl Future<Output = T>) -> Result<T, CallError> {
        // Others may come in between, as they may on a network.
        tokio::task::yield_now().await;
        let answer = self.faults.try_call(call).await;
        answer.map_err(|broken| CallError::without_answer("call", &broken.to_string()))
    }
}

impl Store for &World {
    async fn read(&self, keys: &[ItemKey], now: Moment) -> Result<Vec<Option<Stored>>, StoreError> {
        self.call(self.memory.read(keys, now)).await?
    }

    async fn write(&self, puts: &[Put], now: Moment) -> Result<(), StoreError> {
        let write = async {
            self.inner().writes += 1;
            self.memory.write(puts, now).await
        };
        self.call(write).await?
    }

    async fn due(&self, now: Moment, most: usize) -> Result<Vec<ItemKey>, StoreError> {
        self.call(self.memory.due(now, most)).await?
    }
}

impl Publisher for &World {
    async fn publish(&self, message: &Message) -> Result<(), CallError> {
        self.call(async { self.inner().published.push(message.clone()) }).await
    }
}
