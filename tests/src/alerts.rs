//! The stacks of `templates/alerts-hub.yaml` and `templates/alerts-spoke.yaml`, and the messages
//! that the topic's subscribers receive.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use cloud::aws::Account;
use cloud::inbox::Inbox;
use cloud::sql::Database;
use cloud::stacks::Outputs;
use cloud::wait::{self, Seen};
use cloud::{Cloud, Options, Profile, SECOND, SOURCE, TARGET, deploy, kit};
use serde_json::{Value, json};

use crate::{PATIENCE, log_of};

/// The account of the hub.
pub const HUB: Profile = SECOND;
/// The stack of the hub.
pub const HUB_STACK: &str = "sluice-hub";
/// The hub's alarms that `AlertingUnhealthyAlarm` combines.
pub const ALARMS: [&str; 8] = [
    "DeadLettersAlarm",
    "EventAgeAlarm",
    "EventsFailedAlarm",
    "FunctionErrorsAlarm",
    "DeliveryFailedAlarm",
    "SweepNotRunningAlarm",
    "DeadLetterCheckNotRunningAlarm",
    "SecretCheckNotRunningAlarm",
];
/// The hub's queues of events.
const EVENT_QUEUES: [&str; 4] =
    ["RotationEventsQueue", "FailureEventsQueue", "CustomEventsQueue", "AccessEventsQueue"];
/// The longest time until the schedules of a new hub have run twice, and until its alarms are OK.
pub const QUIET: Duration = Duration::from_secs(180);
/// The stack of a spoke.
pub const SPOKE_STACK: &str = "sluice-spoke";

/// Three accounts with a hub in one, spokes in the others, and subscribers of both topics.
pub struct AlertWorld {
    /// The local cloud.
    pub cloud: Cloud,
    /// The hub's account.
    pub hub: Account,
    /// The outputs of the hub's stack.
    pub outputs: Outputs,
    /// A subscriber of the hub's topic by HTTP.
    pub endpoint: Endpoint,
    /// A subscriber of the hub's topic by a queue.
    inbox: Inbox,
    /// A subscriber of the fallback topic.
    fallback: Inbox,
}

impl AlertWorld {
    /// Starts a local cloud and deploys the hub and the spokes. `parameters` are added to the hub's
    /// parameters that every test needs.
    pub fn new(environment: &[(&str, &str)], parameters: &[(&str, &str)]) -> Self {
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        // Alarms are evaluated only on request of a test.
        let quiet = ("SLUICE_ALARM_EVALUATION_SECONDS".to_owned(), "0".to_owned());
        let environment = environment.chain([quiet]).collect();
        let cloud = Cloud::start(&Options { environment, ..Options::default() }, &|_| {}).unwrap();
        let hub = cloud.account(HUB);
        let spokes = format!("{},{}", SOURCE.account, TARGET.account);
        let monitor = format!("arn:aws:iam::{}:role/{TARGET_STACK}-MonitorRole-*", TARGET.account);
        let mut all = vec![
            ("SpokeAccounts", spokes.as_str()),
            ("PublisherRoleArns", monitor.as_str()),
            ("Architecture", deploy::architecture()),
        ];
        all.extend(parameters);
        let outputs = hub.deploy(HUB_STACK, "alerts-hub", &all).unwrap();
        let endpoint = Endpoint::start();
        endpoint.subscribe(&hub, &outputs["TopicArn"]);
        let inbox = Inbox::of(&hub, "alerts", &outputs["TopicArn"]).unwrap();
        let fallback = Inbox::of(&hub, "failures", &outputs["FallbackTopicArn"]).unwrap();
        let world = Self { cloud, hub, outputs, endpoint, inbox, fallback };
        for spoke in [SOURCE, TARGET] {
            let hub_outputs = ["ReaderRoleArns", "ReadRoleName", "FallbackTopicArn"]
                .map(|name| (name, world.outputs[name].as_str()));
            let mut all = vec![("HubBusArn", world.outputs["BusArn"].as_str())];
            all.extend(hub_outputs);
            world.cloud.account(spoke).deploy(SPOKE_STACK, "alerts-spoke", &all).unwrap();
        }
        world
    }

