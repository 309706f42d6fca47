//! Trying again, with pauses of random length, inside the time that is left.

use std::fmt;
use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::engine::EngineError;
use crate::error::RotationError;

/// Secrets Manager repeats the whole rotation by itself, so one step need not be endlessly patient.
const ATTEMPTS: u32 = 6;
/// The first pause is a random part of this; each later one of twice as much, the fifth and last of 3.2 seconds.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// A failure that may be gone in a moment.
pub trait Transient: fmt::Display + Into<RotationError> {
    /// Whether the same attempt may succeed in a moment.
    fn may_pass(&self) -> bool;

    /// How long the other side asks to be left alone.
    fn wait(&self) -> Duration {
        Duration::ZERO
    }
}

impl Transient for EngineError {
    fn may_pass(&self) -> bool {
        Self::may_pass(self)
    }
}

/// Until when, and with which random pauses.
pub struct Retry {
    deadline: Instant,
    random: Mutex<fastrand::Rng>,
}

impl Retry {
    /// Nothing is begun after `deadline`, and what runs by then is given up.
    pub fn until(deadline: Instant, random: fastrand::Rng) -> Self {
        Self { deadline, random: Mutex::new(random) }
    }

    /// When the time is up.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Runs `attempt` until it succeeds, fails for good, or the time is up.
    ///
    /// # Errors
    /// The last failure, or that the time ran out during `what`.
    pub async fn run<T, E, F>(&self, what: &'static str, attempt: impl Fn() -> F) -> Result<T, RotationError>
    where
        E: Transient,
        F: Future<Output = Result<T, E>>,
    {
        let mut longest = FIRST_PAUSE;
        let mut attempts = 0;
        loop {
            attempts += 1;
            let Ok(result) = tokio::time::timeout_at(self.deadline, attempt()).await else {
                return Err(RotationError::OutOfTime(what));
            };
            let error = match result {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            if attempts == ATTEMPTS || !error.may_pass() || !self.pause(error.wait(), longest).await {
                return Err(error.into());
            }
            tracing::warn!(what, error = %error, "tried again");
            longest *= 2;
        }
    }

    /// Waits for `least` and a random part of `longest`; `false`, at once, if the time would be up by then.
    pub async fn pause(&self, least: Duration, longest: Duration) -> bool {
        let random = self.random.lock().unwrap_or_else(PoisonError::into_inner).f64();
        let end = Instant::now() + least + longest.mul_f64(random);
        if end >= self.deadline {
            return false;
        }
        tokio::time::sleep_until(end).await;
        true
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::engine::Server;

    fn unreachable() -> EngineError {
        let server = Server { host: "h".into(), port: 1, database: "d".into() };
        EngineError::Unreachable { server, problem: "refused".into() }
    }

    fn retry(seconds: u64) -> Retry {
        Retry::until(Instant::now() + Duration::from_secs(seconds), fastrand::Rng::with_seed(7))
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_pass_is_tried_until_it_does() {
        let tries = Cell::new(0);
        let retry = retry(60);
        let result = retry.run("log in", async || {
            tries.set(tries.get() + 1);
            if tries.get() < 5 { Err(unreachable()) } else { Ok("in") }
        });
        assert_eq!(result.await.unwrap(), "in");
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_failure_is_told_after_six_attempts_or_when_the_time_is_up() {
        for (seconds, least, most) in [(20, 6, 6), (1, 2, 5)] {
            let (begun, tries) = (Instant::now(), Cell::new(0));
            let retry = retry(seconds);
            let result = retry.run("log in", async || {
                tries.set(tries.get() + 1);
                Err::<(), _>(unreachable())
            });
            assert_eq!(result.await.unwrap_err().name(), "ServerUnreachable");
            assert!((least..=most).contains(&tries.get()), "{} attempts in {seconds} s", tries.get());
            assert!(begun.elapsed() <= Duration::from_secs(seconds));
        }
        let error =
            retry(20).run("log in", async || std::future::pending::<Result<(), EngineError>>().await).await;
        assert_eq!(error.unwrap_err().name(), "TimedOut");
    }
}
