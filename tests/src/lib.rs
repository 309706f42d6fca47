//! Helpers shared by the end-to-end tests, such as requests to a deployed function in place of
//! CloudFormation.

#![allow(clippy::unwrap_used, clippy::expect_used)]

pub mod alerts;
mod rotation;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use cloud::Cloud;
use cloud::aws::{Account, AwsError};
use percent_encoding::percent_decode_str;
pub use rotation::{STACK, log_of};
use serde_json::{Value, json};

/// The longest time that a test waits for an expected condition.
pub const PATIENCE: Duration = Duration::from_secs(90);

type Bodies = HashMap<String, Vec<Value>>;

/// A server that receives the responses to custom-resource requests, in place of the pre-signed
/// URL.
pub struct Answers {
    port: u16,
    bodies: Arc<(Mutex<Bodies>, Condvar)>,
}

impl Answers {
    /// A server on a free port; it ends with the process.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let bodies: Arc<(Mutex<Bodies>, Condvar)> = Arc::default();
        let taken = Arc::clone(&bodies);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let taken = Arc::clone(&taken);
                std::thread::spawn(move || {
                    if let Some((path, body)) = take(stream) {
                        let (all, arrived) = &*taken;
                        all.lock().unwrap().entry(path).or_default().push(body);
                        arrived.notify_all();
                    }
                });
            }
        });
        Self { port, bodies }
    }

    /// Returns the response URL of the request with this id.
    pub fn url(&self, request_id: &str) -> String {
        format!("http://127.0.0.1:{}/{request_id}?signature=not-to-be-logged", self.port)
    }

    /// Waits for the only response to a request and returns it.
    ///
    /// # Panics
    /// No response arrived in time, or more than one.
    pub fn of(&self, request_id: &str) -> Value {
        self.within(request_id, PATIENCE)
            .unwrap_or_else(|| panic!("no response to {request_id} within {PATIENCE:?}"))
    }

    /// The same, or `None` if no response arrived within `patience`.
    pub fn within(&self, request_id: &str, patience: Duration) -> Option<Value> {
        let path = format!("/{request_id}?signature=not-to-be-logged");
        let (all, arrived) = &*self.bodies;
        let until = Instant::now() + patience;
        let mut bodies = all.lock().unwrap();
        loop {
            if let Some(found) = bodies.get(&path) {
                assert_eq!(found.len(), 1, "more than one response to {request_id}: {found:?}");
                return Some(found[0].clone());
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            bodies = arrived.wait_timeout(bodies, left).unwrap().0;
        }
    }
}

fn take(stream: TcpStream) -> Option<(String, Value)> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let header = header.trim().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let ok = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    reader.into_inner().write_all(ok).ok()?;
    Some((path, serde_json::from_slice(&body).ok()?))
}

/// An AWS call that the local cloud holds until the test releases it (`local/ministack/README.md`,
/// holds).
pub struct Hold<'a> {
    account: &'a Account,
    path: String,
}

impl<'a> Hold<'a> {
    /// Requests the hold that `rule` describes.
    pub fn order(account: &'a Account, rule: &Value) -> Self {
        let answer = account.rest("s3", "POST", "/_sluice/hold", &[], rule.to_string().as_bytes()).unwrap();
        Self { account, path: format!("/_sluice/hold/{}", answer.json()["hold"]) }
    }

    /// Waits until the local cloud holds a matching call.
    ///
    /// # Panics
    /// No call matched in time.
    pub fn caught(&self) {
        let path = format!("{}?wait=90", self.path);
        let seen = self.account.rest("s3", "GET", &path, &[], &[]).unwrap().json();
        assert_eq!(seen["state"], "caught", "no call was held");
    }

    /// Releases the call.
    pub fn release(self) {
        self.account.rest("s3", "POST", &format!("{}/release", self.path), &[], b"{}").unwrap();
    }
}

/// A deployed function, called as CloudFormation would call it, but without a stack around it.
pub struct Function<'a> {
    /// The account and its credentials.
    pub account: Account,
    /// The name of the function.
    pub name: String,
    /// The server that receives its responses.
    pub answers: &'a Answers,
    stack_id: String,
    logical_id: String,
}

