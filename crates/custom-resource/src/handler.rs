//! From event to exactly one answer.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::FutureExt;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use crate::failure::Failure;
use crate::physical_id::{CREATE_FAILED, PhysicalId};
use crate::properties::{Unknown, parse};
use crate::provider::{Attributes, Context, Outcome, Provider};
use crate::put::{PutError, PutPolicy, ResponseClient};
use crate::request::{Request, RequestType};
use crate::response::{Addressee, Verdict, encode};
use crate::secret::ResponseUrl;
use crate::wait::{Call, Reply, Ticket, Waits};

/// Kept back of the time an invocation has, for the answer.
const LONGEST_RESERVE: Duration = Duration::from_secs(10);

/// The invocation could not do its duty. Lambda retries it.
#[derive(Debug, thiserror::Error)]
pub enum HandlerError {
    /// Nobody can be answered: the event is not a custom resource request.
    #[error("the event is neither a custom-resource request nor a call of the waiting state machine")]
    NotARequest,
    /// The answer may still be delivered by another invocation.
    #[error("the answer was not delivered")]
    NotDelivered(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Answers the requests for one provider.
pub struct Handler<P> {
    provider: Result<P, String>,
    waits: Option<Arc<dyn Waits>>,
    client: ResponseClient,
    now: fn() -> SystemTime,
}

/// What is being answered, and with which ids.
struct Answering {
    to: Addressee,
    url: ResponseUrl,
    request_type: RequestType,
    id_on_success: String,
    id_on_failure: String,
    /// The id of a failed Create that left something behind.
    id_of_leftovers: String,
}

impl<P: Provider> Handler<P> {
    /// A handler around a provider that started.
    pub fn new(provider: P) -> Self {
        Self::with(Ok(provider))
    }

    /// A handler for a provider that could not start: every request is answered with the reason.
    pub fn broken(reason: &Failure) -> Self {
        Self::with(Err(reason.chain()))
    }

    fn with(provider: Result<P, String>) -> Self {
        Self {
            provider,
            waits: None,
            client: ResponseClient::new(PutPolicy::default()),
            now: SystemTime::now,
        }
    }

    /// Carries waits; without it a provider must not return [`Outcome::Waiting`].
    #[must_use]
    pub fn waiting_with(mut self, waits: Arc<dyn Waits>) -> Self {
        self.waits = Some(waits);
        self
    }

    /// Sends answers under another policy than the default.
    #[must_use]
    pub fn putting_with(mut self, policy: PutPolicy) -> Self {
        self.client = ResponseClient::new(policy);
        self
    }

    /// Tells the time by another clock.
    #[must_use]
    pub fn telling_time_by(mut self, now: fn() -> SystemTime) -> Self {
        self.now = now;
        self
    }

    /// Handles one event that must be answered before `deadline`.
    ///
    /// # Errors
    /// Only if nobody could be answered, or the answer may still arrive by a retry.
    pub async fn handle(&self, event: Value, deadline: SystemTime) -> Result<Value, HandlerError> {
        let left = deadline.duration_since((self.now)()).unwrap_or_default();
        let end = Instant::now() + left;
        let work_until = end - LONGEST_RESERVE.min(left / 2);

        if event.get("Wait").is_some() {
            let call: Call = serde_json::from_value(event).map_err(|_| HandlerError::NotARequest)?;
            return self.handle_call(call, work_until, end).await;
        }
        match serde_path_to_error::deserialize::<_, Request>(&event) {
            Ok(request) => self.handle_request(request, work_until, end).await,
            Err(error) => self.refuse_event(&event, &why_not_a_request(&error), end).await,
        }
    }

    /// An event that names an addressee is answered even if the rest makes no sense.
    async fn refuse_event(&self, event: &Value, why: &str, end: Instant) -> Result<Value, HandlerError> {
        let text = |name: &str| event.get(name).and_then(Value::as_str).map(str::to_owned);
        let (Some(url), Some(request_id), Some(stack_id), Some(logical_resource_id)) =
            (text("ResponseURL"), text("RequestId"), text("StackId"), text("LogicalResourceId"))
        else {
            return Err(HandlerError::NotARequest);
        };
        let id = text("PhysicalResourceId").unwrap_or_else(|| CREATE_FAILED.to_owned());
        let answering = Answering {
            to: Addressee { request_id, stack_id, logical_resource_id },
            url: ResponseUrl::new(url),
            request_type: RequestType::Create,
            id_on_success: id.clone(),
            id_on_failure: id.clone(),
            id_of_leftovers: id,
        };
        let failure = Failure::new(format!("the request of CloudFormation was not understood: {why}"));
        self.answer(&answering, Err(failure), end).await?;
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
        let mut answering = Answering {
            to: Addressee {
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
            request_type = %request.request_type, request_id = %request.request_id, stack_id = %request.stack_id,
            logical_resource_id = %request.logical_resource_id, resource_type = %request.resource_type,
            physical_resource_id = current.as_deref(), "request received"
        );
        let work = self.work(&context, &request, &mut answering);
        let result = guarded(work, work_until).await;
        let result = match result {
            Ok(Outcome::Ready(attributes)) => Ok(attributes),
            Ok(Outcome::Waiting { progress, look_again_after }) => {
                match self.hand_over(&request, &answering, progress, look_again_after, work_until).await {
                    Ok(()) => {
                        tracing::info!(physical_resource_id = %answering.id_on_success, "waiting in the state machine");
                        return Ok(Value::Null);
                    }
                    Err(failure) => Err(failure),
                }
            }
            Err(failure) => Err(failure),
        };
        self.answer(&answering, result, end).await?;
        Ok(Value::Null)
    }

    /// Dispatches to the provider and settles which ids an answer would carry.
    async fn work(
        &self,
        context: &Context,
        request: &Request,
        answering: &mut Answering,
    ) -> Result<Outcome<Value>, Failure> {
        let current = request.physical_resource_id.as_deref();
        if request.request_type == RequestType::Delete {
            let known = current.and_then(|text| PhysicalId::parse(P::KIND, text));
            let Some(id) = known else {
                // The create-failed marker, or an id that CloudFormation made up because no Create ever answered.
                tracing::info!(
                    physical_resource_id = current,
                    "nothing of ours has this id, nothing to delete"
                );
                return Ok(Outcome::done());
            };
            let provider = self.provider()?;
            let properties = parse(&request.resource_properties, Unknown::Ignore, P::SECRET_PROPERTIES)
                .map_err(|error| Failure::new(error.to_string()))?;
            return encoded(provider.delete(context, &id, properties).await);
        }

        let provider = self.provider()?;
        let properties: P::Properties =
            parse(&request.resource_properties, Unknown::Refuse, P::SECRET_PROPERTIES)
                .map_err(|error| Failure::new(error.to_string()))?;
        let id = PhysicalId::new(P::KIND, &context.owner, &provider.identity(&properties)?);
        answering.id_on_success = id.to_string();
        answering.id_of_leftovers = id.to_string();
        match (request.request_type, current) {
            (RequestType::Create, _) | (_, None) => encoded(provider.create(context, &id, properties).await),
            (_, Some(current)) if current == id.to_string() => {
                let old = request
                    .old_resource_properties
                    .as_ref()
                    .and_then(|old| parse(old, Unknown::Refuse, P::SECRET_PROPERTIES).ok());
                answering.id_of_leftovers = current.to_owned();
                encoded(provider.update(context, &id, old, properties).await)
            }
            (_, Some(current)) => {
                // A failed replacement keeps the old id, so that CloudFormation does not delete what still serves.
                answering.id_of_leftovers = current.to_owned();
                tracing::info!(from = current, to = %id, "the identity changed: replacement");
                match PhysicalId::parse(P::KIND, current) {
                    Some(old) => encoded(provider.replace(context, &old, &id, properties).await),
                    None => encoded(provider.create(context, &id, properties).await),
                }
            }
        }
    }

    fn provider(&self) -> Result<&P, Failure> {
        self.provider.as_ref().map_err(|reason| {
            Failure::new(format!("the function of this custom resource could not start: {reason}"))
        })
    }

    async fn hand_over(
        &self,
        request: &Request,
        answering: &Answering,
        progress: Value,
        look_again_after: Duration,
        work_until: Instant,
    ) -> Result<(), Failure> {
        let Some(waits) = &self.waits else {
            return Err(no_state_machine().leaving_something());
        };
        let started = async {
            let sealed_url = waits.seal(request.response_url.expose(), &request.request_id).await?;
            let ticket = Ticket {
                sealed_url,
                request_id: request.request_id.clone(),
                request_type: request.request_type,
                stack_id: request.stack_id.clone(),
                logical_resource_id: request.logical_resource_id.clone(),
                physical_resource_id: answering.id_on_success.clone(),
                // What a Create waits for exists already, so its Delete must come back for it.
                id_on_failure: match request.request_type {
                    RequestType::Create => answering.id_on_success.clone(),
                    _ => answering.id_on_failure.clone(),
                },
                deadline: epoch_seconds((self.now)() + P::LONGEST_WAIT),
                progress,
            };
            let input = json!({"WaitSeconds": whole_seconds(look_again_after), "Ticket": ticket});
            waits.start(&execution_name(request), &input).await
        };
        match tokio::time::timeout_at(work_until, started).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                Err(Failure::caused_by("the wait could not be handed to the state machine", error)
                    .leaving_something())
            }
            Err(_) => {
                Err(Failure::new("the wait could not be handed to the state machine in time")
                    .leaving_something())
            }
        }
    }

    /// A call of the state machine.
    async fn handle_call(
        &self,
        call: Call,
        work_until: Instant,
        end: Instant,
    ) -> Result<Value, HandlerError> {
        let (ticket, result) = match call {
            Call::GiveUp { ticket, error, cause } => {
                let told = [error, cause].into_iter().flatten().filter(|text| !text.is_empty());
                let why = told.collect::<Vec<_>>().join(": ");
                (
                    ticket,
                    Err(Failure::new(format!(
                        "waiting for this resource failed in the state machine: {why}"
                    ))),
                )
            }
            Call::Check { ticket } => {
                let result = guarded(self.check(&ticket, work_until), work_until).await;
                (ticket, result)
            }
        };
        let result = match result {
            Ok(Outcome::Waiting { progress, look_again_after }) => {
                if epoch_seconds((self.now)()) < ticket.deadline {
                    let reply = Reply {
                        done: false,
                        ticket: Some(Ticket { progress, ..ticket }),
                        wait_seconds: Some(whole_seconds(look_again_after)),
                    };
                    return Ok(serde_json::to_value(reply).unwrap_or_default());
                }
                Err(Failure::new(format!(
                    "not ready after {} minutes; last seen: {progress}",
                    P::LONGEST_WAIT.as_secs() / 60
                )))
            }
            Ok(Outcome::Ready(attributes)) => Ok(attributes),
            Err(failure) => Err(failure),
        };
        let Some(waits) = &self.waits else {
            // Nothing here opens the URL. Another instance of the function may be able to.
            let why = self.provider().err().unwrap_or_else(no_state_machine);
            return Err(HandlerError::NotDelivered(why.into()));
        };
        let url =
            waits.open(&ticket.sealed_url, &ticket.request_id).await.map_err(HandlerError::NotDelivered)?;
        let answering = Answering {
            to: Addressee {
                request_id: ticket.request_id,
                stack_id: ticket.stack_id,
                logical_resource_id: ticket.logical_resource_id,
            },
            url: ResponseUrl::new(url),
            request_type: ticket.request_type,
            id_on_success: ticket.physical_resource_id,
            id_of_leftovers: ticket.id_on_failure.clone(),
            id_on_failure: ticket.id_on_failure,
        };
        self.answer(&answering, result, end).await?;
        let reply = Reply { done: true, ticket: None, wait_seconds: None };
        Ok(serde_json::to_value(reply).unwrap_or_default())
    }

    async fn check(&self, ticket: &Ticket, work_until: Instant) -> Result<Outcome<Value>, Failure> {
        let provider = self.provider()?;
        let id = PhysicalId::parse(P::KIND, &ticket.physical_resource_id)
            .ok_or_else(|| Failure::new("the state machine handed back an id that is not ours"))?;
        let progress = serde_json::from_value(ticket.progress.clone()).map_err(|error| {
            Failure::caused_by("the state machine handed back a progress that is not ours", error)
        })?;
        let context = Context {
            owner: ticket.owner(),
            request_id: ticket.request_id.clone(),
            request_type: ticket.request_type,
            deadline: work_until,
        };
        encoded(provider.check(&context, &id, progress).await)
    }

    async fn answer(
        &self,
        answering: &Answering,
        result: Result<Attributes, Failure>,
        end: Instant,
    ) -> Result<(), HandlerError> {
        let (verdict, id) = match result {
            Ok(attributes) => {
                // A Delete's answer carries no data.
                let data = match answering.request_type {
                    RequestType::Delete => Default::default(),
                    RequestType::Create | RequestType::Update => attributes.data,
                };
                let no_echo = attributes.no_echo && answering.request_type != RequestType::Delete;
                (Verdict::Success { data, no_echo }, &answering.id_on_success)
            }
            Err(failure) => {
                let id = if failure.left_something() {
                    &answering.id_of_leftovers
                } else {
                    &answering.id_on_failure
                };
                (Verdict::Failed { reason: failure.chain() }, id)
            }
        };
        let mut encoded = encode(&answering.to, id, &verdict);
        if !encoded.kept {
            // The resource exists although the answer became a failure: its Delete must come back for it.
            let id = &answering.id_of_leftovers;
            encoded = encode(&answering.to, id, &verdict);
        }
        let sent = self.client.put(&answering.url, &encoded.body, end).await;
        match (&sent, &verdict) {
            (Ok(()), Verdict::Failed { reason }) => {
                tracing::error!(status = "FAILED", physical_resource_id = %id, reason, "answered");
            }
            (Ok(()), Verdict::Success { .. }) => {
                let status = if encoded.succeeded { "SUCCESS" } else { "FAILED" };
                tracing::info!(status, physical_resource_id = %id, "answered");
            }
            (Err(error), _) => tracing::error!(%error, "the answer was not delivered"),
        }
        match sent {
            Err(error) if error.worth_another_invocation() => Err(HandlerError::NotDelivered(error.into())),
            // Refused for good: another run would do the work again and be refused again.
            Err(PutError::Refused(_) | PutError::NotAUrl | PutError::Exhausted { .. }) | Ok(()) => Ok(()),
        }
    }
}

/// Names the field at fault. Only the request type is repeated: any other value may be a secret of the template.
fn why_not_a_request(error: &serde_path_to_error::Error<serde_json::Error>) -> String {
    match error.path().to_string().as_str() {
        // The event as a whole: a field is missing, and the text holds its name only.
        "." => error.inner().to_string(),
        "RequestType" => format!("`RequestType`: {}", error.inner()),
        field => format!("`{field}` is not of the form that CloudFormation documents"),
    }
}

fn no_state_machine() -> Failure {
    Failure::new("this function has no state machine to wait with")
}

/// Runs the provider until the deadline, and turns a panic into a failure.
async fn guarded(
    work: impl Future<Output = Result<Outcome<Value>, Failure>>,
    until: Instant,
) -> Result<Outcome<Value>, Failure> {
    let caught = AssertUnwindSafe(work).catch_unwind();
    match tokio::time::timeout_at(until, caught).await {
        Ok(Ok(result)) => result,
        // The panic's message is not repeated: nobody checked it for secrets. The hook logged where it happened.
        Ok(Err(_)) => Err(Failure::new(
            "the function of this custom resource panicked; this is a defect in it. Its log says where.",
        )
        .leaving_something()),
        Err(_) => Err(Failure::new(
            "the function's time ran out before the work was done. What it did so far may be there; \
             give the function a longer timeout, or repeat the operation.",
        )
        .leaving_something()),
    }
}

/// The provider's progress as JSON, so that everything after it is free of the provider's types.
fn encoded<T: serde::Serialize>(result: Result<Outcome<T>, Failure>) -> Result<Outcome<Value>, Failure> {
    Ok(match result? {
        Outcome::Ready(attributes) => Outcome::Ready(attributes),
        Outcome::Waiting { progress, look_again_after } => Outcome::Waiting {
            progress: serde_json::to_value(progress).map_err(|error| {
                Failure::caused_by("the progress of this resource cannot be written down", error)
                    .leaving_something()
            })?,
            look_again_after,
        },
    })
}

/// The same for every delivery of one request, so that a duplicate does not start a second wait.
fn execution_name(request: &Request) -> String {
    let mut hash = Sha256::new();
    hash.update(request.stack_id.as_bytes());
    hash.update([0]);
    hash.update(request.request_id.as_bytes());
    let kept: String =
        request.logical_resource_id.chars().filter(char::is_ascii_alphanumeric).take(40).collect();
    format!("{kept}-{}", hex::encode(&hash.finalize()[..16]))
}

fn epoch_seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Whole seconds, at least one: what a Wait state takes.
fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs().max(1)
}
