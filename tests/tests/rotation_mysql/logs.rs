//! The logs of the servers during a rotation.

use std::collections::HashMap;

use local_servers::mysql::Brand;
use rotation::engine::Engine;
use rotation::versions::{CURRENT, PREVIOUS};
use serde_json::Value;
use test_support::rotation::{Drill, MemorySecret, strategies};

use super::target::{BRANDS, FIRST, SECOND, Target};

/// Every statement of the server that its own tables remember, and those of the general and the
/// error log.
fn written(target: &Target) -> String {
    let remembered = target.execute(
        "SELECT sql_text FROM performance_schema.events_statements_history_long; SELECT sql_text FROM performance_schema.events_statements_history; \
         SELECT sql_text FROM performance_schema.events_statements_current; SELECT digest_text FROM performance_schema.events_statements_summary_by_digest; \
         SELECT info FROM information_schema.processlist",
    );
    target.server.general_log() + &target.server.error_log() + &remembered
}

#[test]
fn no_log_and_no_table_of_the_server_shows_a_password_or_a_key() {
    for brand in BRANDS {
        let settings = [
            "--performance-schema-consumer-events-statements-history-long=ON",
            "--performance-schema-consumer-events-statements-history=ON",
            "--slow-query-log=ON",
            "--long-query-time=0",
            "--slow-query-log-file=../general.log",
        ];
        let target = Target::with(brand, &settings);
        target.execute(&format!("CREATE USER app0@`%` IDENTIFIED BY '{FIRST}'; CREATE USER app1@`%` IDENTIFIED BY '{FIRST}'; CREATE USER app2@`%` IDENTIFIED BY '{FIRST}'; SET GLOBAL general_log = ON"));
        // What is there before holds what the tests themselves wrote.
        let before = target.server.general_log().len();
        target.execute("TRUNCATE performance_schema.events_statements_history_long; TRUNCATE performance_schema.events_statements_history");
        let mut secrets = vec![FIRST.to_owned()];
        for (number, (name, strategy)) in strategies().into_iter().enumerate() {
            let value = target.value(&format!("app{number}"), FIRST);
            let secret = MemorySecret::new(&value.to_string());
            let secret = secret.with_admin(&target.value("admin", FIRST).to_string());
            let drill = Drill::new(&secret, &target.engine, HashMap::new()).by(strategy.clone());
            // Every step runs; what labels log in at the end is the business of other tests.
            for step in rotation::event::Step::ALL {
                target
                    .runtime
                    .block_on(drill.step(step))
                    .unwrap()
                    .unwrap_or_else(|error| panic!("{name}: {error}"));
            }
            for label in [CURRENT, PREVIOUS] {
                let value: Value = serde_json::from_str(&text(&secret.document(label).unwrap())).unwrap();
                secrets.push(value["password"].as_str().unwrap().to_owned());
            }
        }
        // Refused statements are logged too.
        target.set_own("app0", &secrets[1], SECOND).unwrap();
        secrets.push(SECOND.to_owned());
        target.set_other("nobody", "nobody_clone", "Third-password-3").unwrap_err();
        secrets.push("Third-password-3".to_owned());
        secrets.sort();
        secrets.dedup();
        assert_eq!(secrets.len(), 6, "the first, one of each strategy, and two that were set by hand");

        let written = written(&target)[before..].to_owned();
        assert!(written.contains("SELECT VERSION()"), "the log is not that of the rotations: {written}");
        for secret in &secrets {
            assert!(!written.contains(secret.as_str()), "{brand:?} shows {secret}");
            // SHA-1 of the password proves it: that is what the client sends, behind what the
            // server's random makes of it.
            let once = hex(&target, &format!("SHA1('{secret}')"));
            assert!(!written.to_uppercase().contains(&once), "{brand:?} shows the key of {secret}");
        }
        let count = |text: &str| written.matches(text).count();
        match brand {
            // The stored form, from which nobody gets the key: it stands in `mysql.global_priv`
            // too.
            Brand::MariaDb => {
                assert!(count("SET PASSWORD = '*") > 0 && count("USING '*") > 0, "{written}");
                let twice = hex(&target, &format!("SHA1(UNHEX(SHA1('{SECOND}')))"));
                assert!(written.contains(&twice));
            }
            Brand::MySql(_) => {
                assert!(count("IDENTIFIED BY <secret>") > 0, "{written}");
                assert!(count("$A$005$") == 0 && count("'*") == 0, "{written}");
            }
        }
        println!(
            "{brand:?}: {} passwords, {} bytes of logs and tables without one",
            secrets.len(),
            written.len()
        );
    }
}

fn text(document: &rotation::document::SecretDocument) -> String {
    use secrecy::ExposeSecret;
    document.to_secret_string().expose_secret().to_owned()
}

fn hex(target: &Target, expression: &str) -> String {
    target.execute(&format!("SET sql_log_off = 1; SELECT UPPER({expression})")).trim().to_owned()
}

#[test]
fn password_that_mariadb_cannot_check_is_an_error_with_the_fix() {
    let target = Target::with(
        Brand::MariaDb,
        &["--plugin-maturity=unknown", "--plugin-load-add=simple_password_check"],
    );
    target.execute("SET GLOBAL strict_password_validation = OFF");
    target.execute(&format!("CREATE USER app@`%` IDENTIFIED BY '{FIRST}'"));
    target.execute("SET GLOBAL strict_password_validation = ON");
    let error = target.set_own("app", FIRST, SECOND).unwrap_err();
    assert_eq!(error.name(), "SetPasswordFailed");
    assert!(error.to_string().contains("strict_password_validation off"), "{error}");
    assert!(target.accepts("app", FIRST));
    target.execute("SET GLOBAL strict_password_validation = OFF");
    target.set_own("app", FIRST, SECOND).unwrap();
    assert!(target.accepts("app", SECOND));
    assert_eq!(target.engine.name(), "mysql");
}
