//! Users of Redshift, and its admin, rotated on a real PostgreSQL that asks for md5 as Redshift does: over the wire, and through what AWS
//! answers to the SDKs.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods)]

mod aws;
mod proxy;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws::Aws;
use local_servers::postgres::{Flavour, Login as Session, PostgresKit, Server};
use proxy::{Cut, Proxy};
use rotation::document::SecretDocument;
use rotation::engine::{Account, Engine, EngineError, Login};
use rotation::engines::redshift::{Access, Change, Form, Patience, Redshift};
use rotation::engines::trust::Tls;
use rotation::event::Step;
use rotation::faults::{ADMIN, Drill, Fault, MemorySecret, OLD, TOKEN, strategies};
use rotation::passwords::Strategy;
use serde_json::{Value, json};
use warehouse::target::Target;

const FLAVOUR: Flavour = Flavour {
    name: "redshift",
    catalog: include_str!("catalog.sql"),
    wire: "hostssl all all 127.0.0.1/32 md5\nhost all all 127.0.0.1/32 md5\n",
    settings: &[
        "password_encryption=md5",
        "standard_conforming_strings=off",
        "escape_string_warning=off",
        "backslash_quote=on",
    ],
};

/// A user whose name needs quoting.
const USER: &str = "app \"one\"";
const CLONE: &str = "app \"one\"_clone";
const FIRST: &str = "First-Password-1";
const BOSS: &str = "boss";
const BOSS_PASSWORD: &str = "Boss-Password-1";

/// Where every call of a rotation is proved.
struct Stage {
    server: Arc<Server>,
    ca: String,
    runtime: tokio::runtime::Runtime,
    _kit: PostgresKit,
    _folder: tempfile::TempDir,
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

impl Stage {
    fn new() -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let kit = PostgresKit::prepare(folder.path(), FLAVOUR, None).unwrap();
        let server = Arc::new(kit.create().unwrap());
        let ca = std::fs::read_to_string(kit.ca_file()).unwrap();
        runtime.block_on(server.start()).unwrap();
        runtime.block_on(async {
            // From the template with the views.
            let client = server.connect("postgres", &Session::system()).await.unwrap();
            client.batch_execute("CREATE DATABASE dev").await.unwrap();
        });
        let stage = Self { server, ca, runtime, _kit: kit, _folder: folder };
        stage.execute(&format!(
            "CREATE ROLE {BOSS} LOGIN SUPERUSER PASSWORD '{BOSS_PASSWORD}'; CREATE ROLE {} LOGIN PASSWORD '{FIRST}'",
            quoted(USER)
        ));
        stage
    }

    fn tls(&self) -> Tls {
        Tls::new(Some(&self.ca), None).unwrap()
    }

    fn wire(&self) -> Redshift {
        Redshift::new(Access::Wire(self.tls()), Change::Sql(Form::AsBefore), None, Redshift::default_policy())
    }

    /// As the server's own superuser.
    fn execute(&self, sql: &str) {
        self.runtime.block_on(async {
            let client = self.server.connect("dev", &Session::system()).await.unwrap();
            client.batch_execute(sql).await.unwrap();
        });
    }

    fn texts(&self, sql: &str) -> Vec<String> {
        self.runtime.block_on(async {
            let client = self.server.connect("dev", &Session::system()).await.unwrap();
            client.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
        })
    }

    /// Back to where every run begins.
    fn reset(&self) {
        let [user, clone] = [USER, CLONE].map(quoted);
        self.execute(&format!(
            "ALTER ROLE {user} PASSWORD '{FIRST}'; ALTER ROLE {BOSS} PASSWORD '{BOSS_PASSWORD}'"
        ));
        if !self.texts(&format!("SELECT rolname::text FROM pg_roles WHERE rolname = '{CLONE}'")).is_empty() {
            self.execute(&format!("DROP OWNED BY {clone}; DROP ROLE {clone}"));
        }
    }

    fn value(&self, port: u16, user: &str, password: &str) -> Value {
        json!({"engine": "redshift", "host": "127.0.0.1", "port": port, "dbname": "dev", "username": user, "password": password,
            "note": "keep me"})
    }

