//! `on-rotation`: how rotations go, how long they take, and who else writes.

use std::time::Duration;

use tokio::time::Instant;

use super::{Duty, LOOK_UP, in_time};
use crate::announcer::{ReportError, Turn};
use crate::event::{Event, Known, Rotation};
use crate::incident::digest;
use crate::judge::{History, Rotated, RotationRules, changes_a_value, judge, secret_call, secret_of, slow};
use crate::read::Secrets;
use crate::state::Signal;
use crate::store::{ItemKey, Put, Store, StoreError};

/// How long the history of a secret is remembered: longer than the longest schedule (999 days).
const MEMORY: Duration = Duration::from_secs(1000 * 86_400);
const ATTEMPTS: u32 = 8;

/// The duty of `on-rotation`.
#[derive(Debug)]
pub struct RotationDuty<S, R> {
    store: S,
    secrets: R,
    rules: RotationRules,
}

impl<S: Store + Sync, R: Secrets + Sync> RotationDuty<S, R> {
    /// With a store for durations, secrets to ask whether they rotate, and those who may write.
    pub fn new(store: S, secrets: R, rules: RotationRules) -> Self {
        Self { store, secrets, rules }
    }

    fn key(known: &Known, secret: &str) -> ItemKey {
        ItemKey::new(
            format!("history|{}", digest(&[&known.place.account, &known.place.region, secret])),
            "history",
        )
    }

    async fn history(&self, key: &ItemKey, turn: Turn) -> Result<(History, Option<u64>), ReportError> {
        let mut found =
            self.store.read(std::slice::from_ref(key), turn.now).await.map_err(ReportError::Store)?;
        let found = found.pop().flatten();
        let revision = found.as_ref().map(|stored| stored.revision);
        Ok((found.and_then(|stored| serde_json::from_str(&stored.body).ok()).unwrap_or_default(), revision))
    }

    /// Takes the event into the secret's history and returns that.
    async fn noted(&self, known: &Known, rotation: &Rotation, turn: Turn) -> Result<History, ReportError> {
        let key = Self::key(known, &rotation.secret);
        for _ in 0..ATTEMPTS {
            let (mut history, revision) = self.history(&key, turn).await?;
            if !history.note(rotation.outcome, known.time) {
                return Ok(history);
            }
            let put = Put {
                key: key.clone(),
                expected: revision,
                body: serde_json::to_string(&history).unwrap_or_default(),
                expires: turn.now.plus(MEMORY),
                due: None,
            };
            match self.store.write(&[put], turn.now).await {
                Ok(()) => return Ok(history),
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(ReportError::Store(error)),
            }
        }
        Err(ReportError::Contended)
    }

    async fn rotated(
        &self,
        known: &Known,
        secret: &str,
        turn: Turn,
        until: Instant,
    ) -> Result<Rotated, ReportError> {
        match in_time(until, "secretsmanager:DescribeSecret", self.secrets.rotates(secret)).await {
            Ok(true) => Ok(Rotated::Yes),
            Ok(false) => Ok(Rotated::No),
            Err(error) => {
                tracing::warn!(secret, %error, "whether the secret rotates could not be read");
                let (history, _) = self.history(&Self::key(known, secret), turn).await?;
                Ok(if history.knows_a_rotation() { Rotated::Yes } else { Rotated::Unknown })
            }
        }
    }

    async fn one(&self, known: &Known, turn: Turn, until: Instant) -> Result<Vec<Signal>, ReportError> {
        match &known.event {
            Event::Rotation(rotation) => {
                let history = self.noted(known, rotation, turn).await?;
                Ok(judge(known).into_iter().chain(slow(known, &history)).collect())
            }
            Event::SecretCall(trail) => {
                // Only where somebody wrote a value does it matter whether the secret rotates.
                let rotated = match secret_of(trail).filter(|_| changes_a_value(trail, &self.rules)) {
                    Some(secret) => self.rotated(known, secret, turn, until).await?,
                    None => Rotated::Unknown,
                };
                Ok(secret_call(known, trail, &self.rules, rotated))
            }
            _ => Ok(judge(known)),
        }
    }
}

impl<S: Store + Sync, R: Secrets + Sync> Duty for RotationDuty<S, R> {
    type Pending = ();

    async fn judge(&self, events: &[&Known], turn: Turn) -> (Vec<Result<Vec<Signal>, ReportError>>, ()) {
        let until = Instant::now() + LOOK_UP;
        let mut all = Vec::with_capacity(events.len());
        for known in events {
            all.push(self.one(known, turn, until).await);
        }
        (all, ())
    }

    async fn settle(&self, (): (), _: &[bool], _: Turn) -> Vec<(usize, ReportError)> {
        Vec::new()
    }

    async fn tick(&self, _: Turn) -> (Vec<Signal>, Option<ReportError>) {
        (Vec::new(), None)
    }
}
