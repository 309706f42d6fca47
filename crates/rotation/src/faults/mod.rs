//! What proves the machine: faults at every call it makes, on a server in memory here and on real ones in `tests/`.
//!
//! A [`Drill`] is one rotation with faults at calls of given numbers, driven as Secrets Manager drives it: the four steps, and all of them
//! again when one fails. After every step, and after every death, some label's credential must log in.

mod inject;
mod memory;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::engine::{Engine, Login};
use crate::error::RotationError;
use crate::event::{RotationEvent, Step};
use crate::machine::{Done, Machine};
use crate::passwords::{Admin, Passwords, Strategy};
use crate::retry::Retry;
use crate::versions::{CURRENT, PENDING, PREVIOUS};
pub use inject::{Fault, Faulty};
pub use memory::{MemorySecret, MemoryServer};

/// The secret of a drill.
pub const SECRET: &str = "arn:secret";
/// Its first version.
pub const OLD: &str = "old-version-0123456789abcdef0123456";
/// The version that the rotation makes.
pub const TOKEN: &str = "new-version-0123456789abcdef0123456";

/// The secret of the admin, where there is one.
pub const ADMIN: &str = "arn:admin";

/// All strategies, with their names.
pub fn strategies() -> [(&'static str, Strategy); 3] {
    let admin = || Admin { secret: ADMIN.to_owned(), host: None };
    [
        ("single user", Strategy::SingleUser),
        ("single user by admin", Strategy::SingleUserByAdmin(admin())),
        ("alternating users", Strategy::AlternatingUsers(admin())),
    ]
}

/// One rotation with faults.
pub struct Drill<'a, E> {
    /// The versions, and what happens to their calls and the engine's.
    pub faulty: Faulty<&'a MemorySecret, &'a E>,
    /// Whether every step is sent twice.
    pub twice: bool,
    /// Whether the server keeps a single user's old password beside the new one.
    pub keeps_old: bool,
    strategy: Strategy,
}

impl<'a, E: Engine> Drill<'a, E> {
    /// With faults by number of the call.
    pub fn new(secret: &'a MemorySecret, engine: &'a E, faults: HashMap<usize, Fault>) -> Self {
        let faulty = Faulty::new(secret, engine, faults);
        Self { faulty, twice: false, keeps_old: false, strategy: Strategy::SingleUser }
    }

    /// The same by another strategy.
    pub fn by(self, strategy: Strategy) -> Self {
        Self { strategy, ..self }
    }

    /// Whether the credential that clients have read goes on working until the next rotation.
    fn overlaps(&self) -> bool {
        self.keeps_old || self.alternates()
    }

    fn alternates(&self) -> bool {
        matches!(self.strategy, Strategy::AlternatingUsers(_))
    }

    /// Sends one step. `None`: the function died.
    pub async fn step(&self, step: Step) -> Option<Result<Done, RotationError>> {
        let event = RotationEvent {
            step,
            secret_id: SECRET.into(),
            client_request_token: TOKEN.into(),
            rotation_token: None,
        };
        let retry = Retry::until(Instant::now() + Duration::from_secs(20), fastrand::Rng::with_seed(1));
        let target = Passwords::new(&self.faulty, self.strategy.clone());
        let machine = Machine { versions: &self.faulty, target: &target, retry: &retry };
        tokio::select! {
            biased;
            () = self.faulty.died() => None,
            result = machine.run(&event) => Some(result),
        }
    }

    /// Rotates until it is done; gives the number of calls that the machine made.
    ///
    /// # Errors
    /// What does not hold, in a sentence.
    pub async fn run(&self) -> Result<usize, String> {
        'attempt: for _ in 0..50 {
            for step in Step::ALL {
                for _ in 0..=usize::from(self.twice) {
                    let result = self.step(step).await;
                    self.some_label_logs_in().await?;
                    if !matches!(result, Some(Ok(_))) {
                        continue 'attempt;
                    }
                }
            }
            self.finished().await?;
            return Ok(self.faulty.calls());
        }
        Err("the rotation never ended".to_owned())
    }

    async fn some_label_logs_in(&self) -> Result<(), String> {
        // The very credential that clients use, if users take turns or the server keeps it.
        if self.overlaps() && !self.logs_in(CURRENT).await? {
            return Err("AWSCURRENT does not log in".to_owned());
        }
        for label in [CURRENT, PENDING, PREVIOUS] {
            if self.logs_in(label).await? {
                return Ok(());
            }
        }
        Err("no label's credential logs in".to_owned())
    }

    async fn logs_in(&self, label: &str) -> Result<bool, String> {
        let Some(document) = self.faulty.versions.document(label) else { return Ok(false) };
        let Ok(account) = self.faulty.engine.account(&document) else { return Ok(false) };
        let login = self.faulty.engine.log_in(&account).await.map_err(|error| error.to_string())?;
        Ok(login == Login::Accepted)
    }

    /// What must hold when the rotation has ended.
    async fn finished(&self) -> Result<(), String> {
        let secret = self.faulty.versions;
        if !self.logs_in(CURRENT).await? {
            return Err("AWSCURRENT does not log in".to_owned());
        }
        if self.logs_in(PREVIOUS).await? != self.overlaps() {
            let not = if self.overlaps() { "does not log in any more" } else { "still logs in" };
            return Err(format!("AWSPREVIOUS {not}"));
        }
        if secret.labels(TOKEN) != [CURRENT] || secret.labels(OLD) != [PREVIOUS] || secret.count() != 2 {
            return Err(format!("labels are not as after a rotation, or a version is orphaned: {secret:?}"));
        }
        let rest = |label| {
            let mut map = secret.document(label)?.into_map();
            map.remove("password");
            if self.alternates() {
                map.remove("username");
            }
            Some(map)
        };
        if rest(CURRENT) != rest(PREVIOUS) {
            return Err("another key than those of the credential changed".to_owned());
        }
        Ok(())
    }
}
