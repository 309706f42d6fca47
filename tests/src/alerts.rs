//! The stacks of `templates/alerts-hub.yaml` and `templates/alerts-spoke.yaml`, and what arrives at the topic's subscribers.

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

/// The account with the hub.
pub const HUB: Profile = SECOND;
/// The stack of the hub.
pub const HUB_STACK: &str = "sluice-hub";
/// The hub's alarms that stand behind `AlertingUnhealthyAlarm`.
pub const ALARMS: [&str; 8] = [
    "DeadLettersAlarm",
    "EventAgeAlarm",
    "EventsFailedAlarm",
    "FunctionErrorsAlarm",
    "UndeliveredAlarm",
    "SweepNotRunningAlarm",
    "DeadLetterCheckNotRunningAlarm",
    "SecretCheckNotRunningAlarm",
];
/// How long it may take until a new hub's alarms are quiet: that of the secrets' check ends with an hour, 72 s where a minute is 1.2 s.
pub const QUIET: Duration = Duration::from_secs(180);
/// The stack of a spoke.
pub const SPOKE_STACK: &str = "sluice-spoke";

/// Three accounts: the hub in one, spokes in the others, and subscribers of both topics.
pub struct Night {
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
    /// A subscriber of the second topic.
    second: Inbox,
}

impl Night {
    /// With the hub's parameters beside those that every test needs.
    pub fn new(environment: &[(&str, &str)], parameters: &[(&str, &str)]) -> Self {
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        // Alarms are evaluated when a test says so.
        let quiet = ("SLUICE_ALARM_EVALUATION_SECONDS".to_owned(), "0".to_owned());
        let environment = environment.chain([quiet]).collect();
        let cloud = Cloud::start(&Options { environment, ..Options::default() }, &|_| {}).unwrap();
        let hub = cloud.account(HUB);
        let spokes = format!("{},{}", SOURCE.account, TARGET.account);
        let mut all = vec![("SpokeAccounts", spokes.as_str()), ("Architecture", deploy::architecture())];
        all.extend(parameters);
        let outputs = hub.deploy(HUB_STACK, "alerts-hub", &all).unwrap();
        let endpoint = Endpoint::start();
        endpoint.subscribe(&hub, &outputs["TopicArn"]);
        let inbox = Inbox::of(&hub, "alerts", &outputs["TopicArn"]).unwrap();
        let second = Inbox::of(&hub, "failures", &outputs["FallbackTopicArn"]).unwrap();
        let night = Self { cloud, hub, outputs, endpoint, inbox, second };
        for spoke in [SOURCE, TARGET] {
            let handed_on = ["ReaderRoleArns", "ReadRoleName", "FallbackTopicArn"]
                .map(|name| (name, night.outputs[name].as_str()));
            let mut all = vec![("HubBusArn", night.outputs["BusArn"].as_str())];
            all.extend(handed_on);
            night.cloud.account(spoke).deploy(SPOKE_STACK, "alerts-spoke", &all).unwrap();
        }
        night
    }

    /// Waits for a message of this kind and status from an account, at the queue and at the endpoint. Everything that came is kept.
    pub fn told(&self, kind: &str, status: &str, account: Profile) -> Value {
        self.wait_for(kind, status, account, 1).remove(0)
    }

    /// The same for a number of messages.
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

    /// Everything that came to the topic's queue until now.
    pub fn messages(&self) -> Vec<Value> {
        self.inbox.all().unwrap()
    }

    /// Everything that came to the second topic until now.
    pub fn failures(&self) -> Vec<Value> {
        self.second.all().unwrap()
    }

    /// What the local cloud does on demand: `POST /_sluice/NAME`.
    pub fn ask(&self, name: &str, body: &Value) -> Value {
        let path = format!("/_sluice/{name}");
        self.hub.rest("s3", "POST", &path, &[], body.to_string().as_bytes()).unwrap().json()
    }

    /// What a service says happens now in an account: a sample of `events/`, such as `backup/job-failed`.
    pub fn happens(&self, sample: &str, profile: Profile) {
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
        let told = json!({
            "account": profile.account, "region": self.cloud.region(), "source": event["source"],
            "detail_type": event["detail-type"], "resources": event["resources"], "detail": event["detail"],
        });
        self.ask("event", &told);
    }

    /// Deploys a spoke once more, with other parameters.
    pub fn deploy_spoke(&self, spoke: Profile, parameters: &[(&str, &str)]) -> Outputs {
        self.cloud.account(spoke).deploy(SPOKE_STACK, "alerts-spoke", parameters).unwrap()
    }

