//! From an event to exactly one response.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use tokio::time::Instant;

use crate::allowed::{Allowed, NotAllowed, Standing};
use crate::failure::Failure;
use crate::guard::{run_guarded, serialize_progress};
use crate::physical_id::{CREATE_FAILED, PhysicalId};
use crate::properties::{UnknownNames, parse};
use crate::provider::{Attributes, Context, Outcome, Provider};
use crate::put::{PutError, PutPolicy, ResponseClient};
use crate::request::{Request, RequestType};
use crate::response::{RequestIds, Status, encode};
use crate::response_hosts::ResponseHosts;
use crate::secret::ResponseUrl;
use crate::wait::{WaitCall, Waiter};

/// The time that is kept back for the response.
const MAX_RESPONSE_TIME: Duration = Duration::from_secs(10);

/// The error of an invocation without a response. Lambda retries the invocation.
#[derive(Debug, thiserror::Error)]
pub enum HandlerError {
    /// The event is not a custom-resource request, so there is no place to respond to.
    #[error("the event is neither a custom-resource request nor a call of the waiting state machine")]
    InvalidRequest,
    /// The response URL is not one of CloudFormation. Nobody can be answered, so nothing was done.
    #[error(
        "the response URL is not an https address of CloudFormation's bucket in Amazon S3; \
         nothing was done and nothing was sent"
    )]
    ResponseUrlRejected,
    /// The response was not delivered. Another invocation may still deliver it.
    #[error("the response was not delivered")]
    ResponseNotDelivered(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl HandlerError {
    /// Returns the error's public name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::InvalidRequest => "InvalidRequest",
            Self::ResponseUrlRejected => "ResponseUrlRejected",
            Self::ResponseNotDelivered(_) => "ResponseNotDelivered",
        }
    }
}

/// Responds to the requests for one provider.
pub struct Handler<P> {
    provider: Result<P, String>,
    allowed: Allowed,
    hosts: ResponseHosts,
    pub(crate) waiter: Option<Arc<dyn Waiter>>,
    client: ResponseClient,
    pub(crate) now: fn() -> SystemTime,
}

/// The addressee of a response, and the physical ids it may carry.
pub(crate) struct PendingResponse {
    pub(crate) to: RequestIds,
    pub(crate) url: ResponseUrl,
    pub(crate) request_type: RequestType,
    pub(crate) id_on_success: String,
    pub(crate) id_on_failure: String,
    /// The id of a failed Create that left something behind.
    pub(crate) id_of_leftovers: String,
}

impl<P: Provider> Handler<P> {
    /// Creates the handler of a provider, with what the function's stack allows.
    pub fn new(provider: P, allowed: Allowed) -> Self {
        Self::with(Ok(provider), allowed)
    }

    /// Creates the handler of a function whose start-up failed: every response has the reason.
    pub fn failed_start(reason: &Failure) -> Self {
        Self::with(Err(reason.chain()), Allowed::everything())
    }

    fn with(provider: Result<P, String>, allowed: Allowed) -> Self {
        Self {
            provider,
            allowed,
            hosts: ResponseHosts::CloudFormation { region: None },
            waiter: None,
            client: ResponseClient::new(PutPolicy::default()),
            now: SystemTime::now,
        }
    }

    /// Sets what carries waits. Without it a provider must not return [`Outcome::Waiting`].
    #[must_use]
    pub fn with_waiter(mut self, waiter: Arc<dyn Waiter>) -> Self {
        self.waiter = Some(waiter);
        self
    }

    /// Sets the hosts to which responses may go. The default is CloudFormation's bucket of any Region.
    #[must_use]
    pub fn with_response_hosts(mut self, hosts: ResponseHosts) -> Self {
        self.hosts = hosts;
        self
    }

    /// Sets the policy for the delivery of responses.
    #[must_use]
    pub fn with_put_policy(mut self, policy: PutPolicy) -> Self {
        self.client = ResponseClient::new(policy);
        self
    }

    /// Sets the clock.
    #[must_use]
    pub fn with_clock(mut self, now: fn() -> SystemTime) -> Self {
        self.now = now;
        self
    }

