//! The Kafka engine against a cluster in memory, over TLS: what the real broker of the other tests
//! does not do. Its messages are read and written by `kafka-protocol`, its SCRAM is written with
//! other libraries than ours.

// A test crate has no other user than itself.
#![allow(clippy::unwrap_used, unreachable_pub)]
// The counts of a run are for whoever reads the test's output.
#![allow(clippy::print_stdout)]

mod cluster;
mod scram;
mod stage;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rotation::engine::{Engine, Login};
use rotation::engines::kafka::{Iterations, Kafka};
use rotation::event::Step;
use rotation::passwords::Strategy;
use serde_json::json;
use test_support::rotation::{Drill, Fault, strategies};

use self::cluster::{Acl, Instead};
use self::stage::{FIRST, Stage, USER};

/// Topic `orders`, literal, host `*`, read, allowed.
fn acl(principal: &str, resource: &str, permission: i8) -> Acl {
    (2, resource.to_owned(), 3, principal.to_owned(), "*".to_owned(), 3, permission)
}

const DENY: i8 = 2;
const ALLOW: i8 = 3;

#[tokio::test]
async fn rotation_with_a_fault_at_any_call_ends_with_a_valid_login() {
    let stage = Stage::new(1).await;
    for (name, strategy) in strategies() {
        let drill = async |faults: HashMap<usize, Fault>| {
            stage.reset(&[2]);
            let secret = stage.secret(&stage.value());
            let drill = Drill::new(&secret, &stage.engine, faults.clone()).by(strategy.clone());
            drill.run().await.unwrap_or_else(|problem| panic!("{name}, {faults:?}: {problem}"))
        };
        let calls = drill(HashMap::new()).await;
        for call in 0..calls {
            for fault in Fault::ALL {
                drill(HashMap::from([(call, fault)])).await;
            }
        }
        println!("{name}: {calls} calls a rotation, {} runs with one fault each", 4 * calls);
        assert_eq!(calls, if strategy == Strategy::SingleUser { 20 } else { 21 });
    }
}

#[tokio::test]
async fn every_mechanism_is_set_and_that_of_the_secret_last() {
    let stage = Stage::new(1).await;
    for (own, names) in [(1_i8, "SCRAM-SHA-256"), (2, "SCRAM-SHA-512")] {
        for (_, strategy) in strategies() {
            for has in [vec![own], vec![1, 2]] {
                stage.reset(&has);
                let mut value = stage.value();
                value["mechanism"] = names.into();
                let secret = stage.secret(&value);
                Drill::new(&secret, &stage.engine, HashMap::new()).by(strategy.clone()).run().await.unwrap();
                let user = secret.document("AWSCURRENT").unwrap().text("username").unwrap().to_owned();
                let state = stage.cluster.state();
                let all: Vec<i8> =
                    state.users[&user].iter().map(|(credential, _)| credential.mechanism).collect();
                // The first ones are those from before.
                let before = if user == USER { has.len() } else { 0 };
                let mut expected = has.clone();
                expected.sort_by_key(|mechanism| *mechanism == own);
                assert_eq!(all[before..], expected, "{strategy:?}, {names}");
            }
        }
    }
}

#[tokio::test]
async fn second_user_gets_the_acls_of_the_first_denials_first() {
    let stage = Stage::new(1).await;
    let [.., (_, strategy)] = strategies();
    let like = format!("User:{USER}");
    let other = format!("User:{USER}_clone");
    stage.cluster.state().acls = vec![
        acl(&like, "orders", ALLOW),
        acl(&like, "secrets", DENY),
        acl(&like, "payments", ALLOW),
        acl("User:somebody", "else", ALLOW),
        acl("User:*", "public", ALLOW),
        // Granted by hand, and granted already.
        acl(&other, "by-hand", ALLOW),
        acl(&other, "payments", ALLOW),
    ];
    let before = stage.cluster.state().acls.len();
    stage.cluster.state().returns_other_acls = true;
    let secret = stage.secret(&stage.value());
    Drill::new(&secret, &stage.engine, HashMap::new()).by(strategy.clone()).run().await.unwrap();
    let new = stage.cluster.state().acls[before..].to_vec();
    assert_eq!(new, [acl(&other, "secrets", DENY), acl(&other, "orders", ALLOW)]);
}

