//! The trait that a provider implements. It covers the resource, and nothing of the protocol.

use std::future::Future;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tokio::time::Instant;

use crate::allowed::Use;
use crate::failure::Failure;
use crate::physical_id::PhysicalId;
use crate::request::{Owner, RequestType};

/// A request's data for the provider: the owner and the deadline, but not the response URL.
#[derive(Debug, Clone)]
pub struct Context {
    /// The stack and the logical id.
    pub owner: Owner,
    /// The request's id. It is the same in a duplicate delivery: use it for client tokens.
    pub request_id: String,
    /// Create, Update or Delete.
    pub request_type: RequestType,
    /// The end of the provider's time, early enough to send the response.
    pub deadline: Instant,
}

impl Context {
    /// Returns the time until the deadline.
    pub fn time_left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Returns the time until which SQL statements may run: a statement that runs longer is
    /// cancelled, which needs a few of the seconds before the deadline.
    pub fn end_of_statements(&self) -> Instant {
        const CANCEL_TIME: Duration = Duration::from_secs(5);
        self.deadline - CANCEL_TIME.min(self.time_left() / 4)
    }
}

/// The attributes of a finished resource, for `Fn::GetAtt`.
///
/// Everybody who may describe the stack can read them. Return the ARN of a secret, never a secret.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Attributes {
    pub(crate) data: Map<String, Value>,
    pub(crate) no_echo: bool,
}

impl Attributes {
    /// Returns no attributes.
    pub fn none() -> Self {
        Self::default()
    }

    /// Adds an attribute.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.data.insert(name.to_owned(), Value::String(value.into()));
        self
    }

    /// Asks CloudFormation to mask the attributes in its own output.
    #[must_use]
    pub fn no_echo(mut self) -> Self {
        self.no_echo = true;
        self
    }
}

/// The result of a provider's method.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome<Progress> {
    /// The resource is in the requested state.
    Ready(Attributes),
    /// The resource needs longer than an invocation should last: a state machine calls again.
    Waiting {
        /// The input of [`Provider::check`]. The state machine's history shows it: no secrets.
        progress: Progress,
        /// The time until the next check.
        check_after: Duration,
    },
}

impl<Progress> Outcome<Progress> {
    /// Returns `Ready` without attributes.
    pub fn done() -> Self {
        Self::Ready(Attributes::none())
    }
}

/// A kind of custom resource.
///
/// Every method must have the same result when it is called twice with the same request, even at
/// the same time: Lambda delivers asynchronous events at least once.
pub trait Provider: Send + Sync {
    /// The properties, parsed from CloudFormation's strings; see [`crate::properties`].
    type Properties: DeserializeOwned + Send + Sync;

    /// The input of [`check`](Provider::check); `()` if the provider never waits.
    type Progress: Serialize + DeserializeOwned + Send + Sync;

    /// The first part of every physical id, for example `sluice-copy-job`. It must never change.
    const KIND: &'static str;

    /// Top-level properties whose values no error repeats.
    const SECRET_PROPERTIES: &'static [&'static str] = &[];

    /// The longest wait for one request.
    const MAX_WAIT: Duration = Duration::from_secs(30 * 60);

    /// True if the mark on the resource does not prove its owner, so that a Delete is checked like a
    /// Create, see [`uses`](Provider::uses).
    const CHECKS_DELETE: bool = false;

    /// Returns everything that the properties name outside of this resource. The function's stack
    /// must allow each of them ([`Allowed`](crate::Allowed)), or the request is rejected before any
    /// other method is called.
    ///
    /// A Delete of a resource of the function's own stack is not checked: CloudFormation changes the
    /// function before it deletes a resource that an update replaced. So [`delete`](Provider::delete)
    /// must act only on what carries the mark of the physical id's owner.
    ///
    /// # Errors
    /// The properties contradict each other.
    fn uses(&self, properties: &Self::Properties) -> Result<Vec<Use>, Failure>;

    /// Returns the identity of the resource among all of its kind. A change of it in an Update is a
    /// replacement.
    ///
    /// # Errors
    /// The properties contradict each other.
    fn identity(&self, properties: &Self::Properties) -> Result<String, Failure>;

    /// Returns the failure of an Update for which [`identity`](Provider::identity) failed with
    /// `invalid`. By default it is `invalid`; a provider may name a more fundamental problem.
    ///
    /// `old` is `None` if the old properties were invalid.
    fn invalid_update(
        &self,
        old: Option<&Self::Properties>,
        new: &Self::Properties,
        invalid: Failure,
    ) -> Failure {
        let _ = (old, new);
        invalid
    }

    /// Creates the resource, or finds it created by an earlier delivery of the same request.
    ///
    /// # Errors
    /// A [`Failure`], with [`Failure::with_leftovers`] if a Delete has to follow.
    fn create(
        &self,
        context: &Context,
        id: &PhysicalId,
        properties: Self::Properties,
    ) -> impl Future<Output = Result<Outcome<Self::Progress>, Failure>> + Send;

    /// Changes the existing resource to the new properties. By default it calls
    /// [`create`](Provider::create), which is right for a provider whose create converges whatever
    /// exists to the properties.
    ///
    /// CloudFormation also rolls back a failed update this way: the previous properties arrive as
    /// the new ones, while the resource may be in either state or in between. Rely on what exists,
    /// not on `old`, which is `None` if the old properties were invalid.
    ///
    /// # Errors
    /// A [`Failure`]. The physical id stays the old one.
    fn update(
        &self,
        context: &Context,
        id: &PhysicalId,
        old: Option<Self::Properties>,
        new: Self::Properties,
    ) -> impl Future<Output = Result<Outcome<Self::Progress>, Failure>> + Send {
        let _ = old;
        self.create(context, id, new)
    }

    /// Creates another resource because the identity changed. CloudFormation deletes the old one
    /// afterwards.
    ///
    /// # Errors
    /// A [`Failure`]. The physical id stays the old one, and CloudFormation deletes nothing.
    fn replace(
        &self,
        context: &Context,
        _old: &PhysicalId,
        new: &PhysicalId,
        properties: Self::Properties,
    ) -> impl Future<Output = Result<Outcome<Self::Progress>, Failure>> + Send {
        self.create(context, new, properties)
    }

    /// Deletes the resource. If it does not exist, that is success.
    ///
    /// # Errors
    /// A [`Failure`]. The stack stays in `DELETE_FAILED`, and the deletion can be repeated.
    fn delete(
        &self,
        context: &Context,
        id: &PhysicalId,
        properties: Self::Properties,
    ) -> impl Future<Output = Result<Outcome<Self::Progress>, Failure>> + Send;

    /// Checks the resource of an earlier [`Outcome::Waiting`].
    ///
    /// # Errors
    /// A [`Failure`] ends the wait. CloudFormation deletes the resource of a failed Create. The
    /// provider has to delete that of a failed replacement here, because CloudFormation never gets
    /// its id.
    fn check(
        &self,
        context: &Context,
        id: &PhysicalId,
        progress: Self::Progress,
    ) -> impl Future<Output = Result<Outcome<Self::Progress>, Failure>> + Send {
        let _ = (context, id, progress);
        async { Err(Failure::new("this provider never waits, but the state machine called it")) }
    }
}
