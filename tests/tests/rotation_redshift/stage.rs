//! The server of the tests, its users, and what they may.

use std::sync::Arc;

use local_servers::postgres::{Flavour, Login as Session, PostgresKit, Server};
use rotation::document::SecretDocument;
use rotation::engine::{Account, Engine, EngineError, Login};
use rotation::engines::redshift::{Access, Change, PasswordHashFormat, Redshift};
use rotation::engines::trust::Tls;
use serde_json::{Value, json};
use test_support::rotation::MemorySecret;

use super::sessions::Sessions;

const FLAVOUR: Flavour = Flavour {
    name: "redshift",
    catalog: include_str!("catalog.sql"),
    wire: "hostssl all all 127.0.0.1/32 md5\nhost all all 127.0.0.1/32 md5\n",
    settings: &[
        "password_encryption=md5",
        "standard_conforming_strings=off",
        "escape_string_warning=off",
        "backslash_quote=on",
        // For the test that reads it.
        "log_min_messages=log",
        "log_statement=all",
    ],
};

/// A user whose name needs quoting.
pub(crate) const USER: &str = "app \"one\"";
pub(crate) const CLONE: &str = "app \"one\"_clone";
pub(crate) const FIRST: &str = "First-Password-1";
pub(crate) const BOSS: &str = "boss";
pub(crate) const BOSS_PASSWORD: &str = "Boss-Password-1";

/// The servers on which every call of a rotation is checked.
pub(crate) struct Stage {
    pub(crate) server: Arc<Server>,
    pub(crate) sessions: Arc<Sessions>,
    ca: String,
    pub(crate) runtime: tokio::runtime::Runtime,
    _kit: PostgresKit,
    folder: tempfile::TempDir,
}

pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

impl Stage {
    pub(crate) fn new() -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let kit =
            PostgresKit::prepare(folder.path(), FLAVOUR, Some(env!("CARGO_TARGET_TMPDIR").as_ref())).unwrap();
        let server = Arc::new(kit.create().unwrap());
        let ca = std::fs::read_to_string(kit.ca_file()).unwrap();
        runtime.block_on(server.start()).unwrap();
        runtime.block_on(async {
            // From the template with the views.
            let client = server.connect("postgres", &Session::system()).await.unwrap();
            client.batch_execute("CREATE DATABASE dev").await.unwrap();
        });
        let sessions = Arc::new(Sessions::new(Arc::clone(&server)));
        let stage = Self { server, sessions, ca, runtime, _kit: kit, folder };
        stage.execute(&format!(
            "CREATE ROLE {BOSS} LOGIN SUPERUSER PASSWORD '{BOSS_PASSWORD}'; CREATE ROLE {} LOGIN PASSWORD '{FIRST}'",
            quoted(USER)
        ));
        stage
    }

    /// Every statement, as the server saw it.
    pub(crate) fn server_log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("postgres/server-1.log")).unwrap()
    }

    pub(crate) fn tls(&self) -> Tls {
        Tls::new(Some(&self.ca), None).unwrap()
    }

    pub(crate) fn wire(&self) -> Redshift {
        Redshift::new(
            Access::Wire(self.tls()),
            Change::Sql(PasswordHashFormat::AsBefore),
            None,
            Redshift::default_policy(),
        )
    }

    /// As the server's own superuser.
    pub(crate) fn execute(&self, sql: &str) {
        self.runtime.block_on(async { self.sessions.superuser().await.batch_execute(sql).await.unwrap() });
    }

    pub(crate) fn texts(&self, sql: &str) -> Vec<String> {
        self.runtime.block_on(async {
            let client = self.sessions.superuser().await;
            client.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
        })
    }

    /// Back to where every run begins.
    pub(crate) fn reset(&self) {
        let [user, clone] = [USER, CLONE].map(quoted);
        self.execute(&format!(
            "ALTER ROLE {user} PASSWORD '{FIRST}'; ALTER ROLE {BOSS} PASSWORD '{BOSS_PASSWORD}'"
        ));
        if !self.texts(&format!("SELECT rolname::text FROM pg_roles WHERE rolname = '{CLONE}'")).is_empty() {
            self.execute(&format!("DROP OWNED BY {clone}; DROP ROLE {clone}"));
        }
    }

    pub(crate) fn value(&self, port: u16, user: &str, password: &str) -> Value {
        json!({"engine": "redshift", "host": "127.0.0.1", "port": port, "dbname": "dev", "username": user, "password": password,
            "note": "keep me"})
    }

    pub(crate) fn secret(&self, port: u16, user: &str, password: &str) -> MemorySecret {
        let boss = self.value(port, BOSS, BOSS_PASSWORD).to_string();
        MemorySecret::new(&self.value(port, user, password).to_string()).with_admin(&boss)
    }

    /// Returns true if the server accepts the credential of a version.
    pub(crate) fn lets_in(&self, secret: &MemorySecret, label: &str) -> bool {
        let Some(document) = secret.document(label) else { return false };
        let [user, password] = ["username", "password"].map(|key| document.text(key).unwrap());
        self.runtime.block_on(self.sessions.log_in("dev", user, password)).is_ok()
    }

    pub(crate) fn log_in(&self, engine: &Redshift, value: &Value) -> Result<Login, EngineError> {
        self.runtime.block_on(engine.log_in(&account(engine, value)))
    }
}

