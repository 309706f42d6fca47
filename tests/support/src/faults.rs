//! Schedules of faults: the tested code crashes, its calls fail, responses are lost.

use std::collections::HashMap;
use std::future::{Future, pending};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// A fault of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The function crashes before the call.
    DiesBefore,
    /// The function crashes after the call, which has had its effect.
    DiesAfter,
    /// The call has its effect, and its response is an error.
    AnswerLost,
    /// The call fails without effect.
    Fails,
}

impl Fault {
    /// All faults.
    pub const ALL: [Self; 4] = [Self::DiesBefore, Self::DiesAfter, Self::AnswerLost, Self::Fails];
}

/// A counter of calls, some of which have a fault.
#[derive(Debug)]
pub struct Faults {
    plan: Mutex<Plan>,
    death: Notify,
}

#[derive(Debug)]
struct Plan {
    faults: HashMap<usize, Fault>,
    calls: usize,
    dead: bool,
}

/// The reason why [`Faults::try_call`] has no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// The function crashed, in this call or an earlier one.
    #[error("the function crashed")]
    Dead,
    /// The call had its effect.
    #[error("the response was lost")]
    AnswerLost,
    /// The call had no effect.
    #[error("refused")]
    Refused,
}

impl Faults {
    /// Creates a schedule of faults by the number of the call, counted from 0.
    pub fn new(faults: HashMap<usize, Fault>) -> Self {
        Self { plan: Mutex::new(Plan { faults, calls: 0, dead: false }), death: Notify::new() }
    }

    /// Returns the number of faults that did not happen yet.
    pub fn left(&self) -> usize {
        self.plan().faults.len()
    }

    /// Adds a fault.
    pub fn add(&self, call: usize, fault: Fault) {
        self.plan().faults.insert(call, fault);
    }

    /// Returns the number of calls so far.
    pub fn calls(&self) -> usize {
        self.plan().calls
    }

    /// Waits until a fault crashes the function.
    pub async fn died(&self) {
        self.death.notified().await;
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns true if the function crashed in [`Faults::try_call`].
    pub fn is_dead(&self) -> bool {
        self.plan().dead
    }

    /// Starts another invocation.
    pub fn revive(&self) {
        self.plan().dead = false;
    }

    /// Counts a call and takes its fault.
    fn next(&self) -> Option<Fault> {
        let mut plan = self.plan();
        let number = plan.calls;
        plan.calls += 1;
        plan.faults.remove(&number)
    }

    /// Makes a call, for code that a crash does not end. After a crash every call is an error, without
    /// effect and not counted, until [`Faults::revive`].
    ///
    /// # Errors
    /// The fault of the call.
    pub async fn try_call<T>(&self, call: impl Future<Output = T>) -> Result<T, Broken> {
        if self.is_dead() {
            return Err(Broken::Dead);
        }
        let fault = self.next();
        match fault {
            None => return Ok(call.await),
            Some(Fault::Fails) => return Err(Broken::Refused),
            Some(Fault::DiesBefore) => {}
            Some(Fault::AnswerLost | Fault::DiesAfter) => drop(call.await),
        }
        if fault == Some(Fault::AnswerLost) {
            return Err(Broken::AnswerLost);
        }
        self.plan().dead = true;
        Err(Broken::Dead)
    }

    /// Makes a call with its fault. Returns `None` if its response is an error.
    pub async fn call<T>(&self, call: impl Future<Output = T>) -> Option<T> {
        match self.next() {
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

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test]
    async fn fault_has_its_effect_and_a_crash_ends_the_invocation() {
        for (fault, effect, broken) in [
            (Fault::DiesBefore, 0, Broken::Dead),
            (Fault::DiesAfter, 1, Broken::Dead),
            (Fault::AnswerLost, 1, Broken::AnswerLost),
            (Fault::Fails, 0, Broken::Refused),
        ] {
            let (faults, effects) = (Faults::new(HashMap::from([(1, fault)])), Cell::new(0));
            let call = || async { effects.set(effects.get() + 1) };
            assert_eq!(faults.try_call(call()).await, Ok(()));
            assert_eq!(faults.try_call(call()).await, Err(broken), "{fault:?}");
            assert_eq!(effects.get(), 1 + effect, "{fault:?}");
            if broken == Broken::Dead {
                assert!(faults.is_dead());
                assert_eq!(faults.try_call(call()).await, Err(Broken::Dead));
                faults.revive();
            }
            assert_eq!((faults.try_call(call()).await, faults.calls()), (Ok(()), 3), "{fault:?}");
            assert_eq!(effects.get(), 2 + effect, "{fault:?}");
        }
    }
}
