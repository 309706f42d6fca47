//! Rotations of an API key with a schedule of faults.
//!
//! Unlike a password, the key of AWSCURRENT works at every moment. A rotation also cleans up after
//! the previous one, so several run in a row.

use std::collections::HashMap;
use std::time::Duration;

use lambda_kit::env::Env;
use lambda_kit::error::chain;
use lambda_kit::moment::Moment;
use rotation::error::RotationError;
use rotation::event::{RotationEvent, Step};
use rotation::keys::http::Http;
use rotation::keys::{Pace, config};
use rotation::machine::Machine;
use rotation::outcome::StepOutcome;
use rotation::retry::Retry;
use tokio::time::Instant;

use super::{Faulty, MemorySecret, SECRET};
use crate::faults::Fault;

/// The attempts at one rotation, more than there are faults in any drill.
const ATTEMPTS: usize = 50;

/// Rotations with faults.
pub struct KeyDrill<'a, H> {
    /// The versions and the provider, with faults.
    pub faulty: Faulty<&'a MemorySecret, &'a H>,
    /// Sends every step twice.
    pub twice: bool,
    env: Env<'a>,
}

impl<'a, H: Http> KeyDrill<'a, H> {
    /// Creates a drill with the function's configuration, and faults by the number of the call.
    pub fn new(secret: &'a MemorySecret, http: &'a H, env: Env<'a>, faults: HashMap<usize, Fault>) -> Self {
        Self { faulty: Faulty::new(secret, http, faults), twice: false, env }
    }

    /// Sends one step of the rotation that creates the version `token`. Returns `None` if the
    /// function crashed.
    pub async fn step(&self, token: &str, step: Step) -> Option<Result<StepOutcome, RotationError>> {
        let event = RotationEvent {
            step,
            secret_id: SECRET.into(),
            client_request_token: token.into(),
            rotation_token: None,
        };
        let retry = Retry::until(Instant::now() + Duration::from_secs(20), fastrand::Rng::with_seed(1));
        let pace = Pace { first: Duration::from_millis(1), longest: Duration::from_millis(4) };
        // Each step is another invocation, perhaps of another process.
        let rotator = match config::with(self.env, &self.faulty, pace) {
            Ok(rotator) => rotator,
            Err(error) => panic!("{}", chain(&error)),
        };
        let machine =
            Machine { versions: &self.faulty, rotator: &rotator, retry: &retry, now: Moment::BEGINNING };
        tokio::select! {
            biased;
            () = self.faulty.died() => None,
            result = machine.run(&event) => Some(result),
        }
    }

    /// Sends the four steps, from the first again after one failed, at most `attempts` times.
    /// Checks `holds` after each step. Returns false if the rotation did not end.
    ///
    /// # Errors
    /// The invariant that does not hold.
    pub async fn attempts(
        &self,
        token: &str,
        attempts: usize,
        holds: impl Fn() -> Result<(), String>,
    ) -> Result<bool, String> {
        'attempt: for _ in 0..attempts {
            for step in Step::ALL {
                for _ in 0..=usize::from(self.twice) {
                    let result = self.step(token, step).await;
                    holds().map_err(|problem| format!("after {step}: {problem}"))?;
                    if !matches!(result, Some(Ok(_))) {
                        continue 'attempt;
                    }
                }
            }
            return Ok(true);
        }
        Ok(false)
    }

    /// Sends the four steps until the rotation ends.
    ///
    /// # Errors
    /// The invariant that does not hold.
    pub async fn rotate(&self, token: &str, holds: impl Fn() -> Result<(), String>) -> Result<(), String> {
        if self.attempts(token, ATTEMPTS, holds).await? {
            return Ok(());
        }
        Err("the rotation never ended".to_owned())
    }
}