pub(crate) fn account(engine: &Redshift, value: &Value) -> Account {
    engine.account(&SecretDocument::parse(&value.to_string().into()).unwrap()).unwrap()
}

/// Gives the user something of everything.
pub(crate) fn make_rich(stage: &Stage) {
    let user = quoted(USER);
    stage.execute(&format!(
        "CREATE SCHEMA s; CREATE TABLE s.t (a int, b int); CREATE TABLE s.\"odd \"\"t\" (a int); CREATE GROUP g1; CREATE GROUP \"g 2\";
         CREATE FUNCTION s.f(integer, character varying) RETURNS int LANGUAGE sql AS 'SELECT 1';
         ALTER GROUP g1 ADD USER {user}; ALTER GROUP \"g 2\" ADD USER {user};
         GRANT USAGE ON SCHEMA s TO {user}; GRANT CREATE ON SCHEMA s TO {user} WITH GRANT OPTION;
         GRANT SELECT, INSERT ON s.t TO {user}; GRANT SELECT ON s.\"odd \"\"t\" TO {user} WITH GRANT OPTION; GRANT UPDATE (b) ON s.t TO {user};
         GRANT EXECUTE ON FUNCTION s.f(integer, character varying) TO {user}; GRANT TEMPORARY ON DATABASE dev TO {user};
         GRANT USAGE ON LANGUAGE plpgsql TO {user};
         ALTER DEFAULT PRIVILEGES FOR USER boss IN SCHEMA s GRANT SELECT ON TABLES TO {user};
         ALTER USER {user} CONNECTION LIMIT 50; ALTER USER {user} CREATEDB; ALTER USER {user} SET search_path TO s, \"$user\", \"a, \"\"b\";
         ALTER USER {user} SET timezone TO 'Europe/Rome'"
    ));
}

/// Everything that a user may, without its name.
pub(crate) fn rights(stage: &Stage, user: &str) -> Vec<String> {
    stage.texts(&format!(
        "SELECT * FROM (
         SELECT 'group ' || g.groname FROM pg_group g JOIN pg_user u ON u.usesysid = ANY(g.grolist) WHERE u.usename = '{user}'
         UNION ALL SELECT concat_ws(' ', 'database', database_name, privilege_type, admin_option) FROM svv_database_privileges WHERE identity_name = '{user}'
         UNION ALL SELECT concat_ws(' ', 'schema', namespace_name, privilege_type, admin_option) FROM svv_schema_privileges WHERE identity_name = '{user}'
         UNION ALL SELECT concat_ws(' ', 'relation', namespace_name, relation_name, privilege_type, admin_option) FROM svv_relation_privileges WHERE identity_name = '{user}'
         UNION ALL SELECT concat_ws(' ', 'column', relation_name, column_name, privilege_type) FROM svv_column_privileges WHERE identity_name = '{user}'
         UNION ALL SELECT concat_ws(' ', 'function', function_name, argument_types, admin_option) FROM svv_function_privileges WHERE identity_name = '{user}'
         UNION ALL SELECT concat_ws(' ', 'language', language_name, privilege_type) FROM svv_language_privileges WHERE identity_name = '{user}'
         UNION ALL SELECT concat_ws(' ', 'default', schema_name, object_type, owner_name, privilege_type) FROM svv_default_privileges WHERE grantee_name = '{user}'
         UNION ALL SELECT concat_ws(' ', 'limits', connection_limit, createdb, superuser) FROM svv_user_info WHERE user_name = '{user}'
         UNION ALL SELECT 'setting ' || unnest(useconfig) FROM pg_user WHERE usename = '{user}') AS all_rights(text) ORDER BY 1"
    ))
}