    fn secret(&self, port: u16, user: &str, password: &str) -> MemorySecret {
        let boss = self.value(port, BOSS, BOSS_PASSWORD).to_string();
        MemorySecret::new(&self.value(port, user, password).to_string()).with_admin(&boss)
    }

    /// Whether the server itself lets a version of a secret in.
    fn lets_in(&self, secret: &MemorySecret, label: &str) -> bool {
        let Some(document) = secret.document(label) else { return false };
        let [user, password] = ["username", "password"].map(|key| document.text(key).unwrap().to_owned());
        let login = Session::Password { user, password };
        self.runtime.block_on(self.server.connect("dev", &login)).is_ok()
    }

    fn log_in(&self, engine: &Redshift, value: &Value) -> Result<Login, EngineError> {
        self.runtime.block_on(engine.log_in(&account(engine, value)))
    }
}

fn account(engine: &Redshift, value: &Value) -> Account {
    engine.account(&SecretDocument::parse(&value.to_string().into()).unwrap()).unwrap()
}

#[test]
fn over_the_wire_a_fault_at_any_call_of_the_rotation_ends_with_a_credential_that_logs_in() {
    let stage = Stage::new();
    let engine = stage.wire();
    for (name, strategy) in strategies() {
        let drill = |faults: HashMap<usize, Fault>| {
            stage.reset();
            let secret = stage.secret(stage.server.port(), USER, FIRST);
            let drill = Drill::new(&secret, &engine, faults.clone()).by(strategy.clone());
            stage
                .runtime
                .block_on(drill.run())
                .unwrap_or_else(|problem| panic!("{name}, {faults:?}: {problem}"))
        };
        let calls = drill(HashMap::new());
        for call in 0..calls {
            for fault in Fault::ALL {
                drill(HashMap::from([(call, fault)]));
            }
        }
        println!("{name}: {calls} calls a rotation, {} runs with one fault each", 4 * calls);
        assert_eq!(calls, if strategy == Strategy::SingleUser { 17 } else { 18 });
    }
}

#[test]
fn over_the_wire_a_connection_that_breaks_at_any_statement_ends_with_two_users_that_are_alike() {
    let stage = Stage::new();
    let [.., (_, strategy)] = strategies();
    make_rich(&stage);
    let engine = stage.wire();
    let proxy = stage.runtime.block_on(Proxy::start(stage.server.port()));
    let rotate = |at: usize, cut: Cut| {
        stage.reset();
        proxy.cut(at, cut);
        let secret = stage.secret(proxy.port, USER, FIRST);
        let drill = Drill::new(&secret, &engine, HashMap::new()).by(strategy.clone());
        for _ in 0..3 {
            let mut done = true;
            for step in Step::ALL {
                let result = stage.runtime.block_on(drill.step(step)).unwrap();
                assert!(stage.lets_in(&secret, "AWSCURRENT"), "{at} {cut:?}: AWSCURRENT does not log in");
                if result.is_err() {
                    done = false;
                    break;
                }
            }
            if done {
                assert_eq!(secret.document("AWSCURRENT").unwrap().text("username"), Ok(CLONE));
                assert!(stage.lets_in(&secret, "AWSPREVIOUS"));
                assert_eq!(rights(&stage, CLONE), rights(&stage, USER), "{at} {cut:?}");
                return proxy.sent();
            }
        }
        panic!("{at} {cut:?}: the rotation never ended");
    };
    let sent = rotate(usize::MAX, Cut::Before);
    for at in 0..sent {
        for cut in [Cut::Before, Cut::After] {
            rotate(at, cut);
        }
    }
    println!("{sent} messages a rotation, {} runs with one break each", 2 * sent);
    assert!(sent > 40, "{sent}");
}

