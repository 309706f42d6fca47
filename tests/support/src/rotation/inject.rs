//! Faults in the calls of a rotation, to Secrets Manager and to the engine.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::sync::{Mutex, PoisonError};

use lambda_kit::call::CallError;
use rotation::document::{DocumentError, SecretDocument};
use rotation::engine::{Account, Engine, EngineError, Login};
use rotation::event::RotationEvent;
use rotation::keys::http::{Http, HttpError, Response};
use rotation::keys::request::Request;
use rotation::outcome::StepOutcome;
use rotation::password::PasswordPolicy;
use rotation::versions::{Description, Versions};
use secrecy::SecretString;

use crate::faults::{Fault, Faults};

/// A secret and an engine whose calls are counted together, some of which have a fault.
pub struct Faulty<V, E> {
    /// The secret, without faults.
    pub versions: V,
    /// The engine or another server, without faults.
    pub engine: E,
    faults: Faults,
    made: Mutex<BTreeMap<&'static str, usize>>,
}

impl<V, E> Faulty<V, E> {
    /// Creates it with faults by the number of the call, counted from 0.
    pub fn new(versions: V, engine: E, faults: HashMap<usize, Fault>) -> Self {
        Self { versions, engine, faults: Faults::new(faults), made: Mutex::default() }
    }

    /// Returns the number of calls so far.
    pub fn calls(&self) -> usize {
        self.faults.calls()
    }

    /// Waits until a fault crashes the function.
    pub async fn died(&self) {
        self.faults.died().await;
    }

    /// Returns the number of calls by name: those to AWS by their action, those to the engine by
    /// what they do.
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

    async fn put_pending(
        &self,
        event: &RotationEvent,
        value: &SecretString,
    ) -> Result<StepOutcome, CallError> {
        let answer = self.call("PutSecretValue", self.versions.put_pending(event, value)).await;
        answer.unwrap_or_else(|| Err(broken("secretsmanager:PutSecretValue")))
    }

    async fn promote(&self, secret: &str, from: &str, to: &str) -> Result<StepOutcome, CallError> {
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
            Err(EngineError::ServerUnreachable { server, problem })
        })
    }

    async fn set_password(&self, by: &Account, user: &str, new: &SecretString) -> Result<(), EngineError> {
        let answer = self.call("set", self.engine.set_password(by, user, new)).await;
        answer.unwrap_or_else(|| Err(not_set(by, user)))
    }

    fn keeps_previous(&self) -> bool {
        self.engine.keeps_previous()
    }

    fn reads_grants_in_database(&self) -> bool {
        self.engine.reads_grants_in_database()
    }

    fn retires_before_create(&self) -> bool {
        self.engine.retires_before_create()
    }

    async fn retire_others(&self, keep: &Account) -> Result<(), EngineError> {
        let answer = self.call("retire", self.engine.retire_others(keep)).await;
        answer.unwrap_or_else(|| Err(not_set(keep, &keep.user)))
    }

    async fn set(&self, by: &Account, model: Option<&str>, pending: &Account) -> Result<(), EngineError> {
        let answer = self.call("set", self.engine.set(by, model, pending)).await;
        answer.unwrap_or_else(|| Err(not_set(by, &pending.user)))
    }

    fn max_user_bytes(&self) -> Option<usize> {
        self.engine.max_user_bytes()
    }

    async fn set_other_user(
        &self,
        admin: &Account,
        model: &str,
        user: &str,
        new: &SecretString,
    ) -> Result<(), EngineError> {
        let answer = self.call("set", self.engine.set_other_user(admin, model, user, new)).await;
        answer.unwrap_or_else(|| Err(not_set(admin, user)))
    }
}

impl<V: Send + Sync, H: Http> Http for &Faulty<V, &H> {
    async fn send(
        &self,
        request: &Request,
        headers: &[(&'static str, SecretString)],
        body_wanted: bool,
    ) -> Result<Response, HttpError> {
        let answer = self.call("request", self.engine.send(request, headers, body_wanted)).await;
        answer.unwrap_or_else(|| Err(HttpError::Broken("the connection broke".to_owned())))
    }
}

fn not_set(by: &Account, user: &str) -> EngineError {
    let (server, user) = (by.server.clone(), user.to_owned());
    EngineError::SetPasswordFailed { server, user, problem: "the connection broke".to_owned() }
}
