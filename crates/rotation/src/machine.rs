//! The four steps.

use crate::document::SecretDocument;
use crate::engine::Login;
use crate::error::RotationError;
use crate::event::{RotationEvent, Step};
use crate::retry::Retry;
use crate::target::{Invocation, Target};
use crate::versions::{CURRENT, Description, Moved, PENDING, Versions, Written};

/// Times that AWSCURRENT is looked for and moved, while others move it too.
const MOVE_ATTEMPTS: u32 = 3;

/// What a step came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// It did its part.
    Now,
    /// An earlier run of it, or of a later step, had done it.
    Before,
}

/// One secret's rotation.
pub struct Machine<'a, V, T> {
    /// The secret's versions.
    pub versions: &'a V,
    /// What its credential is for.
    pub target: &'a T,
    /// Time and pauses.
    pub retry: &'a Retry,
}

impl<V: Versions, T: Target> Machine<'_, V, T> {
    /// Runs the event's step.
    ///
    /// # Errors
    /// [`RotationError`]; the same event may be sent again.
    pub async fn run(&self, event: &RotationEvent) -> Result<Done, RotationError> {
        let described = self.versions.describe(&event.secret_id).await?;
        let (secret, token) = (&event.secret_id, &event.client_request_token);
        if described.rotation_enabled == Some(false) {
            return Err(RotationError::Disabled { secret: secret.clone() });
        }
        if described.carries(token, CURRENT) {
            return Ok(Done::Before);
        }
        if !described.carries(token, PENDING) {
            return Err(stale(event));
        }
        let at = Invocation { versions: self.versions, retry: self.retry, event };
        match event.step {
            Step::Create => self.create(&at).await,
            Step::Set => {
                let pending = self.usable_pending(&at).await?;
                self.target.set(&at, &pending).await
            }
            Step::Test => self.test(&at).await,
            Step::Finish => self.finish(&at, described).await,
        }
    }

    async fn create(&self, at: &Invocation<'_, V>) -> Result<Done, RotationError> {
        if let Some(value) = at.pending().await? {
            // Whatever is there has to be usable: better here than after the credential is changed.
            self.check(PENDING, &value)?;
            return Ok(Done::Before);
        }
        let current = at.current().await?;
        self.check(CURRENT, &current)?;
        let next = self.target.next(at, &current).await?;
        match self.versions.put_pending(at.event, &next.to_secret_string()).await? {
            Written::Now => Ok(Done::Now),
            Written::Before => Ok(Done::Before),
        }
    }

    async fn test(&self, at: &Invocation<'_, V>) -> Result<Done, RotationError> {
        // A try-out of the configuration (RotateImmediately=false) has a version without a value: then it is the current one's turn.
        let (label, value) = match at.pending().await? {
            Some(value) => (PENDING, value),
            None => (CURRENT, at.current().await?),
        };
        self.check(label, &value)?;
        match self.target.accepts(at, label, &value).await? {
            Login::Accepted => Ok(Done::Now),
            Login::Refused => Err(RotationError::NotAccepted { whose: self.target.whose(&value), label }),
        }
    }

    async fn finish(&self, at: &Invocation<'_, V>, described: Description) -> Result<Done, RotationError> {
        let (secret, token) = (&at.event.secret_id, &at.event.client_request_token);
        // Never promotes a version without a value, or one that somebody spoilt after the test.
        self.usable_pending(at).await?;
        let mut described = described;
        for _ in 0..MOVE_ATTEMPTS {
            let Some(current) = described.holder(CURRENT).map(str::to_owned) else { break };
            if current == *token {
                return Ok(Done::Before);
            }
            match self.versions.promote(secret, &current, token).await? {
                Moved::Yes => return Ok(Done::Now),
                Moved::CurrentIsAnother => described = self.versions.describe(secret).await?,
            }
        }
        Err(RotationError::CurrentMoves { secret: secret.clone(), attempts: MOVE_ATTEMPTS })
    }

    async fn usable_pending(&self, at: &Invocation<'_, V>) -> Result<SecretDocument, RotationError> {
        let value = at.pending().await?.ok_or_else(|| stale(at.event))?;
        self.check(PENDING, &value)?;
        Ok(value)
    }

    fn check(&self, label: &'static str, value: &SecretDocument) -> Result<(), RotationError> {
        self.target.check(value).map_err(|source| RotationError::Document { label, source })
    }
}

fn stale(event: &RotationEvent) -> RotationError {
    RotationError::StaleToken { secret: event.secret_id.clone(), token: event.client_request_token.clone() }
}
