//! The copy monitor reads the stand-in's views with its own statements, and the command of its
//! alert loads a rejected file.

#![allow(clippy::expect_used, reason = "tests")]

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use crate::support::{Local, ROLE, TARGET};
use alerts::notifier::Notifier;
use alerts::state::Policy;
use copy_monitor::ports::{
    Call, Document, EntryPage, FileEntry, FileState, Ledger, Listing, Object, Objects, Statements,
};
use copy_monitor::report::{Outcome, Report};
use copy_monitor::settings::{Loader, Settings, Watched};
use copy_monitor::{Completion, Monitor};
use futures_util::future::{BoxFuture, FutureExt, ready};
use lambda_kit::moment::Moment;
use lambda_kit::window::InvocationWindow;
use serde_json::{Value, json};
use test_support::alerts::World;
use warehouse::batch::{Page, Progress};
use warehouse::data_api::{Cell, Login};
use warehouse::target::Target;

const GOOD: &str = "id,name,value,timestamp\n1,a,1.5,2026-01-02 03:04:05\n";
const BAD: &str = "id,name,value,timestamp\n1,a,1.5,2026-01-02 03:04:05\n2,b,x5,2026-01-02 03:04:05\n";
const BUCKET: &str = "files-a";

/// The monitor's ports on the stand-in, with a ledger and alerts in memory.
struct Ports {
    local: Local,
    memory: Mutex<Memory>,
    alerts: World,
}

#[derive(Default)]
struct Memory {
    documents: HashMap<String, Document>,
    files: HashMap<(i64, String), FileEntry>,
    /// The ETags and times of objects that changed since they were written first.
    changed: HashMap<String, (&'static str, Moment)>,
}

fn now() -> Moment {
    SystemTime::now().into()
}

impl Ports {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().expect("no panic")
    }

    async fn data(&self, operation: &str, input: Value) -> Value {
        self.local.json("redshift-data", operation, input).await.json()
    }

    /// The user that created the job.
    async fn owner(&self) -> Loader {
        let id = self.local.rows("SELECT usesysid FROM pg_catalog.pg_user WHERE usename = 'admin'").await;
        Loader { user_id: id[0][0].parse().expect("a number"), login: Login::DbUser("admin".into()) }
    }

    /// A tick, and its event when it comes.
    async fn round(&self) -> Report {
        let mut settings = Settings::new(Watched {
            name: "c1".into(),
            account: TARGET.into(),
            region: "us-east-1".into(),
            target: Target::Cluster("c1".into()),
            database: "dev".into(),
            login: Login::DbUser("monitor".into()),
            loader: Some(self.owner().await),
        });
        // Recent changes are checked at once.
        (settings.view_delay, settings.defaults.grace) = (Duration::ZERO, Duration::ZERO);
        let notifier = Notifier::new(&self.alerts, &self.alerts, Policy::default());
        let monitor = || {
            let window = InvocationWindow { now: now(), deadline: now().plus(Duration::from_secs(60)) };
            let work_until = tokio::time::Instant::now() + Duration::from_secs(60);
            Monitor::new(&settings, (self, self, self), &notifier, window, work_until)
        };
        self.local.gateway.state().events.clear();
        let started = monitor().tick().await.expect("a tick");
        assert_eq!(started.outcome, Outcome::Started);
        let event = self
            .local
            .until("the statement's event", || async {
                let state = self.local.gateway.state();
                let of_data = |event: &&Value| event["source"] == "aws.redshift-data";
                state.events.iter().find(of_data).cloned()
            })
            .await;
        let detail = &event["detail"];
        let text = |name: &str| detail[name].as_str().expect("text").to_owned();
        let completion = Completion {
            name: text("statementName"),
            id: text("statementId"),
            finished: text("state") == "FINISHED",
        };
        let described = self.data("DescribeStatement", json!({"Id": completion.id})).await;
        assert!(completion.finished, "{described}");
        monitor().completed(&completion).await.expect("a result")
    }

    /// Returns the published alerts, as programs read them.
    fn published(&self) -> Vec<Value> {
        let data = |body: &str| -> Option<Value> {
            let body: Value = serde_json::from_str(body).ok()?;
            serde_json::from_str(body["sqs"].as_str()?).ok()
        };
        let messages = self.alerts.published();
        messages.iter().map(|message| data(&message.body).expect("an alert")).collect()
    }
}

/// Returns the statement that a command gives to the AWS CLI, as bash reads it.
fn statement(alert: &Value) -> String {
    let command = alert["command"].as_str().expect("a command");
    let aws = r#"aws() { while (($#)); do if [[ $1 == --sql ]]; then printf %s "$2" >&3; fi; shift; done; }"#;
    let output = std::process::Command::new("bash")
        .args(["--norc", "-c", &format!("exec 3>&1 >/dev/null\n{aws}\n{command}")])
        .output()
        .expect("bash");
    String::from_utf8(output.stdout).expect("text")
}

