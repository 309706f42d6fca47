//! The second of two users that take turns.

use std::collections::BTreeSet;

use local_servers::mysql::Brand;

use super::target::{BRANDS, FIRST, MYSQL, SECOND, Target};

/// The rights of an account by `SHOW GRANTS` and the tables, without its name and password.
fn rights(target: &Target, user: &str) -> BTreeSet<String> {
    let mut shown = target.execute(&format!("SHOW GRANTS FOR {user}@`%`"));
    if target.brand == Brand::MariaDb {
        shown += &target.execute(&format!("SHOW CREATE USER {user}@`%`"));
    }
    let mut lines: BTreeSet<String> = shown
        .lines()
        .map(|line| {
            let line = line.replace(&format!("`{user}`"), "`x`");
            match line.split_once(" IDENTIFIED BY PASSWORD '") {
                Some((before, after)) => before.to_owned() + after.split_once('\'').unwrap().1,
                None => line,
            }
        })
        .collect();
    let options = match target.brand {
        Brand::MariaDb => {
            format!("SELECT is_role, default_role, password_expired FROM mysql.user WHERE user = '{user}'")
        }
        Brand::MySql(_) => format!(
            "SELECT ssl_type, ssl_cipher, max_questions, max_updates, max_connections, max_user_connections, plugin, password_lifetime, account_locked, \
             password_reuse_history, password_reuse_time, password_require_current, user_attributes FROM mysql.user WHERE user = '{user}'; \
             SELECT default_role_user FROM mysql.default_roles WHERE user = '{user}'"
        ),
    };
    lines.insert(target.execute(&options));
    lines
}

fn prepare(target: &Target) {
    target.execute(&format!(
        "CREATE DATABASE d1; CREATE DATABASE `d_2`; CREATE TABLE d1.t (a INT, b INT, `c``d` INT); CREATE TABLE `d_2`.t (a INT); \
         CREATE PROCEDURE d1.p() SELECT 1; CREATE FUNCTION d1.f() RETURNS INT DETERMINISTIC RETURN 1; \
         CREATE ROLE reader; CREATE ROLE `wri'ter`; GRANT SELECT ON d1.* TO reader; CREATE USER other@`%` IDENTIFIED BY '{FIRST}'; \
         CREATE USER app@`%` IDENTIFIED BY '{FIRST}'; GRANT PROCESS, RELOAD ON *.* TO app@`%`; \
         GRANT SELECT, INSERT ON d1.* TO app@`%` WITH GRANT OPTION; GRANT ALL PRIVILEGES ON `d\\_2`.* TO app@`%`; \
         GRANT SELECT (a, `c``d`), UPDATE (b), DELETE ON d1.t TO app@`%`; GRANT EXECUTE ON PROCEDURE d1.p TO app@`%`; \
         GRANT EXECUTE, ALTER ROUTINE ON FUNCTION d1.f TO app@`%`; GRANT PROXY ON other@`%` TO app@`%`, admin@`%` WITH GRANT OPTION; \
         GRANT reader TO app@`%`; GRANT `wri'ter` TO app@`%` WITH ADMIN OPTION; GRANT reader TO admin@`%` WITH ADMIN OPTION; GRANT `wri'ter` TO admin@`%` WITH ADMIN OPTION; \
         ALTER USER app@`%` REQUIRE SSL WITH MAX_QUERIES_PER_HOUR 10000 MAX_USER_CONNECTIONS 50 PASSWORD EXPIRE INTERVAL 90 DAY"
    ));
    match target.brand {
        Brand::MariaDb => target.execute("GRANT DELETE HISTORY ON *.* TO admin@`%` WITH GRANT OPTION; SET DEFAULT ROLE reader FOR app@`%`; ALTER USER app@`%` WITH MAX_STATEMENT_TIME 1.5"),
        Brand::MySql(_) => target.execute(
            "GRANT APPLICATION_PASSWORD_ADMIN ON *.* TO app@`%` WITH GRANT OPTION; GRANT CONNECTION_ADMIN ON *.* TO app@`%`; \
             GRANT CONNECTION_ADMIN ON *.* TO admin@`%` WITH GRANT OPTION; ALTER USER app@`%` DEFAULT ROLE reader, `wri'ter`; ALTER USER app@`%` PASSWORD HISTORY 3 \
             PASSWORD REUSE INTERVAL 5 DAY PASSWORD REQUIRE CURRENT OPTIONAL FAILED_LOGIN_ATTEMPTS 9 PASSWORD_LOCK_TIME UNBOUNDED",
        ),
    };
}

