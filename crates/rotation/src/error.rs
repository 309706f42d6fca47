//! Why a step failed: a public name that never changes, and one sentence with the remedy.

use lambda_kit::call::CallError;

use crate::document::DocumentError;
use crate::engine::EngineError;
use crate::password::PasswordError;

/// Why a step failed. Nothing here ever holds a password.
#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    /// Rotation is turned off for the secret.
    #[error(
        "rotation is turned off for {secret}; turn it on with `aws secretsmanager rotate-secret` or the secret's RotationSchedule before it can be rotated"
    )]
    Disabled {
        /// The secret.
        secret: String,
    },
    /// The event's token names no version, or one that is not pending.
    #[error(
        "version {token} of {secret} does not carry AWSPENDING: the event is of a rotation that was cancelled, abandoned or never begun; start a new one \
         with `aws secretsmanager rotate-secret`"
    )]
    StaleToken {
        /// The secret.
        secret: String,
        /// The event's token.
        token: String,
    },
    /// The secret's value cannot be used.
    #[error("the value of the version with {label}")]
    Document {
        /// Label of the version.
        label: &'static str,
        /// What is wrong with it.
        #[source]
        source: DocumentError,
    },
    /// The pending version points somewhere else than the current one.
    #[error(
        "`{key}` of the version with AWSPENDING is not that of AWSCURRENT: somebody changed one of them by hand during the rotation; a credential is \
         never set where it was not read. Take AWSPENDING off version {token} and start again"
    )]
    TargetChanged {
        /// The key that differs.
        key: &'static str,
        /// The pending version.
        token: String,
    },
    /// Neither the pending nor the current nor the previous credential logs in.
    #[error(
        "{server} accepts neither the pending nor the current nor the previous password of user `{user}`: it was changed elsewhere. Set the password of \
         AWSCURRENT on the server as an administrator, then start the rotation again"
    )]
    NoneLogsIn {
        /// Host and port.
        server: String,
        /// The user.
        user: String,
    },
    /// The credential does not work although it should.
    #[error(
        "the credential of {label} is not accepted: {whose}; AWSCURRENT stays as it is. The next attempt of the rotation sets it again"
    )]
    NotAccepted {
        /// Whose credential it is, and where.
        whose: String,
        /// Label of the version.
        label: &'static str,
    },
    /// AWSCURRENT was moved by somebody else, again and again.
    #[error(
        "AWSCURRENT of {secret} moved to another version during each of {attempts} attempts to move it: something else writes this secret; stop it, and start \
         the rotation again"
    )]
    CurrentMoves {
        /// The secret.
        secret: String,
        /// Attempts.
        attempts: u32,
    },
    /// A user name from which no other one can be made.
    #[error(
        "user name `{user}` is too long to alternate with: the other user would be `{other}`, and {engine} takes {longest} bytes"
    )]
    UserNameTooLong {
        /// The user.
        user: String,
        /// The other user.
        other: String,
        /// The engine.
        engine: &'static str,
        /// Bytes.
        longest: usize,
    },
    /// The admin's secret is not the one that the function is configured with.
    #[error(
        "`masterarn` of the secret is not ADMIN_SECRET_ARN of the function's configuration; make them the same, or take `masterarn` away"
    )]
    OtherAdmin,
    /// No password that the engine accepts could be made.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The engine could not be reached or refused something else than the password.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The provider of API keys did not do what was asked.
    #[cfg(feature = "api-key")]
    #[error(transparent)]
    Key(#[from] crate::keys::KeyError),
    /// The brokers of Amazon MSK do not or will not read the secret.
    #[cfg(feature = "msk")]
    #[error(transparent)]
    Msk(#[from] crate::msk::MskError),
    /// A call of AWS failed.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The target knows nothing of the action.
    #[error("`{action}` was asked for, which is nothing that a function for {target} does")]
    NoSuchAction {
        /// The action.
        action: &'static str,
        /// Name of the target.
        target: &'static str,
    },
    /// The time ran out before the step was done. Running it again goes on where it stopped.
    #[error("the time of the function ran out during {0}; the next call goes on where it stopped")]
    OutOfTime(&'static str),
}

impl RotationError {
    /// The public name: what an alarm or a runbook refers to. It never changes.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Disabled { .. } => "RotationDisabled",
            Self::StaleToken { .. } => "StaleToken",
            Self::Document { .. } => "InvalidSecretValue",
            Self::TargetChanged { .. } => "PendingVersionMismatch",
            Self::NoneLogsIn { .. } => "AllCredentialsRejected",
            Self::NotAccepted { .. } => "NewPasswordRejected",
            Self::CurrentMoves { .. } => "ConcurrentModification",
            Self::UserNameTooLong { .. } => "UserNameTooLong",
            Self::OtherAdmin => "AdminSecretMismatch",
            Self::Password(_) => "PasswordPolicyUnsatisfiable",
            Self::Engine(error) => error.name(),
            #[cfg(feature = "api-key")]
            Self::Key(error) => error.name(),
            #[cfg(feature = "msk")]
            Self::Msk(error) => error.name(),
            Self::Call(_) => "AwsCallFailed",
            Self::NoSuchAction { .. } => "UnsupportedAction",
            Self::OutOfTime(_) => "TimedOut",
        }
    }
}
