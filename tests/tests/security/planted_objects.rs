//! An application's user owns its PostgreSQL database and plants objects there for the session of
//! the administrator that rotates its password. Each test shows first that the plant works.

use local_servers::postgres::Login as Session;
use rotation::engine::{Engine, Login};
use rotation::passwords::Strategy;
use serde_json::Value;
use test_support::rotation::strategies;

use crate::rotation_postgres::rotated_by;
use crate::stage::{FIRST, QUOTED, Target, USER, admin};

/// The user owns this database, and its schema `evil`.
fn database() -> Target {
    let target = Target::new();
    target.execute(&format!("CREATE DATABASE appdb OWNER {QUOTED}"));
    run(&target, USER, "CREATE SCHEMA evil; GRANT USAGE ON SCHEMA evil TO PUBLIC");
    target
}

fn run(target: &Target, user: &str, statements: &str) {
    target.runtime.block_on(async {
        let client = target.server.connect("appdb", &Session::Trusted(user.to_owned())).await.unwrap();
        client.batch_execute(statements).await.unwrap();
    });
}

/// A function that makes its author an administrator of roles, if an administrator calls it.
fn function(declaration: &str, answer: &str) -> String {
    format!(
        "CREATE FUNCTION {declaration} LANGUAGE plpgsql AS $f$ BEGIN
           IF current_user OPERATOR(pg_catalog.=) 'boss' THEN EXECUTE $q$ALTER ROLE {QUOTED} CREATEROLE$q$; END IF;
           {answer}
         END $f$"
    )
}

fn is_admin(target: &Target) -> bool {
    let question = "SELECT bool_or(rolcreaterole) FROM pg_roles WHERE rolname LIKE 'app%'";
    target.row(&USER.into(), "", question).get(0)
}

fn in_appdb(mut value: Value) -> Value {
    value["dbname"] = "appdb".into();
    value
}

/// Shows that the administrator's `control` makes the user an administrator, and that no rotation
/// does.
fn no_rotation_calls(target: &Target, control: &str) {
    run(target, "boss", control);
    assert!(is_admin(target), "the plant does not work: {control}");
    target.execute(&format!("ALTER ROLE {QUOTED} NOCREATEROLE"));
    for (name, strategy) in strategies() {
        target.execute(&format!("ALTER ROLE {QUOTED} PASSWORD '{FIRST}'"));
        let mut value = in_appdb(target.value_without_address());
        for turn in 0..2 {
            value = rotated_by(target, &in_appdb(target.admin()), &strategy, &value).unwrap().0;
            assert!(!is_admin(target), "{name}, rotation {turn}: the user is an administrator");
        }
        let account = target.account(&value);
        assert_eq!(target.runtime.block_on(target.engine.log_in(&account)).unwrap(), Login::Accepted);
    }
}

#[test]
fn copied_search_path_does_not_choose_the_next_function() {
    let target = database();
    run(
        &target,
        USER,
        &function(
            "evil.set_config(text, text, boolean) RETURNS text",
            "RETURN pg_catalog.set_config($1, $2, $3);",
        ),
    );
    run(
        &target,
        USER,
        &format!(
            "ALTER ROLE {QUOTED} SET search_path = evil, pg_catalog; ALTER ROLE {QUOTED} SET temp_tablespaces = ''"
        ),
    );
    no_rotation_calls(&target, "SET search_path = evil, pg_catalog; SELECT set_config('a.b', 'c', true)");
}

#[test]
fn search_path_of_a_database_does_not_choose_functions() {
    let target = database();
    for declaration in
        ["evil.current_setting(text) RETURNS text", "evil.split_part(text, text, integer) RETURNS text"]
    {
        run(&target, USER, &function(declaration, "RETURN 'scram-sha-256';"));
    }
    run(&target, USER, "ALTER DATABASE appdb SET search_path = evil, pg_catalog");
    no_rotation_calls(&target, "SELECT current_setting('password_encryption')");
}

#[test]
fn search_path_of_a_database_does_not_choose_operators() {
    let target = database();
    run(&target, USER, &function("evil.equal(name, name) RETURNS boolean", "RETURN true;"));
    run(&target, USER, "CREATE OPERATOR evil.= (LEFTARG = name, RIGHTARG = name, FUNCTION = evil.equal)");
    run(&target, USER, "ALTER DATABASE appdb SET search_path = evil, pg_catalog");
    no_rotation_calls(&target, "SELECT FROM pg_roles WHERE rolname = 'nobody'");
}

#[test]
fn function_that_matches_better_is_not_called() {
    let target = database();
    target.execute(&format!("ALTER ROLE {QUOTED} SET statement_timeout = '7s'"));
    run(
        &target,
        USER,
        &function("public.unnest(text[]) RETURNS SETOF text", "RETURN QUERY SELECT pg_catalog.unnest($1);"),
    );
    no_rotation_calls(&target, "SELECT * FROM unnest(ARRAY['a=b'])");
}

#[test]
fn view_that_shadows_the_catalog_is_not_read() {
    let target = database();
    // All that a rotation reads of a role, with an attribute that the user does not have.
    run(
        &target,
        USER,
        "CREATE VIEW evil.pg_roles AS SELECT oid, rolname, rolsuper, rolcreatedb, true AS rolcreaterole, rolreplication, \
         rolbypassrls, rolconnlimit, rolvaliduntil FROM pg_catalog.pg_roles; \
         GRANT SELECT ON evil.pg_roles TO PUBLIC; \
         ALTER DATABASE appdb SET search_path = evil, pg_catalog",
    );
    let control = format!(
        "DO $$ BEGIN IF (SELECT rolcreaterole FROM pg_roles WHERE rolname = $n${USER}$n$) THEN \
         ALTER ROLE {QUOTED} CREATEROLE; END IF; END $$"
    );
    no_rotation_calls(&target, &control);
}

#[test]
fn database_owner_does_not_weaken_the_password_hash() {
    let target = database();
    run(&target, USER, "ALTER DATABASE appdb SET password_encryption = 'md5'");
    for strategy in [Strategy::SingleUserByAdmin(admin()), Strategy::AlternatingUsers(admin())] {
        let value = in_appdb(target.value_without_address());
        let problem = rotated_by(&target, &in_appdb(target.admin()), &strategy, &value).unwrap_err();
        assert!(
            problem.contains(
                "password_encryption is md5 for the database `appdb` alone; run ALTER DATABASE \"appdb\" RESET \
                 password_encryption"
            ),
            "{problem}"
        );
    }
    let account = target.account(&target.value());
    assert_eq!(target.runtime.block_on(target.engine.log_in(&account)).unwrap(), Login::Accepted);
    target.execute(
        "DO $$ BEGIN ASSERT NOT EXISTS (SELECT FROM pg_authid WHERE rolpassword LIKE 'md5%'); END $$",
    );
}
