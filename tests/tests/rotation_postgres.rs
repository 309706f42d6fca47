//! The engine for PostgreSQL on a real server: every strategy with a fault at every call, under
//! load, and what two users share.

// The counts of a run are for whoever reads the test's output.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::collections::HashMap;
use std::time::Duration;

use crate::stage::{CLONE, FIRST, QUOTED, Target, USER, admin};
use local_servers::postgres::Flavour;
use rotation::engine::{Engine, Login};
use rotation::engines::{postgres::Postgres, trust::Tls};
use rotation::event::Step;
use rotation::passwords::Strategy;
use secrecy::ExposeSecret;
use serde_json::Value;
use test_support::rotation::{Drill, Fault, MemorySecret, for_each_schedule, rotate_under_load, strategies};

/// Statements that the server sees of a rotation, by strategy, three in a row: of two users the
/// first makes the second, the third compares them.
const STATEMENTS: [usize; 9] = [4, 4, 4, 4, 4, 4, 11, 5, 11];

/// One rotation of the user as it was in the beginning; gives the number of calls.
fn rotate_with(target: &Target, strategy: &Strategy, faults: &HashMap<usize, Fault>, twice: bool) -> usize {
    target.execute(&format!("DROP ROLE IF EXISTS {CLONE}"));
    target.execute(&format!("ALTER ROLE {QUOTED} PASSWORD '{FIRST}'"));
    let secret = MemorySecret::new(&target.value_without_address().to_string())
        .with_admin(&target.admin().to_string());
    let mut drill = Drill::new(&secret, &target.engine, faults.clone()).by(strategy.clone());
    drill.twice = twice;
    target
        .runtime
        .block_on(drill.run())
        .unwrap_or_else(|problem| panic!("{faults:?}, twice: {twice}: {problem}"))
}

/// Every strategy with every kind of fault at every call, on one server; the number of calls
/// without a fault.
fn drill(strategy: &Strategy) -> usize {
    let target = Target::new();
    let drill = |faults: HashMap<usize, Fault>| rotate_with(&target, strategy, &faults, false);
    let calls = drill(HashMap::new());
    for call in 0..calls {
        for fault in Fault::ALL {
            drill(HashMap::from([(call, fault)]));
        }
    }
    println!("postgres, {strategy:?}: {calls} calls a rotation, {} runs with one fault each", 4 * calls);
    calls
}

#[test]
fn one_user_with_a_fault_at_any_call_ends_with_a_valid_login() {
    assert_eq!(drill(&Strategy::SingleUser), 20);
}

#[test]
fn one_user_by_an_admin_with_a_fault_ends_with_a_valid_login() {
    assert_eq!(drill(&Strategy::SingleUserByAdmin(admin())), 21);
}

#[test]
fn two_users_with_a_fault_at_any_call_end_with_a_valid_login() {
    assert_eq!(drill(&Strategy::AlternatingUsers(admin())), 21);
}

#[test]
fn random_faults_and_repeated_steps_end_with_a_valid_login() {
    let target = Target::new();
    for_each_schedule("postgres", "SLUICE_ENGINE_RUNS", 30, |schedule| {
        rotate_with(&target, &schedule.strategy().1, &schedule.faults, schedule.twice);
    });
}

#[test]
fn rotation_makes_the_documented_number_of_calls() {
    let settings = &["password_encryption=scram-sha-256", "log_statement=all", "log_min_messages=info"];
    let target = Target::with(Flavour { settings, ..Flavour::RDS });
    let statements = || {
        ["statement: ", "execute "]
            .map(|word| target.server.log_text().matches(word).count())
            .iter()
            .sum::<usize>()
    };
    let mut counted = Vec::new();
    for (name, strategy) in strategies() {
        target.execute(&format!("ALTER ROLE {QUOTED} PASSWORD '{FIRST}'"));
        let mut value = target.value_without_address();
        //
        for turn in ["first", "second", "third"] {
            let before = statements();
            let (next, cost) = rotated(&target, &strategy, &value);
            value = next;
            counted.push(statements() - before);
            println!("postgres, {name}, {turn}: {cost}; {} statements", statements() - before);
        }
    }
    assert_eq!(counted, STATEMENTS);
}

