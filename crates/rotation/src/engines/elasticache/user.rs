//! A user of role-based access control (RBAC), whose passwords ModifyUser sets.
//!
//! A user has at most two passwords, and ModifyUser sets the whole list: the new one, and the one
//! that has just logged in. The oldest ends. Sources: "Role-Based Access Control (RBAC)" and
//! "Automatically rotating passwords for users" of the ElastiCache user guide; ModifyUser of the
//! API reference.

use std::fmt;
use std::future::Future;
use std::str::FromStr;

use lambda_kit::arn::{Arn, ArnError};
use lambda_kit::call::CallError;
use lambda_kit::env::{Env, EnvError};
use secrecy::SecretString;

use super::endpoint::Endpoint;
use super::modification::{Modification, wait_until_accepted};
use super::wait::Waiting;
use crate::document::{DocumentError, SecretDocument};
use crate::engine::{Account, Engine, EngineError, Login};
use crate::engines::redis;
use crate::password::PasswordPolicy;

/// A user, from DescribeUsers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The ARN.
    pub arn: String,
    /// The name for logins, which may differ from the id.
    pub name: String,
    /// `active`, `modifying` or `deleting`.
    pub status: String,
    /// `password`, `no-password` or `iam`.
    pub authentication: String,
}

/// The calls of a rotation about users: `elasticache:DescribeUsers` and `elasticache:ModifyUser`.
pub trait Users: Send + Sync {
    /// Returns the user with an id (DescribeUsers); `None` if it does not exist.
    fn user(&self, id: &str) -> impl Future<Output = Result<Option<User>, CallError>> + Send;

    /// Sets the list of passwords, one or two (ModifyUser).
    fn set_passwords(
        &self,
        id: &str,
        passwords: &[&SecretString],
    ) -> impl Future<Output = Result<Modification, CallError>> + Send;
}

/// A text that is not the ARN of an ElastiCache user.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UserArnError {
    /// It is not an ARN.
    #[error(transparent)]
    Arn(#[from] ArnError),
    /// It is the ARN of something else.
    #[error("{0} is not the ARN of an ElastiCache user")]
    NotAUser(Arn),
}

/// The ARN of a user: `arn:aws:elasticache:eu-west-1:123456789012:user:some-id`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserArn {
    arn: Arn,
    id: String,
}

impl FromStr for UserArn {
    type Err = UserArnError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let arn: Arn = text.parse()?;
        let id = arn.resource.strip_prefix("user:").filter(|_| arn.service == "elasticache");
        match id.filter(|id| !id.is_empty() && !id.contains(':')) {
            Some(id) => Ok(Self { id: id.to_owned(), arn }),
            None => Err(UserArnError::NotAUser(arn)),
        }
    }
}

impl UserArn {
    /// Reads `USER_ARN`.
    ///
    /// # Errors
    /// The variable is missing or not the ARN of a user.
    pub fn from_env(env: Env<'_>) -> Result<Self, EnvError> {
        let expected = "an ARN of an ElastiCache user: arn:aws:elasticache:REGION:ACCOUNT:user:ID";
        env.required_as("USER_ARN", expected)
    }

    /// Returns the user's id.
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl fmt::Display for UserArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.arn.fmt(f)
    }
}

/// The engine for one user.
pub struct RbacUser<U> {
    api: U,
    arn: UserArn,
    at: Endpoint,
}

impl<U: Users> RbacUser<U> {
    /// Creates the engine for a user.
    pub fn new(api: U, arn: UserArn, at: Endpoint) -> Self {
        Self { api, arn, at }
    }

    fn not_set(&self, user: &str, problem: String) -> EngineError {
        EngineError::SetPasswordFailed { server: self.at.server.clone(), user: user.to_owned(), problem }
    }

    /// Waits until no change is in progress. Checks that the user is the configured one and has
    /// this name.
    async fn wait_until_idle(&self, name: &str, waiting: &mut Waiting) -> Result<(), EngineError> {
        loop {
            let id = self.arn.id();
            let found = self.api.user(id).await;
            let found = found.map_err(|error| self.not_set(name, error.to_string()))?;
            let user =
                found.ok_or_else(|| self.not_set(name, format!("there is no user with the id `{id}`")))?;
            // Against the confused deputy: the secret has a name and the configuration an id, and
            // both must be of the same user.
            if user.arn != self.arn.to_string() || user.name != name {
                let problem = format!(
                    "the user with the id `{id}` is `{}` with the ARN {}, expected `{name}` with {}; set `username` \
                     of the secret and USER_ARN of the function to the same user",
                    user.name, user.arn, self.arn
                );
                return Err(self.not_set(name, problem));
            }
            if user.authentication != "password" {
                let problem =
                    format!("its authentication type is `{}`, expected `password`", user.authentication);
                return Err(self.not_set(name, problem));
            }
            match user.status.as_str() {
                "active" => return Ok(()),
                "modifying" if waiting.pause().await => {}
                status => {
                    let problem =
                        format!("the user is `{status}` after {} s, expected `active`", waiting.seconds());
                    return Err(self.not_set(name, problem));
                }
            }
        }
    }

    /// Sets the passwords as soon as the user accepts a change, and waits for the end.
    async fn modify(
        &self,
        name: &str,
        passwords: &[&SecretString],
        waiting: &mut Waiting,
    ) -> Result<(), EngineError> {
        loop {
            let started = self.api.set_passwords(self.arn.id(), passwords).await;
            match started.map_err(|error| self.not_set(name, error.to_string()))? {
                Modification::Started => return self.wait_until_idle(name, waiting).await,
                Modification::Busy if waiting.pause().await => self.wait_until_idle(name, waiting).await?,
                Modification::NotAllowed => {
                    return Err(self.not_set(name, "the service does not allow the change".to_owned()));
                }
                Modification::Busy => {
                    let problem = format!(
                        "another change of the user has lasted for more than {} s",
                        waiting.seconds()
                    );
                    return Err(self.not_set(name, problem));
                }
            }
        }
    }
}

impl<U: Users> Engine for RbacUser<U> {
    fn name(&self) -> &'static str {
        "elasticache"
    }

    fn password_policy(&self) -> PasswordPolicy {
        self.at.policy.clone()
    }

    fn account(&self, document: &SecretDocument) -> Result<Account, DocumentError> {
        let account = self.at.account(document, None)?;
        if document.text("user_arn")? != self.arn.to_string() {
            let expected = "USER_ARN of the function's configuration";
            return Err(DocumentError::Invalid { key: "user_arn", expected });
        }
        Ok(account)
    }

    async fn log_in(&self, account: &Account) -> Result<Login, EngineError> {
        redis::log_in(&self.at.tls, account).await
    }

    async fn set_password(&self, by: &Account, user: &str, new: &SecretString) -> Result<(), EngineError> {
        let mut waiting = self.at.pace.begin();
        self.wait_until_idle(user, &mut waiting).await?;
        let changed = Account { user: user.to_owned(), password: new.clone(), ..by.clone() };
        // A change of an interrupted run has ended by now.
        if self.log_in(&changed).await? == Login::Accepted {
            return Ok(());
        }
        self.modify(user, &[new, &by.password], &mut waiting).await?;
        wait_until_accepted(self, &changed, &mut waiting).await
    }

    fn keeps_previous(&self) -> bool {
        true
    }

    async fn retire_others(&self, keep: &Account) -> Result<(), EngineError> {
        let mut waiting = self.at.pace.begin();
        self.wait_until_idle(&keep.user, &mut waiting).await?;
        self.modify(&keep.user, &[&keep.password], &mut waiting).await
    }
}
