//! Invalid secrets and configurations, and rejections by the server.

use local_servers::mysql::Brand;
use local_servers::process::free_port;
use rotation::engine::{Engine, EngineError, Login};
use rotation::engines::mysql::{Mysql, OldPassword};
use rotation::engines::trust::Tls;
use serde_json::json;

use super::target::{BRANDS, FIRST, MYSQL, SECOND, Target, engine};

#[test]
fn failed_login_has_a_reason_and_only_wrong_one_is_refused() {
    for brand in BRANDS {
        let target = Target::new(brand);
        target.execute(&format!(
            "CREATE USER app@`%` IDENTIFIED BY '{FIRST}'; CREATE USER far@`10.0.0.1` IDENTIFIED BY '{FIRST}'"
        ));
        let with = |key: &str, value: serde_json::Value| {
            let mut document = target.value("app", FIRST);
            document[key] = value;
            target.runtime.block_on(target.engine.log_in(&target.read(&document)))
        };
        assert_eq!(with("password", SECOND.into()).unwrap(), Login::Refused);
        assert_eq!(with("username", "nobody".into()).unwrap(), Login::Refused);
        for (key, value, name, part) in [
            ("port", json!(free_port().unwrap()), "ServerUnreachable", "Connection refused"),
            ("host", json!("localhost.invalid"), "ServerUnreachable", "localhost.invalid"),
            ("host", json!("127.0.0.2"), "ServerUnreachable", "127.0.0.2"),
            ("dbname", json!("missing"), "InsufficientPrivileges", "missing"),
            ("username", json!("zero\0byte"), "ServerUnreachable", "zero byte"),
        ] {
            let error = with(key, value).unwrap_err();
            assert_eq!(error.name(), name, "{error}");
            assert!(error.to_string().contains(part), "{error}");
        }
        // A certificate of nobody that is trusted, and one for another name.
        for (ca, name) in [(None, None), (Some(target.server.ca()), Some("db.example.com"))] {
            let engine =
                Mysql::new(Tls::new(ca, name).unwrap(), Mysql::default_policy(), OldPassword::default());
            let error = target.runtime.block_on(engine.log_in(&target.account("app", FIRST))).unwrap_err();
            assert_eq!(error.name(), "CertificateNotTrusted", "{error}");
        }
        target.execute("ALTER USER app@`%` ACCOUNT LOCK");
        // The server has checked the password; only the account is locked. An admin rotates it
        // (barred.rs), the user itself cannot.
        assert_eq!(target.log_in("app", FIRST).unwrap(), Login::Accepted);
        assert_eq!(target.log_in("app", SECOND).unwrap(), Login::Refused);
        let error = target.set_own("app", FIRST, SECOND).unwrap_err();
        assert_eq!(error.name(), "InsufficientPrivileges");
        assert!(error.to_string().contains("locked"), "{error}");
        target.execute("ALTER USER app@`%` ACCOUNT UNLOCK PASSWORD EXPIRE");
        assert_eq!(target.log_in("app", FIRST).unwrap(), Login::Accepted);
        assert_eq!(target.log_in("app", SECOND).unwrap(), Login::Refused);
    }
}

#[test]
fn a_server_without_tls_gets_no_password() {
    let target = Target::with(Brand::MariaDb, &["--require-secure-transport=OFF", "--skip-ssl"]);
    target.execute(&format!("CREATE USER app@`%` IDENTIFIED BY '{FIRST}'; SET GLOBAL general_log = ON"));
    let error = target.log_in("app", FIRST).unwrap_err();
    assert_eq!(error.name(), "CertificateNotTrusted");
    assert!(error.to_string().contains("it offers no TLS"), "{error}");
    assert!(!target.server.general_log().contains("app@"), "{}", target.server.general_log());
}

