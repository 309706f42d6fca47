//! Invalid secrets, and errors of the server and the service: each has one sentence, and nothing is
//! changed.

use std::collections::HashMap;

use rotation::engine::{Account, Engine, EngineError, Login};
use rotation::engines::elasticache::{Endpoint, Group, User};
use rotation::engines::trust::Tls;
use rotation::event::Step;
use serde_json::{Value, json};
use test_support::rotation::{Drill, Faults, MemorySecret, OLD};

use super::service::{ARN, Service};
use super::{FIRST, Stage, USER, token_value, user_value};

fn service<'a>(stage: &'a Stage, user: &str) -> Service<'a> {
    Service::new(&stage.redis, user, FIRST, Faults::new(HashMap::new()))
}

/// createSecret and setSecret; the error of the one that fails.
fn refused(stage: &Stage, engine: &impl Engine, value: &Value) -> (String, String) {
    let secret = MemorySecret::new(&value.to_string());
    let drill = Drill::new(&secret, engine, HashMap::new());
    let error = [Step::Create, Step::Set]
        .into_iter()
        .find_map(|step| stage.runtime.block_on(drill.step(step)).unwrap().err())
        .unwrap();
    assert_eq!(secret.labels(OLD), ["AWSCURRENT"]);
    let text =
        format!("{error}{}", std::error::Error::source(&error).map(|e| format!(": {e}")).unwrap_or_default());
    assert!(!text.contains(FIRST), "{text}");
    (error.name().to_owned(), text)
}

fn with(value: &Value, key: &str, other: &str) -> Value {
    let mut value = value.clone();
    value[key] = other.into();
    value
}

#[test]
fn invalid_secret_is_rejected_with_its_key_and_the_fix() {
    let stage = Stage::new();
    let (of_user, of_token) = (user_value(), token_value());
    let mut without_arn = of_user.clone();
    without_arn.as_object_mut().unwrap().remove("user_arn");
    for (value, name, part) in [
        (
            with(&of_user, "password", "wrong-Password-00"),
            "AllCredentialsRejected",
            "rejects the pending, the current and the previous password",
        ),
        (with(&of_user, "username", "nobody"), "AllCredentialsRejected", "`nobody`"),
        (
            with(&of_user, "user_arn", &ARN.replace("app-id", "admin")),
            "InvalidSecretValue",
            "`user_arn` is not USER_ARN",
        ),
        (without_arn, "InvalidSecretValue", "no key `user_arn`"),
        (with(&of_user, "host", "attacker.example"), "InvalidSecretValue", "ENDPOINT_HOST"),
    ] {
        let service = service(&stage, USER);
        let found = refused(&stage, &stage.user(&service), &value);
        assert!(found.0 == name && found.1.contains(part), "{found:?}");
        assert_eq!(service.passwords(), [FIRST]);
    }
    for (value, name, part) in [
        (with(&of_token, "password", "wrong-Password-00"), "AllCredentialsRejected", "`default`"),
        (
            with(&of_token, "username", "app"),
            "InvalidSecretValue",
            "`default`, the user whose password an AUTH token is",
        ),
        (json!({"auth_token": "t"}), "InvalidSecretValue", "no key `password`"),
    ] {
        let service = service(&stage, "default");
        let found = refused(&stage, &stage.token(&service), &value);
        assert!(found.0 == name && found.1.contains(part), "{found:?}");
        assert_eq!(service.passwords(), [FIRST]);
    }
}

#[test]
fn other_users_and_groups_are_not_changed() {
    type Spoil = fn(&mut User, &mut Group);
    let stage = Stage::new();
    let of_users: [(Spoil, &str); 5] = [
        // The secret's user logs in, and the configured id is somebody else's: the confused deputy.
        (|user, _| user.name = "admin".into(), "is `admin` with the ARN"),
        (|user, _| user.arn = ARN.replace("app-id", "x"), "USER_ARN of the function to the same user"),
        (|user, _| user.authentication = "iam".into(), "authentication type is `iam`"),
        (|user, _| user.authentication = "no-password".into(), "expected `password`"),
        (|user, _| user.status = "deleting".into(), "the user is `deleting`"),
    ];
    for (spoil, part) in of_users {
        let service = service(&stage, USER);
        service.spoil(spoil);
        let found = refused(&stage, &stage.user(&service), &user_value());
        assert!(found.0 == "SetPasswordFailed" && found.1.contains(part), "{found:?}");
        assert!(service.history().is_empty());
    }
    let of_groups: [(Spoil, &str); 3] = [
        (|_, group| group.has_token = false, "it requires no password"),
        (|_, group| group.has_users = true, "AUTH_MODE=user"),
        (|_, group| group.status = "deleting".into(), "is `deleting`"),
    ];
    for (spoil, part) in of_groups {
        let service = service(&stage, "default");
        service.spoil(spoil);
        let found = refused(&stage, &stage.token(&service), &token_value());
        assert!(found.0 == "SetPasswordFailed" && found.1.contains(part), "{found:?}");
        assert!(service.history().is_empty());
    }
}