    /// Waits until both subscribers have received an alert of this kind and status from an account,
    /// and returns it.
    pub fn alert(&self, kind: &str, status: &str, account: Profile) -> Value {
        self.wait_for(kind, status, account, 1).remove(0)
    }

    /// Waits for a number of such alerts and returns them.
    pub fn wait_for(&self, kind: &str, status: &str, account: Profile, number: usize) -> Vec<Value> {
        let is = |message: &&Value| {
            message["kind"] == kind && message["status"] == status && message["account"] == account.account
        };
        wait::until(&format!("{kind} {status} from {}", account.name), PATIENCE, || {
            let (queue, endpoint) = (self.messages(), self.endpoint.messages());
            let found: Vec<Value> = queue.iter().filter(is).cloned().collect();
            let at_both = found.len() >= number && endpoint.iter().filter(is).count() >= number;
            let seen = || queue.iter().map(summary).collect::<Vec<_>>().join("; ");
            Ok(if at_both { Seen::Yes(found) } else { Seen::NotYet(seen()) })
        })
        .unwrap()
    }

    /// Returns every message that the topic's queue has received so far.
    pub fn messages(&self) -> Vec<Value> {
        self.inbox.all().unwrap()
    }

    /// Returns every message that was published to the fallback topic so far.
    pub fn fallback_messages(&self) -> Vec<Value> {
        self.fallback.all().unwrap()
    }

    /// Sends a request to the local cloud's control API, `POST /_sluice/NAME`.
    pub fn control(&self, name: &str, body: &Value) -> Value {
        let path = format!("/_sluice/{name}");
        self.hub.rest("s3", "POST", &path, &[], body.to_string().as_bytes()).unwrap().json()
    }

    /// Emits a service's event in an account now. `sample` is a file in `events/`, such as
    /// `backup/job-failed`.
    pub fn emit(&self, sample: &str, profile: Profile) {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../events").join(sample).with_extension("json");
        let text = std::fs::read_to_string(path).unwrap();
        let sample: Value = serde_json::from_str(&text).unwrap();
        let mut event: Value =
            serde_json::from_str(&text.replace(sample["account"].as_str().unwrap(), profile.account))
                .unwrap();
        if event["detail"]["eventTime"].is_string() {
            let now = DateTime::from(SystemTime::now()).fmt(Format::DateTime).unwrap();
            event["detail"]["eventTime"] = now.into();
        }
        let request = json!({
            "account": profile.account, "region": self.cloud.region(), "source": event["source"],
            "detail_type": event["detail-type"], "resources": event["resources"], "detail": event["detail"],
        });
        self.control("event", &request);
    }

    /// Deploys a spoke again, with other parameters.
    pub fn deploy_spoke(&self, spoke: Profile, parameters: &[(&str, &str)]) -> Outputs {
        self.cloud.account(spoke).deploy(SPOKE_STACK, "alerts-spoke", parameters).unwrap()
    }

    /// Deploys a spoke's event subscriptions, and subscribes the hub's queue to their topic as
    /// `scripts/deploy` does.
    pub fn subscribe_databases(&self, spoke: Profile, which: &str) {
        let topic = self.deploy_spoke(spoke, &[("DatabaseEvents", which)])["DatabaseTopicArn"].clone();
        let redrive =
            json!({"deadLetterTargetArn": self.outputs["CustomEventsDeadLetterQueueArn"]}).to_string();
        let words = [
            ("TopicArn", topic.as_str()),
            ("Protocol", "sqs"),
            ("Endpoint", self.outputs["CustomEventsQueueArn"].as_str()),
            ("Attributes.entry.1.key", "RedrivePolicy"),
            ("Attributes.entry.1.value", &redrive),
        ];
        self.hub.query("sns", "Subscribe", &words).unwrap();
    }