/// Gives the user something of everything.
fn make_rich(stage: &Stage) {
    let user = quoted(USER);
    stage.execute(&format!(
        "CREATE SCHEMA s; CREATE TABLE s.t (a int, b int); CREATE TABLE s.\"odd \"\"t\" (a int); CREATE GROUP g1; CREATE GROUP \"g 2\";
         CREATE FUNCTION s.f(integer, character varying) RETURNS int LANGUAGE sql AS 'SELECT 1';
         ALTER GROUP g1 ADD USER {user}; ALTER GROUP \"g 2\" ADD USER {user};
         GRANT USAGE ON SCHEMA s TO {user}; GRANT CREATE ON SCHEMA s TO {user} WITH GRANT OPTION;
         GRANT SELECT, INSERT ON s.t TO {user}; GRANT SELECT ON s.\"odd \"\"t\" TO {user} WITH GRANT OPTION; GRANT UPDATE (b) ON s.t TO {user};
         GRANT EXECUTE ON FUNCTION s.f(integer, character varying) TO {user}; GRANT TEMPORARY ON DATABASE dev TO {user};
         GRANT USAGE ON LANGUAGE plpgsql TO {user};
         ALTER DEFAULT PRIVILEGES FOR USER boss IN SCHEMA s GRANT SELECT ON TABLES TO {user};
         ALTER USER {user} CONNECTION LIMIT 50; ALTER USER {user} CREATEDB; ALTER USER {user} SET search_path TO s, \"$user\", \"a, \"\"b\";
         ALTER USER {user} SET timezone TO 'Europe/Rome'"
    ));
}

/// Everything that a user may, without its name.
fn rights(stage: &Stage, user: &str) -> Vec<String> {
    stage.texts(&format!(
        "SELECT * FROM (
         SELECT 'group ' || g.groname FROM pg_group g JOIN pg_user u ON u.usesysid = ANY(g.grolist) WHERE u.usename = '{user}'
         UNION ALL SELECT concat_ws(' ', 'database', database_name, privilege_type, admin_option) FROM svv_database_privileges WHERE identity_name = '{user}'
         UNION ALL SELECT concat_ws(' ', 'schema', namespace_name, privilege_type, admin_option) FROM svv_schema_privileges WHERE identity_name = '{user}'
         UNION ALL SELECT concat_ws(' ', 'relation', namespace_name, relation_name, privilege_type, admin_option) FROM svv_relation_privileges WHERE identity_name = '{user}'
         UNION ALL SELECT concat_ws(' ', 'column', relation_name, column_name, privilege_type) FROM svv_column_privileges WHERE identity_name = '{user}'
         UNION ALL SELECT concat_ws(' ', 'function', function_name, argument_types, admin_option) FROM svv_function_privileges WHERE identity_name = '{user}'
         UNION ALL SELECT concat_ws(' ', 'language', language_name, privilege_type) FROM svv_language_privileges WHERE identity_name = '{user}'
         UNION ALL SELECT concat_ws(' ', 'default', schema_name, object_type, owner_name, privilege_type) FROM svv_default_privileges WHERE grantee_name = '{user}'
         UNION ALL SELECT concat_ws(' ', 'limits', connection_limit, createdb, superuser) FROM svv_user_info WHERE user_name = '{user}'
         UNION ALL SELECT 'setting ' || unnest(useconfig) FROM pg_user WHERE usename = '{user}') AS all_rights(text) ORDER BY 1"
    ))
}

#[test]
fn the_second_user_loses_what_the_first_has_no_longer_and_the_first_keeps_everything() {
    let stage = Stage::new();
    let [.., (_, strategy)] = strategies();
    make_rich(&stage);
    let engine = stage.wire();
    let rotate = |secret: &MemorySecret| {
        let drill = Drill::new(secret, &engine, HashMap::new()).by(strategy.clone());
        stage.runtime.block_on(drill.run()).unwrap();
        secret.document("AWSCURRENT").unwrap()
    };
    let next = |value: &SecretDocument| {
        let [user, password] = ["username", "password"].map(|key| value.text(key).unwrap().to_owned());
        stage.secret(stage.server.port(), &user, &password)
    };
    let full = rights(&stage, USER);
    assert!(full.len() > 14, "{full:?}");
    let one = rotate(&stage.secret(stage.server.port(), USER, FIRST));
    assert_eq!((one.text("username"), rights(&stage, CLONE)), (Ok(CLONE), full));

    let user = quoted(USER);
    stage.execute(&format!(
        "ALTER GROUP \"g 2\" DROP USER {user}; REVOKE INSERT ON s.t FROM {user}; REVOKE GRANT OPTION FOR SELECT ON s.\"odd \"\"t\" FROM {user};
         REVOKE GRANT OPTION FOR CREATE ON SCHEMA s FROM {user}; ALTER USER {user} RESET timezone; ALTER USER {user} NOCREATEDB;
         ALTER DEFAULT PRIVILEGES FOR USER boss IN SCHEMA s REVOKE SELECT ON TABLES FROM {user}; GRANT DELETE ON s.t TO {user};
         REVOKE UPDATE (b) ON s.t FROM {user}"
    ));
    let less = rights(&stage, USER);
    // Back to the first user: it keeps what it was given meanwhile.
    let two = rotate(&next(&one));
    assert_eq!((two.text("username"), rights(&stage, USER)), (Ok(USER), less.clone()));
    // The secrets here give the same password again, which the second user must not have yet.
    stage.execute(&format!("ALTER ROLE {} PASSWORD 'Other-Password-1'", quoted(CLONE)));
    let three = rotate(&next(&two));
    assert_eq!((three.text("username"), rights(&stage, CLONE)), (Ok(CLONE), less));
}

