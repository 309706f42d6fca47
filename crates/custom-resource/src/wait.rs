//! Answers that are given later: a state machine carries the wait and the function gives the answer.
//!
//! The response URL enters the state machine's history only sealed.

use std::error::Error;
use std::future::Future;
use std::pin::Pin;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::request::{Owner, RequestType};

/// A boxed future, so that the port can be used behind `dyn`.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Any error of a port.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// What carries a wait: something that seals the response URL and something that asks again.
pub trait Waits: Send + Sync {
    /// Encrypts `secret`, bound to the request: it opens only with the same request id.
    fn seal<'a>(&'a self, secret: &'a str, request_id: &'a str) -> BoxFuture<'a, Result<String, BoxError>>;

    /// Opens what [`seal`](Waits::seal) made.
    fn open<'a>(&'a self, sealed: &'a str, request_id: &'a str) -> BoxFuture<'a, Result<String, BoxError>>;

    /// Starts the wait under a name; that it runs already under this name is success.
    fn start<'a>(&'a self, name: &'a str, input: &'a Value) -> BoxFuture<'a, Result<(), BoxError>>;
}

/// What the state machine hands back to the function. Holds no secret in clear.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Ticket {
    pub(crate) sealed_url: String,
    pub(crate) request_id: String,
    pub(crate) request_type: RequestType,
    pub(crate) stack_id: String,
    pub(crate) logical_resource_id: String,
    /// The id that is being worked on.
    pub(crate) physical_resource_id: String,
    /// The id to answer with if this fails: another one in a replacement.
    pub(crate) id_on_failure: String,
    /// Seconds since 1970 after which the wait is given up.
    pub(crate) deadline: u64,
    pub(crate) progress: Value,
}

impl Ticket {
    pub(crate) fn owner(&self) -> Owner {
        Owner::new(&self.stack_id, &self.logical_resource_id)
    }
}

/// What the state machine sends to the function.
#[derive(Debug, Deserialize)]
#[serde(tag = "Wait", rename_all = "kebab-case")]
pub(crate) enum Call {
    /// Look whether it is ready.
    #[serde(rename_all = "PascalCase")]
    Check { ticket: Ticket },
    /// The machine cannot go on: answer FAILED.
    #[serde(rename_all = "PascalCase")]
    GiveUp {
        ticket: Ticket,
        #[serde(default)]
        error: Option<String>,
        #[serde(default)]
        cause: Option<String>,
    },
}

/// What the function tells the state machine.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Reply {
    pub(crate) done: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ticket: Option<Ticket>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) wait_seconds: Option<u64>,
}
