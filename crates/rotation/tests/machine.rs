//! The machine on a server in memory: a crash before and after every call, seeded random schedules
//! of faults, bad input.

// The counts and seeds of a run are for people who read the test's output.
#![allow(clippy::print_stdout)]

use std::collections::HashMap;

use rotation::event::Step;
use rotation::outcome::StepOutcome;
use rotation::passwords::{Admin, Strategy};
use secrecy::ExposeSecret;
use test_support::rotation::{
    ADMIN, Drill, Fault, MemorySecret, MemoryServer, OLD, TOKEN, for_each_schedule, strategies,
};

const VALUE: &str =
    r#"{"engine":"test","host":"h","username":"u","password":"old","note":"keep me","n":[1,2]}"#;

const ADMIN_VALUE: &str = r#"{"host":"h","username":"admin","password":"admin"}"#;

async fn drill(strategy: &Strategy, faults: HashMap<usize, Fault>, twice: bool) -> usize {
    let (secret, server) = (MemorySecret::new(VALUE).with_admin(ADMIN_VALUE), MemoryServer::new("old"));
    let mut drill = Drill::new(&secret, &server, faults.clone()).by(strategy.clone());
    drill.twice = twice;
    drill.run().await.unwrap_or_else(|problem| panic!("{strategy:?}, {faults:?}, twice: {twice}: {problem}"))
}

#[tokio::test(start_paused = true)]
async fn rotation_with_a_fault_at_any_call_ends_with_a_valid_login() {
    let mut counts = Vec::new();
    for (name, strategy) in strategies() {
        let calls = drill(&strategy, HashMap::new(), false).await;
        let mut runs = 0;
        for call in 0..calls {
            for fault in Fault::ALL {
                drill(&strategy, HashMap::from([(call, fault)]), false).await;
                runs += 1;
            }
        }
        println!("{name}: {calls} calls a rotation, {runs} runs with one fault each");
        assert_eq!(runs, 4 * calls);
        counts.push(calls);
    }
    // Four reads of the labels, nine of values, a password, its write, three logins, one change, one
    // move; an admin's secret is one more read.
    assert_eq!(counts, [20, 21, 21]);
}

#[test]
fn rotation_with_random_faults_ends_with_a_valid_login() {
    for_each_schedule("in memory", "SLUICE_SOAK_RUNS", 500, |schedule| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let (_, strategy) = schedule.strategy();
        runtime.unwrap().block_on(drill(&strategy, schedule.faults.clone(), schedule.twice));
    });
}

#[tokio::test(start_paused = true)]
async fn drill_fails_if_the_server_forgets_the_old_password() {
    // The result of a drill on a machine that is wrong.
    let (secret, server) = (MemorySecret::new(VALUE), MemoryServer::new("neither"));
    let problem = Drill::new(&secret, &server, HashMap::new()).run().await.unwrap_err();
    assert_eq!(problem, "no label's credential logs in");
}

#[tokio::test(start_paused = true)]
async fn configuration_test_logs_in_with_awscurrent_only() {
    let (secret, server) = (MemorySecret::new(VALUE), MemoryServer::new("old"));
    let before = secret.snapshot();
    let done = Drill::new(&secret, &server, HashMap::new()).step(Step::Test).await.unwrap().unwrap();
    assert_eq!((done, secret.snapshot()), (StepOutcome::Done, before));
}

