//! The diagnosis of an interrupted rotation: which credential the server accepts, and what to do.
//!
//! Read-only. `statemachines/repair-rotation.asl.json` invokes the function for a [`Finding`] and,
//! if its input says so, applies it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::document::SecretDocument;
use crate::engine::Login;
use crate::error::RotationError;
use crate::invocation::Invocation;
use crate::pending::checked;
use crate::rotator::CredentialRotator;
use crate::versions::{CURRENT, PENDING, PREVIOUS, Versions};

/// The time since the secret's last change below which a rotation may still be running, unless the
/// request says otherwise: longer than any step takes.
const QUIET: Duration = Duration::from_secs(600);

/// The reason to drop a pending value that somebody planted.
const NOT_CREATED_HERE: &str = "the value of AWSPENDING was not created by this rotation function; find \
                                out in CloudTrail who wrote it, then rotate again";

/// The request of `repair-rotation` to a rotation function.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct RepairRequest {
    /// Always `Examine`.
    pub action: Examine,
    /// The secret's ARN.
    pub secret_id: String,
    /// The minutes since the secret's last change below which a rotation may still be running; 10
    /// by default.
    #[serde(default)]
    pub quiet_minutes: Option<u32>,
}

/// The only action of a [`RepairRequest`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Examine {
    /// Read the secret's labels and try its credentials.
    Examine,
}

/// The recommended repair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Verdict {
    /// No rotation was interrupted.
    Nothing,
    /// A rotation may be running.
    Wait,
    /// Move AWSCURRENT to the pending version: its credential works.
    Promote,
    /// Remove AWSPENDING: the credential of AWSCURRENT works, and the pending one was never set.
    Drop,
    /// Start the rotation again: it sets a new credential.
    Resume,
    /// An administrator of the server has to set the credential.
    Manual,
}

/// The result of an examination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Finding {
    /// The recommended repair.
    pub verdict: Verdict,
    /// The reason, in a sentence.
    pub reason: String,
    /// The version with the label AWSCURRENT.
    pub current: Option<String>,
    /// The version with the label AWSPENDING, if it is another one.
    pub pending: Option<String>,
}

/// Reads a secret's labels and tries which of its credentials the server accepts.
///
/// # Errors A call or a login failed. Then nothing is known about the credentials, and nothing may
/// be changed.
pub async fn examine<V: Versions, R: CredentialRotator>(
    rotator: &R,
    at: &Invocation<'_, V>,
    quiet_minutes: Option<u32>,
) -> Result<Finding, RotationError> {
    let described = at.describe().await?;
    let current = described.version_with(CURRENT).map(str::to_owned);
    let pending = described.version_with(PENDING).map(str::to_owned);
    let pending = pending.filter(|pending| Some(pending) != current.as_ref());
    let found = |verdict, reason: &str| {
        Ok(Finding { verdict, reason: reason.to_owned(), current: current.clone(), pending: pending.clone() })
    };
    let Some(token) = &pending else {
        let reason = "no rotation was interrupted: AWSPENDING is on no version but that of AWSCURRENT";
        return found(Verdict::Nothing, reason);
    };
    let quiet = quiet_minutes.map_or(QUIET, |minutes| Duration::from_secs(u64::from(minutes) * 60));
    if described.last_changed.is_some_and(|changed| changed <= at.now && at.now.since(changed) < quiet) {
        let reason = "the secret has just changed, so the rotation may still be running; examine again later";
        return found(Verdict::Wait, reason);
    }
    let works = async |label, value: Option<SecretDocument>| -> Result<bool, RotationError> {
        // No server accepts an unusable value.
        let credential = value.and_then(|value| rotator.parse(&value).ok());
        let Some(credential) = credential else { return Ok(false) };
        Ok(rotator.verify(at, label, &credential).await? == Login::Accepted)
    };
    let pending = match checked(rotator, at, token).await {
        Ok(value) => Ok(value.map(|value| value.pending.credential)),
        Err(RotationError::InvalidSecretValue { .. }) => Ok(None),
        Err(RotationError::PendingNotCreatedHere { .. }) => Err(()),
        Err(error) => return Err(error),
    };
    if let Ok(Some(credential)) = &pending
        && rotator.verify(at, PENDING, credential).await? == Login::Accepted
    {
        let reason = "the server accepts the credential of AWSPENDING; only AWSCURRENT has not moved";
        return found(Verdict::Promote, reason);
    }
    if works(CURRENT, usable(at.current().await.map(Some))?).await? {
        let reason = if pending.is_ok() {
            "the server accepts the credential of AWSCURRENT and rejects that of AWSPENDING, which was \
             never set"
        } else {
            NOT_CREATED_HERE
        };
        return found(Verdict::Drop, reason);
    }
    if works(PREVIOUS, at.previous().await?).await? {
        // A resumed rotation would reject it again.
        if pending.is_err() {
            return found(Verdict::Drop, NOT_CREATED_HERE);
        }
        let reason =
            "the server accepts only the credential of AWSPREVIOUS; a rotation sets a new one with it";
        return found(Verdict::Resume, reason);
    }
    let reason = "the server accepts none of the secret's credentials; set that of AWSCURRENT on the \
                  server as an administrator, then examine again";
    found(Verdict::Manual, reason)
}

/// Treats a value that is not a JSON object as absent.
fn usable(
    value: Result<Option<SecretDocument>, RotationError>,
) -> Result<Option<SecretDocument>, RotationError> {
    match value {
        Err(RotationError::InvalidSecretValue { .. }) => Ok(None),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_with_another_action_or_key_is_rejected() {
        for text in
            [r#"{"Action":"Drop","SecretId":"s"}"#, r#"{"Action":"Examine","SecretId":"s","Apply":true}"#]
        {
            assert!(serde_json::from_str::<RepairRequest>(text).is_err(), "{text}");
        }
    }
}
