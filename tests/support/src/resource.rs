//! Requests of CloudFormation, delivered as Lambda and Step Functions do, with faults in the calls of
//! the provider.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_types::SdkConfig;
use custom_resource::{Context, Failure, Outcome, PhysicalId, Provider, Request, RequestType};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::aws::{Service, config};
use crate::faults::{Fault, Faults};

/// The checks of one wait, more than any provider has.
const CHECKS: usize = 500;

/// A custom resource in one stack, and its function.
pub struct Resource<S, P> {
    service: Arc<Mutex<S>>,
    /// The faults of its calls.
    pub faults: Arc<Faults>,
    /// The properties of every request.
    pub properties: Value,
    /// The time of one invocation, without that for the response.
    pub timeout: Duration,
    provider: fn(&SdkConfig) -> P,
}

/// The point in the life of a resource at which a drill checks what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// The Create succeeded.
    Creation,
    /// The Create failed and named no id, so CloudFormation deletes nothing.
    FailedCreation,
    /// The Delete succeeded.
    Deletion,
}

/// Runs a drill without a fault, and then with each fault at each of its calls. `drill` returns the
/// number of its calls.
///
/// # Panics
/// A run without a fault makes less than `least` calls.
pub async fn with_each_fault(least: usize, drill: impl AsyncFn(HashMap<usize, Fault>) -> usize) {
    let calls = drill(HashMap::new()).await;
    assert!(calls >= least, "{calls} calls");
    for number in 0..calls {
        for fault in Fault::ALL {
            drill(HashMap::from([(number, fault)])).await;
        }
    }
}

type Response<P> = Result<Outcome<<P as Provider>::Progress>, Failure>;

type Work<'a, P> = Pin<Box<dyn Future<Output = Response<P>> + Send + 'a>>;

impl<S: Service + 'static, P: Provider> Resource<S, P> {
    /// Creates a resource. `provider` starts the function.
    pub fn new(service: S, faults: Faults, properties: Value, provider: fn(&SdkConfig) -> P) -> Self {
        let timeout = Duration::from_secs(170);
        Self {
            service: Arc::new(Mutex::new(service)),
            faults: Arc::new(faults),
            properties,
            timeout,
            provider,
        }
    }

    /// Returns the state of what the function calls.
    pub fn state(&self) -> MutexGuard<'_, S> {
        self.service.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Creates and deletes the resource as CloudFormation does, and calls `check` at each point with
    /// the state and the reason for a failure. `title` is for messages. Returns the number of calls.
    ///
    /// # Panics
    /// The deletion failed more often than there are faults.
    pub async fn create_and_delete(&self, title: &str, check: impl Fn(After, &S, &str)) -> usize {
        let faults = self.faults.left().max(1);
        match self.deliver(RequestType::Create).await {
            Ok(()) => check(After::Creation, &self.state(), ""),
            Err(failure) if !failure.has_leftovers() => {
                check(After::FailedCreation, &self.state(), &failure.chain());
                return self.faults.calls();
            }
            Err(_) => {}
        }
        // A deletion that failed is repeated by the user. Each fault can fail one of them.
        let mut deleted = self.deliver(RequestType::Delete).await;
        for _ in 0..faults {
            if deleted.is_err() {
                deleted = self.deliver(RequestType::Delete).await;
            }
        }
        if let Err(failure) = deleted {
            panic!("{title}: the deletion failed {} times: {}", faults + 1, failure.chain());
        }
        check(After::Deletion, &self.state(), "");
        self.faults.calls()
    }

    /// Delivers a request until it has its response: crashed invocations are repeated, and waits are
    /// carried to their end.
    ///
    /// # Errors
    /// The failure in the response. Without leftovers, CloudFormation gets no id to delete.
    pub async fn deliver(&self, kind: RequestType) -> Result<(), Failure> {
        let mut outcome = self.repeat(|| self.invoke(kind)).await?;
        for _ in 0..CHECKS {
            let (progress, pause) = match outcome {
                Outcome::Ready(_) => return Ok(()),
                Outcome::Waiting { progress, check_after } => (progress, check_after),
            };
            let progress = serde_json::to_value(progress).unwrap();
            tokio::time::sleep(pause).await;
            // The ticket of a wait has the real id, also for a failure.
            outcome = self.repeat(|| self.check(kind, &progress)).await.map_err(Failure::with_leftovers)?;
        }
        Err(Failure::new("the wait did not end").with_leftovers())
    }

    /// Repeats a crashed invocation, as Lambda and the state machine do.
    async fn repeat<F: Future<Output = Option<Response<P>>>>(&self, invoke: impl Fn() -> F) -> Response<P> {
        for _ in 0..3 {
            if let Some(response) = invoke().await {
                return response;
            }
        }
        panic!("three crashes of one request");
    }

    fn request(&self, kind: RequestType) -> Request {
        let event = json!({
            "RequestType": kind.to_string(), "ResponseURL": "https://example.invalid/",
            "RequestId": format!("r-{kind}"), "LogicalResourceId": "Thing", "ResourceType": "Custom::Thing",
            "StackId": "arn:aws:cloudformation:us-east-1:222222222222:stack/a-stack/1",
            "PhysicalResourceId": "id", "ResourceProperties": self.properties,
        });
        Request::parse(&event).unwrap()
    }

    fn context(&self, request: &Request) -> Context {
        Context {
            owner: request.owner(),
            request_id: request.request_id.clone(),
            request_type: request.request_type,
            deadline: Instant::now() + self.timeout,
        }
    }

    fn start(&self) -> P {
        (self.provider)(&config(self.service.clone(), Arc::clone(&self.faults)))
    }

    /// Returns `None` if the function crashed.
    async fn invoke(&self, kind: RequestType) -> Option<Response<P>> {
        let (provider, request) = (self.start(), self.request(kind));
        let properties: P::Properties = request.properties(&[]).unwrap();
        let id = PhysicalId::new(P::KIND, &request.owner(), &provider.identity(&properties).unwrap());
        let context = self.context(&request);
        // On the heap: with the SDK's calls in it, the future would be huge.
        let work: Work<'_, P> = Box::pin(async {
            match kind {
                RequestType::Create => provider.create(&context, &id, properties).await,
                RequestType::Update => provider.update(&context, &id, None, properties).await,
                RequestType::Delete => provider.delete(&context, &id, properties).await,
            }
        });
        self.limited(work, context.deadline).await
    }

    async fn check(&self, kind: RequestType, progress: &Value) -> Option<Response<P>> {
        let (provider, request) = (self.start(), self.request(kind));
        let properties: P::Properties = request.properties(&[]).unwrap();
        let id = PhysicalId::new(P::KIND, &request.owner(), &provider.identity(&properties).unwrap());
        let context = self.context(&request);
        let progress = serde_json::from_value(progress.clone()).unwrap();
        let work: Work<'_, P> = Box::pin(provider.check(&context, &id, progress));
        self.limited(work, context.deadline).await
    }

    /// Runs until a crash or the end of the time, for which the handler responds with the real id.
    async fn limited(&self, work: Work<'_, P>, deadline: Instant) -> Option<Response<P>> {
        tokio::select! {
            biased;
            () = self.faults.died() => None,
            result = tokio::time::timeout_at(deadline, work) => {
                Some(result.unwrap_or_else(|_| Err(Failure::new("timed out").with_leftovers())))
            }
        }
    }
}
