//! A handler in a test bench: a response server, a provider, a state machine and the log.

pub(crate) mod case;
pub(crate) mod events;
pub(crate) mod http;
pub(crate) mod logs;
pub(crate) mod response_server;
pub(crate) mod runtime_api;
pub(crate) mod thing;
pub(crate) mod waits;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use custom_resource::{Allowed, Failure, Handler, HandlerError, PutPolicy, ResponseHosts};
use serde_json::Value;

use events::{SECRETS, URL_PLACE};
use logs::Logs;
use response_server::{Reply, ResponseServer, URL_SECRETS};
use thing::{Does, Shared, Thing};
use waits::{Broken, MemoryWaiter};

/// The time of every case.
pub(crate) fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

/// A clock that is ahead by longer than any wait.
pub(crate) fn much_later() -> SystemTime {
    now() + Duration::from_secs(24 * 3600)
}

/// Long timeouts for a slow machine, and short pauses after a rejection.
pub(crate) const PATIENT: PutPolicy = PutPolicy {
    attempts: 4,
    attempt_timeout: Duration::from_secs(10),
    first_pause: Duration::from_millis(1),
};

/// For servers that never answer.
pub(crate) const IMPATIENT: PutPolicy =
    PutPolicy { attempts: 3, attempt_timeout: Duration::from_secs(1), first_pause: Duration::from_millis(1) };

/// The setup of a bench.
pub(crate) struct Setup {
    pub(crate) does: Box<dyn Fn(&str) -> Does + Send + Sync>,
    pub(crate) replies: Vec<Reply>,
    pub(crate) policy: PutPolicy,
    pub(crate) start: Result<(), Failure>,
    pub(crate) allowed: Allowed,
    pub(crate) hosts: ResponseHosts,
    pub(crate) waits: Option<Broken>,
    pub(crate) clock: fn() -> SystemTime,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            does: Box::new(|_| Does::Well),
            replies: Vec::new(),
            policy: PATIENT,
            start: Ok(()),
            allowed: Allowed::everything(),
            hosts: ResponseHosts::Any,
            waits: None,
            clock: now,
        }
    }
}

/// A handler and everything around it.
pub(crate) struct Bench {
    pub(crate) server: ResponseServer,
    pub(crate) thing: Arc<Thing>,
    pub(crate) waits: Arc<MemoryWaiter>,
    pub(crate) handler: Handler<Shared>,
    pub(crate) logs: Logs,
}

impl Bench {
    pub(crate) async fn new(setup: Setup) -> Self {
        let logs = Logs::collect();
        let server = ResponseServer::start(setup.replies).await;
        let thing = Arc::new(Thing::new(setup.does));
        let waits = Arc::new(MemoryWaiter::new(setup.waits.unwrap_or(Broken::Nothing)));
        let mut handler = match setup.start {
            Ok(()) => Handler::new(Shared(Arc::clone(&thing)), setup.allowed),
            Err(failure) => Handler::failed_start(&failure),
        };
        handler =
            handler.with_put_policy(setup.policy).with_clock(setup.clock).with_response_hosts(setup.hosts);
        if setup.waits.is_some() {
            handler = handler.with_waiter(Arc::<MemoryWaiter>::clone(&waits));
        }
        Self { server, thing, waits, handler, logs }
    }

    /// Delivers an event with this much time until the deadline.
    pub(crate) async fn deliver(&self, event: &Value, left: Duration) -> Result<Value, HandlerError> {
        let mut event = event.clone();
        if let Some(url) = event.get_mut("ResponseURL").filter(|url| **url == URL_PLACE) {
            *url = Value::from(self.server.url());
        }
        self.handler.handle(event, now() + left).await
    }

    /// Checks that no secret is in the log, in a response or in a state machine's input.
    pub(crate) fn kept_secrets(&self) {
        let logs = self.logs.text();
        let inputs = format!("{:?}", self.waits.started());
        let bodies = format!("{:?}", self.server.bodies());
        for secret in URL_SECRETS.iter().chain(SECRETS) {
            for (place, text) in
                [("the log", &logs), ("a state machine's input", &inputs), ("a body", &bodies)]
            {
                assert!(!text.contains(secret), "{secret:?} stands in {place}:\n{text}");
            }
        }
    }
}
