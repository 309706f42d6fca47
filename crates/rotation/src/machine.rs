//! The four steps of a rotation, for every kind of credential.

use lambda_kit::moment::Moment;

use crate::document::SecretDocument;
use crate::engine::Login;
use crate::error::RotationError;
use crate::event::{RotationEvent, Step};
use crate::invocation::Invocation;
use crate::outcome::StepOutcome;
use crate::pending::{CheckedValue, PendingMac, SigningKeys, checked};
use crate::retry::Retry;
use crate::rotator::{CredentialRotator, ParsedValue};
use crate::versions::{CURRENT, Description, PENDING, Versions};

/// Attempts to move AWSCURRENT while other writers move it too.
const MOVE_ATTEMPTS: u32 = 3;

/// The rotation of one secret.
pub struct Machine<'a, V, R> {
    /// The calls to Secrets Manager.
    pub versions: &'a V,
    /// The kind of credential.
    pub rotator: &'a R,
    /// Repeats attempts until the deadline.
    pub retry: &'a Retry,
    /// The start of the invocation.
    pub now: Moment,
}

impl<V: Versions, R: CredentialRotator> Machine<'_, V, R> {
    /// Runs the event's step.
    ///
    /// # Errors
    /// [`RotationError`]; the same event may be sent again.
    pub async fn run(&self, event: &RotationEvent) -> Result<StepOutcome, RotationError> {
        let (secret, token) = (&event.secret_id, &event.client_request_token);
        let described = self.versions.describe(secret).await?;
        if described.rotation_enabled == Some(false) {
            return Err(RotationError::Disabled { secret: secret.clone() });
        }
        if described.has_label(token, CURRENT) {
            return Ok(StepOutcome::NothingToDo);
        }
        if !described.has_label(token, PENDING) {
            return Err(stale(event));
        }
        let Self { versions, retry, now, .. } = *self;
        let at = Invocation { secret_id: secret, versions, retry, now };
        match event.step {
            Step::Create => self.create(&at, event).await,
            Step::Set => {
                let value = self.usable_pending(&at, event).await?;
                self.rotator.set(&at, token, &value).await
            }
            Step::Test => self.test(&at, token).await,
            Step::Finish => self.finish(&at, event, described).await,
        }
    }

    async fn create(
        &self,
        at: &Invocation<'_, V>,
        event: &RotationEvent,
    ) -> Result<StepOutcome, RotationError> {
        let token = &event.client_request_token;
        // An unusable value is reported now, before the credential on the server changes.
        if checked(self.rotator, at, token).await?.is_some() {
            return Ok(StepOutcome::NothingToDo);
        }
        let keys = SigningKeys { current: at.current_text().await?, previous: at.previous_text().await? };
        let document = SecretDocument::parse(&keys.current)
            .map_err(|source| RotationError::InvalidSecretValue { label: CURRENT, source })?;
        let credential = self.parse(CURRENT, &document)?;
        let next = self.rotator.create(at, token, &ParsedValue { document, credential }).await?;
        let mac = PendingMac { secret_id: at.secret_id, token };
        let next = self.rotator.sign(mac, &next, &keys);
        Ok(self.versions.put_pending(event, &next.to_secret_string()).await?)
    }

    async fn test(&self, at: &Invocation<'_, V>, token: &str) -> Result<StepOutcome, RotationError> {
        // With RotateImmediately=false, Secrets Manager tests the configuration with a pending
        // version that has no value: then the current credential is tested.
        let (label, credential) = match checked(self.rotator, at, token).await? {
            Some(value) => (PENDING, value.pending.credential),
            None => (CURRENT, self.parse(CURRENT, &at.current().await?)?),
        };
        match self.rotator.verify(at, label, &credential).await? {
            Login::Accepted => Ok(StepOutcome::Done),
            Login::Refused => {
                let owner = self.rotator.describe(&credential);
                Err(RotationError::NewPasswordRejected { owner, label })
            }
        }
    }

    async fn finish(
        &self,
        at: &Invocation<'_, V>,
        event: &RotationEvent,
        described: Description,
    ) -> Result<StepOutcome, RotationError> {
        let (secret, token) = (&event.secret_id, &event.client_request_token);
        // A version without a value, or one that was edited after the test, is never promoted.
        self.usable_pending(at, event).await?;
        let mut described = described;
        for _ in 0..MOVE_ATTEMPTS {
            let Some(current) = described.version_with(CURRENT).map(str::to_owned) else { break };
            if current == *token {
                return Ok(StepOutcome::NothingToDo);
            }
            match self.versions.promote(secret, &current, token).await? {
                StepOutcome::Postponed(_) => described = self.versions.describe(secret).await?,
                done => return Ok(done),
            }
        }
        Err(RotationError::ConcurrentModification { secret: secret.clone(), attempts: MOVE_ATTEMPTS })
    }

    async fn usable_pending(
        &self,
        at: &Invocation<'_, V>,
        event: &RotationEvent,
    ) -> Result<CheckedValue<R::Credential>, RotationError> {
        let value = checked(self.rotator, at, &event.client_request_token).await?;
        value.ok_or_else(|| stale(event))
    }

    fn parse(&self, label: &'static str, value: &SecretDocument) -> Result<R::Credential, RotationError> {
        self.rotator.parse(value).map_err(|source| RotationError::InvalidSecretValue { label, source })
    }
}

fn stale(event: &RotationEvent) -> RotationError {
    RotationError::StaleToken { secret: event.secret_id.clone(), token: event.client_request_token.clone() }
}