    /// Emits an event of a database of a spoke and returns the number of subscriptions that
    /// published it.
    pub fn database_event(
        &self,
        service: &str,
        spoke: Profile,
        severity: &str,
        category: &str,
        message: &str,
    ) -> u64 {
        let (kind, id) = if service == "rds" {
            ("db-instance", "RDS-EVENT-0031")
        } else {
            ("cluster", "REDSHIFT-EVENT-3519")
        };
        let event = json!({
            "service": service, "account": spoke.account, "region": self.cloud.region(), "source_type": kind, "source": "main",
            "event_id": id, "message": message, "categories": [category], "severity": severity,
        });
        self.control("database-event", &event)["published"].as_u64().unwrap()
    }

    /// Waits until the functions have processed every received event, except those in dead-letter
    /// queues.
    pub fn wait_until_processed(&self) {
        let queues = EVENT_QUEUES.map(|name| self.resource(name));
        wait::until("all queues are empty", PATIENCE, || {
            let counts = |url: &String| {
                let names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"];
                names.map(|name| self.attribute(url, name))
            };
            let counts: Vec<_> = queues.iter().map(counts).collect();
            let empty = counts.iter().flatten().all(|number| number == "0");
            Ok(if empty { Seen::Yes(()) } else { Seen::NotYet(format!("{counts:?}")) })
        })
        .unwrap();
    }

    /// Sets the number of seconds after which events whose processing failed are redelivered.
    pub fn retry_after(&self, seconds: u32) {
        for name in EVENT_QUEUES {
            let attributes = json!({"VisibilityTimeout": seconds.to_string()});
            let words = json!({"QueueUrl": self.resource(name), "Attributes": attributes});
            self.hub.json("sqs", "SetQueueAttributes", words).unwrap();
        }
    }

    /// Creates a role without permissions and returns its credentials.
    pub fn unprivileged(&self, profile: Profile) -> Account {
        principal(&self.cloud.account(profile), profile, "nobody", &[])
    }

    /// Starts a scheduled rule of the hub.
    pub fn fire(&self, rule: &str) {
        self.cloud.fire(HUB, HUB_STACK, rule).unwrap();
    }

    /// Starts every scheduled rule of the hub and evaluates the alarms.
    pub fn run_schedules(&self) {
        for rule in ["FailureFunctionSweep", "DeadLetterFunctionCheck", "SecretsFunctionCheck"] {
            self.fire(rule);
        }
        self.evaluate_alarms();
    }

    /// Evaluates the alarms now.
    pub fn evaluate_alarms(&self) {
        self.control("tick", &json!({}));
    }

    /// Returns the states of all alarms that `AlertingUnhealthyAlarm` combines.
    pub fn alarms(&self) -> String {
        ALARMS.map(|name| format!("{name} {}", self.alarm(name))).join(", ")
    }

    /// Returns the state of an alarm of the hub.
    pub fn alarm(&self, name: &str) -> String {
        let words = [
            ("AlarmNames.member.1", self.resource(name)),
            ("AlarmTypes.member.1", "MetricAlarm".to_owned()),
            ("AlarmTypes.member.2", "CompositeAlarm".to_owned()),
        ];
        let words = words.each_ref().map(|(name, value)| (*name, value.as_str()));
        self.hub.query("monitoring", "DescribeAlarms", &words).unwrap().text("StateValue").unwrap_or_default()
    }

    /// Returns the physical id of a resource of the hub.
    pub fn resource(&self, name: &str) -> String {
        self.hub.physical_id(HUB_STACK, name).unwrap()
    }

    /// Returns the ARN of a queue of the hub, by its URL.
    pub fn queue_arn(&self, url: &str) -> String {
        self.attribute(url, "QueueArn")
    }

