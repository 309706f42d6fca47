//! Users of Redshift, and its admin, rotated on a real PostgreSQL that asks for md5 as Redshift
//! does: over the wire, and through what AWS answers to the SDKs.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods)]

mod aws;
mod digest;
mod drive;
mod proxy;
mod sessions;
mod stage;

use std::collections::HashMap;
use std::time::Duration;

use aws::Aws;
use digest::Digesting;
use drive::every_fault;
use local_servers::postgres::Login as Session;
use proxy::{Cut, Proxy};
use rotation::document::SecretDocument;
use rotation::engine::{Engine, Login};
use rotation::engines::redshift::{Access, Change, ChangeWait, PasswordHashFormat, Redshift};
use rotation::engines::trust::Tls;
use rotation::event::Step;
use rotation::passwords::Strategy;
use serde_json::{Value, json};
use stage::{BOSS, BOSS_PASSWORD, CLONE, FIRST, Stage, USER, account, make_rich, quoted, rights};
use test_support::rotation::{Drill, Fault, MemorySecret, for_each_schedule, rotate_under_load, strategies};
use warehouse::target::Target;

#[test]
fn wire_rotation_with_a_fault_ends_with_a_valid_login() {
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
        assert_eq!(calls, if strategy == Strategy::SingleUser { 20 } else { 21 });
    }
}

#[test]
fn wire_rotation_with_random_faults_ends_with_a_valid_login() {
    let stage = Stage::new();
    let engine = stage.wire();
    for_each_schedule("redshift, wire", "SLUICE_ENGINE_RUNS", 20, |schedule| {
        stage.reset();
        let secret = stage.secret(stage.server.port(), USER, FIRST);
        let mut drill = Drill::new(&secret, &engine, schedule.faults.clone()).by(schedule.strategy().1);
        drill.twice = schedule.twice;
        stage.runtime.block_on(drill.run()).unwrap_or_else(|problem| panic!("{schedule:?}: {problem}"));
    });
}

#[test]
fn wire_two_users_have_no_refused_login_one_user_a_short_window() {
    let stage = Stage::new();
    let engine = stage.wire();
    let boss = stage.value(stage.server.port(), BOSS, BOSS_PASSWORD).to_string();
    for (name, strategy) in strategies() {
        stage.reset();
        let value = stage.value(stage.server.port(), USER, FIRST).to_string();
        let seen = stage.runtime.block_on(rotate_under_load(&engine, &strategy, &value, &boss, 100)).unwrap();
        println!("redshift, wire, {name}: 100 rotations, {seen}");
        assert!(seen.logins > 300, "{} logins say nothing", seen.logins);
        if matches!(strategy, Strategy::AlternatingUsers(_)) {
            assert_eq!(seen.refused, 0, "{name}");
        } else {
            assert!(seen.longest < Duration::from_secs(5), "{name}: {:?}", seen.longest);
        }
    }
}

/// Statements that the server sees of a rotation over the wire, by strategy, three in a row: of two
/// users the first makes the second, the third compares them.
const STATEMENTS: [usize; 9] = [3, 3, 3, 3, 3, 3, 30, 6, 28];

#[test]
fn wire_rotation_makes_the_documented_number_of_calls() {
    let stage = Stage::new();
    let engine = stage.wire();
    let statements = || stage.server_log().matches("statement: ").count();
    let mut counted = Vec::new();
    for (name, strategy) in strategies() {
        stage.reset();
        let (mut user, mut password) = (USER.to_owned(), FIRST.to_owned());
        for turn in ["first", "second", "third"] {
            let before = statements();
            let secret = stage.secret(stage.server.port(), &user, &password);
            let drill = Drill::new(&secret, &engine, HashMap::new()).by(strategy.clone());
            let cost = stage.runtime.block_on(drill.only_rotate()).unwrap();
            counted.push(statements() - before);
            println!("redshift, wire, {name}, {turn}: {cost}; {} statements", statements() - before);
            let document = secret.document("AWSCURRENT").unwrap();
            [user, password] = ["username", "password"].map(|key| document.text(key).unwrap().to_owned());
        }
    }
    assert_eq!(counted, STATEMENTS);
}

