//! MySQL's second password.

use rotation::engine::Engine;
use rotation::engines::mysql::OldPassword;

use super::target::{FIRST, MYSQL, SECOND, Target, engine};

const THIRD: &str = "Third-password-3";
const FOURTH: &str = "Fourth-password-4";

fn target(privilege: bool) -> Target {
    let target = Target::new(MYSQL);
    target.execute(&format!("CREATE USER app@`%` IDENTIFIED BY '{FIRST}'"));
    if privilege {
        target.execute("GRANT APPLICATION_PASSWORD_ADMIN ON *.* TO app@`%`");
    }
    target
}

fn accepted(target: &Target) -> Vec<&'static str> {
    [FIRST, SECOND, THIRD, FOURTH].into_iter().filter(|password| target.accepts("app", password)).collect()
}

#[test]
fn old_password_works_until_the_rotation_after_next() {
    for by_admin in [false, true] {
        let target = target(true);
        let set = |current, new| match by_admin {
            true => target.set_by_admin("app", new),
            false => target.set_own("app", current, new),
        };
        set(FIRST, SECOND).unwrap();
        assert_eq!(accepted(&target), [FIRST, SECOND]);
        set(SECOND, THIRD).unwrap();
        assert_eq!(accepted(&target), [SECOND, THIRD]);
    }
}

#[test]
fn abandoned_rotation_keeps_the_password_of_clients() {
    let target = target(true);
    // AWSCURRENT is FIRST; the rotation to SECOND was given up after the server had taken it.
    target.set_own("app", FIRST, SECOND).unwrap();
    target.set_own("app", FIRST, THIRD).unwrap();
    assert_eq!(accepted(&target), [FIRST, THIRD]);
}

#[test]
fn missing_privilege_ends_old_password_or_fails_as_configured() {
    let target = target(false);
    target.set_own("app", FIRST, SECOND).unwrap();
    assert_eq!(accepted(&target), [SECOND]);
    let strict = engine(target.server.ca(), OldPassword::Kept);
    let account = target.account("app", SECOND);
    let error = target.runtime.block_on(strict.set_password(&account, "app", &THIRD.into())).unwrap_err();
    assert!(error.to_string().contains("APPLICATION_PASSWORD_ADMIN"), "{error}");
    assert_eq!(accepted(&target), [SECOND]);
}

#[test]
fn change_ends_old_passwords_if_configured() {
    let target = target(true);
    target.set_own("app", FIRST, SECOND).unwrap();
    let ending = engine(target.server.ca(), OldPassword::Ended);
    let account = target.account("app", SECOND);
    target.runtime.block_on(ending.set_password(&account, "app", &THIRD.into())).unwrap();
    assert_eq!(accepted(&target), [THIRD]);
    target.set_by_admin("app", FOURTH).unwrap();
    assert_eq!(accepted(&target), [THIRD, FOURTH]);
    let admin = target.account("admin", FIRST);
    target.runtime.block_on(ending.set_password(&admin, "app", &FIRST.into())).unwrap();
    assert_eq!(accepted(&target), [FIRST]);
}