#[tokio::test(start_paused = true)]
async fn pending_version_for_another_server_is_rejected() {
    // The values have the function's own proof: they cannot come about unless it has a fault.
    for (key, value) in
        [("host", "\"attacker\""), ("port", "99"), ("dbname", "\"x\""), ("username", "\"root\"")]
    {
        let (secret, server) = (MemorySecret::new(VALUE), MemoryServer::new("old"));
        let pending = format!(r#"{{"host":"h","username":"u","password":"pending","{key}":{value}}}"#);
        secret.set_signed(TOKEN, &pending);
        let error = Drill::new(&secret, &server, HashMap::new()).step(Step::Set).await.unwrap().unwrap_err();
        assert_eq!((error.name(), server.password().as_str()), ("PendingVersionMismatch", "old"));
        assert!(error.to_string().contains(&format!("`{key}`")), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn bad_input_is_named_and_changes_nothing() {
    let current = |value: &'static str| move |secret: &MemorySecret| secret.set(OLD, value);
    type Spoil = Box<dyn Fn(&MemorySecret)>;
    let cases: [(&str, Step, Spoil, &str); 7] = [
        ("InvalidSecretValue", Step::Create, Box::new(current("not json")), "not a JSON object"),
        (
            "InvalidSecretValue",
            Step::Create,
            Box::new(current(r#"{"host":"h","user":"u","password":"p"}"#)),
            "but a key `user`",
        ),
        (
            "InvalidSecretValue",
            Step::Create,
            Box::new(current(r#"{"engine":"oracle","host":"h"}"#)),
            "`test`",
        ),
        (
            "InvalidSecretValue",
            Step::Create,
            Box::new(current(r#"{"host":"h","username":"u","password":"p","port":"x"}"#)),
            "`port`",
        ),
        (
            "InvalidSecretValue",
            Step::Create,
            Box::new(current(r#"{"host":"h","ssl":false}"#)),
            "verified TLS",
        ),
        ("StaleToken", Step::Set, Box::new(|secret| secret.unlabel(TOKEN)), TOKEN),
        ("StaleToken", Step::Finish, Box::new(|_| {}), TOKEN),
    ];
    for (name, step, spoil, part) in cases {
        let (secret, server) = (MemorySecret::new(VALUE), MemoryServer::new("old"));
        spoil(&secret);
        let before = secret.snapshot();
        let error = Drill::new(&secret, &server, HashMap::new()).step(step).await.unwrap().unwrap_err();
        let text = lambda_kit::error::chain(&error);
        assert_eq!(error.name(), name, "{text}");
        assert!(text.contains(part), "{text}");
        assert_eq!(secret.snapshot(), before);
    }
}

#[tokio::test(start_paused = true)]
async fn previous_password_is_used_if_the_current_one_is_refused() {
    let value = |password: &str| format!(r#"{{"host":"h","username":"u","password":"{password}"}}"#);
    for (at_server, expected) in [("before", Ok("pending")), ("foreign", Err("AllCredentialsRejected"))] {
        let (secret, server) = (MemorySecret::new(&value("old")), MemoryServer::new(at_server));
        secret.set("previous", &value("before"));
        secret.set_signed(TOKEN, &value("pending"));
        let result = Drill::new(&secret, &server, HashMap::new()).step(Step::Set).await.unwrap();
        match expected {
            Ok(password) => {
                assert_eq!((result.unwrap(), server.password().as_str()), (StepOutcome::Done, password))
            }
            Err(name) => {
                assert_eq!((result.unwrap_err().name(), server.password().as_str()), (name, "foreign"))
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn alternating_users_keep_the_previous_credential() {
    let [.., (_, strategy)] = strategies();
    let (secret, server) = (MemorySecret::new(VALUE).with_admin(ADMIN_VALUE), MemoryServer::new("old"));
    Drill::new(&secret, &server, HashMap::new()).by(strategy.clone()).run().await.unwrap();
    let first = secret.document("AWSCURRENT").unwrap();
    assert_eq!((first.text("username"), server.password().as_str()), (Ok("u_clone"), "old"));

    let secret = MemorySecret::new(first.to_secret_string().expose_secret()).with_admin(ADMIN_VALUE);
    Drill::new(&secret, &server, HashMap::new()).by(strategy).run().await.unwrap();
    assert_eq!(secret.document("AWSCURRENT").unwrap().text("username"), Ok("u"));
    assert_ne!(server.password(), "old");
}

#[tokio::test(start_paused = true)]
async fn admin_acts_only_for_a_credential_valid_on_its_server() {
    let [.., (_, strategy)] = strategies();
    let other_admin = Strategy::AlternatingUsers(Admin { secret: "arn:other".into(), host: None });
    let with = |key: &str, value: &str| {
        let document = serde_json::from_str::<serde_json::Map<_, _>>(VALUE);
        let mut map = document.unwrap();
        map.insert(key.to_owned(), value.into());
        serde_json::Value::Object(map).to_string()
    };
    for (name, strategy, current, admin, part) in [
        // Somebody who may write the secret enters another user, to learn its new password.
        ("AllCredentialsRejected", &strategy, with("username", "admin"), ADMIN_VALUE, "`admin`"),
        ("AdminSecretMismatch", &strategy, with("masterarn", "arn:theirs"), ADMIN_VALUE, "ADMIN_SECRET_ARN"),
        ("AdminSecretMismatch", &other_admin, with("masterarn", ADMIN), ADMIN_VALUE, "`masterarn`"),
        (
            "InvalidSecretValue",
            &strategy,
            VALUE.to_owned(),
            r#"{"username":"admin","password":"admin"}"#,
            "`host`",
        ),
        ("UserNameTooLong", &strategy, with("username", "sevenmo"), ADMIN_VALUE, "`sevenmo_clone`"),
    ] {
        let (secret, server) = (MemorySecret::new(&current).with_admin(admin), MemoryServer::new("old"));
        let drill = Drill::new(&secret, &server, HashMap::new()).by(strategy.clone());
        let mut error = None;
        for step in [Step::Create, Step::Set] {
            if let Err(found) = drill.step(step).await.unwrap() {
                error = Some(found);
                break;
            }
        }
        let error = error.expect(name);
        let text = lambda_kit::error::chain(&error);
        assert_eq!(error.name(), name, "{text}");
        assert!(text.contains(part), "{text}");
        assert_eq!(server.password(), "old");
    }
}

#[tokio::test(start_paused = true)]
async fn partial_and_complete_arns_name_the_same_admin() {
    for (masterarn, configured) in
        [(ADMIN.to_owned(), ADMIN.to_owned()), (format!("{ADMIN}-AbC123"), ADMIN.to_owned())]
    {
        let value = VALUE.replacen('{', &format!(r#"{{"masterarn":"{masterarn}","#), 1);
        let (secret, server) = (MemorySecret::new(&value).with_admin(ADMIN_VALUE), MemoryServer::new("old"));
        let strategy = Strategy::SingleUserByAdmin(Admin { secret: configured, host: None });
        Drill::new(&secret, &server, HashMap::new()).by(strategy).run().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn ssl_false_is_accepted_only_if_configured() {
    let value = r#"{"engine":"test","host":"h","username":"u","password":"old","ssl":false}"#;
    for ignores in [false, true] {
        let (secret, server) = (MemorySecret::new(value), MemoryServer::new("old"));
        let drill = Drill::new(&secret, &server, HashMap::new()).ignoring_ssl(ignores);
        let created = drill.step(Step::Create).await.unwrap();
        if ignores {
            drill.run().await.unwrap();
            let current = secret.document("AWSCURRENT").unwrap();
            assert_eq!(current.flag("ssl"), Ok(Some(false)));
            assert_ne!(current.text("password"), Ok("old"));
        } else {
            let error = created.unwrap_err();
            assert_eq!(error.name(), "InvalidSecretValue");
            assert!(lambda_kit::error::chain(&error).contains("IGNORE_SSL_FALSE=true"));
        }
    }
}
