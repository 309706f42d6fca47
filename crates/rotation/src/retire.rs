//! The end of the overlap: removes the previous password where an engine keeps it beside the
//! current one.
//!
//! It happens only while no rotation is in progress, and only after the server accepted AWSCURRENT.
//! A previous password that no event removes ends with the next rotation, which makes the current
//! password the only one before it adds another.

use std::time::Duration;

use crate::document::{DocumentError, SecretDocument};
use crate::engine::{Account, Engine, Login};
use crate::error::RotationError;
use crate::invocation::{Invocation, NO_CURRENT};
use crate::outcome::StepOutcome;
use crate::pending::PendingMac;
use crate::versions::{CURRENT, Description, PENDING, PREVIOUS, Versions};

/// Reads the account from a value.
type Parse<'a> = dyn Fn(&SecretDocument) -> Result<Account, DocumentError> + Sync + 'a;

/// Looks for a password that a rotation set during the removal.
const LOOKS: u32 = 3;

/// The removal of a secret's previous password.
pub(crate) struct Retirement<'a, E, V> {
    pub(crate) engine: &'a E,
    pub(crate) parse: &'a Parse<'a>,
    pub(crate) at: &'a Invocation<'a, V>,
}

impl<E: Engine, V: Versions> Retirement<'_, E, V> {
    /// Makes the password of AWSCURRENT the only one, if the last rotation is old enough.
    ///
    /// # Errors
    /// [`RotationError`]; the same event may be sent again.
    pub(crate) async fn run(&self, after_minutes: u32) -> Result<StepOutcome, RotationError> {
        let at = self.at;
        let described = at.describe().await?;
        if described.rotation_in_progress() {
            return Ok(StepOutcome::Postponed("a rotation is in progress"));
        }
        let least = Duration::from_secs(u64::from(after_minutes) * 60);
        if at.since_rotation(&described).is_some_and(|since| since < least) {
            return Ok(StepOutcome::Postponed("the last rotation is too recent"));
        }
        let version = current_version(&described)?;
        let Some(value) = at.value(Some(version), CURRENT).await? else {
            return Ok(StepOutcome::Postponed("AWSCURRENT has just moved"));
        };
        let current = self.account(CURRENT, &value)?;
        let previous = match described.version_with(PREVIOUS) {
            Some(version) => {
                at.value(Some(version), PREVIOUS).await?.and_then(|value| (self.parse)(&value).ok())
            }
            None => None,
        };
        let Some(previous) = previous.filter(|previous| previous.user == current.user) else {
            return Ok(StepOutcome::NothingToDo);
        };
        if self.log_in(&current).await? == Login::Refused {
            let owner = format!("user `{}` of {}", current.user, current.server);
            return Err(RotationError::NewPasswordRejected { owner, label: CURRENT });
        }
        if self.log_in(&previous).await? == Login::Refused {
            return Ok(StepOutcome::NothingToDo);
        }
        // The logins took some time.
        let again = at.describe().await?;
        if again.rotation_in_progress() || again.version_with(CURRENT) != Some(version) {
            return Ok(StepOutcome::Postponed("a rotation has just begun"));
        }
        self.engine.retire_others(&current).await?;
        self.restore_newer_password(version, &current).await
    }

    /// Sets the password of a rotation again that ran between the last check and the removal.
    ///
    /// This happens only if the function was suspended between the two calls for as long as the
    /// steps of a rotation take. With a reserved concurrency of 1 it cannot happen.
    async fn restore_newer_password(
        &self,
        version: &str,
        only: &Account,
    ) -> Result<StepOutcome, RotationError> {
        for _ in 0..LOOKS {
            let after = self.at.describe().await?;
            let (label, other) = match after.version_with(PENDING).filter(|_| after.rotation_in_progress()) {
                Some(pending) => (PENDING, pending),
                None => (CURRENT, current_version(&after)?),
            };
            if other == version {
                return Ok(StepOutcome::Done);
            }
            // Without a value, the label has moved on, or the rotation has not set a password yet.
            if let Some(value) = self.at.value(Some(other), label).await? {
                // A planted value is not set. If the rotation ended in between, look again.
                if label == PENDING && !self.is_created_by_a_rotation(other, &value).await? {
                    continue;
                }
                let newer = self.account(label, &value)?;
                tracing::warn!(
                    secret = self.at.secret_id,
                    label,
                    "a rotation ran during the removal; setting its password again"
                );
                self.engine.set_password(only, &newer.user, &newer.password).await?;
                return Ok(StepOutcome::Postponed("a rotation ran during the removal"));
            }
        }
        Ok(StepOutcome::Postponed("a rotation has just begun"))
    }

    async fn is_created_by_a_rotation(
        &self,
        token: &str,
        pending: &SecretDocument,
    ) -> Result<bool, RotationError> {
        let mac = PendingMac { secret_id: self.at.secret_id, token };
        Ok(mac.is_signed_with_current(pending, &self.at.current_text().await?))
    }

    fn account(&self, label: &'static str, value: &SecretDocument) -> Result<Account, RotationError> {
        (self.parse)(value).map_err(|source| RotationError::InvalidSecretValue { label, source })
    }

    async fn log_in(&self, account: &Account) -> Result<Login, RotationError> {
        self.at.retry.run("a login", || self.engine.log_in(account)).await
    }
}

fn current_version(described: &Description) -> Result<&str, RotationError> {
    described.version_with(CURRENT).ok_or(NO_CURRENT)
}
