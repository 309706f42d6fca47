//! Rotations of an API key with faults at calls of given numbers.
//!
//! Unlike a password, the key of AWSCURRENT works at every moment; and unlike with one, what a rotation leaves behind is the concern of the next,
//! so several are run in a row.

use std::collections::HashMap;
use std::time::Duration;

use lambda_kit::env::Env;
use tokio::time::Instant;

use super::{Fault, Faulty, MemorySecret, SECRET};
use crate::error::RotationError;
use crate::event::{RotationEvent, Step};
use crate::keys::http::Http;
use crate::keys::{Pace, config};
use crate::machine::{Done, Machine};
use crate::retry::Retry;

/// Attempts at one rotation, more than there are faults in any drill.
const ATTEMPTS: usize = 50;

/// Rotations with faults.
pub struct KeyDrill<'a, H> {
    /// The versions, and what happens to their calls and to requests.
    pub faulty: Faulty<&'a MemorySecret, &'a H>,
    /// Whether every step is sent twice.
    pub twice: bool,
    env: Env<'a>,
}

impl<'a, H: Http> KeyDrill<'a, H> {
    /// With the function's configuration, and faults by number of the call.
    pub fn new(secret: &'a MemorySecret, http: &'a H, env: Env<'a>, faults: HashMap<usize, Fault>) -> Self {
        Self { faulty: Faulty::new(secret, http, faults), twice: false, env }
    }

    /// Sends one step of the rotation that makes the version `token`. `None`: the function died.
    pub async fn step(&self, token: &str, step: Step) -> Option<Result<Done, RotationError>> {
        let event = RotationEvent {
            step,
            secret_id: SECRET.into(),
            client_request_token: token.into(),
            rotation_token: None,
        };
        let retry = Retry::until(Instant::now() + Duration::from_secs(20), fastrand::Rng::with_seed(1));
        let pace = Pace { first: Duration::from_millis(1), longest: Duration::from_millis(4) };
        // Each step is another invocation, perhaps of another process.
        let target = match config::with(self.env, &self.faulty, pace) {
            Ok(target) => target,
            Err(error) => panic!("{}", lambda_kit::call::chain(&error)),
        };
        let machine = Machine { versions: &self.faulty, target: &target, retry: &retry };
        tokio::select! {
            biased;
            () = self.faulty.died() => None,
            result = machine.run(&event) => Some(result),
        }
    }

    /// Sends the four steps until they end well, all again after one did not, at most `attempts` times. `holds` is asked after each.
    ///
    /// # Errors
    /// What does not hold; `Ok(false)` if the rotation did not end.
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

    /// The same until they end well.
    ///
    /// # Errors
    /// What does not hold.
    pub async fn rotate(&self, token: &str, holds: impl Fn() -> Result<(), String>) -> Result<(), String> {
        if self.attempts(token, ATTEMPTS, holds).await? {
            return Ok(());
        }
        Err("the rotation never ended".to_owned())
    }
}
