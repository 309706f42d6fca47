//! A user of role-based access control (RBAC), whose passwords ModifyUser sets.
//!
//! A user has at most two passwords, and ModifyUser takes the whole list: the new one beside the one that has just logged in. The oldest
//! ends with that. Sources: "Role-Based Access Control (RBAC)" and "Automatically rotating passwords for users" of the ElastiCache user guide;
//! ModifyUser of the API reference.

use std::future::Future;

use lambda_kit::call::CallError;
use lambda_kit::env::{Env, EnvError};
use secrecy::SecretString;

use super::wait::Waiting;
use super::{Endpoint, Taken};
use crate::document::{DocumentError, SecretDocument};
use crate::engine::{Account, Engine, EngineError, Login};
use crate::engines::redis;
use crate::password::PasswordPolicy;

/// What DescribeUsers says of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// ARN.
    pub arn: String,
    /// The name that it logs in with; its id may be another.
    pub name: String,
    /// `active`, `modifying` or `deleting`.
    pub status: String,
    /// `password`, `no-password` or `iam`.
    pub authentication: String,
}

/// The two calls about users that a rotation makes: `elasticache:DescribeUsers` and `elasticache:ModifyUser`.
pub trait Users: Send + Sync {
    /// DescribeUsers of one id; `None` if there is no such user.
    fn user(&self, id: &str) -> impl Future<Output = Result<Option<User>, CallError>> + Send;

    /// ModifyUser with these passwords and no others, one or two.
    fn set_passwords(
        &self,
        id: &str,
        passwords: &[&SecretString],
    ) -> impl Future<Output = Result<Taken, CallError>> + Send;
}

/// `USER_ARN` is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it is no ARN of an ElastiCache user")]
pub struct UserArnError;

/// ARN of a user: `arn:aws:elasticache:eu-west-1:123456789012:user:some-id`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserArn(String);

impl std::str::FromStr for UserArn {
    type Err = UserArnError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split(':').collect::<Vec<_>>().as_slice() {
            ["arn", _, "elasticache", _, _, "user", id] if !id.is_empty() => Ok(Self(text.to_owned())),
            _ => Err(UserArnError),
        }
    }
}

impl UserArn {
    /// From `USER_ARN`.
    ///
    /// # Errors
    /// It is missing, or no ARN of a user.
    pub fn from_env(env: Env<'_>) -> Result<Self, EnvError> {
        let found = env.required("USER_ARN")?;
        found.parse().map_err(|_| EnvError::Invalid {
            name: "USER_ARN".to_owned(),
            found,
            expected: "an ARN of an ElastiCache user: arn:aws:elasticache:REGION:ACCOUNT:user:ID".to_owned(),
        })
    }

    /// The user's id.
    pub fn id(&self) -> &str {
        self.0.rsplit(':').next().unwrap_or_default()
    }
}

/// The engine for one user.
pub struct RbacUser<U> {
    api: U,
    arn: UserArn,
    at: Endpoint,
}

impl<U: Users> RbacUser<U> {
    /// With the API, the user, and where it logs in.
    pub fn new(api: U, arn: UserArn, at: Endpoint) -> Self {
        Self { api, arn, at }
    }

    fn not_set(&self, user: &str, problem: String) -> EngineError {
        EngineError::SetPasswordFailed { server: self.at.server.clone(), user: user.to_owned(), problem }
    }

    /// Waits until no change is under way. The user is the one of the configuration, and of that name.
    async fn settled(&self, name: &str, waiting: &mut Waiting) -> Result<(), EngineError> {
        loop {
            let id = self.arn.id();
            let found = self.api.user(id).await;
            let found = found.map_err(|error| self.not_set(name, error.to_string()))?;
            let user =
                found.ok_or_else(|| self.not_set(name, format!("there is no user with the id `{id}`")))?;
            // The confused deputy: the secret names a user, the configuration an id; they have to be the same user.
            if user.arn != self.arn.0 || user.name != name {
                let problem = format!(
                    "the user with the id `{id}` is `{}` with the ARN {}, expected `{name}` with {}; make `username` of the secret and USER_ARN of the \
                     function agree",
                    user.name, user.arn, self.arn.0
                );
                return Err(self.not_set(name, problem));
            }
            if user.authentication != "password" {
                let problem = format!(
                    "its authentication type is `{}`, expected `password`; there is no password to rotate",
                    user.authentication
                );
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

    /// Makes these the passwords, as soon as the user is free for it, and waits for the end.
    async fn modify(
        &self,
        name: &str,
        passwords: &[&SecretString],
        waiting: &mut Waiting,
    ) -> Result<(), EngineError> {
        loop {
            let taken = self.api.set_passwords(self.arn.id(), passwords).await;
            match taken.map_err(|error| self.not_set(name, error.to_string()))? {
                Taken::Yes => return self.settled(name, waiting).await,
                Taken::Busy if waiting.pause().await => self.settled(name, waiting).await?,
                Taken::Busy => {
                    let problem =
                        format!("another change of the user lasts for more than {} s", waiting.seconds());
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
        if document.text("user_arn")? != self.arn.0 {
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
        self.settled(user, &mut waiting).await?;
        let changed = Account { user: user.to_owned(), password: new.clone(), ..by.clone() };
        // What an earlier run began has come to its end meanwhile.
        if self.log_in(&changed).await? == Login::Accepted {
            return Ok(());
        }
        self.modify(user, &[new, &by.password], &mut waiting).await?;
        super::accepted(self, &changed, &mut waiting).await
    }

    fn keeps_previous(&self) -> bool {
        true
    }

    async fn retire_others(&self, keep: &Account) -> Result<(), EngineError> {
        let mut waiting = self.at.pace.begin();
        self.settled(&keep.user, &mut waiting).await?;
        self.modify(&keep.user, &[&keep.password], &mut waiting).await
    }
}
