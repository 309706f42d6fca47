//! A state machine and a key, in memory.

use std::collections::BTreeMap;
use std::sync::Mutex;

use custom_resource::{Binding, BoxError, BoxFuture, Waiter};
use serde_json::Value;

/// The operation that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    Nothing,
    Seal,
    Start,
    Open,
}

/// Seals a secret by keeping it and returning its number.
pub(crate) struct MemoryWaiter {
    broken: Broken,
    sealed: Mutex<Vec<(String, Binding)>>,
    started: Mutex<BTreeMap<String, Value>>,
    attempts: Mutex<u32>,
}

impl MemoryWaiter {
    pub(crate) fn new(broken: Broken) -> Self {
        Self { broken, sealed: Mutex::default(), started: Mutex::default(), attempts: Mutex::default() }
    }

    /// Returns the executions: name and input.
    pub(crate) fn started(&self) -> Vec<(String, Value)> {
        self.started.lock().unwrap().clone().into_iter().collect()
    }

    /// Returns the number of attempts to start one.
    pub(crate) fn attempts(&self) -> u32 {
        *self.attempts.lock().unwrap()
    }
}

impl Waiter for MemoryWaiter {
    fn seal<'a>(&'a self, secret: &'a str, bound: &'a Binding) -> BoxFuture<'a, Result<String, BoxError>> {
        Box::pin(async move {
            if self.broken == Broken::Seal {
                return Err("AccessDeniedException: kms:Encrypt".into());
            }
            let mut sealed = self.sealed.lock().unwrap();
            sealed.push((secret.to_owned(), bound.clone()));
            Ok(format!("sealed-{}", sealed.len() - 1))
        })
    }

    fn open<'a>(&'a self, sealed: &'a str, bound: &'a Binding) -> BoxFuture<'a, Result<String, BoxError>> {
        Box::pin(async move {
            if self.broken == Broken::Open {
                return Err("AccessDeniedException: kms:Decrypt".into());
            }
            let at: usize = sealed.strip_prefix("sealed-").ok_or("not sealed here")?.parse()?;
            let (secret, sealed_for) =
                self.sealed.lock().unwrap().get(at).cloned().ok_or("not sealed here")?;
            if sealed_for == *bound { Ok(secret) } else { Err("InvalidCiphertextException".into()) }
        })
    }

    fn start<'a>(&'a self, name: &'a str, input: &'a Value) -> BoxFuture<'a, Result<(), BoxError>> {
        Box::pin(async move {
            *self.attempts.lock().unwrap() += 1;
            if self.broken == Broken::Start {
                return Err("AccessDeniedException: states:StartExecution".into());
            }
            assert!(
                name.len() <= 80 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'),
                "{name}"
            );
            // A running execution stays as it is.
            self.started.lock().unwrap().entry(name.to_owned()).or_insert_with(|| input.clone());
            Ok(())
        })
    }
}
