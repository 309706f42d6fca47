//! A real PostgreSQL with a user, and the stack that rotates that user's secret.

// Each test binary uses only a part of this module.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use cloud::{Cloud, Options, TARGET};
use end_to_end::Secret;
use local_servers::postgres::{Flavour, Login as Session, PostgresKit, Server};
use rotation::engine::{Account, Engine, Login};
use rotation::engines::{postgres::Postgres, trust::Tls};
use rotation::passwords::Admin;
use serde_json::{Value, json};
use test_support::rotation::ADMIN;

/// A server with a user whose name needs quoting.
pub struct Target {
    pub engine: Postgres,
    pub server: Server,
    pub ca: String,
    pub runtime: tokio::runtime::Runtime,
    _kit: PostgresKit,
    _folder: tempfile::TempDir,
}

pub const USER: &str = "app \"one\"";
pub const QUOTED: &str = r#""app ""one""""#;
pub const CLONE: &str = r#""app ""one""_clone""#;
pub const FIRST: &str = "first-password";

pub fn admin() -> Admin {
    Admin { secret: ADMIN.to_owned(), host: None }
}

impl Target {
    pub fn new() -> Self {
        Self::with(Flavour::RDS)
    }

    pub fn with(flavour: Flavour) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let kit =
            PostgresKit::prepare(folder.path(), flavour, Some(env!("CARGO_TARGET_TMPDIR").as_ref())).unwrap();
        let server = kit.create().unwrap();
        let ca = std::fs::read_to_string(kit.ca_file()).unwrap();
        let engine = Postgres::new(Tls::new(Some(&ca), None).unwrap(), Postgres::default_policy());
        runtime.block_on(server.start()).unwrap();
        let target = Self { engine, server, ca, runtime, _kit: kit, _folder: folder };
        target.execute(&format!("CREATE ROLE {QUOTED} LOGIN PASSWORD '{FIRST}'"));
        // The permissions of the master user of RDS, which is no superuser.
        target.execute("CREATE ROLE boss LOGIN CREATEROLE PASSWORD 'boss-password'");
        target
    }

    pub fn admin(&self) -> Value {
        json!({"engine": "postgres", "host": "127.0.0.1", "port": self.server.port(), "username": "boss", "password": "boss-password"})
    }

    pub fn account(&self, value: &Value) -> Account {
        let document = rotation::document::SecretDocument::parse(&value.to_string().into()).unwrap();
        self.engine.account(&document).unwrap()
    }

    /// Returns the result of these statements in a session of a user, with the settings of its role as
    /// after a login.
    pub fn row(&self, user: &Value, statements: &str, question: &str) -> tokio_postgres::Row {
        let login = Session::Trusted(user.as_str().unwrap().to_owned());
        self.runtime.block_on(async {
            let client = self.server.connect("postgres", &login).await.unwrap();
            client.batch_execute(statements).await.unwrap();
            client.query_one(question, &[]).await.unwrap()
        })
    }

    /// Runs statements as the server's superuser.
    pub fn execute(&self, sql: &str) {
        self.runtime.block_on(async {
            let client = self.server.connect("postgres", &Session::system()).await.unwrap();
            client.batch_execute(sql).await.unwrap();
        });
    }

    /// Returns the value without its URL, because drills compare every key except those of the
    /// credential.
    pub fn value_without_address(&self) -> Value {
        let mut value = self.value();
        value.as_object_mut().unwrap().remove("url");
        value
    }

    pub fn value(&self) -> Value {
        json!({"engine": "postgres", "host": "127.0.0.1", "port": self.server.port(), "dbname": "postgres", "username": USER,
            "password": FIRST, "note": "keep me", "url": "postgresql://app:first-password@127.0.0.1/postgres"})
    }
}

/// A target, the secrets of its user and its admin, and the stack that rotates the user's secret.
pub struct Stage {
    pub target: Target,
    pub cloud: Cloud,
    pub secret: Secret,
    pub admin: Secret,
}

impl Stage {
    pub fn new() -> Self {
        Self::of(Target::new())
    }

    pub fn of(target: Target) -> Self {
        Self::with(target, &Options::default())
    }

    pub fn with(target: Target, options: &Options) -> Self {
        let cloud = Cloud::start(options, &|_| {}).unwrap();
        let make = |name: &str, value: &Value| Secret::create(cloud.account(TARGET), name, value);
        let (secret, admin) = (make("app", &target.value()), make("admin", &target.admin()));
        Self { target, cloud, secret, admin }
    }

    pub fn deploy(&self, further: &[(&str, &str)]) {
        let mut parameters = vec![("CaCertificates", self.target.ca.as_str())];
        parameters.retain(|(name, _)| further.iter().all(|(other, _)| other != name));
        parameters.extend(further);
        self.secret.deploy_rotation("postgres", &parameters);
    }

    /// Rotates while the server is down, so that the pending version has a password that the server
    /// does not have.
    pub fn rotate_without_a_server(&self) {
        self.target.server.stop();
        let seen = self.secret.rotation_log().len();
        self.secret.rotate();
        self.secret.wait_until_it_stopped(seen);
        self.target.runtime.block_on(self.target.server.start()).unwrap();
    }

    /// Logs in over TLS with a verified certificate, as the function does. The server accepts no
    /// other connection.
    pub fn try_password(&self, value: &Value, password: &str) -> Login {
        let mut value = value.clone();
        value["password"] = password.into();
        let account = self.target.account(&value);
        self.target.runtime.block_on(self.target.engine.log_in(&account)).unwrap()
    }
}
