//! Waits that outlast an invocation: their start, and the calls of the state machine.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use crate::failure::Failure;
use crate::guard::{run_guarded, serialize_progress};
use crate::handler::{Handler, HandlerError, PendingResponse};
use crate::physical_id::PhysicalId;
use crate::provider::{Context, Outcome, Provider};
use crate::request::{Request, RequestType};
use crate::response::RequestIds;
use crate::secret::ResponseUrl;
use crate::wait::{Reply, Ticket, WaitCall};

impl<P: Provider> Handler<P> {
    /// Seals the response URL and starts the state machine.
    pub(crate) async fn start_wait(
        &self,
        request: &Request,
        pending: &PendingResponse,
        progress: Value,
        check_after: Duration,
        work_until: Instant,
    ) -> Result<(), Failure> {
        let Some(waiter) = &self.waiter else {
            return Err(no_state_machine().with_leftovers());
        };
        let started = async {
            let mut ticket = Ticket {
                sealed_url: String::new(),
                request_id: request.request_id.clone(),
                request_type: request.request_type,
                stack_id: request.stack_id.clone(),
                logical_resource_id: request.logical_resource_id.clone(),
                physical_resource_id: pending.id_on_success.clone(),
                // The resource of a waiting Create exists, so CloudFormation must send its Delete.
                id_on_failure: match request.request_type {
                    RequestType::Create => pending.id_on_success.clone(),
                    RequestType::Update | RequestType::Delete => pending.id_on_failure.clone(),
                },
                deadline: epoch_seconds((self.now)() + P::MAX_WAIT),
                progress,
            };
            ticket.sealed_url = waiter.seal(request.response_url.expose(), &ticket.binding()).await?;
            let input = json!({"WaitSeconds": whole_seconds(check_after), "Ticket": ticket});
            waiter.start(&execution_name(request), &input).await
        };
        match tokio::time::timeout_at(work_until, started).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                Err(Failure::caused_by("the waiting state machine could not be started", error)
                    .with_leftovers())
            }
            Err(_) => {
                Err(Failure::new("the waiting state machine could not be started in time").with_leftovers())
            }
        }
    }

    /// Handles a call of the state machine.
    pub(crate) async fn handle_wait_call(
        &self,
        call: WaitCall,
        work_until: Instant,
        end: Instant,
    ) -> Result<Value, HandlerError> {
        let Some(waiter) = &self.waiter else {
            // This instance cannot open the URL. Another instance of the function may be able to.
            let reason = self.provider().err().unwrap_or_else(no_state_machine);
            return Err(HandlerError::ResponseNotDelivered(reason.into()));
        };
        // Before anything is done: a ticket whose URL does not open is not one of this function.
        let (WaitCall::Check { ticket } | WaitCall::GiveUp { ticket, .. }) = &call;
        let url = waiter
            .open(&ticket.sealed_url, &ticket.binding())
            .await
            .map_err(HandlerError::ResponseNotDelivered)?;
        let (ticket, result) = match call {
            WaitCall::GiveUp { ticket, error, cause } => {
                let parts = [error, cause].into_iter().flatten().filter(|text| !text.is_empty());
                let reason = parts.collect::<Vec<_>>().join(": ");
                let text = format!("waiting for this resource failed in the state machine: {reason}");
                (ticket, Err(Failure::new(text)))
            }
            WaitCall::Check { ticket } => {
                let result = run_guarded(self.check(&ticket, work_until), work_until).await;
                (ticket, result)
            }
        };
        let result = match result {
            Ok(Outcome::Waiting { progress, check_after }) => {
                if epoch_seconds((self.now)()) < ticket.deadline {
                    let mut next = Ticket { progress, ..ticket };
                    next.sealed_url = waiter
                        .seal(&url, &next.binding())
                        .await
                        .map_err(HandlerError::ResponseNotDelivered)?;
                    let reply = Reply {
                        done: false,
                        ticket: Some(next),
                        wait_seconds: Some(whole_seconds(check_after)),
                    };
                    return Ok(serde_json::to_value(reply).unwrap_or_default());
                }
                let minutes = P::MAX_WAIT.as_secs() / 60;
                Err(Failure::new(format!("not ready after {minutes} minutes; last progress: {progress}")))
            }
            Ok(Outcome::Ready(attributes)) => Ok(attributes),
            Err(failure) => Err(failure),
        };
        let pending = PendingResponse {
            to: RequestIds {
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
        self.respond(&pending, result, end).await?;
        let reply = Reply { done: true, ticket: None, wait_seconds: None };
        Ok(serde_json::to_value(reply).unwrap_or_default())
    }

    async fn check(&self, ticket: &Ticket, work_until: Instant) -> Result<Outcome<Value>, Failure> {
        let provider = self.provider()?;
        let id = PhysicalId::parse(P::KIND, &ticket.physical_resource_id)
            .ok_or_else(|| Failure::new("the state machine's ticket has an id of another provider"))?;
        let progress = serde_json::from_value(ticket.progress.clone()).map_err(|error| {
            Failure::caused_by("the state machine's ticket has a progress of another provider", error)
        })?;
        let context = Context {
            owner: ticket.owner(),
            request_id: ticket.request_id.clone(),
            request_type: ticket.request_type,
            deadline: work_until,
        };
        serialize_progress(provider.check(&context, &id, progress).await)
    }
}

fn no_state_machine() -> Failure {
    Failure::new("this function has no state machine for waits")
}

/// Returns the execution's name: the same for every delivery of one request, so that a duplicate
/// does not start a second wait.
fn execution_name(request: &Request) -> String {
    let mut hash = Sha256::new();
    hash.update(request.stack_id.as_bytes());
    hash.update([0]);
    hash.update(request.request_id.as_bytes());
    let readable: String =
        request.logical_resource_id.chars().filter(char::is_ascii_alphanumeric).take(40).collect();
    format!("{readable}-{}", hex::encode(&hash.finalize()[..16]))
}

fn epoch_seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Returns whole seconds, at least one, as a Wait state takes them.
fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs().max(1)
}
