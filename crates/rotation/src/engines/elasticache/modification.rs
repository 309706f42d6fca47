//! A change that the service makes in its own time.

use super::wait::Waiting;
use crate::engine::{Account, Engine, EngineError, Login};

/// The service's answer to a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Modification {
    /// The change has begun.
    Started,
    /// An earlier change is in progress.
    Busy,
    /// The service does not allow it, because there is nothing to change.
    NotAllowed,
}

/// Waits until the server accepts a password: a change reaches the nodes some time after the
/// service reports its end.
pub(super) async fn wait_until_accepted(
    engine: &impl Engine,
    account: &Account,
    waiting: &mut Waiting,
) -> Result<(), EngineError> {
    loop {
        match engine.log_in(account).await {
            Ok(Login::Accepted) => return Ok(()),
            Ok(Login::Refused) if waiting.pause().await => {}
            // A node may be replaced at the same time.
            Err(error) if error.is_transient() && waiting.pause().await => {}
            Ok(Login::Refused) => {
                let (server, user) = (account.server.clone(), account.user.clone());
                let problem =
                    format!("it is set, and the server still rejects it after {} s", waiting.seconds());
                return Err(EngineError::SetPasswordFailed { server, user, problem });
            }
            Err(error) => return Err(error),
        }
    }
}
