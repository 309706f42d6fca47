//! What a provider implements: the resource, and nothing of the protocol.

use std::future::Future;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tokio::time::Instant;

use crate::failure::Failure;
use crate::physical_id::PhysicalId;
use crate::request::{Owner, RequestType};

/// One request as a provider sees it: who asks and until when, but not where the answer goes.
#[derive(Debug, Clone)]
pub struct Context {
    /// The stack and the logical id.
    pub owner: Owner,
    /// Identifies the request; the same in a duplicate delivery, so it is good for client tokens.
    pub request_id: String,
    /// What CloudFormation asked for.
    pub request_type: RequestType,
    /// When the provider is cut off: early enough before the function's own deadline to send the answer.
    pub deadline: Instant,
}

impl Context {
    /// Time until the provider is cut off.
    pub fn time_left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }
}

/// The attributes of a finished resource, for `Fn::GetAtt`.
///
/// They are visible to everybody who may describe the stack. Return the ARN of a secret, never a secret.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Attributes {
    pub(crate) data: Map<String, Value>,
    pub(crate) no_echo: bool,
}

impl Attributes {
    /// No attributes.
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

/// How far a request got.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome<Progress> {
    /// The resource is as the request wants it.
    Ready(Attributes),
    /// It is under way and takes longer than a function should wait: a state machine asks again.
    Waiting {
        /// What [`Provider::check`] needs to look. It stands in the state machine's history: no secrets.
        progress: Progress,
        /// How long until the next look.
        look_again_after: Duration,
    },
}

impl<Progress> Outcome<Progress> {
    /// Ready, without attributes.
    pub fn done() -> Self {
        Self::Ready(Attributes::none())
    }
}

/// A kind of custom resource.
///
/// Every method must give the same result when it is called twice with the same request, also at the same time:
/// Lambda delivers asynchronous events at least once.
pub trait Provider: Send + Sync {
    /// The properties, parsed from CloudFormation's strings; see [`crate::properties`].
    type Properties: DeserializeOwned + Send + Sync;

    /// What [`check`](Provider::check) needs; `()` if the provider never waits.
    type Progress: Serialize + DeserializeOwned + Send + Sync;

    /// First part of every physical id, for example `sluice-copy-job`. It must never change.
    const KIND: &'static str;

    /// Top-level properties whose values no error text may repeat.
    const SECRET_PROPERTIES: &'static [&'static str] = &[];

    /// The longest wait that a state machine carries for one request.
    const LONGEST_WAIT: Duration = Duration::from_secs(30 * 60);

    /// What identifies the resource among all of its kind. A change of it in an Update is a replacement.
    ///
    /// # Errors
    /// Properties that contradict each other.
    fn identity(&self, properties: &Self::Properties) -> Result<String, Failure>;

    /// Makes the resource, or finds it made by an earlier delivery of the same request.
    ///
    /// # Errors
    /// A [`Failure`]; say [`Failure::leaving_something`] if a Delete has to follow.
    fn create(
        &self,
        context: &Context,
        id: &PhysicalId,
        properties: Self::Properties,
    ) -> impl Future<Output = Result<Outcome<Self::Progress>, Failure>> + Send;

    /// Brings the existing resource to the new properties. By default as [`create`](Provider::create) does: right for a
    /// provider whose create brings whatever is there to what the properties say.
    ///
    /// This is also how a failed update is rolled back: the previous properties arrive as the new ones while the
    /// resource may be in either state or between them. Go by what is there, not by `old`, which is `None` where the
    /// old properties were not valid.
    ///
    /// # Errors
    /// A [`Failure`]; the physical id stays the old one.
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

    /// Makes the resource anew because its identity changed. CloudFormation deletes the old one afterwards.
    ///
    /// # Errors
    /// A [`Failure`]; the physical id stays the old one, and what the failed replacement left is deleted.
    fn replace(
        &self,
        context: &Context,
        _old: &PhysicalId,
        new: &PhysicalId,
        properties: Self::Properties,
    ) -> impl Future<Output = Result<Outcome<Self::Progress>, Failure>> + Send {
        self.create(context, new, properties)
    }

    /// Removes the resource. That it is gone already is success.
    ///
    /// # Errors
    /// A [`Failure`]: the stack stays in `DELETE_FAILED` and the request can be sent again.
    fn delete(
        &self,
        context: &Context,
        id: &PhysicalId,
        properties: Self::Properties,
    ) -> impl Future<Output = Result<Outcome<Self::Progress>, Failure>> + Send;

    /// Looks again at what an earlier call left [`Outcome::Waiting`].
    ///
    /// # Errors
    /// A [`Failure`] ends the wait. A failed Create is deleted by CloudFormation; a failed replacement must clean up
    /// here, since CloudFormation never hears of its id.
    fn check(
        &self,
        context: &Context,
        id: &PhysicalId,
        progress: Self::Progress,
    ) -> impl Future<Output = Result<Outcome<Self::Progress>, Failure>> + Send {
        let _ = (context, id, progress);
        async { Err(Failure::new("this resource never waits; the state machine called it by mistake")) }
    }
}
