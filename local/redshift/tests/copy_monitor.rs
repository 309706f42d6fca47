//! The kit's copy monitor asks the views its own statements, and its command loads a file that was refused.

#![allow(clippy::expect_used, reason = "tests")]

mod support;

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use copy_monitor::finding::{Finding, Problem, Turn};
use copy_monitor::moment::Moment;
use copy_monitor::ports::{
    Announcer, Claimed, Document, FileEntry, FileState, Ledger, Object, Objects, Statements,
};
use copy_monitor::report::{Outcome, Report};
use copy_monitor::settings::{Settings, Watched};
use copy_monitor::{Completion, Monitor};
use lambda_kit::call::CallError;
use serde_json::{Value, json};
use support::{Local, ROLE, TARGET};
use warehouse::batch::{Page, Progress};
use warehouse::data_api::{Cell, Login};
use warehouse::target::Target;

const GOOD: &str = "id,name,value,timestamp\n1,a,1.5,2026-01-02 03:04:05\n";
const BAD: &str = "id,name,value,timestamp\n1,a,1.5,2026-01-02 03:04:05\n2,b,x5,2026-01-02 03:04:05\n";
const BUCKET: &str = "files-a";

/// The monitor's ports on the stand-in; a ledger in memory.
struct Ports {
    local: Local,
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    documents: HashMap<String, Document>,
    files: HashMap<(i64, String), FileEntry>,
    told: HashSet<String>,
    received: Vec<Finding>,
    /// ETag and time of objects that changed since they were put first.
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

    /// A tick, and its event when it comes.
    async fn round(&self) -> Report {
        let mut settings = Settings::new(Watched {
            name: "c1".into(),
            account: TARGET.into(),
            region: "us-east-1".into(),
            target: Target::Cluster("c1".into()),
            database: "dev".into(),
            login: Login::DbUser("monitor".into()),
        });
        // What happened a moment ago is judged at once.
        (settings.overlap, settings.defaults.grace) = (Duration::ZERO, Duration::ZERO);
        let monitor = Monitor {
            settings: &settings,
            statements: self,
            objects: self,
            ledger: self,
            announcer: self,
            holder: "test",
            until: tokio::time::Instant::now() + Duration::from_secs(60),
        };
        self.local.gateway.state().events.clear();
        let started = monitor.tick(now()).await.expect("a tick");
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
        monitor.completed(&completion, now()).await.expect("a result")
    }

    fn told(&self) -> Vec<Finding> {
        self.memory().received.clone()
    }
}

impl Statements for Ports {
    async fn start(&self, name: &str, token: &str, statements: &[String]) -> Result<String, CallError> {
        let input = json!({"Sqls": statements, "ClusterIdentifier": "c1", "Database": "dev", "DbUser": "monitor", "StatementName": name,
                           "ClientToken": token, "WithEvent": true});
        Ok(self.data("BatchExecuteStatement", input).await["Id"].as_str().expect("an id").to_owned())
    }

    async fn progress(&self, _: &str) -> Result<Progress, CallError> {
        Ok(Progress::OnTheWay)
    }

    async fn page(&self, id: &str, statement: usize, next: Option<String>) -> Result<Page, CallError> {
        let mut input = json!({"Id": format!("{id}:{statement}")});
        if let Some(next) = next {
            input["NextToken"] = next.into();
        }
        let result = self.data("GetStatementResult", input).await;
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
        Ok(Page {
            columns: array(&result["ColumnMetadata"])
                .iter()
                .map(|column| column["name"].as_str().unwrap_or_default().to_owned())
                .collect(),
            rows: array(&result["Records"]).iter().map(|row| array(row).iter().map(cell).collect()).collect(),
            next: result["NextToken"].as_str().filter(|token| !token.is_empty()).map(str::to_owned),
        })
    }

    async fn cancel(&self, _: &str) {}
}

impl Objects for Ports {
    async fn list(
        &self,
        bucket: &str,
        prefix: &str,
        after: Option<&str>,
        _: u16,
    ) -> Result<(Vec<Object>, bool), CallError> {
        let (state, memory) = (self.local.gateway.state(), self.memory());
        let keys = state.buckets[bucket].objects.keys();
        let keys =
            keys.filter(|key| key.starts_with(prefix) && after.is_none_or(|after| key.as_str() > after));
        let objects = keys.map(|key| {
            let (etag, modified) = memory.changed.get(key).copied().unwrap_or(("e", Moment::BEGINNING));
            Object { key: key.clone(), etag: etag.to_owned(), size: 9, modified }
        });
        Ok((objects.collect(), false))
    }
}

impl Ledger for Ports {
    async fn document(&self, name: &str) -> Result<Option<Document>, CallError> {
        Ok(self.memory().documents.get(name).cloned())
    }

    async fn save(&self, name: &str, revision: u64, body: &str) -> Result<bool, CallError> {
        let document = Document { revision: revision + 1, body: body.to_owned() };
        self.memory().documents.insert(name.to_owned(), document);
        Ok(true)
    }