#[test]
fn endless_change_is_reported_with_its_state_and_time() {
    let stage = Stage::new();
    let service = service(&stage, USER);
    service.spoil(|user, _| user.status = "modifying".into());
    let mut at = stage.endpoint();
    at.pace.within = std::time::Duration::from_millis(50);
    let engine = rotation::engines::elasticache::RbacUser::new(&service, ARN.parse().unwrap(), at);
    let found = refused(&stage, &engine, &user_value());
    assert!(found.1.contains("`modifying` after 0 s, expected `active`"), "{found:?}");
}

#[test]
fn logins_distinguish_a_wrong_password_from_other_errors() {
    let stage = Stage::new();
    let service = service(&stage, USER);
    let engine = stage.user(&service);
    // A user that may do nothing at all is logged in; one that is off is as good as none.
    for (user, rules) in
        [("bare", ["on", ">bare-Password-000", "-@all"]), ("off", ["off", ">bare-Password-000", "+@all"])]
    {
        stage.redis.command(&[&["ACL", "SETUSER", user], rules.as_slice()].concat()).unwrap();
    }
    assert_eq!(stage.log_in(&engine, "bare", "bare-Password-000"), Login::Accepted);
    for (user, password) in [
        ("off", "bare-Password-000"),
        ("bare", "other"),
        ("nobody", "other"),
        (USER, ""),
        ("a b\r\n", "c\nd\0"),
    ] {
        assert_eq!(stage.log_in(&engine, user, password), Login::Refused, "{user:?}");
    }

    let account = |port: u16, host: &str, user: &str| {
        let server = rotation::engine::Server { host: host.into(), port, database: String::new() };
        Account { server, user: user.into(), password: FIRST.into(), mechanism: None }
    };
    let port = stage.redis.port();
    let plain = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let try_ = |engine: &dyn Fn() -> Result<Login, EngineError>| engine().unwrap_err();
    let log_in = |account: Account| stage.runtime.block_on(engine.log_in(&account));
    let nowhere = local_servers::process::free_port().unwrap();
    for (account, name) in [
        (account(nowhere, "127.0.0.1", USER), "ServerUnreachable"),
        (account(port, "cache.invalid", USER), "ServerUnreachable"),
        (account(plain.local_addr().unwrap().port(), "127.0.0.1", USER), "ServerUnreachable"),
        // The certificate is not for this name.
        (account(port, "127.0.0.2", USER), "ServerUnreachable"),
    ] {
        let error = try_(&|| log_in(account.clone()));
        assert_eq!(error.name(), name, "{error}");
    }
    let distrusting = Endpoint { tls: Tls::new(None, None).unwrap(), ..stage.endpoint() };
    let engine = rotation::engines::elasticache::RbacUser::new(&service, ARN.parse().unwrap(), distrusting);
    let error = stage.runtime.block_on(engine.log_in(&account(port, "127.0.0.1", USER))).unwrap_err();
    assert_eq!(error.name(), "CertificateNotTrusted", "{error}");
    let elsewhere = Endpoint {
        tls: Tls::new(
            Some(&std::fs::read_to_string(stage.redis.ca_file()).unwrap()),
            Some("cache.example.com"),
        )
        .unwrap(),
        ..stage.endpoint()
    };
    let engine = rotation::engines::elasticache::RbacUser::new(&service, ARN.parse().unwrap(), elsewhere);
    let error = stage.runtime.block_on(engine.log_in(&account(port, "127.0.0.1", USER))).unwrap_err();
    assert_eq!(error.name(), "CertificateNotTrusted", "{error}");
}

#[test]
fn server_without_authentication_proves_no_password() {
    let open = Stage::new();
    let service = Service::new(&open.redis, USER, FIRST, Faults::new(HashMap::new()));
    let account = |stage: &Stage| Account {
        mechanism: None,
        server: stage.endpoint().server,
        user: "default".into(),
        password: FIRST.into(),
    };
    let error = open.runtime.block_on(open.token(&service).log_in(&account(&open))).unwrap_err();
    assert!(
        error.name() == "InsufficientPrivileges" && error.to_string().contains("anyone can log in"),
        "{error}"
    );
}