/// One rotation whose requests to AWS have faults, driven as Secrets Manager drives it.
fn rotate_with_faults(
    stage: &Stage,
    cloud: &Arc<Aws>,
    engine: &Redshift,
    secret: &MemorySecret,
    strategy: &Strategy,
    faults: &HashMap<usize, Fault>,
) -> Result<usize, String> {
    cloud.plan(faults.clone());
    let alternates = matches!(strategy, Strategy::AlternatingUsers(_));
    let drill = Drill::new(secret, engine, HashMap::new()).by(strategy.clone());
    'attempt: for _ in 0..20 {
        for step in Step::ALL {
            let result = stage.runtime.block_on(async {
                tokio::select! {
                    biased;
                    () = cloud.died() => None,
                    result = drill.step(step) => result,
                }
            });
            if result.is_none() {
                // What the dying function left running gets nowhere; the next one begins as the function does.
                stage.runtime.block_on(async {
                    for _ in 0..20 {
                        tokio::spawn(tokio::task::yield_now()).await.unwrap();
                    }
                });
                cloud.revive();
                stage.runtime.block_on(engine.blank_companion());
            }
            let faulty = cloud.fault_fired();
            let labels: &[&str] =
                if alternates { &["AWSCURRENT"] } else { &["AWSCURRENT", "AWSPENDING", "AWSPREVIOUS"] };
            if !labels.iter().any(|label| stage.lets_in(secret, label)) {
                return Err(format!("no credential logs in after {step:?}: {result:?}"));
            }
            if !faulty && matches!(step, Step::Set | Step::Test) && !cloud.is_blank() {
                return Err(format!("a credential is left in the companion after {step:?}: {result:?}"));
            }
            if !matches!(result, Some(Ok(_))) {
                if !faulty && cloud.log().len() > 400 {
                    return Err(format!("{result:?}"));
                }
                continue 'attempt;
            }
        }
        if !stage.lets_in(secret, "AWSCURRENT") || stage.lets_in(secret, "AWSPREVIOUS") != alternates {
            return Err("AWSCURRENT does not log in, or AWSPREVIOUS is not as it should be".to_owned());
        }
        if secret.labels(TOKEN) != ["AWSCURRENT"]
            || secret.labels(OLD) != ["AWSPREVIOUS"]
            || secret.count() != 2
        {
            return Err(format!("labels are not as after a rotation: {secret:?}"));
        }
        if !cloud.is_blank() {
            return Err("a credential is left in the companion".to_owned());
        }
        return Ok(cloud.requests());
    }
    Err("the rotation never ended".to_owned())
}

/// All faults at all requests of one kind of rotation; gives the number of requests and the calls of a run without faults.
fn every_fault(
    name: &str,
    stage: &Stage,
    cloud: &Arc<Aws>,
    engine: &Redshift,
    user: &str,
    password: &str,
    strategy: &Strategy,
) -> Vec<String> {
    let run = |faults: HashMap<usize, Fault>| {
        stage.reset();
        let secret = stage.secret(stage.server.port(), user, password);
        rotate_with_faults(stage, cloud, engine, &secret, strategy, &faults)
            .unwrap_or_else(|problem| panic!("{name}, {faults:?}: {problem}; {:?}", cloud.log()))
    };
    let versions = cloud.companion_versions();
    let requests = run(HashMap::new());
    let (log, versions) = (cloud.log(), cloud.companion_versions() - versions);
    // Of very many requests each gets one kind of fault, and all four with SLUICE_SOAK_RUNS.
    let all = requests <= 60 || std::env::var_os("SLUICE_SOAK_RUNS").is_some();
    let mut runs = 0;
    for request in 0..requests {
        for (kind, fault) in Fault::ALL.into_iter().enumerate() {
            if all || kind == request % 4 {
                run(HashMap::from([(request, fault)]));
                runs += 1;
            }
        }
    }
    println!(
        "{name}: {requests} requests to AWS a rotation, {versions} versions of the companion, {runs} runs with one fault each"
    );
    log
}

