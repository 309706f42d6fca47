//! The error of a step or an action: a public name that never changes, and a sentence that says
//! what to do.

use std::error::Error;
use std::fmt;

use lambda_kit::call::CallError;

use crate::document::DocumentError;
use crate::engine::EngineError;
use crate::password::PasswordError;

/// The error of a step or an action. It never holds a credential.
#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    /// Rotation is turned off for the secret.
    #[error(
        "rotation of {secret} is turned off; turn it on with `aws secretsmanager rotate-secret` or \
         with the secret's AWS::SecretsManager::RotationSchedule"
    )]
    Disabled {
        /// The secret's ARN.
        secret: String,
    },
    /// The event's token is not the id of the pending version.
    #[error(
        "version {token} of {secret} does not have the label AWSPENDING: the event belongs to a \
         rotation that was cancelled or superseded; start a new one with \
         `aws secretsmanager rotate-secret`"
    )]
    StaleToken {
        /// The secret's ARN.
        secret: String,
        /// The event's token.
        token: String,
    },
    /// A version's value cannot be used.
    #[error("the value of the version with the label {label} is invalid")]
    InvalidSecretValue {
        /// The label of the version.
        label: &'static str,
        /// The reason.
        #[source]
        source: DocumentError,
    },
    /// The pending version is for another server or user than the current one.
    #[error(
        "`{key}` of the version with the label AWSPENDING differs from AWSCURRENT: one of them was \
         edited during the rotation, and a password is only set where the current one came from; \
         remove AWSPENDING from version {token} with \
         `aws secretsmanager update-secret-version-stage`, then start the rotation again"
    )]
    PendingVersionMismatch {
        /// The key that differs.
        key: &'static str,
        /// The id of the pending version.
        token: String,
    },
    /// The pending version has a value that this function did not create.
    #[error(
        "the value of version {token} of {secret}, which has the label AWSPENDING, was not created by \
         this rotation function and was not used; AWSCURRENT is unchanged; find out in CloudTrail who \
         wrote it, remove the label with `aws secretsmanager update-secret-version-stage --secret-id \
         {secret} --version-stage AWSPENDING --remove-from-version-id {token}`, then start the rotation \
         again"
    )]
    PendingNotCreatedHere {
        /// The secret's ARN.
        secret: String,
        /// The id of the pending version.
        token: String,
    },
    /// The server rejects the pending, the current and the previous credential.
    #[error(
        "{server} rejects the pending, the current and the previous password of user `{user}`: the \
         password was changed outside of Secrets Manager; set the password of AWSCURRENT on the \
         server as an administrator, then start the rotation again"
    )]
    AllCredentialsRejected {
        /// The host and port.
        server: String,
        /// The user.
        user: String,
    },
    /// The server rejects a credential that was set.
    #[error(
        "the credential of the version with the label {label} is rejected: {owner}; AWSCURRENT is \
         unchanged, and the next attempt of the rotation sets the credential again"
    )]
    NewPasswordRejected {
        /// The credential's owner: the user and the server.
        owner: String,
        /// The label of the version.
        label: &'static str,
    },
    /// Another writer moved AWSCURRENT during every attempt to move it.
    #[error(
        "AWSCURRENT of {secret} was moved by another writer during each of {attempts} attempts to \
         move it; stop the other writer, then start the rotation again"
    )]
    ConcurrentModification {
        /// The secret's ARN.
        secret: String,
        /// The number of attempts.
        attempts: u32,
    },
    /// The name of the second user would be too long.
    #[error(
        "user name `{user}` is too long for alternating users: the second user would be `{other}`, \
         and {engine} allows {max_bytes} bytes; use a shorter user name"
    )]
    UserNameTooLong {
        /// The user.
        user: String,
        /// The second user.
        other: String,
        /// The engine.
        engine: &'static str,
        /// The longest name, in bytes.
        max_bytes: usize,
    },
    /// The secret names another admin secret than the function's configuration.
    #[error(
        "`masterarn` of the secret differs from ADMIN_SECRET_ARN of the function's configuration; \
         set both to the same ARN, or remove `masterarn`"
    )]
    AdminSecretMismatch,
    /// Secrets Manager generated no password that the engine accepts.
    #[error(transparent)]
    PasswordPolicyUnsatisfiable(#[from] PasswordError),
    /// The server could not be reached, or rejected a login or a change.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// An error that only one kind of credential has.
    #[error(transparent)]
    Rotator(#[from] RotatorError),
    /// A call to AWS failed.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The function does not support the action for this kind of credential.
    #[error(
        "action `{action}` is not supported by a function for {rotator}; remove the rule or schedule \
         that sends it"
    )]
    UnsupportedAction {
        /// The action.
        action: &'static str,
        /// The kind of credential.
        rotator: &'static str,
    },
    /// The event asks to end the overlap of two passwords too early.
    #[error(
        "the event asks to remove the previous password {asked} minutes after the rotation, and the \
         function keeps it for at least {least}; ask for more, or lower RETIRE_AFTER_MINUTES of the \
         function"
    )]
    OverlapTooShort {
        /// The minutes in the event.
        asked: u32,
        /// The minutes in the function's configuration.
        least: u32,
    },
    /// The invocation's time ran out. The next invocation continues.
    #[error(
        "timed out during {0}; the next invocation continues, and a longer timeout of the function \
         gives it more time"
    )]
    TimedOut(&'static str),
}

