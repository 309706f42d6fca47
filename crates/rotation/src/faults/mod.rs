//! What proves the machine: faults at every call it makes, on a server in memory here and on real ones in `tests/`.
//!
//! A [`Drill`] is one rotation with faults at calls of given numbers, driven as Secrets Manager drives it: the four steps, and all of them
//! again when one fails. After every step, and after every death, some label's credential must log in.

mod inject;
#[cfg(all(test, feature = "api-key"))]
mod key_answers;
#[cfg(feature = "api-key")]
mod key_drill;
#[cfg(feature = "api-key")]
mod key_provider;
#[cfg(all(test, feature = "api-key"))]
mod key_tests;
mod load;
mod memory;
mod random;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use crate::action::{Acted, ActionEvent, Occasion};
use crate::engine::{Engine, Login};
use crate::error::RotationError;
use crate::event::{RotationEvent, Step};
use crate::machine::{Done, Machine};
use crate::passwords::{Admin, Passwords, Strategy};
use crate::retry::Retry;
use crate::target::Target;
use crate::versions::{CURRENT, PENDING, PREVIOUS};
pub use inject::{Fault, Faults, Faulty};
#[cfg(feature = "api-key")]
pub use key_drill::KeyDrill;
#[cfg(feature = "api-key")]
pub use key_provider::{KeyProvider, Reply, Rules};
pub use load::{Seen, rotate_under_load};
pub use memory::{MemorySecret, MemoryServer};
pub use random::{Schedule, for_each_schedule, for_each_seed};

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
    ignores_ssl: bool,
    strategy: Strategy,
    /// Calls that the engine makes itself, where they die too.
    inner: Option<&'a Faults>,
}

impl<'a, E: Engine> Drill<'a, E> {
    /// With faults by number of the call.
    pub fn new(secret: &'a MemorySecret, engine: &'a E, faults: HashMap<usize, Fault>) -> Self {
        let faulty = Faulty::new(secret, engine, faults);
        Self {
            faulty,
            twice: false,
            keeps_old: false,
            ignores_ssl: false,
            strategy: Strategy::SingleUser,
            inner: None,
        }
    }

    /// The same by another strategy.
    pub fn by(self, strategy: Strategy) -> Self {
        Self { strategy, ..self }
    }

    /// The same for a function that takes values with `ssl: false`.
    pub fn ignoring_ssl(self, ignores_ssl: bool) -> Self {
        Self { ignores_ssl, ..self }
    }

    /// The same where calls that the engine makes itself die too.
    pub fn with_inner(self, inner: &'a Faults) -> Self {
        Self { inner: Some(inner), ..self }
    }

    /// Whether the previous credential goes on working until the next rotation.
    fn keeps_previous(&self) -> bool {
        self.keeps_old || self.alternates() || self.faulty.engine.overlaps()
    }

    fn target(&self) -> Passwords<&Faulty<&'a MemorySecret, &'a E>> {
        Passwords::new(&self.faulty, self.strategy.clone()).ignoring_ssl(self.ignores_ssl)
    }

    async fn died(&self) {
        match self.inner {
            Some(inner) => tokio::select! {
                () = self.faulty.died() => {}
                () = inner.died() => {}
            },
            None => self.faulty.died().await,
        }
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
        let target = self.target();
        let machine = Machine { versions: &self.faulty, target: &target, retry: &retry };
        tokio::select! {
            biased;
            () = self.died() => None,
            result = machine.run(&event) => Some(result),
        }
    }

    /// Sends an action. `None`: the function died.
    pub async fn act(&self, event: &ActionEvent, now: SystemTime) -> Option<Result<Acted, RotationError>> {
        let retry = Retry::until(Instant::now() + Duration::from_secs(20), fastrand::Rng::with_seed(1));
        let target = self.target();
        let occasion = Occasion { versions: &self.faulty, retry: &retry, event, now };
        tokio::select! {
            biased;
            () = self.died() => None,
            result = target.act(&occasion) => Some(result),
        }
    }

    /// The four steps without a fault, and nothing that looks at what they did; gives what they called, as [`Drill::cost`].
    ///
    /// # Errors
    /// A step failed.
    pub async fn only_rotate(&self) -> Result<String, String> {
        for step in Step::ALL {
            let result = self.step(step).await.ok_or("a rotation without faults died")?;
            result.map_err(|error| lambda_kit::call::chain(&error))?;
        }
        Ok(self.cost())
    }

    /// What the calls were, in a line: those of AWS, then what the engine was asked for.
    pub fn cost(&self) -> String {
        let made = self.faulty.made();
        let is_aws = |name: &str| name.starts_with(char::is_uppercase);
        let part = |wanted: bool| {
            let of = made.iter().filter(|(name, _)| is_aws(name) == wanted);
            of.map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
        };
        let aws: usize = made.iter().filter(|(name, _)| is_aws(name)).map(|(_, count)| count).sum();
        format!("{aws} calls of AWS ({}); engine: {}", part(true), part(false))
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
        // The very credential that clients use, if the one before it goes on working.
        if self.keeps_previous() && !self.logs_in(CURRENT).await? {
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
        let Ok(account) = self.faulty.engine.account(&document.without("ssl")) else { return Ok(false) };
        let login = self.faulty.engine.log_in(&account).await.map_err(|error| error.to_string())?;
        Ok(login == Login::Accepted)
    }

    /// What must hold when the rotation has ended.
    async fn finished(&self) -> Result<(), String> {
        let secret = self.faulty.versions;
        if !self.logs_in(CURRENT).await? {
            return Err("AWSCURRENT does not log in".to_owned());
        }
        if self.logs_in(PREVIOUS).await? != self.keeps_previous() {
            let not = if self.keeps_previous() { "does not log in any more" } else { "still logs in" };
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
