//! The validity of the old password of a single user after the change.

use lambda_kit::env::{Env, EnvError};

/// The old password of a single user, where the server could keep it beside the new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OldPassword {
    /// It works until the next rotation if the server and the privileges allow that. The log says
    /// if it does.
    #[default]
    KeptIfPossible,
    /// It works until the next rotation. A rotation that cannot keep it fails.
    Kept,
    /// It ends with the change.
    Ended,
}

impl OldPassword {
    /// Reads `KEEP_OLD_PASSWORD`: `if-possible` (the default), `always` or `never`.
    ///
    /// # Errors
    /// It has another value.
    pub fn from_env(env: Env<'_>) -> Result<Self, EnvError> {
        let name = "KEEP_OLD_PASSWORD";
        match env.optional(name).as_deref() {
            None | Some("if-possible") => Ok(Self::KeptIfPossible),
            Some("always") => Ok(Self::Kept),
            Some("never") => Ok(Self::Ended),
            Some(found) => Err(EnvError::invalid(name, found, "if-possible, always or never")),
        }
    }
}
