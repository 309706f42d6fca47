//! Values that somebody who may write a secret, but not read it, plants under AWSPENDING.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::HashMap;

use rotation::document::{MAC_KEY, SecretDocument};
use rotation::engine::Engine;
use rotation::event::Step;
use rotation::outcome::StepOutcome;
use rotation::passwords::Strategy;
use rotation::pending::{PendingMac, SigningKeys};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use test_support::rotation::{Drill, MemorySecret, MemoryServer, OLD, SECRET, TOKEN, strategies};

const ADMIN_VALUE: &str = r#"{"host":"h","username":"admin","password":"admin"}"#;

fn value(user: &str, password: &str) -> String {
    json!({"host": "h", "username": user, "password": password}).to_string()
}

/// The value signed with keys that a writer can know.
fn signed_with(planted: &str, current: &str, previous: Option<&str>) -> String {
    let mac = PendingMac { secret_id: SECRET, token: TOKEN };
    let keys = SigningKeys { current: current.into(), previous: previous.map(SecretString::from) };
    let planted = SecretDocument::parse(&planted.into()).unwrap();
    mac.sign(&planted, &keys).to_secret_string().expose_secret().to_owned()
}

/// Every step refuses the pending value, and neither the secret nor the server changes.
async fn refused(name: &str, strategy: &Strategy, secret: &MemorySecret, server: &MemoryServer) {
    let (before, password) = (secret.snapshot(), server.password());
    for step in Step::ALL {
        let drill = Drill::new(secret, server, HashMap::new()).by(strategy.clone());
        let error = drill.step(step).await.unwrap().expect_err(&format!("{name}, {step}"));
        assert_eq!(error.name(), "PendingNotCreatedHere", "{name}, {step}: {error}");
        let text = error.to_string();
        assert!(text.contains(SECRET) && text.contains(TOKEN) && !text.contains("planted"), "{text}");
        assert_eq!((secret.snapshot(), server.password()), (before.clone(), password.clone()), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn planted_pending_value_is_refused_in_every_step() {
    for (name, strategy) in strategies() {
        let alternates = matches!(strategy, Strategy::AlternatingUsers(_));
        let user = if alternates { "u_clone" } else { "u" };
        let current = SecretDocument::parse(&value("u", "old").into()).unwrap();
        let current = current.with_text(MAC_KEY, &"ab".repeat(32)).to_secret_string();
        for planted in [
            value(user, "planted"),
            value(user, "planted").replace('}', &format!(r#","{MAC_KEY}":"{}"}}"#, "ab".repeat(32))),
            // The server accepts these, and they would outlive the rotation.
            value("u", "old"),
            value("admin", "admin"),
            signed_with(&value(user, "planted"), "guessed", None),
            r#"{"planted":1}"#.to_owned(),
        ] {
            let secret = MemorySecret::new(current.expose_secret()).with_admin(ADMIN_VALUE);
            secret.set(TOKEN, &planted);
            refused(&format!("{name}, {planted}"), &strategy, &secret, &MemoryServer::new("old")).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn planted_value_for_another_server_is_never_tried() {
    for (key, at) in [("host", json!("attacker")), ("port", json!(99)), ("dbname", json!("x"))] {
        // The server in memory accepts the password, whatever the host.
        let (secret, server) = (MemorySecret::new(&value("u", "old")), MemoryServer::new("planted"));
        let mut planted: serde_json::Value = serde_json::from_str(&value("u", "planted")).unwrap();
        planted[key] = at;
        secret.set(TOKEN, &planted.to_string());
        refused(key, &Strategy::SingleUser, &secret, &server).await;
        let drill = Drill::new(&secret, &server, HashMap::new());
        drill.step(Step::Set).await.unwrap().unwrap_err();
        assert_eq!(drill.faulty.made().get("log in"), None, "{key}");
    }
}

#[tokio::test(start_paused = true)]
async fn written_awscurrent_does_not_prove_a_planted_value() {
    for (name, strategy) in strategies() {
        let alternates = matches!(strategy, Strategy::AlternatingUsers(_));
        let planted = value(if alternates { "u_clone" } else { "u" }, "planted");
        // The writer knows AWSCURRENT, because it wrote it, and the server accepts AWSPREVIOUS.
        let written = value("u", "written");
        let secret = MemorySecret::new(&written).with_admin(ADMIN_VALUE);
        secret.set("previous", &value("u", "old"));
        for previous in [None, Some("guessed")] {
            secret.set(TOKEN, &signed_with(&planted, &written, previous));
            let server = MemoryServer::new("old");
            let drill = Drill::new(&secret, &server, HashMap::new()).by(strategy.clone());
            let error = drill.step(Step::Set).await.unwrap().unwrap_err();
            assert_eq!(
                (error.name(), server.password()),
                ("PendingNotCreatedHere", "old".to_owned()),
                "{name}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn rotation_under_way_before_the_update_completes() {
    for (name, strategy) in strategies() {
        let alternates = matches!(strategy, Strategy::AlternatingUsers(_));
        let secret = MemorySecret::new(&value("u", "old")).with_admin(ADMIN_VALUE);
        let (user, server) = if alternates {
            let server = MemoryServer::new("old");
            let admin = server.account(&SecretDocument::parse(&ADMIN_VALUE.into()).unwrap()).unwrap();
            server.set_other_user(&admin, "u", "u_clone", &"of-before".into()).await.unwrap();
            ("u_clone", server)
        } else {
            ("u", MemoryServer::new("of-before"))
        };
        // The function of before has created the value and set it.
        secret.set(TOKEN, &value(user, "of-before"));
        Drill::new(&secret, &server, HashMap::new()).by(strategy).run().await.unwrap();
        assert_eq!(secret.document("AWSCURRENT").unwrap().text("password"), Ok("of-before"), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn awscurrent_edited_after_the_change_does_not_stop_it() {
    for (set_before_the_edit, expected) in [(true, None), (false, Some("PendingNotCreatedHere"))] {
        let (secret, server) = (MemorySecret::new(&value("u", "old")), MemoryServer::new("old"));
        let drill = Drill::new(&secret, &server, HashMap::new());
        drill.step(Step::Create).await.unwrap().unwrap();
        if set_before_the_edit {
            drill.step(Step::Set).await.unwrap().unwrap();
        }
        let before = server.password();
        secret.set(OLD, &value("u", "old").replace('}', r#","note":"by hand"}"#));
        for step in [Step::Set, Step::Test, Step::Finish] {
            let result = drill.step(step).await.unwrap();
            assert_eq!(result.err().map(|error| error.name()), expected, "{step}");
        }
        assert_eq!(server.password(), before);
        assert_eq!(secret.labels(TOKEN), [if set_before_the_edit { "AWSCURRENT" } else { "AWSPENDING" }]);
    }
}

#[tokio::test(start_paused = true)]
async fn value_planted_while_the_step_creates_one_is_refused() {
    // PutSecretValue answers that the version has another value already.
    let (secret, server) = (MemorySecret::new(&value("u", "old")), MemoryServer::new("old"));
    let drill = Drill::new(&secret, &server, HashMap::new());
    drill.step(Step::Create).await.unwrap().unwrap();
    let own = secret.map("AWSPENDING").unwrap();
    secret.set(TOKEN, &value("u", "planted"));
    refused("planted in between", &Strategy::SingleUser, &secret, &server).await;
    // The value of the function itself is used.
    secret.set(TOKEN, &serde_json::Value::Object(own).to_string());
    assert_eq!(drill.step(Step::Create).await.unwrap().unwrap(), StepOutcome::NothingToDo);
    drill.run().await.unwrap();
}