#[tokio::test]
async fn acls_that_cannot_be_copied_fail_before_a_password_is_set() {
    let stage = Stage::new(1).await;
    let [.., (_, strategy)] = strategies();
    let rotate = async |stage: &Stage| {
        stage.reset(&[2]);
        let secret = stage.secret(&stage.value());
        let drill = Drill::new(&secret, &stage.engine, HashMap::new()).by(strategy.clone());
        drill.step(Step::Create).await.unwrap().unwrap();
        drill.step(Step::Set).await.unwrap().map_err(|error| format!("{}: {error}", error.name()))
    };
    stage.cluster.state().has_authorizer = false;
    rotate(&stage).await.unwrap();
    stage.cluster.state().has_authorizer = true;
    for (key, instead, part) in [
        (29, Instead::Error(31), "needs ALTER on the cluster"),
        (30, Instead::Error(31), "CreateAcls failed with CLUSTER_AUTHORIZATION_FAILED (31)"),
        (30, Instead::Error(42), "CreateAcls failed with INVALID_REQUEST (42)"),
        (29, Instead::Garbage, "is invalid"),
    ] {
        stage.cluster.state().acls = vec![acl(&format!("User:{USER}"), "orders", ALLOW)];
        stage.cluster.state().instead = HashMap::from([(key, instead)]);
        let error = rotate(&stage).await.unwrap_err();
        assert!(error.starts_with("SetPasswordFailed") && error.contains(part), "{error}");
        assert!(!stage.cluster.state().users.contains_key(&format!("{USER}_clone")));
    }
    stage.cluster.state().instead.clear();
    stage.cluster.state().without = vec![29];
    let error = rotate(&stage).await.unwrap_err();
    assert!(error.contains("does not support DescribeAcls version 2"), "{error}");
}

#[tokio::test]
async fn request_goes_to_the_controller() {
    let stage = Stage::new(2).await;
    {
        let mut state = stage.cluster.state();
        (state.controller, state.forwards) = (1, false);
    }
    for (_, strategy) in strategies() {
        stage.reset(&[1, 2]);
        let secret = stage.secret(&stage.value());
        Drill::new(&secret, &stage.engine, HashMap::new()).by(strategy).run().await.unwrap();
        let seen = std::mem::take(&mut stage.cluster.state().seen);
        let altered: Vec<usize> =
            seen.iter().filter(|(_, key)| *key == 51).map(|(broker, _)| *broker).collect();
        assert_eq!(altered, [0, 1, 1], "one connection to the controller serves both mechanisms");
    }
    // A controller that does not listen, or that never is one.
    let closed = local_servers::process::free_port().unwrap();
    stage.reset(&[2]);
    let port = std::mem::replace(&mut stage.cluster.state().ports[1], closed);
    let error = stage.set(&stage.value()).await.unwrap_err();
    assert!(
        error.starts_with("ServerUnreachable") && error.contains(&format!("localhost:{closed}")),
        "{error}"
    );
    stage.cluster.state().ports[1] = port;
    stage.cluster.state().instead = HashMap::from([(51, Instead::Error(41))]);
    let error = stage.set(&stage.value()).await.unwrap_err();
    assert!(error.contains("NOT_CONTROLLER (41)") && error.contains("list all brokers"), "{error}");
}

#[tokio::test]
async fn new_password_is_awaited_on_every_broker_of_the_secret() {
    let stage = Stage::new(3).await;
    stage.cluster.state().lag = Duration::from_millis(1500);
    let mut value = stage.value();
    let ports = stage.cluster.state().ports.clone();
    let closed = local_servers::process::free_port().unwrap();
    value["bootstrapServers"] =
        format!("localhost:{},localhost:{closed},localhost:{},localhost:{}", ports[0], ports[1], ports[2])
            .into();
    let begun = Instant::now();
    let new = stage.set(&value).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(1500));
    for port in ports {
        let value = json!({"host": "localhost", "port": port, "username": USER, "password": new});
        assert_eq!(stage.log_in(&value).await, Ok(Login::Accepted));
    }
    stage.cluster.state().lag = Duration::from_secs(3600);
    stage.reset(&[2]);
    let error = stage.set(&value).await.unwrap_err();
    assert!(
        error.starts_with("SetPasswordFailed") && error.contains("still rejects it after 10 s"),
        "{error}"
    );
}

