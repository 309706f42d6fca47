//! Users that log in elsewhere than the admin does, or that may not log in at the moment.

use std::collections::HashMap;

use rotation::engine::Login;
use rotation::passwords::{Admin, Strategy};
use test_support::rotation::{ADMIN, Drill, MemorySecret};

use super::target::{BRANDS, FIRST, Target};

fn admin() -> Admin {
    Admin { secret: ADMIN.to_owned(), host: None }
}

#[test]
fn user_without_access_to_the_admins_database_rotates() {
    for brand in BRANDS {
        let target = Target::new(brand);
        target.execute(&format!(
            "CREATE DATABASE appdb; CREATE DATABASE main; CREATE USER app@`%` IDENTIFIED BY '{FIRST}'; \
             GRANT SELECT, INSERT ON appdb.* TO app@`%`"
        ));
        let (mut value, mut boss) = (target.value("app", FIRST), target.value("admin", FIRST));
        value["dbname"] = "appdb".into();
        boss["dbname"] = "main".into();
        for strategy in [Strategy::AlternatingUsers(admin()), Strategy::SingleUserByAdmin(admin())] {
            let secret = MemorySecret::new(&value.to_string()).with_admin(&boss.to_string());
            let drill = Drill::new(&secret, &target.engine, HashMap::new()).by(strategy);
            target.runtime.block_on(drill.only_rotate()).unwrap();
            assert_eq!(secret.document("AWSCURRENT").unwrap().text("dbname"), Ok("appdb"));
        }
    }
}

#[test]
fn admin_rotates_a_locked_or_expired_user() {
    for brand in BRANDS {
        let target = Target::new(brand);
        target.execute(&format!("CREATE USER app@`%` IDENTIFIED BY '{FIRST}'"));
        for (bar, free) in [("ACCOUNT LOCK", "ACCOUNT UNLOCK"), ("PASSWORD EXPIRE", "PASSWORD EXPIRE NEVER")]
        {
            target.execute(&format!("ALTER USER app@`%` IDENTIFIED BY '{FIRST}'; ALTER USER app@`%` {bar}"));
            // The server checks the password all the same.
            assert_eq!(target.log_in("app", "Wrong-password-1").unwrap(), Login::Refused, "{brand:?} {bar}");
            let secret = MemorySecret::new(&target.value("app", FIRST).to_string())
                .with_admin(&target.value("admin", FIRST).to_string());
            let strategy = Strategy::SingleUserByAdmin(admin());
            let drill = Drill::new(&secret, &target.engine, HashMap::new()).by(strategy);
            target.runtime.block_on(drill.only_rotate()).unwrap();
            target.execute(&format!("ALTER USER app@`%` {free}"));
            let current = secret.document("AWSCURRENT").unwrap();
            assert!(target.accepts("app", current.text("password").unwrap()), "{brand:?} {bar}");
        }
    }
}

#[test]
fn read_only_server_is_named_as_such() {
    for brand in BRANDS {
        let target = Target::new(brand);
        target.execute(&format!("CREATE USER app@`%` IDENTIFIED BY '{FIRST}'; SET GLOBAL read_only = 1"));
        let error = target.set_own("app", FIRST, "Second-password-2").unwrap_err().to_string();
        assert!(error.contains("read-only endpoint"), "{brand:?}: {error}");
        assert!(target.accepts("app", FIRST));
    }
}