    /// Has a spoke make event subscriptions, and subscribes the hub's queue to their topic as `scripts/deploy` does.
    pub fn subscribe_databases(&self, spoke: Profile, which: &str) {
        let topic = self.deploy_spoke(spoke, &[("DatabaseEvents", which)])["DatabaseTopicArn"].clone();
        let redrive = json!({"deadLetterTargetArn": self.outputs["FailureEventsDeadLetterQueueArn"]}).to_string();
        let words = [
            ("TopicArn", topic.as_str()),
            ("Protocol", "sqs"),
            ("Endpoint", self.outputs["FailureEventsQueueArn"].as_str()),
            ("Attributes.entry.1.key", "RedrivePolicy"),
            ("Attributes.entry.1.value", &redrive),
        ];
        self.hub.query("sns", "Subscribe", &words).unwrap();
    }

    /// Something happens to a database of a spoke; gives how many subscriptions published it.
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
        self.ask("database-event", &event)["published"].as_u64().unwrap()
    }

    /// Waits until the functions have worked off everything that came, failure queues aside.
    pub fn wait_until_worked_off(&self) {
        let queues = ["RotationEventsQueue", "FailureEventsQueue", "AccessEventsQueue"].map(|name| self.resource(name));
        wait::until("all queues are empty", PATIENCE, || {
            let held = |url: &String| {
                let names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"];
                names.map(|name| self.attribute(url, name))
            };
            let held: Vec<_> = queues.iter().map(held).collect();
            let empty = held.iter().flatten().all(|number| number == "0");
            Ok(if empty { Seen::Yes(()) } else { Seen::NotYet(format!("{held:?}")) })
        })
        .unwrap();
    }

    /// Events that could not be worked off come again after so many seconds.
    pub fn retry_after(&self, seconds: u32) {
        for name in ["RotationEventsQueue", "FailureEventsQueue", "AccessEventsQueue"] {
            let attributes = json!({"VisibilityTimeout": seconds.to_string()});
            let words = json!({"QueueUrl": self.resource(name), "Attributes": attributes});
            self.hub.json("sqs", "SetQueueAttributes", words).unwrap();
        }
    }

    /// The credentials of a role that may do nothing.
    pub fn nobody(&self, profile: Profile) -> Account {
        let account = self.cloud.account(profile);
        let trust = json!({"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": {"AWS": format!("arn:aws:iam::{}:root", profile.account)}, "Action": "sts:AssumeRole"}]});
        let words = [("RoleName", "nobody"), ("AssumeRolePolicyDocument", &trust.to_string())];
        let role = account.query("iam", "CreateRole", &words).unwrap().text("Arn").unwrap();
        account.assume(&role).unwrap()
    }

    /// Lets a scheduled rule of the hub fire.
    pub fn fire(&self, rule: &str) {
        self.cloud.fire(HUB, HUB_STACK, rule).unwrap();
    }

    /// All schedules of the hub fire, and somebody looks at the alarms.
    pub fn pulse(&self) {
        for rule in ["SweepRule", "DeadLetterRule", "SecretsRule"] {
            self.fire(rule);
        }
        self.ask("tick", &json!({}));
    }

    /// The states of all alarms of the hub that stand behind `AlertingUnhealthyAlarm`.
    pub fn alarms(&self) -> String {
        ALARMS.map(|name| format!("{name} {}", self.alarm(name))).join(", ")
    }

    /// State of an alarm of the hub.
    pub fn alarm(&self, name: &str) -> String {
        let words = [
            ("AlarmNames.member.1", self.resource(name)),
            ("AlarmTypes.member.1", "MetricAlarm".to_owned()),
            ("AlarmTypes.member.2", "CompositeAlarm".to_owned()),
        ];
        let words = words.each_ref().map(|(name, value)| (*name, value.as_str()));
        self.hub.query("monitoring", "DescribeAlarms", &words).unwrap().text("StateValue").unwrap_or_default()
    }

    /// The physical id of a resource of the hub.
    pub fn resource(&self, name: &str) -> String {
        self.hub.physical_id(HUB_STACK, name).unwrap()
    }

    /// The ARN of a queue of the hub, by its address.
    pub fn queue_arn(&self, url: &str) -> String {
        self.attribute(url, "QueueArn")
    }

    /// An attribute of a queue of the hub.
    pub fn attribute(&self, url: &str, name: &str) -> String {
        let words = json!({"QueueUrl": url, "AttributeNames": [name]});
        let found = self.hub.json("sqs", "GetQueueAttributes", words).unwrap();
        found["Attributes"][name].as_str().unwrap().to_owned()
    }
}

/// The flow of files, with a copy monitor that tells the hub.
pub struct Flow {
    /// Outputs of the warehouse's stack.
    pub warehouse: Outputs,
    /// Outputs of the target's stack.
    pub target: Outputs,
    /// The source's bucket.
    pub bucket: String,
    /// The warehouse's database as its admin.
    pub database: Database,
}