impl<'a> Function<'a> {
    /// Returns the function with a logical id in a stack.
    pub fn of(
        cloud: &Cloud,
        profile: cloud::Profile,
        stack: &str,
        resource: &str,
        answers: &'a Answers,
    ) -> Self {
        let account = cloud.account(profile);
        let name = account.physical_id(stack, resource).unwrap();
        let (region, id) = (cloud.region(), fastrand::u64(..));
        let stack_id =
            format!("arn:aws:cloudformation:{region}:{}:stack/direct-{id:016x}/{id:016x}", profile.account);
        Self { account, name, answers, stack_id, logical_id: "Direct".to_owned() }
    }

    /// Returns the function with a logical id in a stack of its own, after its environment was
    /// changed to allow every value and these stacks. Its own stack's values stay in it.
    pub fn unrestricted(
        cloud: &Cloud,
        profile: cloud::Profile,
        stack: &str,
        resource: &str,
        answers: &'a Answers,
    ) -> Self {
        let function = Self::of(cloud, profile, stack, resource, answers);
        let path = format!("/2015-03-31/functions/{}/configuration", function.name);
        let found = function.account.rest("lambda", "GET", &path, &[], &[]).unwrap().json();
        let mut environment = found["Environment"].clone();
        let variables = environment["Variables"].as_object_mut().unwrap();
        let mut is_changed = false;
        for (name, value) in variables.iter_mut().filter(|(name, _)| name.starts_with("ALLOWED_")) {
            let further = if name == "ALLOWED_RESOURCES" { "direct-*" } else { "*" };
            let text = value.as_str().unwrap().to_owned();
            if !text.lines().any(|line| line == further) {
                *value = format!("{text}\n{further}").into();
                is_changed = true;
            }
        }
        if is_changed {
            let body = json!({"Environment": environment}).to_string();
            let headers = [("content-type", "application/json")];
            function.account.rest("lambda", "PUT", &path, &headers, body.as_bytes()).unwrap();
        }
        function
    }

    /// Sends requests for a resource of a deployed stack, as only CloudFormation should.
    ///
    /// # Panics
    /// There is no such stack.
    #[must_use]
    pub fn as_resource(mut self, stack: &str, logical_id: &str) -> Self {
        let found = self.account.query("cloudformation", "DescribeStacks", &[("StackName", stack)]).unwrap();
        self.stack_id = found.text("StackId").unwrap();
        self.logical_id = logical_id.to_owned();
        self
    }

    /// Sends a request and waits for its only response.
    pub fn call(&self, kind: &str, properties: &Value, physical_id: Option<&str>) -> Value {
        let id = self.send(kind, properties, physical_id);
        self.answers.of(&id)
    }

    /// Sends a request, waits for the end of the invocation and returns the request's id.
    pub fn send(&self, kind: &str, properties: &Value, physical_id: Option<&str>) -> String {
        let (id, event) = self.request(kind, properties, physical_id);
        self.account.invoke(&self.name, &event).unwrap();
        id
    }

    /// Sends a Create request as CloudFormation does, without waiting for the function, and returns
    /// the request's id.
    pub fn start_creating(&self, properties: &Value) -> String {
        let (id, event) = self.request("Create", properties, None);
        let path = format!("/2015-03-31/functions/{}/invocations", self.name);
        let headers = [("content-type", "application/json"), ("x-amz-invocation-type", "Event")];
        self.account.rest("lambda", "POST", &path, &headers, event.to_string().as_bytes()).unwrap();
        id
    }

    fn request(&self, kind: &str, properties: &Value, physical_id: Option<&str>) -> (String, Value) {
        let id = format!("{:032x}", fastrand::u128(..));
        let mut event = json!({
            "RequestType": kind, "RequestId": id, "ResponseURL": self.answers.url(&id), "StackId": self.stack_id,
            "LogicalResourceId": self.logical_id, "ResourceType": "Custom::Direct", "ResourceProperties": properties,
        });
        if let Some(physical_id) = physical_id {
            event["PhysicalResourceId"] = physical_id.into();
        }
        (id, event)
    }

