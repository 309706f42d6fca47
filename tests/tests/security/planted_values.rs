//! Somebody who may write secrets, but not read them, plants values under AWSPENDING. The functions
//! and PostgreSQL are real; AWS is the local cloud.

use std::sync::Arc;

use cloud::SOURCE;
use end_to_end::Secret;
use rotation::engine::Login;
use serde_json::{Value, json};
use test_support::rotation::{KeyProvider, Rules};

use crate::rotation_api_key::server::{Server, Slot};
use crate::stage::{FIRST, Stage, USER};

/// Plants a value and lets Secrets Manager rotate: it continues with the version that has
/// AWSPENDING. Returns when the function has refused the value.
fn refused(secret: &Secret, planted: &Value) {
    let before = secret.value();
    let seen = secret.rotation_log().len();
    let version = format!("{:032x}", fastrand::u128(..));
    let words = json!({"ClientRequestToken": version, "SecretString": planted.to_string(), "VersionStages": ["AWSPENDING"]});
    secret.call("PutSecretValue", words).unwrap();
    // Secrets Manager answers that it continues the unfinished rotation, as an error.
    let _continued = secret.call("RotateSecret", json!({}));
    secret.wait_for_log(seen, &["PendingNotCreatedHere", "createSecret", &secret.arn]);
    secret.wait_until_it_stopped(seen);
    assert_eq!(secret.value(), before, "AWSCURRENT changed: {planted}");
    let log = secret.rotation_log();
    assert!(!log.contains("planted-password") && !log.contains("setSecret"), "{log}");
    // The remedy of the error's sentence.
    let words = json!({"VersionStage": "AWSPENDING", "RemoveFromVersionId": version});
    secret.call("UpdateSecretVersionStage", words).unwrap();
}

#[test]
fn planted_passwords_and_keys_are_refused_by_deployed_functions() {
    let stage = Stage::new();
    stage.deploy(&[("RotateImmediately", "false")]);
    stage.secret.wait_until_nothing_is_pending();
    let value = stage.secret.value();
    let with = |user: &str, password: &str, host: &str| {
        let mut planted = value.clone();
        planted["username"] = user.into();
        planted["password"] = password.into();
        planted["host"] = host.into();
        planted["rotation_mac"] = "00".repeat(32).into();
        planted
    };
    for planted in [
        with(USER, "planted-password", "127.0.0.1"),
        // The server accepts this one.
        with("boss", "boss-password", "127.0.0.1"),
        with(USER, "planted-password", "attacker.example"),
    ] {
        refused(&stage.secret, &planted);
        assert_eq!(stage.try_password(&value, FIRST), Login::Accepted, "{planted}");
        assert_eq!(stage.try_password(&value, "planted-password"), Login::Refused, "{planted}");
    }
    stage.secret.rotate();
    stage.secret.wait_for_another_password_than(FIRST);
    assert_eq!(stage.try_password(&value, &stage.secret.password()), Login::Accepted);

    // A key of the writer's own that the provider accepts, in another account of the same cloud.
    let (server, slot) = Server::with_provider(Slot::default());
    let provider = Arc::new(KeyProvider::new(Rules::default()));
    provider.add("sa-1", "FIRST", "first+half==", "made by hand");
    provider.add("sa-1", "THEIRS", "theirs", "made by hand");
    *slot.lock().unwrap() = Some(Arc::clone(&provider));
    let make = |name: &str, value: Value| Secret::create(stage.cloud.account(SOURCE), name, &value);
    let secret = make("key", json!({"key": "FIRST", "secret": "first+half=="}));
    let admin = make("key-admin", json!({"key": "admin-key", "secret": "admin-secret"}));
    let api = format!("https://127.0.0.1:{}", server.port());
    let endpoint = format!("https://localhost:{}", server.port());
    let parameters = [
        ("ApiKeyPreset", "confluent-cloud"),
        ("ApiKeyOwner", "sa-1"),
        ("ApiKeyResource", "lsrc-1"),
        ("ConfluentApiUrl", api.as_str()),
        ("ApiKeyEndpoint", endpoint.as_str()),
        ("AdminSecretArn", admin.arn.as_str()),
        ("CaCertificates", server.ca.as_str()),
        ("RotateImmediately", "false"),
    ];
    secret.deploy_rotation("api-key", &parameters);
    secret.wait_until_nothing_is_pending();
    refused(&secret, &json!({"key": "THEIRS", "secret": "theirs"}));
    assert_eq!(provider.ids(), ["FIRST", "THEIRS"]);
}
