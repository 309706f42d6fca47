//! A provider of keys with the documented API of Confluent Cloud and an API of another form. It has
//! a limit, delays and planned responses.
//!
//! It has no socket, so it serves in memory and, in the end-to-end tests, behind TLS. Sources: see
//! `rotation::keys::preset`.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use rotation::keys::http::{Http, HttpError, Response};
use rotation::keys::request::Request;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

/// The behavior of the provider.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// The most keys of one owner.
    pub limit: usize,
    /// The number of times that a new key is rejected before it works.
    pub refused_first: u32,
    /// The number of lists that do not contain a new key yet.
    pub unlisted_first: u32,
    /// The number of keys in one page of a list.
    pub part: usize,
    /// Accepts any key.
    pub open: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self { limit: 3, refused_first: 0, unlisted_first: 0, part: 2, open: false }
    }
}

/// A response.
#[derive(Debug, Clone, Default)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: String,
}

impl Reply {
    /// Creates a response without a body.
    pub fn status(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    fn json(status: u16, body: &Value) -> Self {
        Self { status, headers: vec![("content-type", "application/json".into())], body: body.to_string() }
    }

    /// Returns an error in Confluent's form. Its text must never reach a log.
    fn failure(status: u16) -> Self {
        let error = json!({"status": status.to_string(), "detail": "TEXT-OF-THE-PROVIDER"});
        Self::json(status, &json!({"errors": [error]}))
    }
}

#[derive(Debug, Clone)]
struct Made {
    id: String,
    secret: String,
    owner: String,
    text: String,
    refused: u32,
    unlisted: u32,
}

#[derive(Debug, Default)]
struct State {
    keys: Vec<Made>,
    made: u32,
    seen: Vec<String>,
    ordered: Vec<(&'static str, Reply, bool)>,
}

/// A provider of keys. Its admin's key is `admin-key` with `admin-secret`.
#[derive(Debug)]
pub struct KeyProvider {
    rules: Rules,
    state: Mutex<State>,
}

impl KeyProvider {
    /// Creates a provider without keys.
    pub fn new(rules: Rules) -> Self {
        Self { rules, state: Mutex::default() }
    }

    /// Adds a key that works.
    pub fn add(&self, owner: &str, id: &str, secret: &str, text: &str) {
        let (id, secret) = (id.to_owned(), secret.to_owned());
        let made =
            Made { id, secret, owner: owner.to_owned(), text: text.to_owned(), refused: 0, unlisted: 0 };
        self.state().keys.push(made);
    }

    /// Returns the ids of all keys, sorted.
    pub fn ids(&self) -> Vec<String> {
        let mut ids: Vec<String> = self.state().keys.iter().map(|key| key.id.clone()).collect();
        ids.sort();
        ids
    }

    /// Returns the text of a key.
    pub fn text(&self, id: &str) -> Option<String> {
        self.state().keys.iter().find(|key| key.id == id).map(|key| key.text.clone())
    }

    /// Returns true if the key exists, even if it does not work yet.
    pub fn has(&self, id: &str, secret: &str) -> bool {
        self.state().keys.iter().any(|key| key.id == id && key.secret == secret)
    }

    /// Returns true if the key works now.
    pub fn works(&self, id: &str, secret: &str) -> bool {
        self.state().keys.iter().any(|key| key.id == id && key.secret == secret && key.refused == 0)
    }

    /// Removes a key, as if somebody had revoked it.
    pub fn forget(&self, id: &str) {
        self.state().keys.retain(|key| key.id != id);
    }

    /// Returns the method and target of all requests so far.
    pub fn seen(&self) -> Vec<String> {
        self.state().seen.clone()
    }

