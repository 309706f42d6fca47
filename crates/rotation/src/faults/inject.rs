//! Faults in the calls of a machine, to the secret and to the engine alike.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::sync::{Mutex, PoisonError};

use lambda_kit::call::CallError;
pub use lambda_kit::faults::{Fault, Faults};
use secrecy::SecretString;

use crate::document::{DocumentError, SecretDocument};
use crate::engine::{Account, Engine, EngineError, Login};
use crate::event::RotationEvent;
#[cfg(feature = "api-key")]
use crate::keys::http::{Answer, Http, HttpError};
#[cfg(feature = "api-key")]
use crate::keys::request::Request;
use crate::password::PasswordPolicy;
use crate::versions::{Description, Moved, Versions, Written};

/// A secret and an engine whose calls are counted together, with faults at some numbers.
pub struct Faulty<V, E> {
    /// The secret, without faults.
    pub versions: V,
    /// The engine, or another server, without faults.
    pub engine: E,
    faults: Faults,
    made: Mutex<BTreeMap<&'static str, usize>>,
}

impl<V, E> Faulty<V, E> {
    /// Faults by number of the call, counted from 0.
    pub fn new(versions: V, engine: E, faults: HashMap<usize, Fault>) -> Self {
        Self { versions, engine, faults: Faults::new(faults), made: Mutex::default() }
    }

    /// Calls that were made.
    pub fn calls(&self) -> usize {
        self.faults.calls()
    }

    /// Waits until a fault kills the function.
    pub async fn died(&self) {
        self.faults.died().await;
    }

    /// How often each was called: actions of AWS by their names, and what the engine was asked for.
    pub fn made(&self) -> BTreeMap<&'static str, usize> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn call<T>(&self, name: &'static str, call: impl Future<Output = T>) -> Option<T> {
        *self.made.lock().unwrap_or_else(PoisonError::into_inner).entry(name).or_default() += 1;
        self.faults.call(call).await
    }
}

fn broken(action: &str) -> CallError {
    CallError::without_answer(action, "the connection broke")
}

impl<V: Versions, E: Send + Sync> Versions for Faulty<&V, E> {
    async fn describe(&self, secret: &str) -> Result<Description, CallError> {
        let answer = self.call("DescribeSecret", self.versions.describe(secret)).await;
        answer.unwrap_or_else(|| Err(broken("secretsmanager:DescribeSecret")))
    }

    async fn value(
        &self,
        secret: &str,
        version: Option<&str>,
        label: &str,
    ) -> Result<Option<SecretString>, CallError> {
        let answer = self.call("GetSecretValue", self.versions.value(secret, version, label)).await;
        answer.unwrap_or_else(|| Err(broken("secretsmanager:GetSecretValue")))
    }

    async fn put_pending(&self, event: &RotationEvent, value: &SecretString) -> Result<Written, CallError> {
        let answer = self.call("PutSecretValue", self.versions.put_pending(event, value)).await;
        answer.unwrap_or_else(|| Err(broken("secretsmanager:PutSecretValue")))
    }

    async fn promote(&self, secret: &str, from: &str, to: &str) -> Result<Moved, CallError> {
        let answer = self.call("UpdateSecretVersionStage", self.versions.promote(secret, from, to)).await;
        answer.unwrap_or_else(|| Err(broken("secretsmanager:UpdateSecretVersionStage")))
    }

    async fn random_password(&self, policy: &PasswordPolicy) -> Result<SecretString, CallError> {
        let answer = self.call("GetRandomPassword", self.versions.random_password(policy)).await;
        answer.unwrap_or_else(|| Err(broken("secretsmanager:GetRandomPassword")))
    }
}

impl<V: Send + Sync, E: Engine> Engine for &Faulty<V, &E> {
    fn name(&self) -> &'static str {
        self.engine.name()
    }

    fn password_policy(&self) -> PasswordPolicy {
        self.engine.password_policy()
    }

    fn account(&self, document: &SecretDocument) -> Result<Account, DocumentError> {
        self.engine.account(document)
    }

    async fn log_in(&self, account: &Account) -> Result<Login, EngineError> {
        let answer = self.call("log in", self.engine.log_in(account)).await;
        answer.unwrap_or_else(|| {
            let (server, problem) = (account.server.clone(), "the connection broke".to_owned());
            Err(EngineError::Unreachable { server, problem })
        })
    }

    async fn set_password(&self, by: &Account, user: &str, new: &SecretString) -> Result<(), EngineError> {
        let answer = self.call("set", self.engine.set_password(by, user, new)).await;
        answer.unwrap_or_else(|| Err(not_set(by, user)))
    }

    fn overlaps(&self) -> bool {
        self.engine.overlaps()
    }

    fn retires_first(&self) -> bool {
        self.engine.retires_first()
    }

    async fn retire_others(&self, keep: &Account) -> Result<(), EngineError> {
        let answer = self.call("retire", self.engine.retire_others(keep)).await;
        answer.unwrap_or_else(|| Err(not_set(keep, &keep.user)))
    }

    async fn set(&self, by: &Account, like: Option<&str>, pending: &Account) -> Result<(), EngineError> {
        let answer = self.call("set", self.engine.set(by, like, pending)).await;
        answer.unwrap_or_else(|| Err(not_set(by, &pending.user)))
    }

    fn longest_user(&self) -> Option<usize> {
        self.engine.longest_user()
    }

    async fn set_other_user(
        &self,
        admin: &Account,
        like: &str,
        user: &str,
        new: &SecretString,
    ) -> Result<(), EngineError> {
        let answer = self.call("set", self.engine.set_other_user(admin, like, user, new)).await;
        answer.unwrap_or_else(|| Err(not_set(admin, user)))
    }
}

#[cfg(feature = "api-key")]
impl<V: Send + Sync, H: Http> Http for &Faulty<V, &H> {
    async fn send(
        &self,
        request: &Request,
        headers: &[(&'static str, SecretString)],
        body_wanted: bool,
    ) -> Result<Answer, HttpError> {
        let answer = self.call("request", self.engine.send(request, headers, body_wanted)).await;
        answer.unwrap_or_else(|| Err(HttpError::Broken("the connection broke".to_owned())))
    }
}

fn not_set(by: &Account, user: &str) -> EngineError {
    let (server, user) = (by.server.clone(), user.to_owned());
    EngineError::NotSet { server, user, problem: "the connection broke".to_owned() }
}
