//! A rotation that stopped half-way: which credential does the server really accept, and what follows from that.
//!
//! Nothing is changed here. `statemachines/repair-rotation.asl.json` asks for a [`Finding`] and, if told to, does what it says.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::document::SecretDocument;
use crate::engine::Login;
use crate::error::RotationError;
use crate::event::{RotationEvent, Step};
use crate::retry::Retry;
use crate::target::{Invocation, Target};
use crate::versions::{CURRENT, PENDING, PREVIOUS, Versions};

/// How long a secret must have been left alone, if the request does not say: longer than any step of a rotation takes.
const QUIET: Duration = Duration::from_secs(600);

/// What `repair-rotation` sends to a rotation function.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct RepairRequest {
    /// Always `Examine`.
    pub action: Examine,
    /// ARN of the secret.
    pub secret_id: String,
    /// Minutes since the last change of the secret below which a rotation may still be running: 10 if absent.
    #[serde(default)]
    pub quiet_minutes: Option<u32>,
}

/// The one action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Examine {
    /// Look at the secret and ask the server.
    Examine,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Verdict {
    /// No rotation is half-way.
    Nothing,
    /// One may be running.
    Wait,
    /// Move AWSCURRENT to the pending version: its credential works.
    Promote,
    /// Take AWSPENDING off: the credential of AWSCURRENT works, and the pending one was never set.
    Drop,
    /// Start the rotation again: it mends this by itself.
    Resume,
    /// Nobody but an administrator of the server can mend this.
    Manual,
}

/// What the server said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Finding {
    /// What to do.
    pub verdict: Verdict,
    /// Why, in a sentence.
    pub reason: String,
    /// The version with AWSCURRENT.
    pub current: Option<String>,
    /// The version with AWSPENDING, if that is another one.
    pub pending: Option<String>,
}

/// Looks at a secret's labels and asks the server which of its credentials it accepts.
///
/// # Errors
/// A call failed, or the server cannot be asked: then nothing may be concluded, and nothing is to be done.
pub async fn examine<V: Versions, T: Target>(
    versions: &V,
    target: &T,
    retry: &Retry,
    request: &RepairRequest,
    now: SystemTime,
) -> Result<Finding, RotationError> {
    let described = versions.describe(&request.secret_id).await?;
    let current = described.holder(CURRENT).map(str::to_owned);
    let pending =
        described.holder(PENDING).map(str::to_owned).filter(|pending| Some(pending) != current.as_ref());
    let found = |verdict, reason: &str| {
        Ok(Finding { verdict, reason: reason.to_owned(), current: current.clone(), pending: pending.clone() })
    };
    let Some(token) = &pending else {
        return found(
            Verdict::Nothing,
            "no rotation is half-way: no version but AWSCURRENT's carries AWSPENDING",
        );
    };
    let quiet = request.quiet_minutes.map_or(QUIET, |minutes| Duration::from_secs(u64::from(minutes) * 60));
    let left_alone = described.last_changed.and_then(|changed| now.duration_since(changed).ok());
    if left_alone.is_some_and(|left_alone| left_alone < quiet) {
        return found(
            Verdict::Wait,
            "the secret changed a moment ago, so the rotation may still be running; ask again later",
        );
    }
    let event = RotationEvent {
        step: Step::Test,
        secret_id: request.secret_id.clone(),
        client_request_token: token.clone(),
        rotation_token: None,
    };
    let at = Invocation { versions, retry, event: &event };
    let ask = async |label, value: Option<SecretDocument>| -> Result<bool, RotationError> {
        // A value that is not usable is accepted nowhere.
        let Some(value) = value.filter(|value| target.check(value).is_ok()) else { return Ok(false) };
        Ok(target.accepts(&at, label, &value).await? == Login::Accepted)
    };
    let pending_value = usable(at.pending().await)?;
    if ask(PENDING, pending_value).await? {
        return found(
            Verdict::Promote,
            "the server accepts the credential of AWSPENDING; only the label was not moved",
        );
    }
    if ask(CURRENT, usable(at.current().await.map(Some))?).await? {
        return found(
            Verdict::Drop,
            "the server accepts the credential of AWSCURRENT and not that of AWSPENDING, which was never set",
        );
    }
    if ask(PREVIOUS, at.previous().await?).await? {
        return found(
            Verdict::Resume,
            "the server accepts only the credential of AWSPREVIOUS; a rotation sets a new one with it",
        );
    }
    found(
        Verdict::Manual,
        "the server accepts none of the secret's credentials: set that of AWSCURRENT on the server as an administrator, then examine again",
    )
}

/// A value that is no JSON object is as good as none.
fn usable(
    value: Result<Option<SecretDocument>, RotationError>,
) -> Result<Option<SecretDocument>, RotationError> {
    match value {
        Err(RotationError::Document { .. }) => Ok(None),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::faults::{MemorySecret, MemoryServer, OLD, SECRET, TOKEN};
    use crate::passwords::{Passwords, Strategy};

    fn value(password: &str) -> String {
        format!(r#"{{"host":"h","username":"u","password":"{password}"}}"#)
    }

    async fn examined(secret: &MemorySecret, at_server: &str, quiet_minutes: Option<u32>) -> Finding {
        let target = Passwords::new(MemoryServer::new(at_server), Strategy::SingleUser);
        let retry = Retry::until(Instant::now() + Duration::from_secs(20), fastrand::Rng::with_seed(1));
        let request = RepairRequest { action: Examine::Examine, secret_id: SECRET.into(), quiet_minutes };
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(300);
        let before = secret.snapshot();
        let found = examine(secret, &target, &retry, &request, now).await.unwrap();
        assert_eq!(secret.snapshot(), before, "examining changes nothing");
        found
    }

    #[tokio::test(start_paused = true)]
    async fn the_server_decides_what_becomes_of_a_rotation_that_stopped() {
        for (at_server, pending, verdict) in [
            ("pending", Some(value("pending")), Verdict::Promote),
            ("old", Some(value("pending")), Verdict::Drop),
            ("old", None, Verdict::Drop),
            ("old", Some("spoilt".to_owned()), Verdict::Drop),
            ("before", Some(value("pending")), Verdict::Resume),
            ("foreign", Some(value("pending")), Verdict::Manual),
        ] {
            let secret = MemorySecret::new(&value("old"));
            secret.set("previous", &value("before"));
            if let Some(pending) = &pending {
                secret.set(TOKEN, pending);
            }
            let found = examined(&secret, at_server, Some(0)).await;
            assert_eq!(found.verdict, verdict, "{at_server} {pending:?}: {}", found.reason);
            assert_eq!((found.current.as_deref(), found.pending.as_deref()), (Some(OLD), Some(TOKEN)));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_rotation_that_may_be_running_is_left_alone_and_one_that_ended_needs_nothing() {
        let secret = MemorySecret::new(&value("old"));
        // It was made at the epoch; the look is five minutes later.
        assert_eq!(examined(&secret, "old", None).await.verdict, Verdict::Wait);
        assert_eq!(examined(&secret, "old", Some(4)).await.verdict, Verdict::Drop);
        secret.unlabel(TOKEN);
        let found = examined(&secret, "old", None).await;
        assert_eq!((found.verdict, found.pending), (Verdict::Nothing, None));
    }

    #[test]
    fn a_request_with_another_action_or_key_is_refused() {
        for text in
            [r#"{"Action":"Drop","SecretId":"s"}"#, r#"{"Action":"Examine","SecretId":"s","Apply":true}"#]
        {
            assert!(serde_json::from_str::<RepairRequest>(text).is_err(), "{text}");
        }
    }
}