impl RotationError {
    /// Returns the public name, which alarms and runbooks refer to. It never changes.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Disabled { .. } => "RotationDisabled",
            Self::StaleToken { .. } => "StaleToken",
            Self::InvalidSecretValue { .. } => "InvalidSecretValue",
            Self::PendingVersionMismatch { .. } => "PendingVersionMismatch",
            Self::PendingNotCreatedHere { .. } => "PendingNotCreatedHere",
            Self::AllCredentialsRejected { .. } => "AllCredentialsRejected",
            Self::NewPasswordRejected { .. } => "NewPasswordRejected",
            Self::ConcurrentModification { .. } => "ConcurrentModification",
            Self::UserNameTooLong { .. } => "UserNameTooLong",
            Self::AdminSecretMismatch => "AdminSecretMismatch",
            Self::PasswordPolicyUnsatisfiable(_) => "PasswordPolicyUnsatisfiable",
            Self::Engine(error) => error.name(),
            Self::Rotator(error) => error.name,
            Self::Call(_) => "AwsCallFailed",
            Self::UnsupportedAction { .. } => "UnsupportedAction",
            Self::OverlapTooShort { .. } => "OverlapTooShort",
            Self::TimedOut(_) => "TimedOut",
        }
    }
}

/// An error that only one kind of credential has, with its public name.
///
/// The modules of the credentials depend on this one, so it cannot name their error types.
#[derive(Debug)]
pub struct RotatorError {
    name: &'static str,
    error: Box<dyn Error + Send + Sync>,
}

impl RotatorError {
    /// Creates the error from its public name and the credential's own error.
    pub fn new(name: &'static str, error: impl Error + Send + Sync + 'static) -> Self {
        Self { name, error: Box::new(error) }
    }
}

impl fmt::Display for RotatorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl Error for RotatorError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.source()
    }
}

#[cfg(test)]
mod tests {
    use lambda_kit::error::chain;

    use super::*;

    fn server() -> crate::engine::Server {
        crate::engine::Server { host: "db.example.com".into(), port: 5432, database: String::new() }
    }

