//! A user of a real PostgreSQL rotated by the deployed function, as Secrets Manager drives it.

#![allow(clippy::unwrap_used)]

use std::collections::HashMap;

use cloud::wait::{self, Seen};
use cloud::{Cloud, Options, TARGET, deploy};
use end_to_end::{Grants, PATIENCE, Secret};
use local_servers::postgres::{Flavour, Login as Session, PostgresKit, Server};
use rotation::engine::{Engine, Login};
use rotation::engines::{postgres::Postgres, trust::Tls};
use rotation::faults::{Drill, Fault, MemorySecret};
use serde_json::{Value, json};

/// A server with a user whose name needs quoting.
struct Target {
    engine: Postgres,
    server: Server,
    ca: String,
    runtime: tokio::runtime::Runtime,
    _kit: PostgresKit,
    _folder: tempfile::TempDir,
}

const USER: &str = "app \"one\"";
const QUOTED: &str = r#""app ""one""""#;
const FIRST: &str = "first-password";

impl Target {
    fn new() -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let kit = PostgresKit::prepare(folder.path(), Flavour::RDS, None).unwrap();
        let server = kit.create().unwrap();
        let ca = std::fs::read_to_string(kit.ca_file()).unwrap();
        let engine = Postgres::new(Tls::new(Some(&ca), None).unwrap(), Postgres::default_policy());
        runtime.block_on(server.start()).unwrap();
        let target = Self { engine, server, ca, runtime, _kit: kit, _folder: folder };
        target.execute(&format!("CREATE ROLE {QUOTED} LOGIN PASSWORD '{FIRST}'"));
        target
    }

    /// As the server's own superuser.
    fn execute(&self, sql: &str) {
        self.runtime.block_on(async {
            let client = self.server.connect("postgres", &Session::system()).await.unwrap();
            client.batch_execute(sql).await.unwrap();
        });
    }

    fn value(&self) -> Value {
        json!({"engine": "postgres", "host": "127.0.0.1", "port": self.server.port(), "dbname": "postgres", "username": USER,
            "password": FIRST, "note": "keep me", "url": "postgresql://app:first-password@127.0.0.1/postgres"})
    }
}

/// The target, the stack that rotates its user's secret, and what looks at both.
struct Stage {
    target: Target,
    cloud: Cloud,
    secret: Secret,
}

impl Stage {
    fn new() -> Self {
        let target = Target::new();
        let cloud = Cloud::start(&Options::default(), &|_| {}).unwrap();
        let account = cloud.account(TARGET);
        let words = json!({"Name": "app", "SecretString": target.value().to_string()});
        let made = account.json("secretsmanager", "CreateSecret", words).unwrap();
        let arn = made["ARN"].as_str().unwrap().to_owned();
        Self { target, cloud, secret: Secret { account, arn } }
    }