#[test]
fn wire_broken_connection_ends_with_two_equal_users() {
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

#[test]
fn second_user_loses_revoked_grants_and_the_first_keeps_all() {
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

/// Runs statements in a database as the server's superuser.
fn execute_in(stage: &Stage, database: &str, sql: &str) {
    stage.runtime.block_on(async {
        let client = stage.server.connect(database, &Session::system()).await.unwrap();
        client.batch_execute(sql).await.unwrap();
    });
}

#[test]
fn grants_are_copied_in_every_database() {
    let stage = Stage::new();
    let user = quoted(USER);
    stage.execute("CREATE DATABASE analytics");
    for database in ["analytics", "dev"] {
        execute_in(
            &stage,
            database,
            &format!(
                "CREATE TABLE public.orders (id int); GRANT USAGE ON SCHEMA public TO {user}; GRANT SELECT ON public.orders TO {user}"
            ),
        );
    }
    let mut value = stage.value(stage.server.port(), USER, FIRST);
    value["dbname"] = "analytics".into();
    // The admin's secret names no database.
    let mut boss = stage.value(stage.server.port(), BOSS, BOSS_PASSWORD);
    boss.as_object_mut().unwrap().remove("dbname");
    let secret = MemorySecret::new(&value.to_string()).with_admin(&boss.to_string());
    let [.., (_, strategy)] = strategies();
    let engine = stage.wire();
    stage.runtime.block_on(Drill::new(&secret, &engine, HashMap::new()).by(strategy).run()).unwrap();
    let document = secret.document("AWSCURRENT").unwrap();
    let [user, password] = ["username", "password"].map(|key| document.text(key).unwrap().to_owned());
    assert_eq!(user, CLONE);
    let login = Session::Password { user, password };
    for database in ["analytics", "dev"] {
        let read = stage.runtime.block_on(async {
            let client = stage.server.connect(database, &login).await.unwrap();
            client.query_one("SELECT count(*) FROM public.orders", &[]).await.map(|row| row.get::<_, i64>(0))
        });
        assert_eq!(read.map_err(|error| format!("{database}: {error:?}")), Ok(0));
    }
}

#[test]
fn user_that_owns_something_does_not_alternate() {
    let stage = Stage::new();
    let user = quoted(USER);
    stage.execute("CREATE DATABASE analytics");
    let engine = stage.wire();
    let [.., (_, strategy)] = strategies();
    for (database, make, found, give_away) in [
        (
            "dev",
            "CREATE TABLE public.made_by_app (id int); CREATE VIEW public.other AS SELECT 1",
            "table public.made_by_app and 1 more in database `dev`",
            "ALTER TABLE public.made_by_app OWNER TO boss; ALTER VIEW public.other OWNER TO boss",
        ),
        (
            "dev",
            "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO boss",
            "default privileges for boss in database `dev`",
            "ALTER DEFAULT PRIVILEGES REVOKE SELECT ON TABLES FROM boss",
        ),
        (
            "analytics",
            "CREATE SCHEMA mine",
            "schema mine in database `analytics`",
            "ALTER SCHEMA mine OWNER TO boss",
        ),
    ] {
        stage.reset();
        let as_user = |sql: &str| execute_in(&stage, database, &format!("SET ROLE {user}; {sql}"));
        execute_in(
            &stage,
            database,
            &format!(
                "GRANT CREATE ON SCHEMA public TO {user}; GRANT CREATE ON DATABASE {database} TO {user}"
            ),
        );
        as_user(make);
        let secret = stage.secret(stage.server.port(), USER, FIRST);
        let drill = Drill::new(&secret, &engine, HashMap::new()).by(strategy.clone());
        stage.runtime.block_on(drill.step(Step::Create)).unwrap().unwrap();
        let error = stage.runtime.block_on(drill.step(Step::Set)).unwrap().expect_err(found).to_string();
        assert!(error.contains(&format!("`{USER}` owns {found}")), "{error}");
        assert!(error.contains("OWNER TO") && error.contains("nothing was changed"), "{error}");
        let clones = stage.texts(&format!("SELECT rolname::text FROM pg_roles WHERE rolname = '{CLONE}'"));
        assert!(clones.is_empty(), "the second user exists");
        if make.contains("DEFAULT") {
            as_user(give_away);
        } else {
            execute_in(&stage, database, give_away);
        }
        stage.runtime.block_on(drill.run()).unwrap();
    }
}

fn cluster() -> Target {
    Target::Cluster("c1".into())
}

fn workgroup() -> Target {
    Target::Workgroup("w1".into())
}

const QUICK: ChangeWait =
    ChangeWait { timeout: Duration::from_secs(10), first_pause: Duration::from_millis(1) };
const STATEMENT: Duration = Duration::from_secs(10);

#[test]
fn data_api_fault_ends_with_a_valid_login_and_no_probe_value() {
    let stage = Stage::new();
    let cloud = Aws::new(&stage, BOSS);
    for (target, (name, strategy)) in [cluster(), workgroup()].into_iter().zip(strategies()) {
        let access = Access::DataApi(cloud.data_api(target.clone(), STATEMENT));
        let control = cloud.control_plane(target);
        let engine = Redshift::new(
            access,
            Change::Sql(PasswordHashFormat::AsBefore),
            Some(control),
            Redshift::default_policy(),
        );
        every_fault(&format!("Data API, {name}"), &stage, &cloud, &engine, USER, FIRST, &strategy);
    }
}

#[test]
fn data_api_alternating_users_survive_any_failed_request() {
    let stage = Stage::new();
    make_rich(&stage);
    let cloud = Aws::new(&stage, BOSS);
    let [.., (name, strategy)] = strategies();
    let access = Access::DataApi(cloud.data_api(workgroup(), STATEMENT));
    let engine = Redshift::new(
        access,
        Change::Sql(PasswordHashFormat::Md5),
        Some(cloud.control_plane(workgroup())),
        Redshift::default_policy(),
    );
    let user = quoted(USER);
    // Something of each kind: every statement is three requests here.
    stage.execute(&format!("REVOKE ALL ON s.t, s.\"odd \"\"t\" FROM {user}; ALTER GROUP \"g 2\" DROP USER {user}; ALTER USER {user} RESET ALL"));
    every_fault(&format!("Data API, {name}"), &stage, &cloud, &engine, USER, FIRST, &strategy);
    assert!(rights(&stage, CLONE).len() >= 8, "{:?}", rights(&stage, CLONE));
}

#[test]
fn control_plane_fault_ends_with_a_valid_admin_login() {
    let stage = Stage::new();
    let cloud = Aws::new(&stage, BOSS);
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

/// Versions of the probe secret that a rotation writes: of 100, none is deleted within a day.
#[test]
fn data_api_rotation_writes_one_probe_version_for_a_login() {
    let stage = Stage::new();
    let cloud = Aws::new(&stage, BOSS);
    let written = |target: Target, change: Change, user: &str, password: &str| {
        let access = Access::DataApi(cloud.data_api(target.clone(), STATEMENT));
        let engine =
            Redshift::new(access, change, Some(cloud.control_plane(target)), Redshift::default_policy());
        stage.reset();
        let before = cloud.probe_versions();
        let secret = stage.secret(stage.server.port(), user, password);
        stage.runtime.block_on(Drill::new(&secret, &engine, HashMap::new()).only_rotate()).unwrap();
        assert!(cloud.is_blank());
        cloud.probe_versions() - before
    };
    // The pending password, the current one, the change, and the test.
    assert_eq!(written(cluster(), Change::Sql(PasswordHashFormat::Md5), USER, FIRST), 4);
    // The change takes effect after some forty requests, while the old password is tried: one
    // version. After it, the new one is tried.
    cloud.take_requests(40);
    assert_eq!(written(workgroup(), Change::ControlPlane(QUICK), BOSS, BOSS_PASSWORD), 5);
}

#[test]
fn control_plane_changes_only_the_admin_of_the_same_warehouse() {
    let stage = Stage::new();
    let cloud = Aws::new(&stage, BOSS);
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
        (
            elsewhere.clone(),
            BOSS,
            "ServerMismatch",
            format!("cluster c1, whose endpoint is 127.0.0.1:{port}"),
        ),
        (stage.value(5439, BOSS, BOSS_PASSWORD), BOSS, "ServerMismatch", "127.0.0.1:5439".to_owned()),
        (
            stage.value(port, USER, FIRST),
            USER,
            "SetPasswordFailed",
            "is `boss`, and the passwords of other users".to_owned(),
        ),
        (stage.value(port, BOSS, BOSS_PASSWORD), USER, "SetPasswordFailed", "ADMIN_SECRET_ARN".to_owned()),
    ] {
        cloud.plan(HashMap::new());
        let error = set(&value, user);
        assert_eq!(error.name(), name, "{error}");
        assert!(error.to_string().contains(&part), "{error}");
        assert!(!cloud.log().contains(&"ModifyCluster".to_owned()));
    }
    assert_eq!(admin.max_user_bytes(), None);
    // The Data API would go to the warehouse, whatever the secret's host is: nothing is sent there.
    cloud.plan(HashMap::new());
    let sql = engine(Change::Sql(PasswordHashFormat::Md5));
    assert_eq!(stage.log_in(&sql, &elsewhere).unwrap_err().name(), "ServerMismatch");
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
fn data_api_identifies_wrong_password_and_leaves_none_behind() {
    let stage = Stage::new();
    let cloud = Aws::new(&stage, BOSS);
    let engine = |within| {
        let access = Access::DataApi(cloud.data_api(cluster(), within));
        Redshift::new(
            access,
            Change::Sql(PasswordHashFormat::Md5),
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
    assert_eq!(error.name(), "InsufficientPrivileges", "{error}");
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

    // The function's own time runs out while a statement runs: what is dropped takes the credential
    // back by itself.
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
fn wire_bad_input_has_a_name_and_a_remedy() {
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
        (with("dbname", json!("nothing")), "InsufficientPrivileges", "nothing".to_owned()),
    ] {
        let error = stage.log_in(&engine, &value).unwrap_err();
        assert_eq!(error.name(), name, "{error}");
        assert!(error.to_string().contains(&part), "{error}");
    }
    let stranger = Redshift::new(
        Access::Wire(Tls::new(None, None).unwrap()),
        Change::Sql(PasswordHashFormat::Md5),
        None,
        Redshift::default_policy(),
    );
    assert_eq!(stage.log_in(&stranger, &with("note", json!(1))).unwrap_err().name(), "CertificateNotTrusted");

    // Not for others, and in no words that could be used to log in.
    let by = account(&engine, &with("note", json!(1)));
    stage.execute("CREATE ROLE somebody LOGIN");
    let new = "New-Password-1".into();
    let error = stage.runtime.block_on(engine.set_password(&by, "somebody", &new)).unwrap_err();
    assert_eq!(error.name(), "SetPasswordFailed");
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
fn users_with_odd_names_rotate_without_password_in_statements() {
    let stage = Stage::new();
    let engine = stage.wire();
    for name in ["plain", "Mixed", "a'b", "a\\b", "a;b--", "имя", "IAM:x/y@z", "a b\"c"] {
        stage.execute(&format!("CREATE ROLE {} LOGIN PASSWORD '{FIRST}'", quoted(name)));
        let secret = stage.secret(stage.server.port(), name, FIRST);
        stage.runtime.block_on(Drill::new(&secret, &engine, HashMap::new()).run()).unwrap();
    }
    let log = stage.server_log();
    // What a server that logs statements keeps is the literal, which is as good as the password:
    // the log has to be guarded as the secret is. The password itself is nowhere.
    assert!(log.contains("ALTER USER \"plain\" PASSWORD 'md5"), "{log}");
    assert!(!log.contains("New-Password"), "{log}");
    let stored = stage
        .texts("SELECT count(*)::text FROM pg_authid WHERE rolname = 'plain' AND rolpassword LIKE 'md5%'");
    assert_eq!(stored, ["1"]);
}

#[test]
fn sha256_user_logs_in_by_digest_and_keeps_the_format() {
    let folder = tempfile::tempdir().unwrap();
    let ca_file = folder.path().join("ca.pem");
    let certificate = local_servers::tls::make("digest", &ca_file).unwrap();
    let tls = Tls::new(Some(&std::fs::read_to_string(ca_file).unwrap()), None).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let server = runtime.block_on(Digesting::start(&certificate, FIRST));
    let engine =
        |form| Redshift::new(Access::Wire(tls.clone()), Change::Sql(form), None, Redshift::default_policy());
    let value = |user: &str, password: &str| json!({"host": "127.0.0.1", "port": server.port, "username": user, "password": password});
    let as_before = engine(PasswordHashFormat::AsBefore);
    let log_in = |value: &Value| runtime.block_on(as_before.log_in(&account(&as_before, value))).unwrap();
    assert_eq!(log_in(&value("u", FIRST)), Login::Accepted);
    // In Redshift's own words and with its own code, which is not PostgreSQL's.
    assert_eq!(log_in(&value("u", "Wrong-Password-1")), Login::Refused);
    assert_eq!(server.statements(), ["SELECT 1"]);

    // Redshift folds names with capitals, unless the session says otherwise.
    server.fold();
    let capitals = account(&as_before, &value("LoaderUser", FIRST));
    runtime.block_on(as_before.set_password(&capitals, "LoaderUser", &"New-Password-1".into())).unwrap();
    let statements = server.statements();
    let [.., set, probe, change] = statements.as_slice() else { panic!("{statements:?}") };
    assert_eq!(set, "SET enable_case_sensitive_identifier TO true");
    assert!(
        probe.starts_with("SELECT") && change.starts_with("ALTER USER \"LoaderUser\" "),
        "{statements:?}"
    );

    let by = account(&as_before, &value("u", FIRST));
    for (form, user, expected) in [
        (PasswordHashFormat::AsBefore, "u", "ALTER USER \"u\" PASSWORD 'sha256|"),
        (PasswordHashFormat::Md5, "u", "ALTER USER \"u\" PASSWORD 'md5"),
        // How another user's password is stored is not known.
        (PasswordHashFormat::AsBefore, "other", "ALTER USER \"other\" PASSWORD 'md5"),
        (PasswordHashFormat::Sha256, "other", "ALTER USER \"other\" PASSWORD 'sha256|"),
    ] {
        runtime.block_on(engine(form).set_password(&by, user, &"New-Password-1".into())).unwrap();
        let statement = server.statements().pop().unwrap();
        assert!(statement.starts_with(expected) && !statement.contains("New-Password-1"), "{statement}");
    }
}
