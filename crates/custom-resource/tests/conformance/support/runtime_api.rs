//! The Lambda Runtime API, for one real process.
//!
//! Source: "Lambda runtime API" of the Lambda developer guide.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use tokio::io::BufReader;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::http::{read_request, write_response};

/// A report of the function to the Runtime API.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Report {
    /// The invocation with this number returned.
    Response(usize, Value),
    /// The invocation with this number failed.
    Error(usize, Value),
    /// The function failed to start.
    InitError(Value),
}

#[derive(Default)]
struct State {
    /// Number, event, time until the deadline.
    waiting: VecDeque<(usize, Value, Duration)>,
    given: usize,
    polls: usize,
    reports: Vec<Report>,
}

/// The server; dropping it ends the server.
pub(crate) struct RuntimeApi {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    changed: Arc<Notify>,
    accepting: JoinHandle<()>,
}

impl RuntimeApi {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let changed = Arc::new(Notify::new());
        let (kept, notify) = (Arc::clone(&state), Arc::clone(&changed));
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&kept), Arc::clone(&notify)));
            }
        });
        Self { address, state, changed, accepting }
    }

    /// For `AWS_LAMBDA_RUNTIME_API`.
    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    /// Invokes the function with an event.
    pub(crate) fn invoke(&self, event: Value, left: Duration) {
        let mut state = self.state.lock().unwrap();
        let number = state.given;
        state.given += 1;
        state.waiting.push_back((number, event, left));
        self.changed.notify_waiters();
    }

    /// Waits for this many reports, at most 20 seconds.
    pub(crate) async fn reports(&self, count: usize) -> Vec<Report> {
        let enough = async {
            loop {
                let changed = self.changed.notified();
                let reports = self.state.lock().unwrap().reports.clone();
                if reports.len() >= count {
                    return reports;
                }
                changed.await;
            }
        };
        let found = tokio::time::timeout(Duration::from_secs(20), enough).await;
        found.unwrap_or_else(|_| panic!("the function only sent {:?}", self.state.lock().unwrap().reports))
    }

    /// Returns the number of polls.
    pub(crate) fn polls(&self) -> usize {
        self.state.lock().unwrap().polls
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(stream: TcpStream, state: Arc<Mutex<State>>, changed: Arc<Notify>) {
    let mut stream = BufReader::new(stream);
    while let Some(request) = read_request(&mut stream).await {
        let path = request.target.strip_prefix("/2018-06-01/runtime/").unwrap_or_default();
        let body = || serde_json::from_slice(&request.body).unwrap_or(Value::Null);
        let parts: Vec<&str> = path.split('/').collect();
        let written = match parts.as_slice() {
            ["invocation", "next"] => {
                state.lock().unwrap().polls += 1;
                let (number, event, left) = next(&state, &changed).await;
                let deadline = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + left;
                let headers = [
                    ("Lambda-Runtime-Aws-Request-Id", number.to_string()),
                    ("Lambda-Runtime-Deadline-Ms", deadline.as_millis().to_string()),
                    (
                        "Lambda-Runtime-Invoked-Function-Arn",
                        "arn:aws:lambda:us-east-1:111111111111:function:thing".to_owned(),
                    ),
                    ("Content-Type", "application/json".to_owned()),
                ];
                write_response(&mut stream, 200, &headers, &event.to_string()).await
            }
            [kind, rest @ ..] => {
                let reports = match (*kind, rest) {
                    ("invocation", [number, "response"]) => Report::Response(number.parse().unwrap(), body()),
                    ("invocation", [number, "error"]) => Report::Error(number.parse().unwrap(), body()),
                    ("init", ["error"]) => Report::InitError(body()),
                    other => panic!("the Runtime API has no {other:?}"),
                };
                state.lock().unwrap().reports.push(reports);
                changed.notify_waiters();
                write_response(&mut stream, 202, &[], "{\"status\":\"OK\"}").await
            }
            [] => return,
        };
        if written.is_err() {
            return;
        }
    }
}

async fn next(state: &Mutex<State>, changed: &Notify) -> (usize, Value, Duration) {
    loop {
        let woken = changed.notified();
        if let Some(first) = state.lock().unwrap().waiting.pop_front() {
            return first;
        }
        woken.await;
    }
}
