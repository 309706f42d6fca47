//! The AUTH token of a replication group, which ModifyReplicationGroup rotates.
//!
//! A group has at most two tokens. `ROTATE` adds one and drops the older of two; `SET` leaves only the one it names. A rotation that
//! was given up leaves its token as the newer of two, and then `ROTATE` alone would drop the very token that clients use. So every rotation
//! begins with `SET` to the current token, before it makes another; this also ends the previous one, should no event have done so.
//! Source: "Authenticating with the Valkey and Redis OSS AUTH command" of the ElastiCache user guide.

use std::future::Future;

use lambda_kit::call::CallError;
use secrecy::SecretString;

use super::wait::Waiting;
use super::{Endpoint, Pace, Taken};
use crate::document::{DocumentError, SecretDocument};
use crate::engine::{Account, Engine, EngineError, Login};
use crate::engines::redis::{self, DEFAULT_USER};
use crate::password::PasswordPolicy;

/// What DescribeReplicationGroups says of a group.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Group {
    /// `available`, `modifying`, and others.
    pub status: String,
    /// `SETTING` or `ROTATING` while a change of the token is under way.
    pub token_change: Option<String>,
    /// Whether it has a token.
    pub has_token: bool,
    /// Whether it has groups of users: then it has no token.
    pub has_users: bool,
}

/// How ModifyReplicationGroup changes the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Update {
    /// Beside the newest one.
    Rotate,
    /// As the only one.
    Set,
}

/// The two calls about groups that a rotation makes: `elasticache:DescribeReplicationGroups` and
/// `elasticache:ModifyReplicationGroup`.
pub trait Groups: Send + Sync {
    /// DescribeReplicationGroups of one id; `None` if there is no such group.
    fn group(&self, id: &str) -> impl Future<Output = Result<Option<Group>, CallError>> + Send;

    /// ModifyReplicationGroup with a token, applied at once.
    fn set_token(
        &self,
        id: &str,
        token: &SecretString,
        how: Update,
    ) -> impl Future<Output = Result<Taken, CallError>> + Send;
}

/// The engine for one group's token.
pub struct Token<G> {
    api: G,
    group: String,
    at: Endpoint,
}

impl<G: Groups> Token<G> {
    /// With the API, the id of the group, and where to log in.
    pub fn new(api: G, group: String, at: Endpoint) -> Self {
        Self { api, group, at }
    }

    fn not_set(&self, problem: String) -> EngineError {
        EngineError::SetPasswordFailed { server: self.at.server.clone(), user: DEFAULT_USER.to_owned(), problem }
    }

    /// Waits until no change is under way.
    async fn settled(&self, waiting: &mut Waiting) -> Result<(), EngineError> {
        let id = &self.group;
        loop {
            let found = self.api.group(id).await.map_err(|error| self.not_set(error.to_string()))?;
            let group = found.ok_or_else(|| self.not_set(format!("there is no replication group `{id}`")))?;
            if group.has_users || !group.has_token && group.token_change.is_none() {
                let why = if group.has_users { "it has RBAC users" } else { "it lets everybody in" };
                return Err(self.not_set(format!(
                    "replication group `{id}` has no AUTH token: {why}; set one, or rotate its users with AUTH_MODE=user"
                )));
            }
            let change = group.token_change.as_deref().unwrap_or("no");
            match group.status.as_str() {
                "available" if group.token_change.is_none() => return Ok(()),
                "available" | "modifying" | "snapshotting" if waiting.pause().await => {}
                status => {
                    return Err(self.not_set(format!(
                        "replication group `{id}` is `{status}` with {change} change of the token after {} s, expected `available`",
                        waiting.seconds()
                    )));
                }
            }
        }
    }

    /// Changes the token as soon as the group is free for it, and waits for the end.
    async fn modify(
        &self,
        token: &SecretString,
        how: Update,
        waiting: &mut Waiting,
    ) -> Result<(), EngineError> {
        loop {
            let taken = self.api.set_token(&self.group, token, how).await;
            match taken.map_err(|error| self.not_set(error.to_string()))? {
                Taken::Yes => return self.settled(waiting).await,
                Taken::Busy if waiting.pause().await => self.settled(waiting).await?,
                Taken::Busy => {
                    let problem =
                        format!("another change of the group lasts for more than {} s", waiting.seconds());
                    return Err(self.not_set(problem));
                }
            }
        }
    }
}

impl<G: Groups> Engine for Token<G> {
    fn name(&self) -> &'static str {
        "elasticache"
    }

    fn password_policy(&self) -> PasswordPolicy {
        self.at.policy.clone()
    }

    fn account(&self, document: &SecretDocument) -> Result<Account, DocumentError> {
        let account = self.at.account(document, Some(DEFAULT_USER))?;
        if account.user != DEFAULT_USER {
            let expected = "`default`, whose password an AUTH token is, or absent";
            return Err(DocumentError::Invalid { key: "username", expected });
        }
        Ok(account)
    }

    async fn log_in(&self, account: &Account) -> Result<Login, EngineError> {
        redis::log_in(&self.at.tls, account).await
    }

    async fn set_password(&self, by: &Account, user: &str, new: &SecretString) -> Result<(), EngineError> {
        let mut waiting = self.at.pace.begin();
        self.settled(&mut waiting).await?;
        let changed = Account { user: user.to_owned(), password: new.clone(), ..by.clone() };
        // What an earlier run began has come to its end meanwhile. To add the token twice could drop the current one, so nodes that are
        // behind the service get some time.
        let mut grace = Pace { within: self.at.pace.grace, ..self.at.pace }.begin();
        loop {
            if self.log_in(&changed).await? == Login::Accepted {
                return Ok(());
            }
            if !grace.pause().await {
                break;
            }
        }
        self.modify(new, Update::Rotate, &mut waiting).await?;
        super::accepted(self, &changed, &mut waiting).await
    }

    fn keeps_previous(&self) -> bool {
        true
    }

    fn retires_before_create(&self) -> bool {
        true
    }

    async fn retire_others(&self, keep: &Account) -> Result<(), EngineError> {
        let mut waiting = self.at.pace.begin();
        self.settled(&mut waiting).await?;
        self.modify(&keep.password, Update::Set, &mut waiting).await
    }
}