#[test]
fn user_with_several_accounts_is_rejected() {
    for brand in BRANDS {
        let target = Target::new(brand);
        target.execute(&format!(
            "CREATE USER app@`%` IDENTIFIED BY '{FIRST}'; CREATE USER app@`127.0.0.1` IDENTIFIED BY '{FIRST}'; CREATE ROLE app_role; \
             CREATE USER lone@`%` IDENTIFIED BY '{FIRST}'; CREATE USER lone_clone@`10.0.0.1` IDENTIFIED BY '{FIRST}'"
        ));
        let fails = |result: Result<(), EngineError>, part: &str| {
            let error = result.unwrap_err();
            assert_eq!(error.name(), "SetPasswordFailed");
            assert!(error.to_string().contains(part), "{error}");
        };
        fails(target.set_by_admin("app", SECOND), "for the hosts `%`, `127.0.0.1`");
        fails(target.set_other("app", "app_clone", SECOND), "for the hosts `%`, `127.0.0.1`");
        fails(
            target.set_other("lone", "lone_clone", SECOND),
            "its account is for the host `10.0.0.1`, that of `lone` for `%`",
        );
        fails(target.set_by_admin("nobody", SECOND), "there is no such account");
        fails(target.set_other("nobody", "nobody_clone", SECOND), "there is no account `nobody`");
        assert!(target.accepts("app", FIRST) && target.accepts("lone", FIRST));
        // The user itself changes the account that it is, and no other.
        target.set_own("app", FIRST, SECOND).unwrap();
        assert!(target.accepts("app", SECOND));
        target.execute("DROP USER app@`127.0.0.1`");
        assert!(target.accepts("app", FIRST) && !target.accepts("app", SECOND));
    }
}

#[test]
fn a_session_of_another_account_changes_nothing() {
    // MySQL and MariaDB take the account with the more exact host first: here the one without a
    // name.
    for brand in BRANDS {
        let target = Target::new(brand);
        target.execute(&format!(
            "CREATE USER app@`%` IDENTIFIED BY '{FIRST}'; CREATE USER ''@`127.0.0.1` IDENTIFIED BY '{SECOND}'"
        ));
        assert!(!target.accepts("app", FIRST) && target.accepts("app", SECOND));
        let error = target.set_own("app", SECOND, FIRST).unwrap_err();
        assert!(error.to_string().contains("account `@127.0.0.1`"), "{error}");
        assert!(target.accepts("app", SECOND));
    }
}

#[test]
fn missing_admin_privilege_is_reported_in_the_servers_words() {
    for brand in BRANDS {
        let target = Target::new(brand);
        target.execute(&format!(
            "CREATE USER app@`%` IDENTIFIED BY '{FIRST}'; CREATE USER weak@`%` IDENTIFIED BY '{FIRST}'"
        ));
        let weak = target.account("weak", FIRST);
        let set =
            || target.runtime.block_on(target.engine.set_password(&weak, "app", &SECOND.into())).unwrap_err();
        assert!(set().to_string().contains("denied"), "{}", set());
        target.execute("GRANT SELECT ON mysql.user TO weak@`%`");
        let text = set().to_string();
        assert!(text.contains("denied") && !text.contains(SECOND), "{text}");
        assert!(target.accepts("app", FIRST));
    }
}

#[test]
fn password_against_the_servers_rules_is_not_set_or_shown() {
    let target = Target::new(MYSQL);
    target.execute(&format!(
        "INSTALL COMPONENT 'file://component_validate_password'; CREATE USER app@`%` IDENTIFIED BY '{FIRST}'"
    ));
    for error in [
        target.set_own("app", FIRST, "too-weak").unwrap_err(),
        target.set_by_admin("app", "too-weak").unwrap_err(),
    ] {
        assert_eq!(error.name(), "SetPasswordFailed");
        assert!(error.to_string().contains("policy") && !error.to_string().contains("too-weak"), "{error}");
    }
    assert!(target.accepts("app", FIRST));
    // What is made for a new account meets the strictest of its rules.
    target.execute("SET GLOBAL validate_password.policy = 2; SET GLOBAL validate_password.length = 20");
    target.set_other("app", "app_clone", "Long-enough-password-1").unwrap();
    assert!(target.accepts("app_clone", "Long-enough-password-1"));
}

#[test]
fn old_password_that_must_be_kept_is_an_error_on_mariadb() {
    let target = Target::new(Brand::MariaDb);
    target.execute(&format!("CREATE USER app@`%` IDENTIFIED BY '{FIRST}'"));
    let engine = engine(target.server.ca(), OldPassword::Kept);
    for by in [target.account("app", FIRST), target.account("admin", FIRST)] {
        let error = target.runtime.block_on(engine.set_password(&by, "app", &SECOND.into())).unwrap_err();
        assert!(error.to_string().contains("KEEP_OLD_PASSWORD"), "{error}");
    }
    assert!(target.accepts("app", FIRST));
}
