//! A real PostgreSQL with a user, and the stack that rotates that user's secret.

// Each test binary uses a part of it.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use cloud::wait::{self, Seen};
use cloud::{Cloud, Options, TARGET, deploy};
use end_to_end::{PATIENCE, Secret};
use local_servers::postgres::{Flavour, Login as Session, PostgresKit, Server};
use rotation::engine::{Account, Engine, Login};
use rotation::engines::{postgres::Postgres, trust::Tls};
use rotation::faults::ADMIN;
use rotation::passwords::Admin;
use serde_json::{Value, json};

/// A server with a user whose name needs quoting.
pub struct Target {
    pub engine: Postgres,
    pub server: Server,
    pub ca: String,
    pub runtime: tokio::runtime::Runtime,
    _kit: PostgresKit,
    _folder: tempfile::TempDir,
}

pub const USER: &str = "app \"one\"";
pub const QUOTED: &str = r#""app ""one""""#;
pub const CLONE: &str = r#""app ""one""_clone""#;
pub const FIRST: &str = "first-password";

pub fn admin() -> Admin {
    Admin { secret: ADMIN.to_owned(), host: None }
}

impl Target {
    pub fn new() -> Self {
        Self::with(Flavour::RDS)
    }

    pub fn with(flavour: Flavour) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let kit = PostgresKit::prepare(folder.path(), flavour, None).unwrap();
        let server = kit.create().unwrap();
        let ca = std::fs::read_to_string(kit.ca_file()).unwrap();
        let engine = Postgres::new(Tls::new(Some(&ca), None).unwrap(), Postgres::default_policy());
        runtime.block_on(server.start()).unwrap();
        let target = Self { engine, server, ca, runtime, _kit: kit, _folder: folder };
        target.execute(&format!("CREATE ROLE {QUOTED} LOGIN PASSWORD '{FIRST}'"));
        // What the master user of RDS may do here; no superuser.
        target.execute("CREATE ROLE boss LOGIN CREATEROLE PASSWORD 'boss-password'");
        target
    }

    pub fn admin(&self) -> Value {
        json!({"engine": "postgres", "host": "127.0.0.1", "port": self.server.port(), "username": "boss", "password": "boss-password"})
    }

    pub fn account(&self, value: &Value) -> Account {
        let document = rotation::document::SecretDocument::parse(&value.to_string().into()).unwrap();
        self.engine.account(&document).unwrap()
    }

    /// What a session of a user sees after these statements; the settings of its role hold as after a login.
    pub fn row(&self, user: &Value, statements: &str, question: &str) -> tokio_postgres::Row {
        let login = Session::Trusted(user.as_str().unwrap().to_owned());
        self.runtime.block_on(async {
            let client = self.server.connect("postgres", &login).await.unwrap();
            client.batch_execute(statements).await.unwrap();
            client.query_one(question, &[]).await.unwrap()
        })
    }

    /// As the server's own superuser.
    pub fn execute(&self, sql: &str) {
        self.runtime.block_on(async {
            let client = self.server.connect("postgres", &Session::system()).await.unwrap();
            client.batch_execute(sql).await.unwrap();
        });
    }

    /// Drills look at every key but those of the credential.
    pub fn value_without_address(&self) -> Value {
        let mut value = self.value();
        value.as_object_mut().unwrap().remove("url");
        value
    }

    pub fn value(&self) -> Value {
        json!({"engine": "postgres", "host": "127.0.0.1", "port": self.server.port(), "dbname": "postgres", "username": USER,
            "password": FIRST, "note": "keep me", "url": "postgresql://app:first-password@127.0.0.1/postgres"})
    }
}

/// The target, the secrets of its user and its admin, the stack that rotates its user's secret, and what looks at both.
pub struct Stage {
    pub target: Target,
    pub cloud: Cloud,
    pub secret: Secret,
    pub admin: Secret,
}

impl Stage {
    pub fn new() -> Self {
        Self::of(Target::new())
    }

    pub fn of(target: Target) -> Self {
        let cloud = Cloud::start(&Options::default(), &|_| {}).unwrap();
        let make = |name: &str, value: &Value| {
            let account = cloud.account(TARGET);
            let words = json!({"Name": name, "SecretString": value.to_string()});
            let made = account.json("secretsmanager", "CreateSecret", words).unwrap();
            Secret { account, arn: made["ARN"].as_str().unwrap().to_owned() }
        };
        let (secret, admin) = (make("app", &target.value()), make("admin", &target.admin()));
        Self { target, cloud, secret, admin }
    }