    #[test]
    fn every_error_has_its_public_name_and_sentence() {
        let secret = || "arn:s".to_owned();
        let problem = || "connection refused".to_owned();
        let user = || "app".to_owned();
        for (error, name, sentence) in [
            (
                RotationError::Disabled { secret: secret() },
                "RotationDisabled",
                "rotation of arn:s is turned off; turn it on with `aws secretsmanager rotate-secret` or \
                 with the secret's AWS::SecretsManager::RotationSchedule",
            ),
            (
                RotationError::StaleToken { secret: secret(), token: "t".into() },
                "StaleToken",
                "version t of arn:s does not have the label AWSPENDING: the event belongs to a rotation \
                 that was cancelled or superseded; start a new one with \
                 `aws secretsmanager rotate-secret`",
            ),
            (
                RotationError::InvalidSecretValue {
                    label: "AWSCURRENT",
                    source: DocumentError::Missing { key: "host", near: Some("Host".into()) },
                },
                "InvalidSecretValue",
                "the value of the version with the label AWSCURRENT is invalid: it has no key `host`, but \
                 a key `Host`; keys are case-sensitive",
            ),
            (
                RotationError::PendingVersionMismatch { key: "host", token: "t".into() },
                "PendingVersionMismatch",
                "`host` of the version with the label AWSPENDING differs from AWSCURRENT: one of them was \
                 edited during the rotation, and a password is only set where the current one came from; \
                 remove AWSPENDING from version t with `aws secretsmanager update-secret-version-stage`, \
                 then start the rotation again",
            ),
            (
                RotationError::PendingNotCreatedHere { secret: secret(), token: "t".into() },
                "PendingNotCreatedHere",
                "the value of version t of arn:s, which has the label AWSPENDING, was not created by this \
                 rotation function and was not used; AWSCURRENT is unchanged; find out in CloudTrail who \
                 wrote it, remove the label with `aws secretsmanager update-secret-version-stage \
                 --secret-id arn:s --version-stage AWSPENDING --remove-from-version-id t`, then start the \
                 rotation again",
            ),
            (
                RotationError::AllCredentialsRejected { server: server().to_string(), user: user() },
                "AllCredentialsRejected",
                "db.example.com:5432 rejects the pending, the current and the previous password of user \
                 `app`: the password was changed outside of Secrets Manager; set the password of \
                 AWSCURRENT on the server as an administrator, then start the rotation again",
            ),
            (
                RotationError::NewPasswordRejected { owner: "user `app` of h:1".into(), label: "AWSPENDING" },
                "NewPasswordRejected",
                "the credential of the version with the label AWSPENDING is rejected: user `app` of h:1; \
                 AWSCURRENT is unchanged, and the next attempt of the rotation sets the credential again",
            ),
            (
                RotationError::ConcurrentModification { secret: secret(), attempts: 3 },
                "ConcurrentModification",
                "AWSCURRENT of arn:s was moved by another writer during each of 3 attempts to move it; \
                 stop the other writer, then start the rotation again",
            ),
            (
                RotationError::UserNameTooLong {
                    user: user(),
                    other: "app_clone".into(),
                    engine: "mysql",
                    max_bytes: 8,
                },
                "UserNameTooLong",
                "user name `app` is too long for alternating users: the second user would be \
                 `app_clone`, and mysql allows 8 bytes; use a shorter user name",
            ),
            (
                RotationError::AdminSecretMismatch,
                "AdminSecretMismatch",
                "`masterarn` of the secret differs from ADMIN_SECRET_ARN of the function's configuration; \
                 set both to the same ARN, or remove `masterarn`",
            ),
            (
                PasswordError::Unacceptable { engine: "MySQL", attempts: 5, rule: "its length is wrong" }
                    .into(),
                "PasswordPolicyUnsatisfiable",
                "Secrets Manager generated no password that MySQL accepts in 5 attempts: its length is \
                 wrong; exclude fewer characters",
            ),
            (
                EngineError::ServerUnreachable { server: server(), problem: problem() }.into(),
                "ServerUnreachable",
                "db.example.com:5432 cannot be reached: connection refused; check `host` and `port` of the \
                 secret, and the function's route, security groups and name servers",
            ),
            (
                EngineError::CertificateNotTrusted { server: server(), problem: "expired".into() }.into(),
                "CertificateNotTrusted",
                "the certificate of db.example.com:5432 is not trusted: expired; check `host` of the \
                 secret, and for a certificate of your own CA add the CA to CA_CERTIFICATES of the \
                 function",
            ),
            (
                EngineError::InsufficientPrivileges { server: server(), user: user(), problem: "no".into() }
                    .into(),
                "InsufficientPrivileges",
                "db.example.com:5432 does not permit the login of user `app`: no",
            ),
            (
                EngineError::SetPasswordFailed { server: server(), user: user(), problem: "no".into() }
                    .into(),
                "SetPasswordFailed",
                "setting the password of user `app` on db.example.com:5432 failed: no",
            ),
            (
                EngineError::ServerMismatch { server: server(), configured: "cluster c".into() }.into(),
                "ServerMismatch",
                "the secret names db.example.com:5432, and the function is configured for cluster c; check \
                 `host` and `port` of the secret, or the function's configuration",
            ),
            (
                EngineError::from(CallError::without_answer("kms:Decrypt", "no")).into(),
                "AwsCallFailed",
                "kms:Decrypt: no",
            ),
            (
                RotationError::UnsupportedAction { action: "RetirePrevious", rotator: "kafka" },
                "UnsupportedAction",
                "action `RetirePrevious` is not supported by a function for kafka; remove the rule or \
                 schedule that sends it",
            ),
            (
                RotationError::OverlapTooShort { asked: 0, least: 60 },
                "OverlapTooShort",
                "the event asks to remove the previous password 0 minutes after the rotation, and the \
                 function keeps it for at least 60; ask for more, or lower RETIRE_AFTER_MINUTES of the \
                 function",
            ),
            (
                RotationError::TimedOut("a login"),
                "TimedOut",
                "timed out during a login; the next invocation continues, and a longer timeout of the \
                 function gives it more time",
            ),
        ] {
            assert_eq!((error.name(), chain(&error).as_str()), (name, sentence));
        }
    }

    #[test]
    fn rotator_error_keeps_its_name_text_and_cause() {
        #[derive(Debug, thiserror::Error)]
        #[error("no key was created")]
        struct Outer(#[source] std::num::ParseIntError);
        let cause = "x".parse::<u8>().unwrap_err();
        let error = RotationError::from(RotatorError::new("Example", Outer(cause)));
        assert_eq!(error.name(), "Example");
        assert_eq!(chain(&error), "no key was created: invalid digit found in string");
    }
}
