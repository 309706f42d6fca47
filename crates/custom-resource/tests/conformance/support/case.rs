//! One row of a table: the events, the reactions of everything around, and the expected results.

use std::time::{Duration, Instant};

use custom_resource::{Allowed, Failure, HandlerError, PutPolicy, ResponseHosts};
use futures_util::future::join_all;
use serde_json::Value;

use super::response_server::Reply;
use super::thing::Does;
use super::{Bench, Setup};

/// The end of an invocation, as Lambda sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ends {
    /// Lambda does not run it again.
    Succeeds,
    /// Lambda runs it again, and the response may arrive then.
    ResponseNotDelivered,
    /// The event has no addressee.
    InvalidRequest,
    /// The response may not go to the event's URL.
    ResponseUrlRejected,
}

/// One row.
pub(crate) struct Case {
    events: Vec<Value>,
    at_once: bool,
    setup: Setup,
    left: Duration,
    answers: Vec<Value>,
    calls: Vec<&'static str>,
    ends: Vec<Ends>,
    within: Option<Duration>,
}

/// Returns a row that delivers this event.
pub(crate) fn case(event: Value) -> Case {
    Case {
        events: vec![event],
        at_once: false,
        setup: Setup::default(),
        left: Duration::from_secs(60),
        answers: Vec::new(),
        calls: Vec::new(),
        ends: vec![Ends::Succeeds],
        within: None,
    }
}

impl Case {
    /// Delivers another event after the response to the one before.
    pub(crate) fn then(mut self, event: Value) -> Self {
        self.events.push(event);
        self
    }

    /// Delivers all events at once.
    pub(crate) fn at_once(mut self) -> Self {
        self.at_once = true;
        self
    }

    /// Sets the provider's reactions, by the name of the method.
    pub(crate) fn does(mut self, does: impl Fn(&str) -> Does + Send + Sync + 'static) -> Self {
        self.setup.does = Box::new(does);
        self
    }

    /// Sets what the function's stack allows.
    pub(crate) fn allowed(mut self, allowed: Allowed) -> Self {
        self.setup.allowed = allowed;
        self
    }

    /// Sets the hosts to which responses may go.
    pub(crate) fn hosts(mut self, hosts: ResponseHosts) -> Self {
        self.setup.hosts = hosts;
        self
    }

    /// Lets the start-up fail.
    pub(crate) fn start_failed(mut self, failure: Failure) -> Self {
        self.setup.start = Err(failure);
        self
    }

    /// Sets the response server's reactions; 200 follows them.
    pub(crate) fn server(mut self, replies: &[Reply]) -> Self {
        self.setup.replies = replies.to_vec();
        self
    }

    pub(crate) fn policy(mut self, policy: PutPolicy) -> Self {
        self.setup.policy = policy;
        self
    }

    /// Sets the time until the deadline of the invocation.
    pub(crate) fn deadline_in(mut self, left: Duration) -> Self {
        self.left = left;
        self
    }

    /// Expects the row to end within this time.
    pub(crate) fn within(mut self, time: Duration) -> Self {
        self.within = Some(time);
        self
    }

    /// Expects one more PUT, with exactly this body.
    pub(crate) fn answers(self, body: Value) -> Self {
        self.answers_times(1, body)
    }

    /// Expects this many PUTs with this body.
    pub(crate) fn answers_times(mut self, times: usize, body: Value) -> Self {
        self.answers.extend(std::iter::repeat_n(body, times));
        self
    }

    /// Expects these calls of the provider, in this order. By default none are expected.
    pub(crate) fn calls(mut self, calls: &[&'static str]) -> Self {
        self.calls = calls.to_vec();
        self
    }

    /// Expects this end of every invocation.
    pub(crate) fn ends(self, ends: Ends) -> Self {
        self.ends_in(&[ends])
    }

    /// Expects these ends of the invocations; the last one holds for all that follow.
    pub(crate) fn ends_in(mut self, ends: &[Ends]) -> Self {
        self.ends = ends.to_vec();
        self
    }

    /// Runs the row.
    pub(crate) async fn holds(self) {
        let bench = Bench::new(self.setup).await;
        let began = Instant::now();
        let results = if self.at_once {
            join_all(self.events.iter().map(|event| bench.deliver(event, self.left))).await
        } else {
            let mut results = Vec::new();
            for event in &self.events {
                results.push(bench.deliver(event, self.left).await);
            }
            results
        };
        let took = began.elapsed();
        assert_eq!(bench.server.bodies(), self.answers, "the bodies of all PUTs");
        assert_eq!(bench.thing.calls(), self.calls, "the calls of the provider");
        for (index, result) in results.iter().enumerate() {
            let ended = match result {
                Ok(Value::Null) => Ends::Succeeds,
                Ok(other) => panic!("an invocation by CloudFormation returned {other}"),
                Err(HandlerError::ResponseNotDelivered(_)) => Ends::ResponseNotDelivered,
                Err(HandlerError::InvalidRequest) => Ends::InvalidRequest,
                Err(HandlerError::ResponseUrlRejected) => Ends::ResponseUrlRejected,
            };
            assert_eq!(ended, self.ends[index.min(self.ends.len() - 1)], "{result:?}");
        }
        if let Some(within) = self.within {
            assert!(took < within, "it took {took:?}");
        }
        bench.kept_secrets();
    }
}

/// A table whose rows are tests.
#[macro_export]
macro_rules! cases {
    ($($(#[$attribute:meta])* $name:ident: $case:expr;)*) => {$(
        $(#[$attribute])*
        #[tokio::test]
        async fn $name() {
            $case.holds().await;
        }
    )*};
}