    /// Handles one event; the response is sent before `deadline`.
    ///
    /// # Errors
    /// The event has no addressee, or another invocation may still deliver the response.
    pub async fn handle(&self, event: Value, deadline: SystemTime) -> Result<Value, HandlerError> {
        let left = deadline.duration_since((self.now)()).unwrap_or_default();
        let end = Instant::now() + left;
        let work_until = end - MAX_RESPONSE_TIME.min(left / 2);

        if event.get("Wait").is_some() {
            let call: WaitCall = serde_json::from_value(event).map_err(|_| HandlerError::InvalidRequest)?;
            return self.handle_wait_call(call, work_until, end).await;
        }
        let url = event.get("ResponseURL").and_then(Value::as_str);
        if url.is_some_and(|url| !self.hosts.allow(url)) {
            return Err(HandlerError::ResponseUrlRejected);
        }
        match Request::parse(&event) {
            Ok(request) => self.handle_request(request, work_until, end).await,
            Err(reason) => self.reject_event(&event, &reason, end).await,
        }
    }

    /// Responds to an event that has an addressee, but is invalid otherwise.
    async fn reject_event(&self, event: &Value, reason: &str, end: Instant) -> Result<Value, HandlerError> {
        let text = |name: &str| event.get(name).and_then(Value::as_str).map(str::to_owned);
        let (Some(url), Some(request_id), Some(stack_id), Some(logical_resource_id)) =
            (text("ResponseURL"), text("RequestId"), text("StackId"), text("LogicalResourceId"))
        else {
            return Err(HandlerError::InvalidRequest);
        };
        let id = text("PhysicalResourceId").unwrap_or_else(|| CREATE_FAILED.to_owned());
        let pending = PendingResponse {
            to: RequestIds { request_id, stack_id, logical_resource_id },
            url: ResponseUrl::new(url),
            request_type: RequestType::Create,
            id_on_success: id.clone(),
            id_on_failure: id.clone(),
            id_of_leftovers: id,
        };
        let failure = Failure::new(format!("the request of CloudFormation is invalid: {reason}"));
        self.respond(&pending, Err(failure), end).await?;
        Ok(Value::Null)
    }

    async fn handle_request(
        &self,
        request: Request,
        work_until: Instant,
        end: Instant,
    ) -> Result<Value, HandlerError> {
        let current = request.physical_resource_id.clone();
        let fallback = current.clone().unwrap_or_else(|| CREATE_FAILED.to_owned());
        let mut pending = PendingResponse {
            to: RequestIds {
                request_id: request.request_id.clone(),
                stack_id: request.stack_id.clone(),
                logical_resource_id: request.logical_resource_id.clone(),
            },
            url: request.response_url.clone(),
            request_type: request.request_type,
            id_on_success: fallback.clone(),
            id_on_failure: fallback.clone(),
            id_of_leftovers: fallback,
        };
        let context = Context {
            owner: request.owner(),
            request_id: request.request_id.clone(),
            request_type: request.request_type,
            deadline: work_until,
        };
        tracing::info!(
            request_type = %request.request_type,
            request_id = %request.request_id,
            stack_id = %request.stack_id,
            logical_resource_id = %request.logical_resource_id,
            resource_type = %request.resource_type,
            physical_resource_id = current.as_deref(),
            "request received"
        );
        let work = self.work(&context, &request, &mut pending);
        let result = match run_guarded(work, work_until).await {
            Ok(Outcome::Ready(attributes)) => Ok(attributes),
            Ok(Outcome::Waiting { progress, check_after }) => {
                match self.start_wait(&request, &pending, progress, check_after, work_until).await {
                    Ok(()) => {
                        tracing::info!(
                            physical_resource_id = %pending.id_on_success,
                            "waiting in the state machine"
                        );
                        return Ok(Value::Null);
                    }
                    Err(failure) => Err(failure),
                }
            }
            Err(failure) => Err(failure),
        };
        self.respond(&pending, result, end).await?;
        Ok(Value::Null)
    }

