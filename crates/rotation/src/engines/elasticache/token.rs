//! The AUTH token of a replication group, which ModifyReplicationGroup rotates.
//!
//! A group has at most two tokens. `ROTATE` adds one and drops the older of two; `SET` keeps only
//! the one that it names. An abandoned rotation leaves its token as the newer of two, and then
//! `ROTATE` alone would drop the token that clients use. So every rotation starts with `SET` to the
//! current token, before it creates another. This also removes the previous one, if no event has
//! done so. A group with one token may reject that `SET`, and then there is nothing to remove.
//! Source: "Authenticating with the Valkey and Redis OSS AUTH command" of the ElastiCache user
//! guide.

use std::future::Future;

use lambda_kit::call::CallError;
use secrecy::SecretString;

use super::endpoint::Endpoint;
use super::modification::{Modification, wait_until_accepted};
use super::wait::{Pace, Waiting};
use crate::document::{DocumentError, SecretDocument};
use crate::engine::{Account, Engine, EngineError, Login};
use crate::engines::redis::{self, DEFAULT_USER};
use crate::password::PasswordPolicy;

/// A replication group, from DescribeReplicationGroups.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Group {
    /// `available`, `modifying`, and others.
    pub status: String,
    /// `SETTING` or `ROTATING` during a change of the token.
    pub token_change: Option<String>,
    /// True if it has a token.
    pub has_token: bool,
    /// True if it has user groups. Then it has no token.
    pub has_users: bool,
}

/// The strategy of ModifyReplicationGroup for a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Update {
    /// Adds it beside the newest one.
    Rotate,
    /// Makes it the only one.
    Set,
}

/// The calls of a rotation about groups: `elasticache:DescribeReplicationGroups` and
/// `elasticache:ModifyReplicationGroup`.
pub trait Groups: Send + Sync {
    /// Returns the group with an id (DescribeReplicationGroups); `None` if it does not exist.
    fn group(&self, id: &str) -> impl Future<Output = Result<Option<Group>, CallError>> + Send;

    /// Sets a token, applied immediately (ModifyReplicationGroup).
    fn set_token(
        &self,
        id: &str,
        token: &SecretString,
        how: Update,
    ) -> impl Future<Output = Result<Modification, CallError>> + Send;
}

/// The engine for one group's token.
pub struct Token<G> {
    api: G,
    group: String,
    at: Endpoint,
}

impl<G: Groups> Token<G> {
    /// Creates the engine for the group with an id.
    pub fn new(api: G, group: String, at: Endpoint) -> Self {
        Self { api, group, at }
    }

    fn not_set(&self, problem: String) -> EngineError {
        EngineError::SetPasswordFailed {
            server: self.at.server.clone(),
            user: DEFAULT_USER.to_owned(),
            problem,
        }
    }

    /// Waits until no change is in progress.
    async fn wait_until_idle(&self, waiting: &mut Waiting) -> Result<(), EngineError> {
        let id = &self.group;
        loop {
            let found = self.api.group(id).await.map_err(|error| self.not_set(error.to_string()))?;
            let group = found.ok_or_else(|| self.not_set(format!("there is no replication group `{id}`")))?;
            if group.has_users || !group.has_token && group.token_change.is_none() {
                let why = if group.has_users { "it has RBAC users" } else { "it requires no password" };
                return Err(self.not_set(format!(
                    "replication group `{id}` has no AUTH token: {why}; set one, or rotate its users with \
                     AUTH_MODE=user"
                )));
            }
            let change = group.token_change.as_deref().unwrap_or("no");
            match group.status.as_str() {
                "available" if group.token_change.is_none() => return Ok(()),
                "available" | "modifying" | "snapshotting" if waiting.pause().await => {}
                status => {
                    return Err(self.not_set(format!(
                        "replication group `{id}` is `{status}` with {change} change of the token after {} s, expected \
                         `available`",
                        waiting.seconds()
                    )));
                }
            }
        }
    }

    /// Changes the token as soon as the group accepts it, and waits for the end.
    async fn modify(
        &self,
        token: &SecretString,
        how: Update,
        waiting: &mut Waiting,
    ) -> Result<(), EngineError> {
        loop {
            let started = self.api.set_token(&self.group, token, how).await;
            match started.map_err(|error| self.not_set(error.to_string()))? {
                Modification::Started => return self.wait_until_idle(waiting).await,
                Modification::NotAllowed => return Ok(()),
                Modification::Busy if waiting.pause().await => self.wait_until_idle(waiting).await?,
                Modification::Busy => {
                    let problem = format!(
                        "another change of the group has lasted for more than {} s",
                        waiting.seconds()
                    );
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
            let expected = "absent or `default`, the user whose password an AUTH token is";
            return Err(DocumentError::Invalid { key: "username", expected });
        }
        Ok(account)
    }

    async fn log_in(&self, account: &Account) -> Result<Login, EngineError> {
        redis::log_in(&self.at.tls, account).await
    }

    async fn set_password(&self, by: &Account, user: &str, new: &SecretString) -> Result<(), EngineError> {
        let mut waiting = self.at.pace.begin();
        self.wait_until_idle(&mut waiting).await?;
        let changed = Account { user: user.to_owned(), password: new.clone(), ..by.clone() };
        // A change of an interrupted run has ended by now. Adding the token twice could drop the
        // current one, so nodes that are behind the service get some time.
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
        wait_until_accepted(self, &changed, &mut waiting).await
    }

    fn keeps_previous(&self) -> bool {
        true
    }

    fn retires_before_create(&self) -> bool {
        true
    }

    async fn retire_others(&self, keep: &Account) -> Result<(), EngineError> {
        let mut waiting = self.at.pace.begin();
        self.wait_until_idle(&mut waiting).await?;
        self.modify(&keep.password, Update::Set, &mut waiting).await
    }
}
