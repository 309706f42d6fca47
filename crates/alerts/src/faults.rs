//! A world in memory in which any call can go wrong: the invocation dies before or after it, its answer is lost, or it is refused.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use lambda_kit::call::CallError;

use crate::message::Message;
use crate::moment::Moment;
use crate::publish::Publisher;
use crate::store::{ItemKey, Memory, Put, Store, StoreError, Stored};

/// What goes wrong at a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The invocation dies before the call has an effect.
    DiesBefore,
    /// It has its effect, then the invocation dies.
    DiesAfter,
    /// It has its effect, and its answer is lost.
    AnswerLost,
    /// It has no effect and is refused.
    Refused,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::DiesBefore, Self::DiesAfter, Self::AnswerLost, Self::Refused];
}

/// What was published: id and status, each as often as it was.
pub type Published = Vec<(String, String)>;

#[derive(Debug, Default)]
struct Inner {
    faults: HashMap<usize, Fault>,
    calls: usize,
    writes: usize,
    dead: bool,
    published: Vec<Message>,
}

/// Store and publisher of the world.
#[derive(Debug, Default)]
pub struct World {
    memory: Memory,
    inner: Mutex<Inner>,
}

impl World {
    /// A world with these faults, by the number of the call from the beginning.
    pub fn new(faults: HashMap<usize, Fault>) -> Self {
        Self { memory: Memory::default(), inner: Mutex::new(Inner { faults, ..Inner::default() }) }
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
        self.inner().dead = false;
    }

    /// Whether the invocation died.
    pub fn is_dead(&self) -> bool {
        self.inner().dead
    }

    /// Calls so far: all, and writes.
    pub fn calls(&self) -> (usize, usize) {
        let inner = self.inner();
        (inner.calls, inner.writes)
    }

    /// What was published.
    pub fn published(&self) -> Vec<Message> {
        self.inner().published.clone()
    }

    /// Takes the fault of the next call. An error means that it has no effect.
    fn before(&self) -> Result<Option<Fault>, CallError> {
        let mut inner = self.inner();
        if inner.dead {
            return Err(CallError::without_answer("call", "the invocation is dead"));
        }
        let number = inner.calls;
        inner.calls += 1;
        let fault = inner.faults.get(&number).copied();
        match fault {
            Some(Fault::DiesBefore) => {
                inner.dead = true;
                Err(CallError::without_answer("call", "died before"))
            }
            Some(Fault::Refused) => Err(CallError::without_answer("call", "refused")),
            other => Ok(other),
        }
    }

    fn after(&self, fault: Option<Fault>) -> Result<(), CallError> {
        match fault {
            Some(Fault::DiesAfter) => {
                self.inner().dead = true;
                Err(CallError::without_answer("call", "died after"))
            }
            Some(Fault::AnswerLost) => Err(CallError::without_answer("call", "the answer was lost")),
            _ => Ok(()),
        }
    }
}

impl Store for &World {
    async fn read(&self, keys: &[ItemKey], now: Moment) -> Result<Vec<Option<Stored>>, StoreError> {
        // Others may come in between, as they may on a network.
        tokio::task::yield_now().await;
        let fault = self.before()?;
        let found = self.memory.read(keys, now).await;
        self.after(fault)?;
        found
    }

    async fn write(&self, puts: &[Put], now: Moment) -> Result<(), StoreError> {
        tokio::task::yield_now().await;
        let fault = self.before()?;
        self.inner().writes += 1;
        let written = self.memory.write(puts, now).await;
        self.after(fault)?;
        written
    }

    async fn due(&self, now: Moment, most: usize) -> Result<Vec<ItemKey>, StoreError> {
        tokio::task::yield_now().await;
        let fault = self.before()?;
        let due = self.memory.due(now, most).await;
        self.after(fault)?;
        due
    }
}

impl Publisher for &World {
    async fn publish(&self, message: &Message) -> Result<(), CallError> {
        tokio::task::yield_now().await;
        let fault = self.before()?;
        self.inner().published.push(message.clone());
        self.after(fault)
    }
}
