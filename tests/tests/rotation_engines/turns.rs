//! Alternating users of MariaDB and Kafka.

use std::path::Path;

use cloud::setup::Environment;
use cloud::{Cloud, Options, TARGET};
use end_to_end::Secret;
use local_servers::{kafka, mysql};
use rotation::document::SecretDocument;
use rotation::engine::{Engine, Login};
use rotation::engines::kafka::{Iterations, Kafka};
use rotation::engines::mysql::{Mysql, OldPassword};
use rotation::engines::trust::Tls;
use serde_json::{Value, json};

const FIRST: &str = "First-password-1";
const ADMIN: &str = "Admin-password-1";

/// Rotates a secret with alternating users, and checks which credentials log in.
fn alternate<E: Engine>(name: &str, engine: &E, value: &Value, admin: &Value, ca: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let log_in = |value: &Value| {
        let document = SecretDocument::parse(&value.to_string().into()).unwrap();
        runtime.block_on(engine.log_in(&engine.account(&document).unwrap())).unwrap()
    };
    assert_eq!((log_in(value), log_in(admin)), (Login::Accepted, Login::Accepted));

    let cloud = Cloud::start(&Options::default(), &|_| {}).unwrap();
    let make = |name: &str, value: &Value| Secret::create(cloud.account(TARGET), name, value);
    let (secret, admin) = (make("app", value), make("admin", admin));
    let parameters =
        [("Strategy", "alternating-users"), ("AdminSecretArn", admin.arn.as_str()), ("CaCertificates", ca)];
    secret.deploy_rotation(name, &parameters);
    let mut values = vec![value.clone()];
    for turn in 0..3 {
        if turn > 0 {
            secret.rotate();
        }
        values.push(secret.rotated(&values[turn]));
        for (age, value) in values.iter().rev().enumerate() {
            let expected = if age < 2 { Login::Accepted } else { Login::Refused };
            assert_eq!(log_in(value), expected, "turn {turn}, {age} rotations old");
        }
    }
    let users: Vec<_> = values.iter().map(|value| value["username"].as_str().unwrap()).collect();
    assert_eq!(users, ["app", "app_clone", "app", "app_clone"]);
    let password = |value: &Value| value["password"].as_str().unwrap().to_owned();
    super::nothing_shows(&secret, &values.iter().skip(1).map(password).collect());
}

#[test]
fn mariadb_users_alternate() {
    let programs = mysql::Programs::find(mysql::Brand::MariaDb).unwrap();
    let server = mysql::Server::start(&programs, Path::new(env!("CARGO_TARGET_TMPDIR")), &[]).unwrap();
    let users = format!(
        "CREATE USER admin@`%` IDENTIFIED BY '{ADMIN}'; GRANT ALL ON *.* TO admin@`%` WITH GRANT OPTION; \
         CREATE DATABASE shop; CREATE USER app@`127.0.0.1` IDENTIFIED BY '{FIRST}'; GRANT SELECT ON shop.* TO app@`127.0.0.1`"
    );
    server.execute(&users).unwrap();
    let engine = Mysql::new(
        Tls::new(Some(server.ca()), None).unwrap(),
        Mysql::default_policy(),
        OldPassword::KeptIfPossible,
    );
    let value = json!({"engine": "mariadb", "host": "127.0.0.1", "port": server.port(), "username": "app", "password": FIRST, "note": 1});
    let admin = json!({"engine": "mariadb", "host": "127.0.0.1", "port": server.port(), "username": "admin", "password": ADMIN});
    alternate("mysql", &engine, &value, &admin, server.ca());
}

#[test]
fn kafka_users_alternate() {
    let program =
        kafka::program().unwrap_or_else(|_| Environment::Kafka.ensure(&|_| {}).unwrap().program("tansu"));
    let folder = tempfile::tempdir().unwrap();
    let broker = kafka::Broker::start(&program, folder.path(), "warn").unwrap();
    broker.set_user("admin", ADMIN, kafka::Mechanism::Sha512).unwrap();
    broker.set_user("app", FIRST, kafka::Mechanism::Sha512).unwrap();
    let engine = Kafka::new(
        Tls::new(Some(broker.ca()), None).unwrap(),
        Kafka::default_policy(),
        Iterations::default(),
    );
    let servers = format!("127.0.0.1:{}", broker.front().port());
    let value =
        json!({"engine": "kafka", "bootstrap.servers": servers, "username": "app", "password": FIRST});
    let admin =
        json!({"engine": "kafka", "bootstrap.servers": servers, "username": "admin", "password": ADMIN});
    alternate("kafka", &engine, &value, &admin, broker.ca());
}