    pub fn deploy(&self, further: &[(&str, &str)]) {
        let mut parameters = vec![
            ("SecretArn", self.secret.arn.as_str()),
            ("Engine", "postgres"),
            ("Architecture", deploy::architecture()),
            ("AccessGrantWaitSeconds", "0"),
            ("CaCertificates", self.target.ca.as_str()),
        ];
        parameters.retain(|(name, _)| further.iter().all(|(other, _)| other != name));
        parameters.extend(further);
        self.secret.account.deploy("sluice-rotation", "rotation", &parameters).unwrap();
    }

    pub fn put(&self, value: &Value) {
        self.secret.call("PutSecretValue", json!({"SecretString": value.to_string()})).unwrap();
    }

    pub fn rotate(&self) {
        self.secret.call("RotateSecret", json!({})).unwrap();
    }

    /// Waits for the end of a rotation, or of a try-out.
    pub fn wait_until_nothing_is_pending(&self) {
        wait::until("no version is pending", PATIENCE, || {
            let labels = self.secret.labels();
            let pending = labels.contains(&"AWSPENDING".to_owned());
            Ok(if pending { Seen::NotYet(format!("{labels:?}")) } else { Seen::Yes(()) })
        })
        .unwrap();
    }

    /// Rotates while the server is down: there is a new version with a value, and the server knows nothing of it.
    pub fn rotate_without_a_server(&self) {
        self.target.server.stop();
        let seen = self.log().len();
        self.rotate();
        self.wait_until_it_stopped(seen);
        self.target.runtime.block_on(self.target.server.start()).unwrap();
    }

    /// Waits until Secrets Manager gives the rotation up, whose log begins at `seen`: after its third attempt.
    pub fn wait_until_it_stopped(&self, seen: usize) {
        wait::until("three attempts failed", PATIENCE, || {
            let log = self.log();
            let failed = log.get(seen..).unwrap_or_default().matches("\"Failures\":1").count();
            Ok(if failed == 3 { Seen::Yes(()) } else { Seen::NotYet(format!("{failed} failed: {log}")) })
        })
        .unwrap();
    }

    pub fn wait_for_another_password_than(&self, before: &str) {
        wait::until("another password", PATIENCE, || {
            let seen = self.secret.labels();
            let ended = self.secret.password() != before && !seen.contains(&"AWSPENDING".to_owned());
            Ok(if ended { Seen::Yes(()) } else { Seen::NotYet(format!("{seen:?}; {}", self.log())) })
        })
        .unwrap();
    }

    /// Over TLS with a verified certificate, as the function does it; the server takes nothing else.
    pub fn try_password(&self, value: &Value, password: &str) -> Login {
        let mut value = value.clone();
        value["password"] = password.into();
        let account = self.target.account(&value);
        self.target.runtime.block_on(self.target.engine.log_in(&account)).unwrap()
    }

    /// Every line that the function has logged.
    pub fn log(&self) -> String {
        self.log_of(&self.secret.account.physical_id("sluice-rotation", "RotationLogs").unwrap_or_default())
    }

    /// Every line of a log group.
    pub fn log_of(&self, group: &str) -> String {
        let found = self.secret.account.json("logs", "FilterLogEvents", json!({"logGroupName": group}));
        let events = found.map(|found| found["events"].clone()).unwrap_or_default();
        let lines = events.as_array().cloned().unwrap_or_default();
        lines.iter().map(|event| event["message"].as_str().unwrap_or_default().to_owned() + "\n").collect()
    }
}

/// Waits for the end of Secrets Manager's attempts and takes AWSPENDING away, as the runbook of a stuck rotation says.
pub fn unstick(stage: &Stage) {
    stage.secret.call("CancelRotateSecret", json!({})).unwrap();
    for (version, labels) in stage.secret.versions() {
        if labels.contains(&"AWSPENDING".to_owned()) {
            let words = json!({"VersionStage": "AWSPENDING", "RemoveFromVersionId": version});
            stage.secret.call("UpdateSecretVersionStage", words).unwrap();
        }
    }
}
