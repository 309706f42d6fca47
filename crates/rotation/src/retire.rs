//! The end of the overlap: the previous password is taken back where an engine keeps it beside the current one.
//!
//! It is done only while no rotation is under way and only in favour of AWSCURRENT, after that has logged in. What is never taken back
//! by an event ends with the next rotation, which makes the current password the only one before it adds another.

use std::time::Duration;

use crate::action::{Acted, Occasion, under_way};
use crate::document::{DocumentError, SecretDocument};
use crate::engine::{Account, Engine, Login};
use crate::error::RotationError;
use crate::versions::{CURRENT, PENDING, PREVIOUS, Versions};

/// How a value's account is read.
type Reads<'a> = dyn Fn(&SecretDocument) -> Result<Account, DocumentError> + Sync + 'a;

/// Times that a password is looked for which a rotation made meanwhile.
const LOOKS: u32 = 3;

/// Makes the password of AWSCURRENT the only one.
///
/// # Errors
/// [`RotationError`]; the same event may be sent again.
pub(crate) async fn previous<E: Engine, V: Versions>(
    engine: &E,
    read: &Reads<'_>,
    at: &Occasion<'_, V>,
) -> Result<Acted, RotationError> {
    let described = at.describe().await?;
    if under_way(&described) {
        return Ok(Acted::Later("a rotation is under way"));
    }
    let young = Duration::from_secs(u64::from(at.event.after_minutes) * 60);
    if at.since_rotation(&described).is_some_and(|since| since < young) {
        return Ok(Acted::Later("the last rotation is too young"));
    }
    let version = at.current(&described)?;
    let Some(value) = at.value(version, CURRENT).await? else {
        return Ok(Acted::Later("AWSCURRENT moved meanwhile"));
    };
    let current = account(read, CURRENT, &value)?;
    let previous = match described.holder(PREVIOUS) {
        Some(version) => at.value(version, PREVIOUS).await?.and_then(|value| read(&value).ok()),
        None => None,
    };
    let Some(previous) = previous.filter(|previous| previous.user == current.user) else {
        return Ok(Acted::Nothing);
    };
    if log_in(engine, at, &current).await? == Login::Refused {
        let whose = format!("user `{}` of {}", current.user, current.server);
        return Err(RotationError::NotAccepted { whose, label: CURRENT });
    }
    if log_in(engine, at, &previous).await? == Login::Refused {
        return Ok(Acted::Nothing);
    }
    // The logins took a while.
    let again = at.describe().await?;
    if under_way(&again) || again.holder(CURRENT) != Some(version) {
        return Ok(Acted::Later("a rotation has begun meanwhile"));
    }
    engine.retire_others(&current).await?;
    mend(engine, read, at, version, &current).await
}

/// Gives back what a rotation has set in between the last look and the call after it.
///
/// That takes a function that was held up right there for as long as the steps of a rotation take; where functions never run
/// twice at a time (a reserved concurrency of 1) it cannot be.
async fn mend<E: Engine, V: Versions>(
    engine: &E,
    read: &Reads<'_>,
    at: &Occasion<'_, V>,
    version: &str,
    only: &Account,
) -> Result<Acted, RotationError> {
    for _ in 0..LOOKS {
        let after = at.describe().await?;
        let (label, other) = match after.holder(PENDING).filter(|_| under_way(&after)) {
            Some(pending) => (PENDING, pending),
            None => (CURRENT, at.current(&after)?),
        };
        if other == version {
            return Ok(Acted::Now);
        }
        // No value: the label has moved on, or the rotation has not come so far as to set one.
        if let Some(value) = at.value(other, label).await? {
            let made = account(read, label, &value)?;
            tracing::warn!(
                secret = at.event.secret_id,
                label,
                "a rotation went by; its password is set again"
            );
            engine.set_password(only, &made.user, &made.password).await?;
            return Ok(Acted::Later("a rotation went by meanwhile"));
        }
    }
    Ok(Acted::Later("a rotation has begun meanwhile"))
}

fn account(read: &Reads<'_>, label: &'static str, value: &SecretDocument) -> Result<Account, RotationError> {
    read(value).map_err(|source| RotationError::Document { label, source })
}

async fn log_in<E: Engine, V>(
    engine: &E,
    at: &Occasion<'_, V>,
    account: &Account,
) -> Result<Login, RotationError> {
    at.retry.run("a login", || engine.log_in(account)).await
}