    async fn put_loaded(&self, entries: &[FileEntry]) -> Result<(), CallError> {
        let entries = entries.iter().map(|entry| ((entry.job, entry.key.clone()), entry.clone()));
        self.memory().files.extend(entries);
        Ok(())
    }

    async fn put_unloaded(&self, entry: &FileEntry) -> Result<(), CallError> {
        self.put_loaded(std::slice::from_ref(entry)).await
    }

    async fn entries(
        &self,
        job: i64,
        first: &str,
        last: &str,
        _: Option<&str>,
    ) -> Result<(Vec<FileEntry>, Option<String>), CallError> {
        let within = |entry: &&FileEntry| entry.job == job && (first..=last).contains(&entry.key.as_str());
        Ok((self.memory().files.values().filter(within).cloned().collect(), None))
    }

    async fn entries_of(&self, job: i64, keys: &[String]) -> Result<Vec<FileEntry>, CallError> {
        let memory = self.memory();
        Ok(keys.iter().filter_map(|key| memory.files.get(&(job, key.clone())).cloned()).collect())
    }

    async fn told_among(&self, ids: &[String]) -> Result<HashSet<String>, CallError> {
        Ok(self.memory().told.intersection(&ids.iter().cloned().collect()).cloned().collect())
    }

    async fn claim(&self, id: &str, _: &str, _: Moment, _: Moment) -> Result<Claimed, CallError> {
        Ok(if self.memory().told.contains(id) { Claimed::Told } else { Claimed::Yes })
    }

    async fn told(&self, id: &str, _: Moment) -> Result<(), CallError> {
        self.memory().told.insert(id.to_owned());
        Ok(())
    }

    async fn release(&self, _: &str, _: &str) -> Result<(), CallError> {
        Ok(())
    }
}

impl Announcer for Ports {
    async fn announce(&self, finding: &Finding) -> Result<(), CallError> {
        self.memory().received.push(finding.clone());
        Ok(())
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
    let ports = Ports { local, memory: Mutex::default() };

    // An ordinary user sees no row of others: that is told, and nothing else concluded.
    assert_eq!(ports.round().await.outcome, Outcome::Read);
    let told = ports.told();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].problem, Problem::Blind { access: "RESTRICTED".to_owned() });
    let (sql, _) = told[0].command.split_last().expect("a statement");
    ports.local.sql(sql).await;
    assert_eq!(ports.round().await.outcome, Outcome::Read);
    assert_eq!(ports.told()[1].turn, Turn::Over);

    ports.local.put(BUCKET, "in/good.csv", GOOD).await;
    ports.local.put(BUCKET, "in/bad.csv", BAD).await;
    ports.local.file_status("in/good.csv", "I").await;
    ports.local.file_status("in/bad.csv", "E").await;
    let read = ports.round().await;
    let numbers = read.jobs.values().find(|job| job.name == "load_sales").expect("the job");
    assert_eq!((numbers.rows, numbers.files, numbers.in_error, numbers.waiting), (1, 1, 1, 0));
    let finding = ports.told()[2].clone();
    let Problem::FileInError { file, cause: Some(cause), .. } = &finding.problem else {
        panic!("{finding:?}")
    };
    assert_eq!((file.bucket.as_str(), file.key.as_str(), file.etag.as_str()), (BUCKET, "in/bad.csv", "e"));
    assert_eq!((cause.line, cause.column.as_str(), cause.code), (3, "value", 1207));
    assert_eq!(cause.message, "Invalid digit, Value 'x', Pos 0, Type: Decimal");
    let states: Vec<_> = ports
        .memory()
        .files
        .values()
        .map(|entry| (entry.key.clone(), entry.state))
        .collect::<HashMap<_, _>>()
        .into_iter()
        .collect();
    assert!(states.contains(&("in/good.csv".to_owned(), FileState::Loaded)), "{states:?}");
    assert!(states.contains(&("in/bad.csv".to_owned(), FileState::Failed)), "{states:?}");

    // The file is mended in its place, and the finding's command loads it.
    ports.local.gateway.object(BUCKET, "in/bad.csv", GOOD.into());
    let (sql, _) = finding.command.split_last().expect("a statement");
    ports.local.sql(sql).await;
    assert_eq!(ports.local.rows("SELECT count(*) FROM sales").await, [["2"]]);
    ports.round().await;
    let over = ports.told()[3].clone();
    assert_eq!((over.turn, over.id), (Turn::Over, format!("{}:over", finding.id)));

    // One object comes without an event, and one name is written over after its load.
    ports.local.gateway.object(BUCKET, "in/lost.csv", GOOD.into());
    ports.memory().changed.insert("in/lost.csv".to_owned(), ("e", now()));
    ports.memory().changed.insert("in/good.csv".to_owned(), ("f", now()));
    ports.round().await;
    ports.round().await;
    let kinds: HashSet<_> = ports.told()[4..].iter().map(|finding| finding.problem.kind()).collect();
    assert_eq!(kinds, HashSet::from(["NeverLoaded", "Overwritten"]));
    assert_eq!(ports.told().len(), 6);
}