#[test]
fn second_user_has_exactly_the_rights_of_the_first() {
    for brand in BRANDS {
        let target = Target::new(brand);
        prepare(&target);
        let model = rights(&target, "app");
        target.set_other("app", "app_clone", SECOND).unwrap();
        assert_eq!(rights(&target, "app_clone"), model);
        assert!(target.accepts("app_clone", SECOND) && target.accepts("app", FIRST));

        // What the clone has beyond its model is taken away, what it lacks is given, whatever shape
        // it has.
        target.execute(
            "GRANT SELECT, GRANT OPTION ON *.* TO app_clone@`%`; REVOKE INSERT, GRANT OPTION ON d1.* FROM app_clone@`%`; \
             GRANT ALL PRIVILEGES ON d1.t TO app_clone@`%` WITH GRANT OPTION; REVOKE ALL PRIVILEGES ON `d\\_2`.* FROM app_clone@`%`; \
             GRANT SELECT ON `d\\_2`.* TO app_clone@`%`; GRANT SELECT ON `d_2`.t TO app_clone@`%`; GRANT reader TO app_clone@`%` WITH ADMIN OPTION; \
             REVOKE `wri'ter` FROM app_clone@`%`; REVOKE EXECUTE ON PROCEDURE d1.p FROM app_clone@`%`; \
             GRANT PROXY ON app@`%` TO app_clone@`%`; ALTER USER app_clone@`%` REQUIRE NONE WITH MAX_USER_CONNECTIONS 1 PASSWORD EXPIRE NEVER",
        );
        if brand == Brand::MariaDb {
            // The admin of an RDS instance may not pass on what it has not.
            target.execute("GRANT PROXY ON app@`%` TO admin@`%` WITH GRANT OPTION; SET DEFAULT ROLE NONE FOR app_clone@`%`");
        } else {
            target.execute(
                "GRANT ROLE_ADMIN ON *.* TO app_clone@`%`; GRANT CONNECTION_ADMIN ON *.* TO app_clone@`%` WITH GRANT OPTION; \
                 GRANT PROXY ON app@`%` TO admin@`%` WITH GRANT OPTION; ALTER USER app_clone@`%` DEFAULT ROLE NONE; ALTER USER app_clone@`%` FAILED_LOGIN_ATTEMPTS 1 \
                 PASSWORD HISTORY DEFAULT",
            );
        }
        assert_ne!(rights(&target, "app_clone"), model);
        target.set_other("app", "app_clone", "Third-password-3").unwrap();
        assert_eq!(rights(&target, "app_clone"), model);
        assert_eq!(rights(&target, "app"), model);
        println!("{brand:?}: {} lines of grants and options are the same", model.len());
    }
}

#[test]
fn first_user_keeps_grants_made_while_the_second_is_current() {
    for brand in BRANDS {
        let target = Target::new(brand);
        prepare(&target);
        target.set_other("app", "app_clone", SECOND).unwrap();
        target.execute(
            "CREATE DATABASE d3; GRANT SELECT ON d3.* TO app@`%`; GRANT DELETE ON d1.* TO app_clone@`%`; \
             GRANT ALL PRIVILEGES ON d1.t TO app@`%`; GRANT reader TO app@`%` WITH ADMIN OPTION",
        );
        target.set_other("app_clone", "app", SECOND).unwrap();
        let first = rights(&target, "app");
        assert!(first.contains("GRANT SELECT ON `d3`.* TO `x`@`%`"), "{first:?}");
        assert!(first.iter().any(|line| line.contains("DELETE ON `d1`.*")), "{first:?}");
        target.set_other("app", "app_clone", FIRST).unwrap();
        assert_eq!(rights(&target, "app_clone"), first);
    }
}

#[test]
fn partial_revokes_apply_to_the_second_user() {
    let target = Target::with(MYSQL, &["--partial-revokes=ON"]);
    target.execute(&format!(
        "CREATE DATABASE d1; CREATE DATABASE d2; CREATE USER app@`%` IDENTIFIED BY '{FIRST}'; GRANT SELECT, INSERT ON *.* TO app@`%`; \
         REVOKE SELECT, INSERT ON d1.* FROM app@`%`"
    ));
    let model = rights(&target, "app");
    assert!(
        model.iter().any(|line| line.starts_with("REVOKE INSERT, SELECT ON `d1`.*")
            || line.starts_with("REVOKE SELECT, INSERT ON `d1`.*")),
        "{model:?}"
    );
    target.set_other("app", "app_clone", SECOND).unwrap();
    assert_eq!(rights(&target, "app_clone"), model);
    target.execute("GRANT SELECT ON d1.* TO app_clone@`%`; REVOKE INSERT ON d2.* FROM app_clone@`%`");
    assert_ne!(rights(&target, "app_clone"), model);
    target.set_other("app", "app_clone", SECOND).unwrap();
    assert_eq!(rights(&target, "app_clone"), model);
}

#[test]
fn second_user_is_created_with_a_password() {
    for brand in BRANDS {
        let target = Target::new(brand);
        // The admin cannot grant this, so the work ends half-way.
        target.execute(&format!(
            "CREATE USER app@`%` IDENTIFIED BY '{FIRST}'; GRANT SHUTDOWN ON *.* TO app@`%`"
        ));
        let error = target.set_other("app", "app_clone", SECOND).unwrap_err();
        assert!(error.to_string().contains("denied"), "{error}");
        assert!(!target.accepts("app_clone", SECOND));
        let column = if brand == Brand::MariaDb {
            "LENGTH(authentication_string) > 20"
        } else {
            "LENGTH(authentication_string) > 40"
        };
        assert_eq!(
            target.execute(&format!("SELECT {column} FROM mysql.user WHERE user = 'app_clone'")).trim(),
            "1"
        );
        target.execute("REVOKE SHUTDOWN ON *.* FROM app@`%`");
        target.set_other("app", "app_clone", SECOND).unwrap();
        assert!(target.accepts("app_clone", SECOND));
    }
}
