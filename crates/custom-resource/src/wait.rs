//! The port for waits: a state machine waits, and the function responds at the end.
//!
//! The response URL enters the state machine's history only sealed.

use std::error::Error;
use std::future::Future;
use std::pin::Pin;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::request::{Owner, RequestType};

/// A boxed future, so that the port is usable behind `dyn`.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Any error of a port.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// Seals response URLs and starts waits.
pub trait Waiter: Send + Sync {
    /// Encrypts `secret`, bound to the request: it opens only with the same request id.
    fn seal<'a>(&'a self, secret: &'a str, request_id: &'a str) -> BoxFuture<'a, Result<String, BoxError>>;

    /// Decrypts a result of [`seal`](Waiter::seal).
    fn open<'a>(&'a self, sealed: &'a str, request_id: &'a str) -> BoxFuture<'a, Result<String, BoxError>>;

    /// Starts a wait under a name. If one runs under this name, that is success.
    fn start<'a>(&'a self, name: &'a str, input: &'a Value) -> BoxFuture<'a, Result<(), BoxError>>;
}

/// The data that the state machine carries. It holds no secret in clear.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Ticket {
    pub(crate) sealed_url: String,
    pub(crate) request_id: String,
    pub(crate) request_type: RequestType,
    pub(crate) stack_id: String,
    pub(crate) logical_resource_id: String,
    /// The id of the waiting resource.
    pub(crate) physical_resource_id: String,
    /// The id in the response if the wait fails: another one in a replacement.
    pub(crate) id_on_failure: String,
    /// The end of the wait, in seconds since 1970.
    pub(crate) deadline: u64,
    pub(crate) progress: Value,
}

impl Ticket {
    pub(crate) fn owner(&self) -> Owner {
        Owner::new(&self.stack_id, &self.logical_resource_id)
    }
}

/// A call of the state machine.
#[derive(Debug, Deserialize)]
#[serde(tag = "Wait", rename_all = "kebab-case")]
pub(crate) enum WaitCall {
    /// Checks the resource.
    #[serde(rename_all = "PascalCase")]
    Check { ticket: Ticket },
    /// Ends the wait: the state machine failed, and the response is FAILED.
    #[serde(rename_all = "PascalCase")]
    GiveUp {
        ticket: Ticket,
        #[serde(default)]
        error: Option<String>,
        #[serde(default)]
        cause: Option<String>,
    },
}

/// The function's reply to the state machine.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Reply {
    pub(crate) done: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ticket: Option<Ticket>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) wait_seconds: Option<u64>,
}