fn cluster() -> Target {
    Target::Cluster("c1".into())
}

fn workgroup() -> Target {
    Target::Workgroup("w1".into())
}

const QUICK: Patience = Patience { within: Duration::from_secs(10), pause: Duration::from_millis(1) };
const STATEMENT: Duration = Duration::from_secs(10);

#[test]
fn through_the_data_api_a_fault_at_any_request_ends_with_a_credential_that_logs_in_and_a_blank_companion() {
    let stage = Stage::new();
    let cloud = Aws::new(Arc::clone(&stage.server), BOSS);
    for (target, (name, strategy)) in [cluster(), workgroup()].into_iter().zip(strategies()) {
        let access = Access::DataApi(cloud.data_api(target.clone(), STATEMENT));
        let control = cloud.control_plane(target);
        let engine =
            Redshift::new(access, Change::Sql(Form::AsBefore), Some(control), Redshift::default_policy());
        every_fault(&format!("Data API, {name}"), &stage, &cloud, &engine, USER, FIRST, &strategy);
    }
}

#[test]
fn through_the_data_api_users_take_turns_whatever_request_fails() {
    let stage = Stage::new();
    make_rich(&stage);
    let cloud = Aws::new(Arc::clone(&stage.server), BOSS);
    let [.., (name, strategy)] = strategies();
    let access = Access::DataApi(cloud.data_api(workgroup(), STATEMENT));
    let engine = Redshift::new(
        access,
        Change::Sql(Form::Md5),
        Some(cloud.control_plane(workgroup())),
        Redshift::default_policy(),
    );
    let user = quoted(USER);
    // Something of each kind: every statement is three requests here.
    stage.execute(&format!("REVOKE ALL ON s.t, s.\"odd \"\"t\" FROM {user}; ALTER GROUP \"g 2\" DROP USER {user}; ALTER USER {user} RESET ALL"));
    every_fault(&format!("Data API, {name}"), &stage, &cloud, &engine, USER, FIRST, &strategy);
    assert_eq!(rights(&stage, CLONE), rights(&stage, USER));
}

#[test]
fn the_admins_password_is_changed_by_the_control_plane_and_proved_by_a_login_whatever_request_fails() {
    let stage = Stage::new();
    let cloud = Aws::new(Arc::clone(&stage.server), BOSS);
    for target in [cluster(), workgroup()] {
        for over_wire in [true, false] {
            let access = if over_wire {
                Access::Wire(stage.tls())
            } else {
                Access::DataApi(cloud.data_api(target.clone(), STATEMENT))
            };
            let control = cloud.control_plane(target.clone());
            let engine =
                Redshift::new(access, Change::ControlPlane(QUICK), Some(control), Redshift::default_policy());
            let name = format!("admin of {target}, {}", if over_wire { "wire" } else { "Data API" });
            let log = every_fault(&name, &stage, &cloud, &engine, BOSS, BOSS_PASSWORD, &Strategy::SingleUser);
            let change = |action: &&String| {
                matches!(action.as_str(), "ModifyCluster" | "RedshiftServerless.UpdateNamespace")
            };
            assert_eq!(log.iter().filter(change).count(), 1, "{log:?}");
        }
    }
}

