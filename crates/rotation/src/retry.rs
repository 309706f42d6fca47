//! Repeats failed attempts, with pauses of random length, until the deadline.

use std::fmt;
use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::engine::EngineError;
use crate::error::RotationError;

/// Secrets Manager repeats the whole rotation, so one step needs only a few attempts.
const ATTEMPTS: u32 = 6;
/// The first pause is a random part of this; each later one of twice as much, the fifth and last of
/// 3.2 seconds.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// An error that a repeated attempt may not have.
pub trait Transient: fmt::Display + Into<RotationError> {
    /// Returns true if the same attempt may succeed in a moment.
    fn is_transient(&self) -> bool;

    /// Returns the pause that the other side requires before the next attempt.
    fn retry_after(&self) -> Duration {
        Duration::ZERO
    }
}

impl Transient for EngineError {
    fn is_transient(&self) -> bool {
        Self::is_transient(self)
    }
}

/// Repeats attempts until a deadline.
pub struct Retry {
    deadline: Instant,
    random: Mutex<fastrand::Rng>,
}

impl Retry {
    /// Creates a policy that starts no attempt after `deadline` and cancels one that still runs
    /// then.
    pub fn until(deadline: Instant, random: fastrand::Rng) -> Self {
        Self { deadline, random: Mutex::new(random) }
    }

    /// Returns the deadline.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Repeats `attempt` until it succeeds, fails permanently, or reaches the deadline.
    ///
    /// # Errors
    /// The last error, or a timeout during `what`.
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
                return Err(RotationError::TimedOut(what));
            };
            let error = match result {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            if attempts == ATTEMPTS
                || !error.is_transient()
                || !self.pause(error.retry_after(), longest).await
            {
                return Err(error.into());
            }
            tracing::warn!(what, error = %error, "attempt failed; retrying");
            longest *= 2;
        }
    }

    /// Pauses for `least` and a random part of `longest`. Returns false, at once, if the pause
    /// would end after the deadline.
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
        EngineError::ServerUnreachable { server, problem: "refused".into() }
    }

    fn retry(seconds: u64) -> Retry {
        Retry::until(Instant::now() + Duration::from_secs(seconds), fastrand::Rng::with_seed(7))
    }

    #[tokio::test(start_paused = true)]
    async fn transient_error_is_retried_until_it_is_gone() {
        let tries = Cell::new(0);
        let retry = retry(60);
        let result = retry.run("log in", async || {
            tries.set(tries.get() + 1);
            if tries.get() < 5 { Err(unreachable()) } else { Ok("in") }
        });
        assert_eq!(result.await.unwrap(), "in");
    }

    #[tokio::test(start_paused = true)]
    async fn last_error_is_returned_after_six_attempts_or_at_the_deadline() {
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
