//! A user of the warehouse plants functions for the session of the administrator that rotates
//! another user. Redshift has no operators and types of users, and its views of privileges are in
//! `pg_catalog`. Each test shows first that the plant works.

use std::collections::HashMap;

use test_support::rotation::{Drill, strategies};

use crate::rotation_redshift::stage::{BOSS, BOSS_PASSWORD, FIRST, Stage, USER};

/// A function that makes `mallory` an administrator of roles, if the administrator calls it.
fn function(declaration: &str, answer: &str) -> String {
    format!(
        "CREATE FUNCTION public.{declaration} LANGUAGE plpgsql AS $f$ BEGIN
           IF current_user OPERATOR(pg_catalog.=) '{BOSS}' THEN EXECUTE $q$ALTER ROLE mallory CREATEROLE$q$; END IF;
           RETURN {answer};
         END $f$"
    )
}

fn is_admin(stage: &Stage) -> bool {
    stage.texts("SELECT rolcreaterole::text FROM pg_roles WHERE rolname = 'mallory'") == ["true"]
}

#[test]
fn function_planted_on_redshift_is_not_called() {
    let stage = Stage::new();
    let functions = [
        function(
            "\"substring\"(name, integer, integer) RETURNS text",
            "pg_catalog.substring($1::text, $2, $3)",
        ),
        function("array_to_string(text[], text) RETURNS text", "pg_catalog.array_to_string($1, $2)"),
        function("chr(integer) RETURNS text", "pg_catalog.chr($1)"),
    ];
    stage.execute("CREATE ROLE mallory LOGIN; GRANT CREATE ON SCHEMA public TO mallory");
    stage.execute(&format!("SET ROLE mallory; {}; RESET ROLE", functions.join("; ")));
    let boss = |sql: &str| {
        stage.runtime.block_on(async {
            let client = stage.sessions.log_in("dev", BOSS, BOSS_PASSWORD).await.unwrap();
            client.batch_execute(sql).await.unwrap();
        });
    };
    for control in
        ["SELECT substring(nspname, 1, 8) FROM pg_namespace", "SELECT array_to_string(ARRAY['a'], 'b')"]
    {
        boss(control);
        assert!(is_admin(&stage), "the plant does not work: {control}");
        stage.execute("ALTER ROLE mallory NOCREATEROLE");
    }
    let engine = stage.wire();
    for (name, strategy) in strategies() {
        stage.reset();
        let (mut user, mut password) = (USER.to_owned(), FIRST.to_owned());
        for turn in 0..3 {
            let secret = stage.secret(stage.server.port(), &user, &password);
            let drill = Drill::new(&secret, &engine, HashMap::new()).by(strategy.clone());
            stage.runtime.block_on(drill.only_rotate()).unwrap();
            assert!(!is_admin(&stage), "{name}, rotation {turn}: mallory is an administrator");
            let document = secret.document("AWSCURRENT").unwrap();
            [user, password] = ["username", "password"].map(|key| document.text(key).unwrap().to_owned());
        }
    }
}