#[tokio::test]
async fn malformed_broker_answer_is_neither_success_nor_refusal() {
    let stage = Stage::new(1).await;
    let value = stage.value();
    assert_eq!(stage.log_in(&value).await, Ok(Login::Accepted));
    let everywhere = [
        (Instead::HugeLength, "InsufficientPrivileges", "has 2147483647 bytes"),
        (Instead::Truncated, "ServerUnreachable", "the connection broke at"),
        (Instead::Closes, "ServerUnreachable", "the connection broke at"),
        (Instead::Garbage, "InsufficientPrivileges", "is invalid"),
        (Instead::OtherCorrelation, "InsufficientPrivileges", "is for another request"),
    ];
    let login = [18, 17, 36, 3]
        .into_iter()
        .flat_map(|key| everywhere.map(|(instead, name, part)| (key, instead, name, part)));
    let own = [
        (
            18,
            Instead::Error(35),
            "InsufficientPrivileges",
            "ApiVersions failed with UNSUPPORTED_VERSION (35)",
        ),
        (
            17,
            Instead::Error(34),
            "InsufficientPrivileges",
            "SaslHandshake failed with ILLEGAL_SASL_STATE (34)",
        ),
        (
            36,
            Instead::Error(34),
            "InsufficientPrivileges",
            "SaslAuthenticate failed with ILLEGAL_SASL_STATE (34)",
        ),
        (36, Instead::Error(-1), "InsufficientPrivileges", "UNKNOWN_SERVER_ERROR (-1)"),
        (36, Instead::WrongSignature, "InsufficientPrivileges", "does not know the credential"),
        (36, Instead::OtherNonce, "InsufficientPrivileges", "nonce"),
        (
            36,
            Instead::Iterations(4095),
            "InsufficientPrivileges",
            "requires 4095 iterations, expected 4096 to 16384",
        ),
        (36, Instead::Iterations(4_000_000_000), "InsufficientPrivileges", "requires 4000000000 iterations"),
    ];
    for (key, instead, name, part) in login.chain(own) {
        stage.cluster.state().instead = HashMap::from([(key, instead)]);
        let error = stage.log_in(&value).await.unwrap_err();
        assert!(error.starts_with(name) && error.contains(part), "{key}, {instead:?}: {error}");
        assert!(!error.contains(FIRST), "{error}");
    }
    stage.cluster.state().instead = HashMap::from([(36, Instead::Error(58))]);
    assert_eq!(stage.log_in(&value).await, Ok(Login::Refused));
    stage.cluster.state().instead.clear();
    for key in [3, 17, 36] {
        stage.cluster.state().without = vec![key];
        let error = stage.log_in(&value).await.unwrap_err();
        assert!(error.contains("does not support") && error.contains("2.7 or later"), "{error}");
    }
}

