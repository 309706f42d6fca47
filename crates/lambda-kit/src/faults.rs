//! Faults in the calls of whatever is tested: it dies, calls fail, answers are lost.

use std::collections::HashMap;
use std::future::{Future, pending};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// What happens to one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The function dies; the call was never made.
    DiesBefore,
    /// The function dies; the call has had its effect.
    DiesAfter,
    /// The call had its effect, and its answer is an error.
    AnswerLost,
    /// The call fails without effect.
    Fails,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::DiesBefore, Self::DiesAfter, Self::AnswerLost, Self::Fails];
}

/// Calls that are counted, with faults at some numbers.
pub struct Faults {
    plan: Mutex<Plan>,
    death: Notify,
}

struct Plan {
    faults: HashMap<usize, Fault>,
    calls: usize,
}

impl Faults {
    /// Faults by number of the call, counted from 0.
    pub fn new(faults: HashMap<usize, Fault>) -> Self {
        Self { plan: Mutex::new(Plan { faults, calls: 0 }), death: Notify::new() }
    }

    /// One more.
    pub fn add(&self, call: usize, fault: Fault) {
        self.plan().faults.insert(call, fault);
    }

    /// Calls that were made.
    pub fn calls(&self) -> usize {
        self.plan().calls
    }

    /// Waits until a fault kills the function.
    pub async fn died(&self) {
        self.death.notified().await;
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One call, with what happens to it. `None`: its answer is an error.
    pub async fn call<T>(&self, call: impl Future<Output = T>) -> Option<T> {
        let fault = {
            let mut plan = self.plan();
            let number = plan.calls;
            plan.calls += 1;
            plan.faults.remove(&number)
        };
        match fault {
            None => Some(call.await),
            Some(Fault::Fails) => None,
            Some(Fault::AnswerLost) => {
                call.await;
                None
            }
            Some(dies) => {
                if dies == Fault::DiesAfter {
                    call.await;
                }
                self.death.notify_one();
                pending().await
            }
        }
    }
}