impl Statements for Ports {
    fn start<'a>(&'a self, name: &'a str, token: &'a str, statements: &'a [String]) -> Call<'a, String> {
        let input = json!({"Sqls": statements, "ClusterIdentifier": "c1", "Database": "dev", "DbUser": "monitor",
                           "StatementName": name, "ClientToken": token, "WithEvent": true});
        async move {
            Ok(self.data("BatchExecuteStatement", input).await["Id"].as_str().expect("an id").to_owned())
        }
        .boxed()
    }

    fn progress<'a>(&'a self, _: &'a str) -> Call<'a, Progress> {
        ready(Ok(Progress::OnTheWay)).boxed()
    }

    fn page<'a>(&'a self, id: &'a str, statement: usize, next: Option<String>) -> Call<'a, Page> {
        let mut input = json!({"Id": format!("{id}:{statement}")});
        if let Some(next) = next {
            input["NextToken"] = next.into();
        }
        async move { Ok(page(&self.data("GetStatementResult", input).await)) }.boxed()
    }

    fn cancel<'a>(&'a self, _: &'a str) -> BoxFuture<'a, ()> {
        ready(()).boxed()
    }
}

fn page(result: &Value) -> Page {
    let array = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let cell = |field: &Value| match field.as_object().and_then(|field| field.iter().next()) {
        Some((name, Value::Number(number))) if name == "longValue" => {
            Cell::Integer(number.as_i64().expect("a long"))
        }
        Some((name, Value::Bool(flag))) if name == "booleanValue" => Cell::Boolean(*flag),
        Some((name, Value::String(text))) if name == "stringValue" => {
            Cell::Text(text.trim_end_matches(' ').to_owned())
        }
        _ => Cell::Null,
    };
    Page {
        columns: array(&result["ColumnMetadata"])
            .iter()
            .map(|column| column["name"].as_str().unwrap_or_default().to_owned())
            .collect(),
        rows: array(&result["Records"]).iter().map(|row| array(row).iter().map(cell).collect()).collect(),
        next: result["NextToken"].as_str().filter(|token| !token.is_empty()).map(str::to_owned),
    }
}

impl Objects for Ports {
    fn list<'a>(
        &'a self,
        bucket: &'a str,
        prefix: &'a str,
        after: Option<&'a str>,
        _: u16,
    ) -> Call<'a, Listing> {
        let (state, memory) = (self.local.gateway.state(), self.memory());
        let keys = state.buckets[bucket].objects.keys();
        let keys =
            keys.filter(|key| key.starts_with(prefix) && after.is_none_or(|after| key.as_str() > after));
        let objects = keys.map(|key| {
            let (etag, modified) = memory.changed.get(key).copied().unwrap_or(("e", Moment::BEGINNING));
            Object { key: key.clone(), etag: etag.to_owned(), size: 9, modified }
        });
        ready(Ok(Listing { objects: objects.collect(), more: false })).boxed()
    }
}

impl Ledger for Ports {
    fn document<'a>(&'a self, name: &'a str) -> Call<'a, Option<Document>> {
        ready(Ok(self.memory().documents.get(name).cloned())).boxed()
    }