    /// Returns an attribute of a queue of the hub.
    pub fn attribute(&self, url: &str, name: &str) -> String {
        let words = json!({"QueueUrl": url, "AttributeNames": [name]});
        let found = self.hub.json("sqs", "GetQueueAttributes", words).unwrap();
        found["Attributes"][name].as_str().unwrap().to_owned()
    }
}

/// Creates a role with these actions on every resource, and returns its credentials.
pub fn principal(admin: &Account, profile: Profile, name: &str, actions: &[&str]) -> Account {
    let trust = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": {"AWS": format!("arn:aws:iam::{}:root", profile.account)}, "Action": "sts:AssumeRole"}]});
    let words = [("RoleName", name), ("AssumeRolePolicyDocument", &trust.to_string())];
    let role = admin.query("iam", "CreateRole", &words).unwrap().text("Arn").unwrap();
    if !actions.is_empty() {
        let policy = json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": actions, "Resource": "*"}]});
        let words = [("RoleName", name), ("PolicyName", "only"), ("PolicyDocument", &policy.to_string())];
        admin.query("iam", "PutRolePolicy", &words).unwrap();
    }
    admin.assume(&role).unwrap()
}

/// The file flow, with a copy monitor that sends alerts to the hub.
pub struct Flow {
    /// The outputs of the warehouse's stack.
    pub warehouse: Outputs,
    /// The outputs of the target's stack.
    pub target: Outputs,
    /// The source's bucket.
    pub bucket: String,
    /// The warehouse's database, with its admin as the user.
    pub database: Database,
}

/// The stack with the copy monitor.
pub const TARGET_STACK: &str = "sluice-target";

impl Flow {
    /// Deploys the flow from the source account to the target account, with the sample job.
    /// `further` are parameters of the target stack.
    pub fn with_monitor(world: &AlertWorld, further: &[(&str, &str)]) -> Self {
        let cloud = &world.cloud;
        let warehouse = kit::warehouse(cloud, &[]).unwrap();
        let mut monitor = vec![
            ("AlertTopicArn", world.outputs["TopicArn"].as_str()),
            ("AlertTopicKeyArn", world.outputs["TopicKeyArn"].as_str()),
            ("FallbackTopicArn", world.outputs["FallbackTopicArn"].as_str()),
        ];
        monitor.extend(further);
        let target = kit::target(cloud, &warehouse, &[SOURCE], &monitor).unwrap();
        let source =
            kit::source(cloud, SOURCE, &target, &[("MonitorRoleArn", &target["MonitorRoleArn"])]).unwrap();
        kit::job(cloud, "sluice-job", (&warehouse, &target, &source), &kit::SAMPLE_JOB).unwrap();
        let database = kit::database(cloud, &warehouse);
        Self { bucket: source["BucketName"].clone(), warehouse, target, database }
    }

    /// Uploads a file to the bucket, and waits until Redshift's view shows it in this state.
    pub fn put(&self, world: &AlertWorld, key: &str, body: &str, state: &str) {
        world.cloud.account(SOURCE).put_object(&self.bucket, key, body.as_bytes()).unwrap();
        wait::until(&format!("state {state} of {key}"), PATIENCE, || {
            let sql = format!(
                "SELECT RTRIM(status) FROM sys_copy_job_detail WHERE RTRIM(file_name) = '{}'",
                key.replace('\'', "''")
            );
            let found = self.database.query(&sql)?.rows;
            let listed = found.iter().any(|row| row[0].as_deref() == Some(state));
            Ok(if listed { Seen::Yes(()) } else { Seen::NotYet(format!("{found:?}")) })
        })
        .unwrap();
    }

