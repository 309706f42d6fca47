//! Faults in the calls of whatever is tested: it dies, calls fail, answers are lost.

use std::collections::HashMap;
use std::future::{Future, pending};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// A fault of one call.
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

/// Why a call of [`Faults::try_call`] has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// The function is dead, by this call or by an earlier one.
    #[error("the function is dead")]
    Dead,
    /// It had its effect.
    #[error("the answer was lost")]
    AnswerLost,
    /// It had none.
    #[error("refused")]
    Refused,
}

impl Faults {
    /// Faults by number of the call, counted from 0.
    pub fn new(faults: HashMap<usize, Fault>) -> Self {
        Self { plan: Mutex::new(Plan { faults, calls: 0, dead: false }), death: Notify::new() }
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

    /// True if the function died in a call of [`Faults::try_call`].
    pub fn is_dead(&self) -> bool {
        self.plan().dead
    }

    /// Begins another invocation.
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

    /// One call, for what is not itself ended by a death: after it every call is an error, without effect and not counted, until [`Faults::revive`].
    ///
    /// # Errors
    /// The error.
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

    /// One call, with what happens to it. `None`: its answer is an error.
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
    async fn each_fault_has_its_effect_or_not_and_a_death_lasts_until_the_next_invocation() {
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
