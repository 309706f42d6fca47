//! A user of a real PostgreSQL rotated by the deployed function, as Secrets Manager drives it.

#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::time::Duration;

use cloud::wait::{self, Seen};
use cloud::{Cloud, Options, TARGET, deploy};
use end_to_end::{Grants, PATIENCE, Secret};
use local_servers::postgres::{Flavour, Login as Session, PostgresKit, Server};
use rotation::engine::{Account, Engine, Login};
use rotation::engines::{postgres::Postgres, trust::Tls};
use rotation::faults::{ADMIN, Drill, Fault, MemorySecret, rotate_under_load, strategies};
use rotation::passwords::{Admin, Strategy};
use secrecy::ExposeSecret;
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
const CLONE: &str = r#""app ""one""_clone""#;
const FIRST: &str = "first-password";

fn admin() -> Admin {
    Admin { secret: ADMIN.to_owned(), host: None }
}

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
        // What the master user of RDS may do here; no superuser.
        target.execute("CREATE ROLE boss LOGIN CREATEROLE PASSWORD 'boss-password'");
        target
    }

    fn admin(&self) -> Value {
        json!({"engine": "postgres", "host": "127.0.0.1", "port": self.server.port(), "username": "boss", "password": "boss-password"})
    }

    fn account(&self, value: &Value) -> Account {
        let document = rotation::document::SecretDocument::parse(&value.to_string().into()).unwrap();
        self.engine.account(&document).unwrap()
    }

    /// What a session of a user sees after these statements; the settings of its role hold as after a login.
    fn row(&self, user: &Value, statements: &str, question: &str) -> tokio_postgres::Row {
        let login = Session::Trusted(user.as_str().unwrap().to_owned());
        self.runtime.block_on(async {
            let client = self.server.connect("postgres", &login).await.unwrap();
            client.batch_execute(statements).await.unwrap();
            client.query_one(question, &[]).await.unwrap()
        })
    }

    /// As the server's own superuser.
    fn execute(&self, sql: &str) {
        self.runtime.block_on(async {
            let client = self.server.connect("postgres", &Session::system()).await.unwrap();
            client.batch_execute(sql).await.unwrap();
        });
    }

    /// Drills look at every key but those of the credential.
    fn value_without_address(&self) -> Value {
        let mut value = self.value();
        value.as_object_mut().unwrap().remove("url");
        value
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
        let account = self.target.account(&value);
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

/// Every strategy with every kind of fault at every call, on one server; the number of calls without a fault.
fn drill(strategy: &Strategy) -> usize {
    let target = Target::new();
    let drill = |faults: HashMap<usize, Fault>| {
        target.execute(&format!("DROP ROLE IF EXISTS {CLONE}"));
        target.execute(&format!("ALTER ROLE {QUOTED} PASSWORD '{FIRST}'"));
        let secret = MemorySecret::new(&target.value_without_address().to_string())
            .with_admin(&target.admin().to_string());
        let drill = Drill::new(&secret, &target.engine, faults.clone()).by(strategy.clone());
        target.runtime.block_on(drill.run()).unwrap_or_else(|problem| panic!("{faults:?}: {problem}"))
    };
    let calls = drill(HashMap::new());
    for call in 0..calls {
        for fault in Fault::ALL {
            drill(HashMap::from([(call, fault)]));
        }
    }
    calls
}

#[test]
fn one_user_rotated_with_a_fault_at_any_call_ends_with_a_credential_that_logs_in() {
    assert_eq!(drill(&Strategy::SingleUser), 17);
}

#[test]
fn one_user_rotated_by_an_admin_with_a_fault_at_any_call_ends_with_a_credential_that_logs_in() {
    assert_eq!(drill(&Strategy::SingleUserByAdmin(admin())), 18);
}

#[test]
fn two_users_rotated_in_turns_with_a_fault_at_any_call_end_with_a_credential_that_logs_in() {
    assert_eq!(drill(&Strategy::AlternatingUsers(admin())), 18);
}

/// Rotations one after the other, each of the secret that the last one left.
fn rotate(target: &Target, strategy: &Strategy, current: &Value) -> Value {
    let secret = MemorySecret::new(&current.to_string()).with_admin(&target.admin().to_string());
    let drill = Drill::new(&secret, &target.engine, HashMap::new()).by(strategy.clone());
    target.runtime.block_on(drill.run()).unwrap();
    let document = secret.document("AWSCURRENT").unwrap();
    serde_json::from_str(document.to_secret_string().expose_secret()).unwrap()
}

#[test]
fn what_either_of_two_users_makes_belongs_to_the_first_and_both_may_use_it() {
    let target = Target::new();
    target.execute(&format!("CREATE SCHEMA data AUTHORIZATION {QUOTED}"));
    target.execute(&format!(r#"ALTER ROLE {QUOTED} SET search_path TO data, "$user", "odd ""name"" \""#));
    target.execute(&format!("ALTER ROLE {QUOTED} IN DATABASE postgres SET statement_timeout TO '7s'"));
    target.execute(&format!("ALTER ROLE {QUOTED} CONNECTION LIMIT 17"));
    let strategy = Strategy::AlternatingUsers(admin());
    let mut current = target.value_without_address();
    for (turn, user) in ["app \"one\"_clone", USER, "app \"one\"_clone", USER].into_iter().enumerate() {
        current = rotate(&target, &strategy, &current);
        assert_eq!(current["username"], user);
        // No schema is named: the search path of the first user holds for both.
        let rows = target.row(
            &current["username"],
            &format!("CREATE TABLE t{turn} (n int); INSERT INTO t0 VALUES ({turn})"),
            "SELECT count(*), string_agg(DISTINCT tableowner, ','), current_user::text, current_setting('search_path'), \
             current_setting('statement_timeout') FROM pg_tables, t0 WHERE schemaname = 'data'",
        );
        let made = i64::try_from(turn + 1).unwrap();
        assert_eq!(rows.get::<_, i64>(0), made * made, "tables times rows");
        assert_eq!((rows.get::<_, &str>(1), rows.get::<_, &str>(2)), (USER, USER));
        assert_eq!(rows.get::<_, &str>(3), r#"data, "$user", "odd ""name"" \""#);
        assert_eq!(rows.get::<_, &str>(4), "7s");
    }
    // A setting that the first user has no more is taken from the second as well.
    target.execute(&format!("ALTER ROLE {QUOTED} IN DATABASE postgres RESET statement_timeout"));
    current = rotate(&target, &strategy, &current);
    let limit = "SELECT current_setting('statement_timeout'), rolconnlimit FROM pg_roles WHERE rolname = session_user";
    let timeout = target.row(&current["username"], "", limit);
    assert_eq!((timeout.get::<_, &str>(0), timeout.get::<_, i32>(1)), ("0", 17));
}

#[test]
fn during_a_hundred_rotations_of_two_users_no_login_is_refused_and_of_one_user_the_window_is_short() {
    let target = Target::new();
    for (name, strategy) in strategies() {
        target.execute(&format!("ALTER ROLE {QUOTED} PASSWORD '{FIRST}'"));
        let (value, admin) = (target.value().to_string(), target.admin().to_string());
        let rotating = rotate_under_load(&target.engine, &strategy, &value, &admin, 100);
        let seen = target.runtime.block_on(rotating).unwrap();
        println!(
            "{name}: 100 rotations, {} logins of 3 clients, {} refused, longest time shut out {} ms",
            seen.logins,
            seen.refused,
            seen.longest.as_millis()
        );
        assert!(seen.logins > 300, "{} logins say nothing", seen.logins);
        if matches!(strategy, Strategy::AlternatingUsers(_)) {
            assert_eq!(seen.refused, 0, "{name}");
        } else {
            // From the change of the password to the move of AWSCURRENT; the login of testSecret lies between.
            assert!(seen.longest < Duration::from_secs(5), "{name}: {:?}", seen.longest);
        }
    }
}

#[test]
fn a_server_that_is_reached_by_another_name_is_checked_by_its_own() {
    let target = Target::new();
    let log_in = |host: &str, name: Option<&str>| {
        let tls = Tls::new(Some(&target.ca), name).unwrap();
        let engine = Postgres::new(tls, Postgres::default_policy());
        let mut value = target.value();
        value["host"] = host.into();
        target.runtime.block_on(engine.log_in(&target.account(&value)))
    };
    // The certificate is for 127.0.0.1 and localhost; 127.0.0.2 is the same server by another name.
    assert!(matches!(log_in("127.0.0.1", None), Ok(Login::Accepted)));
    let error = log_in("127.0.0.1", Some("db.example.com")).unwrap_err();
    assert_eq!(error.name(), "ServerNotTrusted", "{error}");
    assert!(matches!(log_in("127.0.0.1", Some("localhost")), Ok(Login::Accepted)));
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