    /// Starts the monitor's scheduled rule, and waits until the log has a run that completed after
    /// that.
    pub fn run_monitor(&self, world: &AlertWorld) {
        let before = self.runs(world);
        world.cloud.fire(TARGET, TARGET_STACK, "MonitorSchedule").unwrap();
        wait::until("a completed run of the monitor", PATIENCE, || {
            let runs = self.runs(world);
            Ok(if runs > before { Seen::Yes(()) } else { Seen::NotYet(self.log(world)) })
        })
        .unwrap();
    }

    /// Changes variables of the monitor's environment.
    pub fn set_environment(&self, world: &AlertWorld, variables: &[(&str, &str)]) {
        let account = world.cloud.account(TARGET);
        let name = &self.target["MonitorFunctionName"];
        let path = format!("/2015-03-31/functions/{name}/configuration");
        let found = account.rest("lambda", "GET", &path, &[], &[]).unwrap().json();
        let mut environment = found["Environment"]["Variables"].clone();
        for (name, value) in variables {
            environment[*name] = (*value).into();
        }
        let body = json!({"Environment": {"Variables": environment}}).to_string();
        account.rest("lambda", "PUT", &path, &[], body.as_bytes()).unwrap();
    }

    fn runs(&self, world: &AlertWorld) -> usize {
        self.log(world).matches("\"CopyRuns\":1").count()
    }

    /// Returns the complete log of the monitor.
    pub fn log(&self, world: &AlertWorld) -> String {
        let account = world.cloud.account(TARGET);
        log_of(&account, &account.physical_id(TARGET_STACK, "MonitorLogs").unwrap())
    }
}

/// Returns kind, status and account of a message.
pub fn summary(message: &Value) -> String {
    ["kind", "status", "account"].map(|name| message[name].as_str().unwrap_or("?").to_owned()).join(" ")
}

/// A server that is subscribed to a topic by HTTP. It ends with the process.
pub struct Endpoint {
    url: String,
    /// The type and body of each received message.
    received: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Endpoint {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/alerts", listener.local_addr().unwrap());
        let received: Arc<Mutex<Vec<_>>> = Arc::default();
        let taken = Arc::clone(&received);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let taken = Arc::clone(&taken);
                std::thread::spawn(move || {
                    if let Some(message) = take(stream) {
                        taken.lock().unwrap().push(message);
                    }
                });
            }
        });
        Self { url, received }
    }

    /// Subscribes the server, and confirms with the token that the topic sends.
    fn subscribe(&self, account: &Account, topic: &str) {
        let words = [("TopicArn", topic), ("Protocol", "http"), ("Endpoint", &self.url)];
        account.query("sns", "Subscribe", &words).unwrap();
        let token = wait::until("the request to confirm the subscription", PATIENCE, || {
            let received = self.received.lock().unwrap();
            let request = received.iter().find(|(kind, _)| kind == "SubscriptionConfirmation");
            Ok(match request {
                Some((_, body)) => Seen::Yes(body["Token"].as_str().unwrap().to_owned()),
                None => Seen::NotYet(format!("{received:?}")),
            })
        })
        .unwrap();
        account.query("sns", "ConfirmSubscription", &[("TopicArn", topic), ("Token", &token)]).unwrap();
    }

    /// Returns every notification that was received so far.
    pub fn messages(&self) -> Vec<Value> {
        let received = self.received.lock().unwrap();
        let notifications = received.iter().filter(|(kind, _)| kind == "Notification");
        notifications
            .map(|(_, body)| serde_json::from_str(body["Message"].as_str().unwrap()).unwrap())
            .collect()
    }
}

fn take(stream: TcpStream) -> Option<(String, Value)> {
    let mut reader = BufReader::new(stream);
    let (mut length, mut kind) = (0, String::new());
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        if header.trim().is_empty() {
            break;
        }
        let Some((name, value)) = header.split_once(':') else { continue };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().ok()?,
            "x-amz-sns-message-type" => value.trim().clone_into(&mut kind),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let ok = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    reader.into_inner().write_all(ok).ok()?;
    Some((kind, serde_json::from_slice(&body).ok()?))
}
