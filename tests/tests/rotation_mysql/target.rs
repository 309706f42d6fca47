//! A server with an admin, and the engine that rotates its users.

use std::path::Path;

use local_servers::mysql::{Brand, Programs, Server};
use rotation::document::SecretDocument;
use rotation::engine::{Account, Engine, EngineError, Login};
use rotation::engines::mysql::{Mysql, OldPassword};
use rotation::engines::trust::Tls;
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

/// The series of MySQL that is tested: that of Aurora 3 and of most servers of RDS.
pub(crate) const MYSQL: Brand = Brand::MySql("8.0");
/// Both.
pub(crate) const BRANDS: [Brand; 2] = [Brand::MariaDb, MYSQL];

/// The privileges of the admin user of an RDS instance.
const ADMIN: &str = "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, RELOAD, PROCESS, REFERENCES, INDEX, ALTER, SHOW DATABASES, \
     CREATE TEMPORARY TABLES, LOCK TABLES, EXECUTE, REPLICATION SLAVE, REPLICATION CLIENT, CREATE VIEW, SHOW VIEW, CREATE ROUTINE, \
     ALTER ROUTINE, CREATE USER, EVENT, TRIGGER";

pub(crate) const FIRST: &str = "First-password-1";
pub(crate) const SECOND: &str = "Second-password-2";

pub(crate) struct Target {
    pub(crate) engine: Mysql,
    pub(crate) server: Server,
    pub(crate) runtime: Runtime,
    pub(crate) brand: Brand,
}

impl Target {
    pub(crate) fn new(brand: Brand) -> Self {
        Self::with(brand, &[])
    }

    pub(crate) fn with(brand: Brand, settings: &[&str]) -> Self {
        let programs = Programs::find(brand).unwrap();
        let cache = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let server = Server::start(&programs, cache, settings).unwrap();
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let engine = engine(server.ca(), OldPassword::KeptIfPossible);
        let target = Self { engine, server, runtime, brand };
        target.execute(&format!(
            "CREATE USER admin@`%` IDENTIFIED BY '{FIRST}'; GRANT {ADMIN} ON *.* TO admin@`%` WITH GRANT OPTION"
        ));
        if brand != Brand::MariaDb {
            target.execute(
                "GRANT APPLICATION_PASSWORD_ADMIN, ROLE_ADMIN ON *.* TO admin@`%` WITH GRANT OPTION",
            );
        }
        target
    }

    pub(crate) fn execute(&self, statements: &str) -> String {
        self.server.execute(statements).unwrap_or_else(|error| panic!("{error}: {statements}"))
    }

    /// Runs statements as they are, a backslash being a character like any other: the client's own
    /// reading of quotes and comments is not the server's.
    pub(crate) fn exactly(&self, statements: &[String]) -> String {
        let hex = |text: &str| text.bytes().map(|byte| format!("{byte:02X}")).collect::<String>();
        let run = |text: &String| {
            format!("SET @s = CONVERT(X'{}' USING utf8mb4); PREPARE s FROM @s; EXECUTE s;", hex(text))
        };
        let all: String = statements.iter().map(run).collect();
        self.execute(&format!("SET sql_mode = 'NO_BACKSLASH_ESCAPES'; {all}"))
    }

    /// `IDENTIFIED …` by a password, under a plugin.
    pub(crate) fn identified(&self, plugin: &str, password: &str) -> String {
        match self.brand {
            Brand::MariaDb => format!("IDENTIFIED VIA {plugin} USING PASSWORD('{password}')"),
            Brand::MySql(_) => format!("IDENTIFIED WITH {plugin} BY '{password}'"),
        }
    }

    pub(crate) fn value(&self, user: &str, password: &str) -> Value {
        let engine = if self.brand == Brand::MariaDb { "mariadb" } else { "mysql" };
        json!({"engine": engine, "host": "127.0.0.1", "port": self.server.port(), "username": user, "password": password,
            "note": "keep me"})
    }

    pub(crate) fn account(&self, user: &str, password: &str) -> Account {
        self.read(&self.value(user, password))
    }

    pub(crate) fn read(&self, value: &Value) -> Account {
        let document = SecretDocument::parse(&value.to_string().into()).unwrap();
        self.engine.account(&document).unwrap()
    }

    pub(crate) fn log_in(&self, user: &str, password: &str) -> Result<Login, EngineError> {
        self.runtime.block_on(self.engine.log_in(&self.account(user, password)))
    }

    pub(crate) fn accepts(&self, user: &str, password: &str) -> bool {
        self.log_in(user, password).unwrap() == Login::Accepted
    }

    /// The user changes its own password.
    pub(crate) fn set_own(&self, user: &str, current: &str, new: &str) -> Result<(), EngineError> {
        self.runtime.block_on(self.engine.set_password(&self.account(user, current), user, &new.into()))
    }

    pub(crate) fn set_by_admin(&self, user: &str, new: &str) -> Result<(), EngineError> {
        self.runtime.block_on(self.engine.set_password(&self.account("admin", FIRST), user, &new.into()))
    }

    pub(crate) fn set_other(&self, like: &str, user: &str, new: &str) -> Result<(), EngineError> {
        let admin = self.account("admin", FIRST);
        self.runtime.block_on(self.engine.set_other_user(&admin, like, user, &new.into()))
    }
}

pub(crate) fn engine(ca: &str, old: OldPassword) -> Mysql {
    Mysql::new(Tls::new(Some(ca), None).unwrap(), Mysql::default_policy(), old)
}