    fn save<'a>(&'a self, name: &'a str, revision: u64, body: &'a str) -> Call<'a, bool> {
        let document = Document { revision: revision + 1, body: body.to_owned() };
        self.memory().documents.insert(name.to_owned(), document);
        ready(Ok(true)).boxed()
    }

    fn put_loaded<'a>(&'a self, entries: &'a [FileEntry]) -> Call<'a, ()> {
        let entries = entries.iter().map(|entry| ((entry.job, entry.key.clone()), entry.clone()));
        self.memory().files.extend(entries);
        ready(Ok(())).boxed()
    }

    fn put_not_loaded<'a>(&'a self, entry: &'a FileEntry) -> Call<'a, ()> {
        self.put_loaded(std::slice::from_ref(entry))
    }

    fn entries_between<'a>(
        &'a self,
        job: i64,
        first: &'a str,
        last: &'a str,
        _: Option<&'a str>,
    ) -> Call<'a, EntryPage> {
        let within = |entry: &&FileEntry| entry.job == job && (first..=last).contains(&entry.key.as_str());
        let entries = self.memory().files.values().filter(within).cloned().collect();
        ready(Ok(EntryPage { entries, next: None })).boxed()
    }

    fn entries_of<'a>(&'a self, job: i64, keys: &'a [String]) -> Call<'a, Vec<FileEntry>> {
        let memory = self.memory();
        let entries = keys.iter().filter_map(|key| memory.files.get(&(job, key.clone())).cloned()).collect();
        ready(Ok(entries)).boxed()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn copy_monitor_reads_views_and_its_command_loads_rejected_file() {
    let local = Local::start().await;
    let namespace = local.cluster().await;
    local.role().await;
    local
        .sql("CREATE TABLE sales (id int NOT NULL, name varchar(10), value decimal(10,2), \"timestamp\" timestamp)")
        .await;
    local.integration(&namespace, BUCKET).await;
    local.user("monitor").await;
    let job = format!(
        "COPY public.sales FROM 's3://{BUCKET}/in/' IAM_ROLE '{ROLE}' CSV IGNOREHEADER 1 JOB CREATE load_sales"
    );
    local.sql(&job).await;
    let ports = Ports { local, memory: Mutex::default(), alerts: World::default() };

    // An ordinary user sees no row of others: that is notified, and nothing else concluded.
    assert_eq!(ports.round().await.outcome, Outcome::Read);
    let published = ports.published();
    assert_eq!(published.len(), 1);
    let what = published[0]["what"].as_str().expect("text");
    assert!(what.contains("SYSLOG ACCESS: RESTRICTED"), "{what}");
    ports.local.sql(&statement(&published[0])).await;
    assert_eq!(ports.round().await.outcome, Outcome::Read);
    assert_eq!(ports.published()[1]["status"], "resolved");

    ports.local.put(BUCKET, "in/good.csv", GOOD).await;
    ports.local.put(BUCKET, "in/bad.csv", BAD).await;
    ports.local.file_status("in/good.csv", "I").await;
    ports.local.file_status("in/bad.csv", "E").await;
    let read = ports.round().await;
    let numbers = read.jobs.values().find(|job| job.name == "load_sales").expect("the job");
    assert_eq!((numbers.rows, numbers.files, numbers.rejected, numbers.waiting), (1, 1, 1, 0));
    let alert = ports.published()[2].clone();
    assert_eq!((&alert["kind"], &alert["status"]), (&json!("file-rejected"), &json!("opened")));
    assert_eq!(alert["subject"], format!("s3://{BUCKET}/in/bad.csv"));
    let what = alert["what"].as_str().expect("text");
    assert!(what.ends_with(", line 3, column value."), "{what}");
    let cause = alert["cause"].as_str().expect("text");
    assert!(
        cause.starts_with("Invalid digit, Value 'x', Pos 0, Type: Decimal (error 1207, query "),
        "{cause}"
    );
    let states: Vec<_> = ports
        .memory()
        .files
        .values()
        .map(|entry| (entry.key.clone(), entry.state))
        .collect::<HashMap<_, _>>()
        .into_iter()
        .collect();
    assert!(states.contains(&("in/good.csv".to_owned(), FileState::Loaded)), "{states:?}");
    assert!(states.contains(&("in/bad.csv".to_owned(), FileState::Rejected)), "{states:?}");

    // The file is fixed under its own name, and the alert's command loads it.
    ports.local.gateway.object(BUCKET, "in/bad.csv", GOOD.into());
    ports.local.sql(&statement(&alert)).await;
    assert_eq!(ports.local.rows("SELECT count(*) FROM sales").await, [["2"]]);
    ports.round().await;
    let end = ports.published()[3].clone();
    assert_eq!((&end["status"], &end["thread"]), (&json!("resolved"), &alert["thread"]));

    // One object comes without an event, and one name is written over after its load.
    ports.local.gateway.object(BUCKET, "in/lost.csv", GOOD.into());
    ports.memory().changed.insert("in/lost.csv".to_owned(), ("e", now()));
    ports.memory().changed.insert("in/good.csv".to_owned(), ("f", now()));
    ports.round().await;
    ports.round().await;
    let mut kinds: Vec<Value> = ports.published()[4..].iter().map(|alert| alert["kind"].clone()).collect();
    kinds.sort_by_key(Value::to_string);
    assert_eq!(kinds, ["file-never-loaded", "object-overwritten"]);

    // A job of another user: its text is in no command.
    ports.local.user("mallory").await;
    ports.local.sql("GRANT CREATE FOR COPY JOBS IN DATABASE dev TO mallory").await;
    ports.local.sql("GRANT INSERT ON sales TO mallory").await;
    let job = format!("COPY sales FROM 's3://{BUCKET}/evil/' IAM_ROLE '{ROLE}' CSV JOB CREATE evil");
    assert_eq!(ports.local.describe_as("mallory", &job).await["Status"], "FINISHED");
    ports.local.put(BUCKET, "evil/bad.csv", BAD).await;
    ports.local.file_status("evil/bad.csv", "E").await;
    ports.round().await;
    let published = ports.published();
    let alert = published.iter().find(|one| one["subject"] == format!("s3://{BUCKET}/evil/bad.csv"));
    let alert = alert.expect("an alert about the file");
    let sql = statement(alert);
    assert!(sql.starts_with("SELECT usename FROM pg_catalog.pg_user WHERE usesysid = "), "{sql}");
    assert_eq!(ports.local.rows(&sql).await, [["mallory"]]);
    let action = alert["action"].as_str().expect("text");
    assert!(action.contains("belongs to the database user with the id"), "{action}");
}