/// Rotations one after the other, each of the secret that the last one left; with what it cost.
fn rotated(target: &Target, strategy: &Strategy, current: &Value) -> (Value, String) {
    rotated_by(target, &target.admin(), strategy, current).unwrap()
}

/// The same by an administrator with this secret, or the failure.
pub(crate) fn rotated_by(
    target: &Target,
    admin: &Value,
    strategy: &Strategy,
    current: &Value,
) -> Result<(Value, String), String> {
    let secret = MemorySecret::new(&current.to_string()).with_admin(&admin.to_string());
    let drill = Drill::new(&secret, &target.engine, HashMap::new()).by(strategy.clone());
    let cost = target.runtime.block_on(drill.only_rotate())?;
    let document = secret.document("AWSCURRENT").unwrap();
    Ok((serde_json::from_str(document.to_secret_string().expose_secret()).unwrap(), cost))
}

#[test]
fn objects_of_both_users_belong_to_the_first_and_are_shared() {
    let target = Target::new();
    target.execute(&format!("CREATE SCHEMA data AUTHORIZATION {QUOTED}"));
    target.execute(&format!(r#"ALTER ROLE {QUOTED} SET search_path TO data, "$user", "odd ""name"" \""#));
    target.execute(&format!("ALTER ROLE {QUOTED} IN DATABASE postgres SET statement_timeout TO '7s'"));
    target.execute(&format!("ALTER ROLE {QUOTED} CONNECTION LIMIT 17"));
    let strategy = Strategy::AlternatingUsers(admin());
    let mut current = target.value_without_address();
    for (turn, user) in ["app \"one\"_clone", USER, "app \"one\"_clone", USER].into_iter().enumerate() {
        current = rotated(&target, &strategy, &current).0;
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
    current = rotated(&target, &strategy, &current).0;
    let limit = "SELECT current_setting('statement_timeout'), rolconnlimit FROM pg_roles WHERE rolname = session_user";
    let timeout = target.row(&current["username"], "", limit);
    assert_eq!((timeout.get::<_, &str>(0), timeout.get::<_, i32>(1)), ("0", 17));
}

#[test]
fn user_without_access_to_the_admins_database_rotates() {
    let target = Target::new();
    target.execute("CREATE DATABASE appdb");
    target.execute("REVOKE CONNECT ON DATABASE postgres FROM PUBLIC");
    target.execute("REVOKE CONNECT ON DATABASE appdb FROM PUBLIC");
    target.execute(&format!("GRANT CONNECT ON DATABASE appdb TO {QUOTED}"));
    target.execute("GRANT CONNECT ON DATABASE postgres TO boss");
    for strategy in [Strategy::SingleUserByAdmin(admin()), Strategy::AlternatingUsers(admin())] {
        target.execute(&format!("ALTER ROLE {QUOTED} PASSWORD '{FIRST}'"));
        let mut value = target.value_without_address();
        value["dbname"] = "appdb".into();
        let (after, _) = rotated(&target, &strategy, &value);
        let account = target.account(&after);
        assert_eq!(account.server.database, "appdb");
        assert_eq!(target.runtime.block_on(target.engine.log_in(&account)).unwrap(), Login::Accepted);
    }
}

#[test]
fn attributes_are_copied_or_nothing_changes() {
    let target = Target::new();
    target.execute(&format!("ALTER ROLE {QUOTED} REPLICATION CREATEDB BYPASSRLS"));
    let attributes = |user: &Value| {
        let row = target.row(
            user,
            "",
            "SELECT rolreplication, rolcreatedb, rolbypassrls, rolcreaterole FROM pg_roles WHERE rolname = session_user",
        );
        [0, 1, 2, 3].map(|column| row.get::<_, bool>(column))
    };
    let strategy = Strategy::AlternatingUsers(admin());
    let value = target.value_without_address();

    // An admin with CREATEROLE alone may not give REPLICATION, nor change the password of a user that
    // has it.
    let secret = MemorySecret::new(&value.to_string()).with_admin(&target.admin().to_string());
    let drill = Drill::new(&secret, &target.engine, HashMap::new()).by(strategy.clone());
    target.runtime.block_on(drill.step(Step::Create)).unwrap().unwrap();
    let error = target.runtime.block_on(drill.step(Step::Set)).unwrap().unwrap_err().to_string();
    assert!(error.contains("CREATEDB, REPLICATION, BYPASSRLS"), "{error}");
    assert!(error.contains("nothing was changed"), "{error}");
    let made = target.row(&USER.into(), "", "SELECT count(*) FROM pg_roles WHERE rolname LIKE '%_clone'");
    assert_eq!(made.get::<_, i64>(0), 0, "the second user exists");

    target.execute("ALTER ROLE boss SUPERUSER");
    let (second, _) = rotated(&target, &strategy, &value);
    assert_eq!(attributes(&second["username"]), [true, true, true, false]);
    let (first, _) = rotated(&target, &strategy, &second);
    assert_eq!(
        (&first["username"], attributes(&first["username"])),
        (&USER.into(), [true, true, true, false])
    );
    target.execute(&format!("ALTER ROLE {QUOTED} NOREPLICATION NOCREATEDB"));
    let (second, _) = rotated(&target, &strategy, &first);
    assert_eq!(attributes(&second["username"]), [false, false, true, false]);
}

#[test]
fn admin_rotates_a_user_that_may_not_log_in_at_the_moment() {
    let target = Target::new();
    for (bar, free) in [("CONNECTION LIMIT 0", "CONNECTION LIMIT -1"), ("NOLOGIN", "LOGIN")] {
        target.execute(&format!("ALTER ROLE {QUOTED} PASSWORD '{FIRST}' {bar}"));
        let mut wrong = target.value_without_address();
        wrong["password"] = "wrong-password".into();
        let account = target.account(&wrong);
        let login = target.runtime.block_on(target.engine.log_in(&account));
        assert_eq!(login.unwrap(), Login::Refused, "{bar}");
        let strategy = Strategy::SingleUserByAdmin(admin());
        let (after, _) = rotated(&target, &strategy, &target.value_without_address());
        assert_ne!(after["password"], FIRST);
        target.execute(&format!("ALTER ROLE {QUOTED} {free}"));
        let account = target.account(&after);
        assert_eq!(
            target.runtime.block_on(target.engine.log_in(&account)).unwrap(),
            Login::Accepted,
            "{bar}"
        );
    }
}

#[test]
fn user_with_read_only_sessions_rotates() {
    let target = Target::new();
    target.execute(&format!("ALTER ROLE {QUOTED} SET default_transaction_read_only TO on"));
    let (after, _) = rotated(&target, &Strategy::SingleUser, &target.value_without_address());
    let account = target.account(&after);
    assert_eq!(target.runtime.block_on(target.engine.log_in(&account)).unwrap(), Login::Accepted);
}

#[test]
fn two_users_have_no_refused_login_and_one_user_a_short_window() {
    let target = Target::new();
    for (name, strategy) in strategies() {
        target.execute(&format!("ALTER ROLE {QUOTED} PASSWORD '{FIRST}'"));
        let (value, admin) = (target.value().to_string(), target.admin().to_string());
        let rotating = rotate_under_load(&target.engine, &strategy, &value, &admin, 100);
        let seen = target.runtime.block_on(rotating).unwrap();
        println!("postgres, {name}: 100 rotations, {seen}");
        assert!(seen.logins > 300, "{} logins say nothing", seen.logins);
        if matches!(strategy, Strategy::AlternatingUsers(_)) {
            assert_eq!(seen.refused, 0, "{name}");
        } else {
            // From the change of the password to the move of AWSCURRENT; the login of testSecret
            // lies between.
            assert!(seen.longest < Duration::from_secs(5), "{name}: {:?}", seen.longest);
        }
    }
}

#[test]
fn tls_server_name_is_checked_instead_of_the_host() {
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
    assert_eq!(error.name(), "CertificateNotTrusted", "{error}");
    assert!(matches!(log_in("127.0.0.1", Some("localhost")), Ok(Login::Accepted)));
}