#[test]
fn the_control_plane_changes_only_the_admin_of_the_very_warehouse_that_the_secret_points_to() {
    let stage = Stage::new();
    let cloud = Aws::new(Arc::clone(&stage.server), BOSS);
    let engine = |change| {
        let access = Access::DataApi(cloud.data_api(cluster(), STATEMENT));
        Redshift::new(access, change, Some(cloud.control_plane(cluster())), Redshift::default_policy())
    };
    let admin = engine(Change::ControlPlane(QUICK));
    let set = |value: &Value, user: &str| {
        let by = account(&admin, value);
        stage.runtime.block_on(admin.set_password(&by, user, &"New-Password-1".into())).unwrap_err()
    };
    let port = stage.server.port();
    let mut elsewhere = stage.value(port, BOSS, BOSS_PASSWORD);
    elsewhere["host"] = "other.example.com".into();
    for (value, user, name, part) in [
        (elsewhere.clone(), BOSS, "OtherServer", format!("cluster c1, whose endpoint is 127.0.0.1:{port}")),
        (stage.value(5439, BOSS, BOSS_PASSWORD), BOSS, "OtherServer", "127.0.0.1:5439".to_owned()),
        (stage.value(port, USER, FIRST), USER, "PasswordNotSet", "is `boss`; other users".to_owned()),
        (stage.value(port, BOSS, BOSS_PASSWORD), USER, "PasswordNotSet", "ADMIN_SECRET_ARN".to_owned()),
    ] {
        cloud.plan(HashMap::new());
        let error = set(&value, user);
        assert_eq!(error.name(), name, "{error}");
        assert!(error.to_string().contains(&part), "{error}");
        assert!(!cloud.log().contains(&"ModifyCluster".to_owned()));
    }
    assert_eq!(admin.longest_user(), None);
    // The Data API would go to the warehouse, whatever the secret's host is: nothing is sent there.
    cloud.plan(HashMap::new());
    let sql = engine(Change::Sql(Form::Md5));
    assert_eq!(stage.log_in(&sql, &elsewhere).unwrap_err().name(), "OtherServer");
    assert_eq!(cloud.log(), ["DescribeClusters"]);
    for (key, value) in [("dbClusterIdentifier", "c2"), ("namespaceName", "n1")] {
        let mut named = stage.value(port, USER, FIRST);
        named[key] = value.into();
        let error = sql.account(&SecretDocument::parse(&named.to_string().into()).unwrap()).unwrap_err();
        assert!(error.to_string().contains(key), "{error}");
    }
    let mut named = stage.value(port, USER, FIRST);
    named["dbClusterIdentifier"] = "C1".into();
    assert_eq!(stage.log_in(&sql, &named).unwrap(), Login::Accepted);
}