    /// Creates the resource and returns its physical id.
    ///
    /// # Panics
    /// The Create request failed.
    pub fn create(&self, properties: &Value) -> String {
        let answer = self.call("Create", properties, None);
        assert_eq!(answer["Status"], "SUCCESS", "{answer}");
        answer["PhysicalResourceId"].as_str().unwrap().to_owned()
    }

    /// Sends a request that must fail and returns the reason.
    ///
    /// # Panics
    /// The request succeeded.
    pub fn refusal(&self, kind: &str, properties: &Value, physical_id: Option<&str>) -> String {
        let answer = self.call(kind, properties, physical_id);
        assert_eq!(answer["Status"], "FAILED", "{answer}");
        answer["Reason"].as_str().unwrap().to_owned()
    }
}

/// A secret in Secrets Manager, accessed with the credentials of its account's root.
pub struct Secret {
    /// The account of the secret.
    pub account: Account,
    /// The ARN of the secret.
    pub arn: String,
}

impl Secret {
    /// Calls an operation of Secrets Manager on this secret.
    ///
    /// # Errors
    /// The service's error.
    pub fn call(&self, action: &str, mut input: Value) -> Result<Value, AwsError> {
        input["SecretId"] = self.arn.as_str().into();
        self.account.json("secretsmanager", action, input)
    }

    /// Returns the value of the version with AWSCURRENT.
    pub fn value(&self) -> Value {
        let answer = self.call("GetSecretValue", json!({})).unwrap();
        serde_json::from_str(answer["SecretString"].as_str().unwrap()).unwrap()
    }

    /// Returns the password in that value.
    pub fn password(&self) -> String {
        self.value()["password"].as_str().unwrap().to_owned()
    }

    /// Returns the version ids and the labels of each version.
    pub fn versions(&self) -> BTreeMap<String, Vec<String>> {
        let found = self.call("DescribeSecret", json!({})).unwrap();
        serde_json::from_value(found["VersionIdsToStages"].clone()).unwrap()
    }

    /// Returns the labels of all versions, sorted.
    pub fn labels(&self) -> Vec<String> {
        let mut labels: Vec<String> = self.versions().into_values().flatten().collect();
        labels.sort();
        labels
    }
}

/// Actions that the function's role needs although the function does not call them, with the
/// reason.
pub const PLATFORM: [(&str, &str); 2] = [
    ("logs:CreateLogStream", "Lambda writes the function's log"),
    ("logs:PutLogEvents", "Lambda writes the function's log"),
];

/// The inline policies of a role, read and written as one document.
pub struct Grants<'a> {
    account: &'a Account,
    role: &'a str,
    /// The name of each policy, and the number of its statements in the document.
    policies: Vec<(String, usize)>,
    /// All statements as they were deployed.
    pub document: Value,
}

impl<'a> Grants<'a> {
    /// Reads the inline policies of a role.
    ///
    /// # Panics
    /// The role has none.
    pub fn of(account: &'a Account, role: &'a str) -> Self {
        let names = account.query("iam", "ListRolePolicies", &[("RoleName", role)]).unwrap();
        let names: Vec<String> =
            names.find("PolicyNames").unwrap().children.iter().map(|name| name.value.clone()).collect();
        assert!(!names.is_empty(), "{role} has no inline policy");
        let (mut policies, mut all) = (Vec::new(), Vec::new());
        for name in names {
            let words = [("RoleName", role), ("PolicyName", &name)];
            let text = account.query("iam", "GetRolePolicy", &words).unwrap().text("PolicyDocument").unwrap();
            // IAM encodes the document for URLs (GetRolePolicy of the IAM API reference).
            let decoded = if text.starts_with('%') {
                percent_decode_str(&text).decode_utf8().unwrap()
            } else {
                text.into()
            };
            let document: Value = serde_json::from_str(&decoded).unwrap();
            let statements = document["Statement"].as_array().unwrap();
            policies.push((name, statements.len()));
            all.extend(statements.iter().cloned());
        }
        let document = json!({"Version": "2012-10-17", "Statement": all});
        Self { account, role, policies, document }
    }

