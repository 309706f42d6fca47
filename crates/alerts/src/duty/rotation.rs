//! `on-rotation`: how rotations go, how long they take, and who else writes.

use std::time::Duration;

use tokio::time::Instant;

use super::{Duty, LOOK_UP, in_time};
use crate::announcer::{ReportError, Turn};
use crate::event::{Event, Known};
use crate::incident::digest;
use crate::judge::{
    History, Rotated, RotationRules, changes_a_value, judge, secret_call, secret_name, secret_of, slow,
    switch,
};
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
        // Rotations name the ARN, calls sometimes only the name.
        let parts = [&known.place.account, &known.place.region, secret_name(secret)];
        ItemKey::new(format!("history|{}", digest(&parts)), "history")
    }

    async fn history(&self, key: &ItemKey, turn: Turn) -> Result<(History, Option<u64>), ReportError> {
        let mut found =
            self.store.read(std::slice::from_ref(key), turn.now).await.map_err(ReportError::Store)?;
        let found = found.pop().flatten();
        let revision = found.as_ref().map(|stored| stored.revision);
        Ok((found.and_then(|stored| serde_json::from_str(&stored.body).ok()).unwrap_or_default(), revision))
    }

    /// Takes something into the secret's history, if that changes it, and returns the history.
    async fn noted(
        &self,
        key: ItemKey,
        turn: Turn,
        note: impl Fn(&mut History) -> bool + Send,
    ) -> Result<History, ReportError> {
        for _ in 0..ATTEMPTS {
            let (mut history, revision) = self.history(&key, turn).await?;
            if !note(&mut history) {
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
        let answer = in_time(until, "secretsmanager:DescribeSecret", self.secrets.rotates(secret)).await;
        let sure = answer.as_ref().ok().filter(|found| [Rotated::Yes, Rotated::No].contains(found));
        if let Some(sure) = sure {
            return Ok(*sure);
        }
        // It is asked later than the value was written. What was turned off since then was on at that time.
        let (history, _) = self.history(&Self::key(known, secret), turn).await?;
        Ok(match answer {
            _ if history.knows_it_was_off(known.time) => Rotated::No,
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(secret, %error, "whether the secret rotates could not be read");
                if history.knows_a_rotation() { Rotated::Yes } else { Rotated::Unknown }
            }
        })
    }

    async fn one(&self, known: &Known, turn: Turn, until: Instant) -> Result<Vec<Signal>, ReportError> {
        match &known.event {
            Event::Rotation(rotation) => {
                let note = |history: &mut History| history.note(rotation.outcome, known.time);
                let history = self.noted(Self::key(known, &rotation.secret), turn, note).await?;
                Ok(judge(known).into_iter().chain(slow(known, &history)).collect())
            }
            Event::SecretCall(trail) => {
                if let (Some(is_on), Some(secret)) = (switch(trail), secret_of(trail)) {
                    let note = |history: &mut History| history.note_switch(is_on, known.time);
                    self.noted(Self::key(known, secret), turn, note).await?;
                }
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
        let mut all: Vec<Result<Vec<Signal>, ReportError>> = events.iter().map(|_| Ok(Vec::new())).collect();
        // In the order in which they happened: what one says about another is known then.
        let mut order: Vec<usize> = (0..events.len()).collect();
        order.sort_by_key(|at| events[*at].time);
        for at in order {
            all[at] = self.one(events[at], turn, until).await;
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