    /// Calls the provider and sets the ids that a response may carry.
    async fn work(
        &self,
        context: &Context,
        request: &Request,
        pending: &mut PendingResponse,
    ) -> Result<Outcome<Value>, Failure> {
        let current = request.physical_resource_id.as_deref();
        if request.request_type == RequestType::Delete {
            let Some(id) = current.and_then(|text| PhysicalId::parse(P::KIND, text)) else {
                // The create-failed marker, or an id that CloudFormation made up because no Create
                // ever got a response.
                tracing::info!(
                    physical_resource_id = current,
                    "no resource of this provider has this id, nothing to delete"
                );
                return Ok(Outcome::done());
            };
            let provider = self.provider()?;
            if id.tag() != context.owner.tag() {
                tracing::warn!(
                    physical_resource_id = current,
                    "this id belongs to another resource, nothing to delete"
                );
                return Ok(Outcome::done());
            }
            let properties = request.properties(P::SECRET_PROPERTIES).map_err(Failure::from_error)?;
            let standing = self.allowed.owner(&context.owner).map_err(refused)?;
            if P::CHECKS_DELETE || standing == Standing::Other {
                self.allowed.check(&provider.uses(&properties)?).map_err(refused)?;
            }
            return serialize_progress(provider.delete(context, &id, properties).await);
        }

        let provider = self.provider()?;
        let properties: P::Properties =
            request.properties(P::SECRET_PROPERTIES).map_err(Failure::from_error)?;
        let old = || -> Option<P::Properties> {
            let old = request.old_resource_properties.as_ref()?;
            parse(old, UnknownNames::Reject, P::SECRET_PROPERTIES).ok()
        };
        let identity = provider.identity(&properties).map_err(|invalid| {
            if current.is_some() {
                provider.invalid_update(old().as_ref(), &properties, invalid)
            } else {
                invalid
            }
        })?;
        self.allowed.owner(&context.owner).map_err(refused)?;
        self.allowed.check(&provider.uses(&properties)?).map_err(refused)?;
        let id = PhysicalId::new(P::KIND, &context.owner, &identity);
        pending.id_on_success = id.to_string();
        pending.id_of_leftovers = id.to_string();
        match (request.request_type, current) {
            (RequestType::Create, _) | (_, None) => {
                serialize_progress(provider.create(context, &id, properties).await)
            }
            (_, Some(current)) if current == id.to_string() => {
                pending.id_of_leftovers = current.to_owned();
                serialize_progress(provider.update(context, &id, old(), properties).await)
            }
            (_, Some(current)) => {
                // A failed replacement keeps the old id, so that CloudFormation does not delete the
                // old resource.
                pending.id_of_leftovers = current.to_owned();
                tracing::info!(from = current, to = %id, "the identity changed: replacement");
                match PhysicalId::parse(P::KIND, current) {
                    Some(old) => serialize_progress(provider.replace(context, &old, &id, properties).await),
                    None => serialize_progress(provider.create(context, &id, properties).await),
                }
            }
        }
    }

    pub(crate) fn provider(&self) -> Result<&P, Failure> {
        self.provider.as_ref().map_err(|reason| {
            Failure::new(format!("the function of this custom resource could not start: {reason}"))
        })
    }

    /// Sends the response.
    pub(crate) async fn respond(
        &self,
        pending: &PendingResponse,
        result: Result<Attributes, Failure>,
        end: Instant,
    ) -> Result<(), HandlerError> {
        let (status, id) = match result {
            Ok(attributes) => {
                // The response to a Delete has no data.
                let data = match pending.request_type {
                    RequestType::Delete => Default::default(),
                    RequestType::Create | RequestType::Update => attributes.data,
                };
                let no_echo = attributes.no_echo && pending.request_type != RequestType::Delete;
                (Status::Success { data, no_echo }, &pending.id_on_success)
            }
            Err(failure) => {
                let id =
                    if failure.has_leftovers() { &pending.id_of_leftovers } else { &pending.id_on_failure };
                (Status::Failed { reason: failure.chain() }, id)
            }
        };
        let mut encoded = encode(&pending.to, id, &status);
        if !encoded.data_fits {
            // The resource exists although the response became a failure: with its id,
            // CloudFormation sends a Delete for it.
            let id = &pending.id_of_leftovers;
            encoded = encode(&pending.to, id, &status);
        }
        let sent = self.client.put(&pending.url, &encoded.body, end).await;
        match (&sent, &status) {
            (Ok(()), Status::Failed { reason }) => {
                tracing::error!(status = "FAILED", physical_resource_id = %id, reason, "response sent");
            }
            (Ok(()), Status::Success { .. }) => {
                let status = if encoded.succeeded { "SUCCESS" } else { "FAILED" };
                tracing::info!(status, physical_resource_id = %id, "response sent");
            }
            (Err(error), _) => tracing::error!(%error, "the response was not delivered"),
        }
        match sent {
            Err(error) if error.is_retryable() => Err(HandlerError::ResponseNotDelivered(error.into())),
            // Rejected for good: another run would repeat the work and be rejected again.
            Err(PutError::Rejected(_) | PutError::InvalidUrl | PutError::Exhausted { .. }) | Ok(()) => Ok(()),
        }
    }
}

/// Logs a request that the function's stack does not allow, under the error's public name.
fn refused(error: NotAllowed) -> Failure {
    tracing::error!(error = NotAllowed::NAME, reason = %error, "request rejected");
    Failure::from_error(error)
}