    /// Replaces the statements of the role's policies. The number of statements of each policy must
    /// stay the same.
    pub fn put(&self, document: &Value) {
        let mut left = document["Statement"].as_array().unwrap().as_slice();
        for (name, count) in &self.policies {
            let (own, others) = left.split_at(*count);
            left = others;
            let document = json!({"Version": "2012-10-17", "Statement": own}).to_string();
            let words = [("RoleName", self.role), ("PolicyName", name), ("PolicyDocument", &document)];
            self.account.query("iam", "PutRolePolicy", &words).unwrap();
        }
        assert!(left.is_empty(), "{} statements belong to no policy", left.len());
    }

    /// Returns the granted actions that the function itself calls, with the statement of each.
    pub fn pairs(&self) -> Vec<(String, String)> {
        let of = |statement: &Value| {
            let sid = statement["Sid"].as_str().unwrap().to_owned();
            actions(statement).into_iter().map(move |action| (sid.clone(), action)).collect::<Vec<_>>()
        };
        let platform = |action: &String| PLATFORM.iter().any(|(one, _)| one == action);
        let statements = self.document["Statement"].as_array().unwrap();
        statements.iter().flat_map(of).filter(|(_, action)| !platform(action)).collect()
    }

    /// Returns the granted actions that the function itself calls.
    pub fn called(&self) -> BTreeSet<String> {
        self.pairs().into_iter().map(|(_, action)| action).collect()
    }

    /// Returns the document without one action in any statement.
    pub fn without(&self, action: &str) -> Value {
        self.document_with(|_, found| found != action)
    }

    /// Returns the document without one action of one statement.
    pub fn without_in(&self, sid: &str, action: &str) -> Value {
        self.document_with(|statement, found| statement["Sid"] != sid || found != action)
    }

    /// Returns the document without several actions, each of one statement.
    pub fn without_all(&self, pairs: &[(&str, &str)]) -> Value {
        self.document_with(|statement, found| {
            !pairs.iter().any(|(sid, action)| statement["Sid"] == *sid && found == *action)
        })
    }

    fn document_with(&self, kept: impl Fn(&Value, &str) -> bool) -> Value {
        let mut document = self.document.clone();
        for statement in document["Statement"].as_array_mut().unwrap() {
            let mut left = actions(statement);
            left.retain(|action| kept(statement, action));
            // A statement must have an action. This one is not called by any function.
            statement["Action"] =
                if left.is_empty() { json!(["sts:GetCallerIdentity"]) } else { left.into() };
        }
        document
    }
}

fn actions(statement: &Value) -> Vec<String> {
    match &statement["Action"] {
        Value::Array(items) => items.iter().map(|item| item.as_str().unwrap().to_owned()).collect(),
        one => vec![one.as_str().unwrap().to_owned()],
    }
}

/// Returns the items of every page of a list operation of a JSON service.
fn all(account: &Account, service: &str, action: &str, input: Value, list: &str) -> Vec<Value> {
    let mut found = Vec::new();
    let mut input = input;
    loop {
        let mut answer = account.json(service, action, input.clone()).unwrap();
        found.extend(answer[list].as_array().cloned().unwrap_or_default());
        match answer["nextToken"].take() {
            Value::String(token) => input["nextToken"] = token.into(),
            _ => return found,
        }
    }
}

/// Returns every log line and every execution history of an account. Histories begin with
/// `history `.
pub fn written(account: &Account) -> Vec<String> {
    let mut lines = Vec::new();
    for group in all(account, "logs", "DescribeLogGroups", json!({}), "logGroups") {
        let words = json!({"logGroupName": group["logGroupName"]});
        for event in all(account, "logs", "FilterLogEvents", words, "events") {
            lines.push(format!("{} {}", group["logGroupName"], event["message"]));
        }
    }
    for machine in all(account, "states", "ListStateMachines", json!({}), "stateMachines") {
        let words = json!({"stateMachineArn": machine["stateMachineArn"]});
        for execution in all(account, "states", "ListExecutions", words, "executions") {
            let words = json!({"executionArn": execution["executionArn"]});
            let events = all(account, "states", "GetExecutionHistory", words, "events");
            lines.push(format!("history {}", Value::from(events)));
        }
    }
    lines
}
