//! The four steps.

use secrecy::SecretString;

use crate::document::SecretDocument;
use crate::engine::{Account, Engine, Login};
use crate::error::RotationError;
use crate::event::{RotationEvent, Step};
use crate::password::PasswordError;
use crate::retry::Retry;
use crate::versions::{CURRENT, Description, Moved, PENDING, PREVIOUS, Versions, Written};

/// Times that a random password is asked for until the engine's rules hold.
const PASSWORD_ATTEMPTS: u32 = 5;
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

/// One secret's rotation on one engine.
pub struct Machine<'a, V, E> {
    /// The secret's versions.
    pub versions: &'a V,
    /// The engine.
    pub engine: &'a E,
    /// Time and pauses.
    pub retry: &'a Retry,
}

impl<V: Versions, E: Engine> Machine<'_, V, E> {
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
            return Err(RotationError::StaleToken { secret: secret.clone(), token: token.clone() });
        }
        match event.step {
            Step::Create => self.create(event).await,
            Step::Set => self.set(event).await,
            Step::Test => self.test(event).await,
            Step::Finish => self.finish(event, described).await,
        }
    }

    async fn create(&self, event: &RotationEvent) -> Result<Done, RotationError> {
        if let Some(value) = self.pending(event).await? {
            // Whatever is there has to be usable: better here than after the password is changed.
            self.account(PENDING, &value)?;
            return Ok(Done::Before);
        }
        let current = self.current(event).await?;
        self.account(CURRENT, &current)?;
        let wanted = current
            .with_password(&self.new_password().await?)
            .map_err(|source| RotationError::Document { label: CURRENT, source })?;
        match self.versions.put_pending(event, &wanted.to_secret_string()).await? {
            Written::Now => Ok(Done::Now),
            Written::Before => Ok(Done::Before),
        }
    }

    async fn set(&self, event: &RotationEvent) -> Result<Done, RotationError> {
        let pending = self.pending_account(event).await?;
        if self.log_in(&pending).await? == Login::Accepted {
            return Ok(Done::Before);
        }
        let current = self.account(CURRENT, &self.current(event).await?)?;
        // The confused deputy: a password goes only where the current one came from, and only after that has logged in.
        if let Some(key) = pending.differs_by(&current) {
            return Err(RotationError::TargetChanged { key, token: event.client_request_token.clone() });
        }
        if self.log_in(&current).await? == Login::Accepted {
            self.set_password(&current, &pending.password).await?;
            return Ok(Done::Now);
        }
        if let Some(previous) = self.previous(event).await?
            && previous.differs_by(&current).is_none()
            && self.log_in(&previous).await? == Login::Accepted
        {
            tracing::warn!(
                secret = event.secret_id,
                "the server accepts the password of AWSPREVIOUS, not that of AWSCURRENT"
            );
            self.set_password(&previous, &pending.password).await?;
            return Ok(Done::Now);
        }
        Err(RotationError::NoneLogsIn { server: current.server.to_string(), user: current.user })
    }

    async fn test(&self, event: &RotationEvent) -> Result<Done, RotationError> {
        // A try-out of the configuration (RotateImmediately=false) has a version without a value: then it is the current one's turn.
        let account = match self.pending(event).await? {
            Some(value) => self.account(PENDING, &value)?,
            None => self.account(CURRENT, &self.current(event).await?)?,
        };
        match self.log_in(&account).await? {
            Login::Accepted => Ok(Done::Now),
            Login::Refused => {
                Err(RotationError::NotAccepted { server: account.server.to_string(), user: account.user })
            }
        }
    }

    async fn finish(&self, event: &RotationEvent, described: Description) -> Result<Done, RotationError> {
        let (secret, token) = (&event.secret_id, &event.client_request_token);
        // Never promotes a version without a value, or one that somebody spoilt after the test.
        self.pending_account(event).await?;
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
        Err(RotationError::StaleToken { secret: secret.clone(), token: token.clone() })
    }

    async fn new_password(&self) -> Result<SecretString, RotationError> {
        let policy = self.engine.password_policy();
        policy.check_length()?;
        let mut broken = "none was asked for";
        for _ in 0..PASSWORD_ATTEMPTS {
            let password = self.versions.random_password(&policy).await?;
            match policy.broken_rule(&password) {
                None => return Ok(password),
                Some(rule) => broken = rule,
            }
        }
        Err(PasswordError::Unacceptable { engine: policy.engine, attempts: PASSWORD_ATTEMPTS, rule: broken }
            .into())
    }

    async fn log_in(&self, account: &Account) -> Result<Login, RotationError> {
        self.retry.run("a login", || self.engine.log_in(account)).await
    }

    async fn set_password(&self, account: &Account, new: &SecretString) -> Result<(), RotationError> {
        // Not tried again by itself: the connection may have broken after the change, and then the old password
        // would be refused. The next run of the step begins by asking the server which one it accepts.
        self.engine.set_password(account, new).await.map_err(RotationError::from)
    }

    async fn pending(&self, event: &RotationEvent) -> Result<Option<SecretDocument>, RotationError> {
        let token = Some(event.client_request_token.as_str());
        self.document(event, token, PENDING).await
    }

    async fn pending_account(&self, event: &RotationEvent) -> Result<Account, RotationError> {
        let value = self.pending(event).await?.ok_or_else(|| RotationError::StaleToken {
            secret: event.secret_id.clone(),
            token: event.client_request_token.clone(),
        })?;
        self.account(PENDING, &value)
    }

    async fn current(&self, event: &RotationEvent) -> Result<SecretDocument, RotationError> {
        self.document(event, None, CURRENT).await?.ok_or(RotationError::Document {
            label: CURRENT,
            source: crate::document::DocumentError::NotAnObject,
        })
    }

    /// The previous account; one that cannot be used is as good as none.
    async fn previous(&self, event: &RotationEvent) -> Result<Option<Account>, RotationError> {
        match self.document(event, None, PREVIOUS).await {
            Ok(value) => Ok(value.and_then(|value| self.account(PREVIOUS, &value).ok())),
            Err(RotationError::Document { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn document(
        &self,
        event: &RotationEvent,
        version: Option<&str>,
        label: &'static str,
    ) -> Result<Option<SecretDocument>, RotationError> {
        let value = self.versions.value(&event.secret_id, version, label).await?;
        value
            .map(|text| SecretDocument::parse(&text))
            .transpose()
            .map_err(|source| RotationError::Document { label, source })
    }

    fn account(&self, label: &'static str, value: &SecretDocument) -> Result<Account, RotationError> {
        self.engine.account(value).map_err(|source| RotationError::Document { label, source })
    }
}