#[test]
fn the_data_api_tells_a_wrong_password_from_everything_else_and_never_leaves_one_behind() {
    let stage = Stage::new();
    let cloud = Aws::new(Arc::clone(&stage.server), BOSS);
    let engine = |within| {
        let access = Access::DataApi(cloud.data_api(cluster(), within));
        Redshift::new(
            access,
            Change::Sql(Form::Md5),
            Some(cloud.control_plane(cluster())),
            Redshift::default_policy(),
        )
    };
    let patient = engine(STATEMENT);
    let port = stage.server.port();
    assert_eq!(stage.log_in(&patient, &stage.value(port, USER, FIRST)).unwrap(), Login::Accepted);
    assert_eq!(stage.log_in(&patient, &stage.value(port, USER, "Wrong-Password-1")).unwrap(), Login::Refused);
    assert_eq!(stage.log_in(&patient, &stage.value(port, "nobody", FIRST)).unwrap(), Login::Refused);
    assert!(cloud.is_blank());
    let mut no_database = stage.value(port, USER, FIRST);
    no_database["dbname"] = "nothing".into();
    let error = stage.log_in(&patient, &no_database).unwrap_err();
    assert_eq!(error.name(), "UserNotPermitted", "{error}");
    assert!(cloud.is_blank());

    // An answer about somebody else's credential is none.
    let right = json!({"username": USER, "password": FIRST});
    cloud.intrude(right);
    let error = stage.log_in(&patient, &stage.value(port, USER, "Wrong-Password-1")).unwrap_err();
    assert!(error.to_string().contains("proves nothing"), "{error}");
    assert!(cloud.is_blank());

    // Too slow: cancelled, and taken back.
    cloud.hang(true);
    let error =
        stage.log_in(&engine(Duration::from_millis(200)), &stage.value(port, USER, FIRST)).unwrap_err();
    assert!(error.to_string().contains("was cancelled"), "{error}");
    assert_eq!((cloud.cancelled(), cloud.is_blank()), (1, true));

    // The function's own time runs out while a statement runs: what is dropped takes the credential back by itself.
    let by = account(&patient, &stage.value(port, USER, FIRST));
    stage.runtime.block_on(async {
        let login = tokio::time::timeout(Duration::from_millis(300), patient.log_in(&by));
        assert!(login.await.is_err(), "the statement hangs");
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        while !cloud.is_blank() && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(cloud.is_blank());
}

#[test]
fn over_the_wire_bad_input_has_a_name_and_a_remedy() {
    let stage = Stage::new();
    let engine = stage.wire();
    let port = stage.server.port();
    let with = |key: &str, value: Value| {
        let mut changed = stage.value(port, USER, FIRST);
        changed[key] = value;
        changed
    };
    assert_eq!(stage.log_in(&engine, &with("note", json!(1))).unwrap(), Login::Accepted);
    assert_eq!(stage.log_in(&engine, &with("password", json!("Wrong-Password-1"))).unwrap(), Login::Refused);
    assert_eq!(stage.log_in(&engine, &with("username", json!("nobody"))).unwrap(), Login::Refused);
    let free = local_servers::process::free_port().unwrap();
    for (value, name, part) in [
        (with("port", json!(free)), "ServerUnreachable", format!("127.0.0.1:{free}")),
        (with("host", json!("localhost.invalid")), "ServerUnreachable", "localhost.invalid".to_owned()),
        (with("dbname", json!("nothing")), "UserNotPermitted", "nothing".to_owned()),
    ] {
        let error = stage.log_in(&engine, &value).unwrap_err();
        assert_eq!(error.name(), name, "{error}");
        assert!(error.to_string().contains(&part), "{error}");
    }
    let stranger = Redshift::new(
        Access::Wire(Tls::new(None, None).unwrap()),
        Change::Sql(Form::Md5),
        None,
        Redshift::default_policy(),
    );
    assert_eq!(stage.log_in(&stranger, &with("note", json!(1))).unwrap_err().name(), "ServerNotTrusted");

    // Not for others, and in no words that could be used to log in.
    let by = account(&engine, &with("note", json!(1)));
    stage.execute("CREATE ROLE somebody LOGIN");
    let new = "New-Password-1".into();
    let error = stage.runtime.block_on(engine.set_password(&by, "somebody", &new)).unwrap_err();
    assert_eq!(error.name(), "PasswordNotSet");
    assert!(error.to_string().contains("permission denied") && !error.to_string().contains("md5"), "{error}");
    let by = account(&engine, &stage.value(port, BOSS, BOSS_PASSWORD));
    let like =
        |like| stage.runtime.block_on(engine.set_other_user(&by, like, "other", &"New-Password-1".into()));
    for (model, part) in [("nobody", "no user `nobody`"), (BOSS, "superuser")] {
        let error = like(model).unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
    }
    assert!(stage.texts("SELECT rolname::text FROM pg_roles WHERE rolname = 'other'").is_empty());
}

#[test]
fn users_with_odd_names_rotate_and_the_server_stores_a_literal_that_was_made_by_the_function() {
    let stage = Stage::new();
    let engine = stage.wire();
    for name in ["plain", "Mixed", "a'b", "a\\b", "a;b--", "имя", "IAM:x/y@z", "a b\"c"] {
        stage.execute(&format!("CREATE ROLE {} LOGIN PASSWORD '{FIRST}'", quoted(name)));
        let secret = stage.secret(stage.server.port(), name, FIRST);
        stage.runtime.block_on(Drill::new(&secret, &engine, HashMap::new()).run()).unwrap();
        let stored = stage.texts("SELECT count(*)::text FROM pg_authid WHERE rolpassword LIKE 'md5%'");
        assert_ne!(stored, ["0"]);
    }
    // Every statement of the rotation, as the server saw it while it ran, holds a literal at most.
    let statements = stage.texts(
        "SELECT query FROM pg_stat_activity WHERE query LIKE '%New-Password%' AND pid <> pg_backend_pid()",
    );
    assert!(statements.is_empty(), "{statements:?}");
    assert_eq!(
        strategies()[1].1,
        Strategy::SingleUserByAdmin(rotation::passwords::Admin { secret: ADMIN.to_owned(), host: None })
    );
}