#[tokio::test]
async fn rejected_change_has_a_reason_and_keeps_the_password() {
    let stage = Stage::new(1).await;
    let value = stage.value();
    for (key, instead, name, part) in [
        (
            50,
            Instead::Error(31),
            "SetPasswordFailed",
            "DescribeUserScramCredentials failed with CLUSTER_AUTHORIZATION_FAILED (31)",
        ),
        (50, Instead::Garbage, "SetPasswordFailed", "is invalid"),
        (50, Instead::Closes, "SetPasswordFailed", "the connection broke"),
        (
            51,
            Instead::Error(31),
            "SetPasswordFailed",
            "\"in the controller's words\"; the user that changes passwords needs ALTER",
        ),
        (51, Instead::Error(33), "SetPasswordFailed", "UNSUPPORTED_SASL_MECHANISM (33)"),
        (51, Instead::Error(35), "SetPasswordFailed", "metadata.version 3.5"),
        (51, Instead::Error(29), "SetPasswordFailed", "TOPIC_AUTHORIZATION_FAILED (29)"),
        (51, Instead::Error(87), "SetPasswordFailed", "INVALID_RECORD (87)"),
        (51, Instead::Error(91), "SetPasswordFailed", "RESOURCE_NOT_FOUND (91)"),
        (51, Instead::Error(92), "SetPasswordFailed", "DUPLICATE_RESOURCE (92)"),
        (51, Instead::Error(93), "SetPasswordFailed", "SCRAM_ITERATIONS must be 4096 to 16384"),
        (51, Instead::Error(4711), "SetPasswordFailed", "an error (4711)"),
        (51, Instead::HugeLength, "SetPasswordFailed", "has 2147483647 bytes"),
        (51, Instead::Closes, "SetPasswordFailed", "the connection broke"),
    ] {
        stage.cluster.state().instead = HashMap::from([(key, instead)]);
        let error = stage.set(&value).await.unwrap_err();
        assert!(error.starts_with(name) && error.contains(part), "{key}, {instead:?}: {error}");
        stage.cluster.state().instead.clear();
        assert_eq!(stage.log_in(&value).await, Ok(Login::Accepted));
    }
    for (key, name) in [(50, "DescribeUserScramCredentials"), (51, "AlterUserScramCredentials")] {
        stage.cluster.state().without = vec![key];
        let error = stage.set(&value).await.unwrap_err();
        assert!(error.contains(&format!("does not support {name} version 0")), "{error}");
    }
    stage.cluster.state().without.clear();
    // A user of its own may only do it with the right to.
    stage.cluster.state().super_users.retain(|user| user == "admin");
    let error = stage.set(&value).await.unwrap_err();
    assert!(error.contains("CLUSTER_AUTHORIZATION_FAILED"), "{error}");
}

#[tokio::test]
async fn credential_of_an_unknown_mechanism_stops_the_rotation() {
    let stage = Stage::new(1).await;
    stage.cluster.set_user(USER, 3, FIRST);
    let error = stage.set(&stage.value()).await.unwrap_err();
    assert!(error.contains("other than SCRAM-SHA-256 and SCRAM-SHA-512"), "{error}");
}

#[tokio::test]
async fn unsupported_mechanism_is_reported_with_the_supported_ones() {
    let stage = Stage::new(1).await;
    stage.cluster.state().mechanisms = vec!["PLAIN", "SCRAM-SHA-256"];
    let error = stage.log_in(&stage.value()).await.unwrap_err();
    let part = "its listener accepts PLAIN, SCRAM-SHA-256, not SCRAM-SHA-512";
    assert!(error.starts_with("InsufficientPrivileges") && error.contains(part), "{error}");
}

#[tokio::test]
async fn users_with_commas_and_equals_signs_rotate() {
    let stage = Stage::new(1).await;
    for (_, strategy) in strategies() {
        let user = "a=b,c=2C,=3D";
        for mechanism in [1, 2] {
            stage.cluster.set_user(user, mechanism, FIRST);
        }
        stage.cluster.state().super_users.push(user.to_owned());
        let mut value = stage.value();
        value["username"] = user.into();
        let secret = stage.secret(&value);
        Drill::new(&secret, &stage.engine, HashMap::new()).by(strategy).run().await.unwrap();
    }
}

#[tokio::test]
async fn new_passwords_have_configured_iterations_and_a_new_salt() {
    let stage = Stage::new(1).await;
    let mut salts = Vec::new();
    for iterations in [4096, 8192, 16_384] {
        let engine = Kafka::new(stage.tls(), Kafka::default_policy(), Iterations::new(iterations).unwrap());
        let secret = stage.secret(&stage.value());
        stage.reset(&[1, 2]);
        Drill::new(&secret, &engine, HashMap::new()).run().await.unwrap();
        let state = stage.cluster.state();
        let new = state.users[USER].iter().rev().take(2).map(|(credential, _)| credential.clone());
        for credential in new {
            assert_eq!(credential.iterations, i32::try_from(iterations).unwrap());
            assert!(!salts.contains(&credential.salt));
            salts.push(credential.salt);
        }
    }
    assert_eq!(salts.len(), 6);
    assert_eq!(stage.engine.max_user_bytes(), Some(255));
}