/// The stack with the copy monitor.
pub const TARGET_STACK: &str = "sluice-target";

impl Flow {
    /// Deploys it from the source's account into the target's, with the sample's job and further parameters of the target.
    pub fn watched_by(night: &Night, further: &[(&str, &str)]) -> Self {
        let cloud = &night.cloud;
        let warehouse = kit::warehouse(cloud, &[]).unwrap();
        let mut monitor = vec![
            ("AlertTopicArn", night.outputs["TopicArn"].as_str()),
            ("AlertTopicKeyArn", night.outputs["TopicKeyArn"].as_str()),
            ("FallbackTopicArn", night.outputs["FallbackTopicArn"].as_str()),
            ("MonitorDatabase", warehouse["Database"].as_str()),
            ("MonitorSecretArn", warehouse["SecretArn"].as_str()),
        ];
        monitor.extend(further);
        let target = kit::target(cloud, &warehouse, &[SOURCE], &monitor).unwrap();
        let source =
            kit::source(cloud, SOURCE, &target, &[("MonitorRoleArn", &target["MonitorRoleArn"])]).unwrap();
        kit::job(cloud, "sluice-job", (&warehouse, &target, &source), &kit::SAMPLE_JOB).unwrap();
        let database = kit::database(cloud, &warehouse);
        Self { bucket: source["BucketName"].clone(), warehouse, target, database }
    }

    /// Puts a file into the bucket, and waits until Redshift's view shows it in this state.
    pub fn put(&self, night: &Night, key: &str, body: &str, state: &str) {
        night.cloud.account(SOURCE).put_object(&self.bucket, key, body.as_bytes()).unwrap();
        wait::until(&format!("state {state} of {key}"), PATIENCE, || {
            let sql = format!(
                "SELECT RTRIM(status) FROM sys_copy_job_detail WHERE RTRIM(file_name) = '{}'",
                key.replace('\'', "''")
            );
            let found = self.database.query(&sql)?.rows;
            let is_there = found.iter().any(|row| row[0].as_deref() == Some(state));
            Ok(if is_there { Seen::Yes(()) } else { Seen::NotYet(format!("{found:?}")) })
        })
        .unwrap();
    }

    /// Lets the monitor's schedule fire, and waits until the run that it began has been read to its end: so many more runs are in the log.
    pub fn look(&self, night: &Night) {
        let before = self.runs(night);
        night.cloud.fire(TARGET, TARGET_STACK, "MonitorSchedule").unwrap();
        wait::until("the monitor has read what the jobs did", PATIENCE, || {
            let runs = self.runs(night);
            Ok(if runs > before { Seen::Yes(()) } else { Seen::NotYet(self.log(night)) })
        })
        .unwrap();
    }

    /// Changes variables of the monitor's environment.
    pub fn set(&self, night: &Night, variables: &[(&str, &str)]) {
        let account = night.cloud.account(TARGET);
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

    fn runs(&self, night: &Night) -> usize {
        self.log(night).matches("\"CopyRuns\":1").count()
    }

    /// Everything that the monitor has logged.
    pub fn log(&self, night: &Night) -> String {
        let account = night.cloud.account(TARGET);
        log_of(&account, &account.physical_id(TARGET_STACK, "MonitorLogs").unwrap())
    }
}

/// Kind, status and account of a message.
pub fn summary(message: &Value) -> String {
    ["kind", "status", "account"].map(|name| message[name].as_str().unwrap_or("?").to_owned()).join(" ")
}

/// A server that is subscribed to a topic by HTTP; it ends with the process.
pub struct Endpoint {
    url: String,
    /// Type of the message, and its body.
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

    /// Subscribes, and confirms with the token that the topic sends.
    fn subscribe(&self, account: &Account, topic: &str) {
        let words = [("TopicArn", topic), ("Protocol", "http"), ("Endpoint", &self.url)];
        account.query("sns", "Subscribe", &words).unwrap();
        let token = wait::until("the topic asks to confirm", PATIENCE, || {
            let received = self.received.lock().unwrap();
            let asked = received.iter().find(|(kind, _)| kind == "SubscriptionConfirmation");
            Ok(match asked {
                Some((_, body)) => Seen::Yes(body["Token"].as_str().unwrap().to_owned()),
                None => Seen::NotYet(format!("{received:?}")),
            })
        })
        .unwrap();
        account.query("sns", "ConfirmSubscription", &[("TopicArn", topic), ("Token", &token)]).unwrap();
    }

    /// Everything that was announced until now.
    pub fn messages(&self) -> Vec<Value> {
        let received = self.received.lock().unwrap();
        let told = received.iter().filter(|(kind, _)| kind == "Notification");
        told.map(|(_, body)| serde_json::from_str(body["Message"].as_str().unwrap()).unwrap()).collect()
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
