//! `on-rotation`: outcomes and durations of rotations, and other writers of secrets.

use std::time::Duration;

use tokio::time::Instant;

use super::{Evaluation, EventProcessor, LOOKUP_TIME, within};
use crate::event::{Detail, Event};
use crate::incident::digest;
use crate::lookup::Secrets;
use crate::notifier::{InvocationWindow, RecordError};
use crate::rules::{
    RotationHistory, RotationRules, RotationStatus, SecretRotation, evaluate, is_unexpected_write,
    rotation_switch, secret_call, secret_name, secret_of, slow_rotation,
};
use crate::state::Observation;
use crate::store::{ItemKey, Put, Store, StoreError, decode};

/// The time for which the history of a secret is remembered: longer than the longest schedule (999 days).
const MEMORY: Duration = Duration::from_secs(1000 * 86_400);
/// The number of attempts to write against other invocations.
const ATTEMPTS: u32 = 8;

/// The event processor of `on-rotation`.
#[derive(Debug)]
pub struct RotationProcessor<S, R> {
    store: S,
    secrets: R,
    rules: RotationRules,
}

impl<S: Store + Sync, R: Secrets + Sync> RotationProcessor<S, R> {
    /// Creates a processor with its history in `store`, and `secrets` to read their rotation status.
    pub fn new(store: S, secrets: R, rules: RotationRules) -> Self {
        Self { store, secrets, rules }
    }

    fn key(event: &Event, secret: &str) -> ItemKey {
        // Rotations have the ARN, calls sometimes only the name.
        let parts = [&event.location.account, &event.location.region, secret_name(secret)];
        ItemKey::new(format!("history|{}", digest(&parts)), "history")
    }

    async fn history(
        &self,
        key: &ItemKey,
        window: InvocationWindow,
    ) -> Result<(RotationHistory, Option<u64>), RecordError> {
        let found = self.store.read(std::slice::from_ref(key), window.now).await?.pop().flatten();
        let revision = found.as_ref().map(|stored| stored.revision);
        let history = found.and_then(|stored| decode(key, &stored.body, window.now));
        Ok((history.unwrap_or_default(), revision))
    }

    /// Adds an entry to the history of a secret, if it is new, and returns the history.
    async fn add(
        &self,
        key: ItemKey,
        window: InvocationWindow,
        entry: impl Fn(&mut RotationHistory) -> bool + Send,
    ) -> Result<RotationHistory, RecordError> {
        for _ in 0..ATTEMPTS {
            let (mut history, revision) = self.history(&key, window).await?;
            if !entry(&mut history) {
                return Ok(history);
            }
            let put = Put {
                key: key.clone(),
                expected: revision,
                body: serde_json::to_string(&history).unwrap_or_default(),
                expires: window.now.plus(MEMORY),
                due: None,
            };
            match self.store.write(&[put], window.now).await {
                Ok(()) => return Ok(history),
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(RecordError::Contended)
    }

    async fn rotation(
        &self,
        event: &Event,
        secret: &str,
        window: InvocationWindow,
        until: Instant,
    ) -> Result<SecretRotation, RecordError> {
        let lookup = self.secrets.rotation(secret);
        let found = within(until, "secretsmanager:DescribeSecret", lookup).await;
        let is_guessed = found.is_err();
        let (found, function) = match found {
            Ok(SecretRotation { status, function, .. }) => (Ok(status), function),
            Err(error) => (Err(error), None),
        };
        if let Ok(status @ (RotationStatus::Enabled | RotationStatus::NotRotating)) = found {
            return Ok(SecretRotation { status, function, is_guessed });
        }
        // The status is read later than the value was written. A rotation that was disabled since then
        // was enabled at that time.
        let (history, _) = self.history(&Self::key(event, secret), window).await?;
        let status = match found {
            _ if history.was_disabled_at(event.time) => RotationStatus::NotRotating,
            Ok(status) => status,
            Err(error) => {
                tracing::warn!(secret, %error, "cannot read whether the secret rotates");
                if history.has_rotations() { RotationStatus::Enabled } else { RotationStatus::Unknown }
            }
        };
        Ok(SecretRotation { status, function, is_guessed })
    }

    async fn evaluate(
        &self,
        event: &Event,
        window: InvocationWindow,
        until: Instant,
    ) -> Result<Vec<Observation>, RecordError> {
        match &event.detail {
            Detail::Rotation(rotation) => {
                let entry = |history: &mut RotationHistory| history.add(rotation.outcome, event.time);
                let history = self.add(Self::key(event, &rotation.secret), window, entry).await?;
                Ok(evaluate(event).into_iter().chain(slow_rotation(event, &history)).collect())
            }
            Detail::SecretCall(record) => {
                if let (Some(enabled), Some(secret)) = (rotation_switch(record), secret_of(record)) {
                    let entry = |history: &mut RotationHistory| history.add_switch(enabled, event.time);
                    self.add(Self::key(event, secret), window, entry).await?;
                }
                // The rotation matters only if somebody wrote a value or a label.
                let unexpected = is_unexpected_write(event, record, &self.rules);
                let rotation = match secret_of(record).filter(|_| unexpected) {
                    Some(secret) => self.rotation(event, secret, window, until).await?,
                    None => {
                        SecretRotation { status: RotationStatus::Unknown, function: None, is_guessed: true }
                    }
                };
                Ok(secret_call(event, record, &self.rules, &rotation))
            }
            _ => Ok(evaluate(event)),
        }
    }
}

impl<S: Store + Sync, R: Secrets + Sync> EventProcessor for RotationProcessor<S, R> {
    async fn process(&self, events: &[&Event], window: InvocationWindow) -> Evaluation {
        let until = Instant::now() + LOOKUP_TIME;
        let mut results: Vec<Result<Vec<Observation>, RecordError>> =
            events.iter().map(|_| Ok(Vec::new())).collect();
        // In the order in which they happened: an event may depend on an earlier one.
        let mut order: Vec<usize> = (0..events.len()).collect();
        order.sort_by_key(|position| events[*position].time);
        for position in order {
            results[position] = self.evaluate(events[position], window, until).await;
        }
        results.into()
    }
}