    fn deploy(&self, further: &[(&str, &str)]) {
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

    fn put(&self, value: &Value) {
        self.secret.call("PutSecretValue", json!({"SecretString": value.to_string()})).unwrap();
    }

    fn rotate(&self) {
        self.secret.call("RotateSecret", json!({})).unwrap();
    }

    fn wait_for_another_password_than(&self, before: &str) {
        wait::until("another password", PATIENCE, || {
            let seen = self.secret.labels();
            let ended = self.secret.password() != before && !seen.contains(&"AWSPENDING".to_owned());
            Ok(if ended { Seen::Yes(()) } else { Seen::NotYet(format!("{seen:?}; {}", self.log())) })
        })
        .unwrap();
    }

    /// Over TLS with a verified certificate, as the function does it; the server takes nothing else.
    fn try_password(&self, value: &Value, password: &str) -> Login {
        let mut value = value.clone();
        value["password"] = password.into();
        let document = rotation::document::SecretDocument::parse(&value.to_string().into()).unwrap();
        let account = self.target.engine.account(&document).unwrap();
        self.target.runtime.block_on(self.target.engine.log_in(&account)).unwrap()
    }

    /// Every line that the function has logged.
    fn log(&self) -> String {
        let group = self.secret.account.physical_id("sluice-rotation", "RotationLogs").unwrap_or_default();
        let found = self.secret.account.json("logs", "FilterLogEvents", json!({"logGroupName": group}));
        let events = found.map(|found| found["events"].clone()).unwrap_or_default();
        let lines = events.as_array().cloned().unwrap_or_default();
        lines.iter().map(|event| event["message"].as_str().unwrap_or_default().to_owned() + "\n").collect()
    }
}

#[test]
fn a_user_of_postgresql_rotates_and_only_the_newest_password_logs_in() {
    let stage = Stage::new();
    let first = stage.secret.value();
    stage.deploy(&[]);
    stage.wait_for_another_password_than("first-password");
    let mut passwords = vec!["first-password".to_owned(), stage.secret.password()];
    for _ in 0..3 {
        stage.rotate();
        stage.wait_for_another_password_than(passwords.last().unwrap());
        passwords.push(stage.secret.password());
    }
    let (newest, older) = passwords.split_last().unwrap();
    assert_eq!(stage.try_password(&first, newest), Login::Accepted);
    for old in older {
        assert_eq!(stage.try_password(&first, old), Login::Refused);
    }
    assert_eq!(stage.secret.labels(), ["AWSCURRENT", "AWSPREVIOUS"]);

    // Nothing else in the secret changed, but for the address that holds the password.
    let mut expected = first;
    expected["password"] = newest.as_str().into();
    let now = stage.secret.value();
    assert!(!now["url"].as_str().unwrap().contains("first-password"), "{}", now["url"]);
    expected["url"] = now["url"].clone();
    assert_eq!(now, expected);

    // The server stores a verifier that was made by the function, and no log shows a password or a token.
    let verifier: String = stage.target.runtime.block_on(async {
        let client = stage.target.server.connect("postgres", &Session::system()).await.unwrap();
        let sql = "SELECT rolpassword FROM pg_authid WHERE rolname = $1";
        client.query_one(sql, &[&USER]).await.unwrap().get(0)
    });
    assert!(verifier.starts_with("SCRAM-SHA-256$4096:"), "{verifier}");
    let log = stage.log();
    for secret in passwords.iter().chain([&verifier]) {
        assert!(!log.contains(secret.as_str()), "the log shows a password");
    }
    for step in ["createSecret", "setSecret", "testSecret", "finishSecret"] {
        assert!(log.contains(step), "no record of {step}: {log}");
    }
    assert!(log.contains("CloudWatchMetrics") && log.contains("Sluice/Rotation"), "{log}");
}

#[test]
fn bad_input_fails_with_a_name_and_a_remedy_and_the_secret_stays_as_it_was() {
    let stage = Stage::new();
    stage.deploy(&[("RotateImmediately", "false")]);
    let good = stage.secret.value();
    let with = |key: &str, value: Value| {
        let mut bad = good.clone();
        bad[key] = value;
        bad
    };
    let mut misspelt = good.clone();
    let user = misspelt.as_object_mut().unwrap().remove("username").unwrap();
    misspelt["userName"] = user;
    for (bad, name, part) in [
        (misspelt, "BadSecretValue", "no key `username`, but a key `userName`"),
        (with("engine", "oracle".into()), "BadSecretValue", "`postgres` or `aurora-postgresql`"),
        (with("ssl", false.into()), "BadSecretValue", "only ever sent over verified TLS"),
        (with("host", "localhost.invalid".into()), "ServerUnreachable", "localhost.invalid"),
        (
            with("password", "wrong-password".into()),
            "NoCredentialLogsIn",
            "neither the pending nor the current",
        ),
        (with("username", "nobody-there".into()), "NoCredentialLogsIn", "`nobody-there`"),
    ] {
        // Takes the label of the last case's rotation away with it, as a new value by hand does.
        stage.put(&bad);
        unstick(&stage);
        let seen = stage.log().len();
        stage.rotate();
        wait::until(&format!("{name} in the log"), PATIENCE, || {
            let log = stage.log();
            let new = log.get(seen..).unwrap_or_default();
            Ok(if new.contains(name) && new.contains(part) {
                Seen::Yes(())
            } else {
                Seen::NotYet(new.to_owned())
            })
        })
        .unwrap();
        assert_eq!(stage.secret.value(), bad, "{name}");
        assert_eq!(stage.try_password(&good, "first-password"), Login::Accepted, "{name}");
    }
    // A server that no trusted CA vouches for gets no password.
    stage.put(&good);
    unstick(&stage);
    stage.deploy(&[("RotateImmediately", "false"), ("CaCertificates", "")]);
    let seen = stage.log().len();
    stage.rotate();
    wait::until("ServerNotTrusted in the log", PATIENCE, || {
        let log = stage.log();
        let new = log.get(seen..).unwrap_or_default().to_owned();
        Ok(if new.contains("ServerNotTrusted") { Seen::Yes(()) } else { Seen::NotYet(new) })
    })
    .unwrap();
    assert_eq!(stage.secret.value(), good);
    stage.cloud.check().unwrap();
}

#[test]
fn a_rotation_on_a_real_server_with_a_fault_at_any_call_ends_with_a_credential_that_logs_in() {
    let target = Target::new();
    let drill = |faults: HashMap<usize, Fault>| {
        target.execute(&format!("ALTER ROLE {QUOTED} PASSWORD '{FIRST}'"));
        let mut value = target.value();
        // The drill looks at every key but the password.
        value.as_object_mut().unwrap().remove("url");
        let secret = MemorySecret::new(&value.to_string());
        let drill = Drill::new(&secret, &target.engine, faults.clone());
        target.runtime.block_on(drill.run()).unwrap_or_else(|problem| panic!("{faults:?}: {problem}"))
    };
    let calls = drill(HashMap::new());
    for call in 0..calls {
        for fault in Fault::ALL {
            drill(HashMap::from([(call, fault)]));
        }
    }
    assert_eq!(calls, 17);
}

#[test]
fn every_grant_of_the_rotation_is_needed() {
    let stage = Stage::new();
    stage.deploy(&[("RotateImmediately", "false")]);
    let role = stage.secret.account.physical_id("sluice-rotation", "RotationRole").unwrap();
    let grants = Grants::of(&stage.secret.account, &role);
    let called: Vec<String> = grants.called().into_iter().collect();
    assert_eq!(called.len(), 5, "{called:?}");
    for action in called {
        grants.put(&grants.without(&action));
        let seen = stage.log().len();
        stage.rotate();
        wait::until(&format!("a refusal of {action}"), PATIENCE, || {
            let log = stage.log();
            let new = log.get(seen..).unwrap_or_default();
            let named = new.contains("AccessDenied") && new.contains(&action);
            Ok(if named { Seen::Yes(()) } else { Seen::NotYet(new.to_owned()) })
        })
        .unwrap();
        let before = stage.secret.password();
        grants.put(&grants.document);
        // Taken up again, not thrown away: without the last grant the server has the new password already.
        wait::until("the rotation ended", PATIENCE, || {
            let labels = stage.secret.labels();
            if labels.contains(&"AWSPENDING".to_owned()) {
                // Refused while it is pending, and started again.
                let _refused = stage.secret.call("RotateSecret", json!({}));
                return Ok(Seen::NotYet(format!("{labels:?}")));
            }
            Ok(Seen::Yes(()))
        })
        .unwrap();
        assert_ne!(stage.secret.password(), before);
        assert_eq!(stage.try_password(&stage.secret.value(), &stage.secret.password()), Login::Accepted);
    }
}

/// Waits for the end of Secrets Manager's attempts and takes AWSPENDING away, as the runbook of a stuck rotation says.
fn unstick(stage: &Stage) {
    stage.secret.call("CancelRotateSecret", json!({})).unwrap();
    for (version, labels) in stage.secret.versions() {
        if labels.contains(&"AWSPENDING".to_owned()) {
            let words = json!({"VersionStage": "AWSPENDING", "RemoveFromVersionId": version});
            stage.secret.call("UpdateSecretVersionStage", words).unwrap();
        }
    }
}
