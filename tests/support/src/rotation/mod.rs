//! Drills of rotations: faults in every call, on a server in memory and on real servers.
//!
//! A [`Drill`] is one rotation with a schedule of faults. It invokes the function as Secrets
//! Manager does: the four steps, and all of them again when one fails. After every step, and after
//! every crash, some label's credential must log in.

mod inject;
mod key_drill;
mod key_provider;
mod load;
mod memory;
mod random;

use std::collections::HashMap;
use std::time::Duration;

use lambda_kit::error::chain;
use lambda_kit::moment::Moment;
use rotation::action::ActionEvent;
use rotation::document::MAC_KEY;
use rotation::engine::{Engine, Login};
use rotation::error::RotationError;
use rotation::event::{RotationEvent, Step};
use rotation::invocation::Invocation;
use rotation::machine::Machine;
use rotation::outcome::StepOutcome;
use rotation::passwords::{Admin, Passwords, Strategy};
use rotation::retry::Retry;
use rotation::rotator::CredentialRotator;
use rotation::versions::{CURRENT, PENDING, PREVIOUS};
use tokio::time::Instant;

pub use crate::faults::{Fault, Faults};
pub use inject::Faulty;
pub use key_drill::KeyDrill;
pub use key_provider::{KeyProvider, Reply, Rules};
pub use load::{Seen, rotate_under_load};
pub use memory::{MemorySecret, MemoryServer};
pub use random::{Schedule, for_each_schedule, for_each_seed};

/// The secret of a drill.
pub const SECRET: &str = "arn:secret";
/// Its first version.
pub const OLD: &str = "old-version-0123456789abcdef0123456";
/// The version that the rotation creates.
pub const TOKEN: &str = "new-version-0123456789abcdef0123456";

/// The secret of the admin.
pub const ADMIN: &str = "arn:aws:secretsmanager:us-east-1:222222222222:secret:admin";

/// Returns all strategies with their names.
pub fn strategies() -> [(&'static str, Strategy); 3] {
    let admin = || Admin { secret: ADMIN.to_owned(), host: None };
    [
        ("single user", Strategy::SingleUser),
        ("single user by admin", Strategy::SingleUserByAdmin(admin())),
        ("alternating users", Strategy::AlternatingUsers(admin())),
    ]
}

/// One rotation with a schedule of faults.
pub struct Drill<'a, E> {
    /// The versions and the engine, with faults.
    pub faulty: Faulty<&'a MemorySecret, &'a E>,
    /// Sends every step twice.
    pub twice: bool,
    /// Says that the server keeps a single user's old password beside the new one.
    pub keeps_old: bool,
    ignores_ssl: bool,
    strategy: Strategy,
    /// The engine's own calls, if they have faults too.
    inner: Option<&'a Faults>,
}

impl<'a, E: Engine> Drill<'a, E> {
    /// Creates a drill with faults by the number of the call.
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

    /// Uses another strategy.
    pub fn by(self, strategy: Strategy) -> Self {
        Self { strategy, ..self }
    }

    /// Configures the function to accept values with `ssl: false`.
    pub fn ignoring_ssl(self, ignores_ssl: bool) -> Self {
        Self { ignores_ssl, ..self }
    }

    /// Adds faults in the engine's own calls.
    pub fn with_inner(self, inner: &'a Faults) -> Self {
        Self { inner: Some(inner), ..self }
    }

    /// Returns true if the previous credential works until the next rotation.
    fn keeps_previous(&self) -> bool {
        self.keeps_old || self.alternates() || self.faulty.engine.keeps_previous()
    }

    fn rotator(&self) -> Passwords<&Faulty<&'a MemorySecret, &'a E>> {
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

    /// Sends one step. Returns `None` if the function crashed.
    pub async fn step(&self, step: Step) -> Option<Result<StepOutcome, RotationError>> {
        let event = RotationEvent {
            step,
            secret_id: SECRET.into(),
            client_request_token: TOKEN.into(),
            rotation_token: None,
        };
        let retry = Retry::until(Instant::now() + Duration::from_secs(20), fastrand::Rng::with_seed(1));
        let rotator = self.rotator();
        let now = Moment::BEGINNING;
        let machine = Machine { versions: &self.faulty, rotator: &rotator, retry: &retry, now };
        tokio::select! {
            biased;
            () = self.died() => None,
            result = machine.run(&event) => Some(result),
        }
    }

    /// Sends an action. Returns `None` if the function crashed.
    pub async fn act(&self, event: &ActionEvent, now: Moment) -> Option<Result<StepOutcome, RotationError>> {
        let retry = Retry::until(Instant::now() + Duration::from_secs(20), fastrand::Rng::with_seed(1));
        let rotator = self.rotator();
        let at = Invocation { secret_id: &event.secret_id, versions: &self.faulty, retry: &retry, now };
        tokio::select! {
            biased;
            () = self.died() => None,
            result = rotator.act(&at, event) => Some(result),
        }
    }

    /// Sends the four steps without checking their effect. Returns [`Drill::cost`].
    ///
    /// # Errors
    /// A step failed.
    pub async fn only_rotate(&self) -> Result<String, String> {
        for step in Step::ALL {
            let result = self.step(step).await.ok_or("a rotation without faults died")?;
            result.map_err(|error| chain(&error))?;
        }
        Ok(self.cost())
    }

    /// Returns the calls so far in a line: those to AWS, then those to the engine.
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

    /// Sends the four steps until the rotation ends. Returns the number of calls.
    ///
    /// # Errors
    /// The invariant that does not hold.
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
        // Where the previous credential keeps working, the current one works at every moment.
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

    /// Checks the invariants of an ended rotation.
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
            let mut map = secret.map(label)?;
            map.remove("password");
            map.remove(MAC_KEY);
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