    /// Plans the response to the next request with this method, with or without the request's
    /// effect.
    pub fn order(&self, method: &'static str, reply: Reply, with_effect: bool) {
        self.state().ordered.push((method, reply, with_effect));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Responds to a request.
    pub fn handle(&self, method: &str, target: &str, authorization: Option<&str>, body: &str) -> Reply {
        let mut state = self.state();
        state.seen.push(format!("{method} {target}"));
        let ordered = state.ordered.iter().position(|(when, ..)| *when == method);
        let ordered = ordered.map(|at| state.ordered.remove(at));
        if let Some((_, reply, false)) = ordered {
            return reply;
        }
        let reply = state.answer(self.rules, method, target, authorization.unwrap_or_default(), body);
        ordered.map_or(reply, |(_, reply, _)| reply)
    }
}

impl State {
    fn answer(&mut self, rules: Rules, method: &str, target: &str, authorization: &str, body: &str) -> Reply {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let query = |name: &str| {
            let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
            let mut pairs = pairs.map(|(name, value)| (decoded(name), decoded(value)));
            pairs.find(|(have, _)| have == name).map(|(_, value)| value)
        };
        let body: Value = serde_json::from_str(body).unwrap_or_default();
        let parts: Vec<String> = path
            .split('/')
            .skip(1)
            .map(|part| percent_decode_str(part).decode_utf8_lossy().into_owned())
            .collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let admin = authorization == basic("admin-key", "admin-secret");
        let bearer = authorization == "Bearer admin-secret";
        match (method, parts.as_slice()) {
            ("GET", ["subjects"] | ["kafka", "v3", "clusters", _, "topics"]) | ("POST", ["ksql"]) => {
                self.tried(rules, authorization)
            }
            (_, ["iam", ..]) if !admin => Reply::failure(401),
            (_, ["v1", ..]) if !bearer => Reply::failure(403),
            ("POST", ["iam", "v2", "api-keys"]) => {
                let spec = &body["spec"];
                let found = (spec["owner"]["id"].as_str(), spec["description"].as_str());
                let (Some(owner), Some(text), Some(_)) = (found.0, found.1, spec["resource"]["id"].as_str())
                else {
                    return Reply::failure(422);
                };
                self.make(rules, owner, text, 402, |made| {
                    Reply::json(
                        202,
                        &json!({"kind": "ApiKey", "id": made.id, "spec": {"secret": made.secret}}),
                    )
                })
            }
            ("GET", ["iam", "v2", "api-keys"]) => {
                let (Some(owner), Some(_)) = (query("spec.owner"), query("spec.resource")) else {
                    return Reply::failure(400);
                };
                let (keys, next) = self.list(rules, &owner, query("page_token"));
                let item = |key: &Made| json!({"id": key.id, "spec": {"description": key.text, "owner": {"id": key.owner}}});
                let items: Vec<Value> = keys.iter().map(item).collect();
                // A foreign host: the client must not use it.
                let next = next.map(|token| {
                    format!("https://elsewhere.invalid/iam/v2/api-keys?page_size=2&page_token={token}%3D")
                });
                Reply::json(200, &json!({"data": items, "metadata": {"next": next}}))
            }
            ("DELETE", ["iam", "v2", "api-keys", id]) => self.revoke(id),
            ("POST", ["v1", "credentials"]) => {
                let (Some(owner), Some(text)) = (body["for"].as_str(), body["note"].as_str()) else {
                    return Reply::failure(422);
                };
                self.make(rules, owner, text, 409, |made| {
                    Reply::json(201, &json!({"credential": {"name": made.id, "pass/word": made.secret}}))
                })
            }
            ("GET", ["v1", "users", owner, "credentials"]) => {
                let (keys, next) = self.list(rules, owner, query("cursor"));
                let items: Vec<Value> =
                    keys.iter().map(|key| json!({"name": key.id, "note": key.text})).collect();
                Reply::json(200, &json!({"credentials": items, "cursor": next.map(|token| token + "=")}))
            }
            ("POST", ["v1", "credentials", id, "revoke"]) => self.revoke(id),
            _ => Reply::failure(404),
        }
    }

    fn tried(&mut self, rules: Rules, authorization: &str) -> Reply {
        let key = self.keys.iter_mut().find(|key| basic(&key.id, &key.secret) == authorization);
        match key {
            _ if rules.open => Reply::json(200, &json!([])),
            None => Reply::failure(401),
            Some(key) if key.refused > 0 => {
                key.refused -= 1;
                Reply::failure(401)
            }
            Some(_) => Reply::json(200, &json!(["orders-value"])),
        }
    }

    fn make(
        &mut self,
        rules: Rules,
        owner: &str,
        text: &str,
        full: u16,
        answer: impl Fn(&Made) -> Reply,
    ) -> Reply {
        if self.keys.iter().filter(|key| key.owner == owner).count() >= rules.limit {
            return Reply::failure(full);
        }
        self.made += 1;
        let made = Made {
            id: format!("KEY{:05}", self.made),
            // Base64, as at Confluent: it has characters with a meaning in addresses and texts.
            secret: format!("SECRET+{:05}/half==", self.made),
            owner: owner.to_owned(),
            text: text.to_owned(),
            refused: rules.refused_first,
            unlisted: rules.unlisted_first,
        };
        let reply = answer(&made);
        self.keys.push(made);
        reply
    }

    /// Returns a page of the owner's keys, and the token of the next page.
    fn list(&mut self, rules: Rules, owner: &str, from: Option<String>) -> (Vec<Made>, Option<String>) {
        let from = from.and_then(|token| token.trim_end_matches('=').parse().ok()).unwrap_or(0);
        let mut visible = Vec::new();
        for key in self.keys.iter_mut().filter(|key| key.owner == owner) {
            if key.unlisted > 0 && from == 0 {
                key.unlisted -= 1;
            } else if key.unlisted == 0 {
                visible.push(key.clone());
            }
        }
        let end = (from + rules.part).min(visible.len());
        let next = (end < visible.len()).then(|| end.to_string());
        (visible.get(from..end).unwrap_or_default().to_vec(), next)
    }

    fn revoke(&mut self, id: &str) -> Reply {
        let before = self.keys.len();
        self.keys.retain(|key| key.id != id);
        if self.keys.len() < before { Reply::status(204) } else { Reply::failure(404) }
    }
}

fn basic(id: &str, secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")))
}

impl Http for KeyProvider {
    async fn send(
        &self,
        request: &Request,
        headers: &[(&'static str, SecretString)],
        body_wanted: bool,
    ) -> Result<Response, HttpError> {
        let named = headers.iter().map(|(name, value)| (*name, value));
        let mut all = request.headers.iter().map(|(name, value)| (name.as_str(), value)).chain(named);
        let authorization =
            all.find(|(name, _)| *name == "authorization").map(|(_, value)| value.expose_secret());
        let body = request.body.as_ref().map(|body| body.expose_secret()).unwrap_or_default();
        let reply = self.handle(request.method.name(), &request.target, authorization, body);
        let wait = reply.headers.iter().find(|(name, _)| *name == "retry-after");
        Ok(Response {
            status: reply.status,
            retry_after: wait.and_then(|(_, text)| text.parse().ok()).map(Duration::from_secs),
            body: if body_wanted { reply.body.into() } else { SecretString::default() },
        })
    }
}
