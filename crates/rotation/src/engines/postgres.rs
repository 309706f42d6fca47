//! PostgreSQL: Amazon RDS, Aurora, and any other server from version 10.
//!
//! The new password reaches the server only as a SCRAM verifier made here, so it is in no
//! statement, server log or `pg_stat_activity`. Sources: "ALTER ROLE" and "Password Authentication"
//! of the PostgreSQL manual; RFC 5803.

use postgres_protocol::escape::{escape_identifier, escape_literal};
use postgres_protocol::password;
use secrecy::{ExposeSecret, SecretString};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row};

use super::pg_wire::{self, Certified, not_connected};
use super::trust::Tls;
use crate::document::{DocumentError, SecretDocument};
use crate::engine::{Account, Defaults, Engine, EngineError, Login, Server};
use crate::password::PasswordPolicy;

const DEFAULTS: Defaults = Defaults {
    engines: &["postgres", "aurora-postgresql"],
    port: 5432,
    database: "postgres",
    expected_engine: "`postgres` or `aurora-postgresql`",
};

/// The engine for PostgreSQL.
pub struct Postgres {
    tls: Tls,
    policy: PasswordPolicy,
}

impl Postgres {
    /// Creates the engine.
    pub fn new(tls: Tls, policy: PasswordPolicy) -> Self {
        Self { tls, policy }
    }

    /// Returns the password policy without any configuration. The bounds are those of an RDS master
    /// user: 8 to 128 characters without `/ " @` (ModifyDBInstance). `' \ :` are excluded for
    /// clients that put passwords into addresses.
    pub fn default_policy() -> PasswordPolicy {
        PasswordPolicy {
            engine: "PostgreSQL",
            bounds: (8, 128),
            length: 32,
            exclude: "/@\"'\\:".to_owned(),
            excluded_kinds: crate::password::ExcludedKinds::default(),
            require_each_kind: true,
        }
    }

    /// Opens a session. Returns `None` if the password is rejected.
    async fn connect(&self, account: &Account) -> Result<Option<Client>, EngineError> {
        pg_wire::connect(account, Certified::new(&self.tls, &account.server.host)).await
    }
}

impl Engine for Postgres {
    fn name(&self) -> &'static str {
        "postgres"
    }

    fn password_policy(&self) -> PasswordPolicy {
        self.policy.clone()
    }

    fn account(&self, document: &SecretDocument) -> Result<Account, DocumentError> {
        Account::read(document, DEFAULTS)
    }

    async fn log_in(&self, account: &Account) -> Result<Login, EngineError> {
        let Some(client) = self.connect(account).await? else { return Ok(Login::Refused) };
        match client.simple_query("SELECT 1").await {
            Ok(_) => Ok(Login::Accepted),
            Err(error) => Err(not_connected(account, &error)),
        }
    }

    fn max_user_bytes(&self) -> Option<usize> {
        // NAMEDATALEN - 1.
        Some(63)
    }

    async fn set_password(&self, by: &Account, user: &str, new: &SecretString) -> Result<(), EngineError> {
        let session = Session::open(self, by, user).await?;
        session.set_password(new).await
    }

    async fn set_other_user(
        &self,
        admin: &Account,
        model: &str,
        user: &str,
        new: &SecretString,
    ) -> Result<(), EngineError> {
        let session = Session::open(self, admin, user).await?;
        session.clone_privileges(model).await?;
        session.set_password(new).await
    }
}

/// A session that changes one user.
struct Session<'a> {
    client: Client,
    server: &'a Server,
    user: &'a str,
}

impl<'a> Session<'a> {
    async fn open(engine: &Postgres, by: &'a Account, user: &'a str) -> Result<Self, EngineError> {
        match engine.connect(by).await? {
            Some(client) => Ok(Self { client, server: &by.server, user }),
            None => Err(EngineError::SetPasswordFailed {
                server: by.server.clone(),
                user: user.to_owned(),
                problem: format!("the password of `{}` is rejected", by.user),
            }),
        }
    }

    fn not_set(&self, problem: String) -> EngineError {
        EngineError::SetPasswordFailed { server: self.server.clone(), user: self.user.to_owned(), problem }
    }

    async fn execute(&self, statement: &str) -> Result<(), EngineError> {
        let done = self.client.batch_execute(statement).await;
        done.map_err(|error| self.not_set(lambda_kit::error::chain(&error)))
    }

    async fn query(&self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, EngineError> {
        let rows = self.client.query(sql, parameters).await;
        rows.map_err(|error| self.not_set(lambda_kit::error::chain(&error)))
    }

    async fn set_password(&self, new: &SecretString) -> Result<(), EngineError> {
        let found = self.query("SELECT current_setting('password_encryption')", &[]).await?;
        let encryption: &str = found.first().map(|row| row.get(0)).unwrap_or_default();
        // A verifier of another kind than the server's own could lock out old clients.
        let verifier: SecretString = match encryption {
            "scram-sha-256" => password::scram_sha_256(new.expose_secret().as_bytes()).into(),
            "md5" => password::md5(new.expose_secret().as_bytes(), self.user).into(),
            other => {
                let problem = format!("password_encryption of the server has the unknown value `{other}`");
                return Err(self.not_set(problem));
            }
        };
        let user = escape_identifier(self.user);
        let literal = escape_literal(verifier.expose_secret());
        let statement = SecretString::from(format!("ALTER ROLE {user} PASSWORD {literal}"));
        self.execute(statement.expose_secret()).await
    }

    /// Creates the user, if it does not exist, as a member of `model` whose sessions start as
    /// `model`: it has the same privileges, and its objects belong to `model`. Its settings and
    /// limits are copied each time.
    async fn clone_privileges(&self, model: &str) -> Result<(), EngineError> {
        let (user, role) = (escape_identifier(self.user), escape_identifier(model));
        let exists =
            !self.query("SELECT 1 FROM pg_roles WHERE rolname = $1", &[&self.user]).await?.is_empty();
        // The first of the two users never becomes a member of the second, which is its member
        // already.
        let sql = "SELECT 1 FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid JOIN pg_roles u ON u.oid = m.member \
                   WHERE r.rolname = $1 AND u.rolname = $2";
        if !self.query(sql, &[&self.user, &model]).await?.is_empty() {
            return Ok(());
        }
        let mut statements = Vec::new();
        if !exists {
            statements.push(format!("CREATE ROLE {user} LOGIN"));
        }
        if self.query(sql, &[&model, &self.user]).await?.is_empty() {
            statements.push(format!("GRANT {role} TO {user}"));
        }
        let limits = "SELECT rolconnlimit, rolvaliduntil::text FROM pg_roles WHERE rolname = $1";
        if let Some(row) = self.query(limits, &[&model]).await?.first() {
            let (connections, until): (i32, Option<&str>) = (row.get(0), row.get(1));
            let until = escape_literal(until.unwrap_or("infinity"));
            statements.push(format!("ALTER ROLE {user} CONNECTION LIMIT {connections} VALID UNTIL {until}"));
        }
        statements.push(format!("ALTER ROLE {user} RESET ALL"));
        for setting in self.settings(self.user).await?.iter().filter(|setting| !setting.place.is_empty()) {
            statements.push(format!("ALTER ROLE {user}{} RESET ALL", setting.place));
        }
        statements.push(format!("ALTER ROLE {user} SET role TO {role}"));
        for setting in self.settings(model).await? {
            let name = setting.name.split('.').map(escape_identifier).collect::<Vec<_>>().join(".");
            let (place, value) = (setting.place, escape_literal(&setting.value));
            match setting.name.as_str() {
                "role" => {}
                // Lists, which are stored with the quotes of their elements: only the server can
                // parse them.
                "search_path"
                | "temp_tablespaces"
                | "session_preload_libraries"
                | "local_preload_libraries" => {
                    statements
                        .push(format!("SELECT set_config({}, {value}, true)", escape_literal(&setting.name)));
                    statements.push(format!("ALTER ROLE {user}{place} SET {name} FROM CURRENT"));
                }
                _ => statements.push(format!("ALTER ROLE {user}{place} SET {name} TO {value}")),
            }
        }
        // One transaction: the user is complete or does not exist.
        self.execute(&format!("BEGIN; {}; COMMIT", statements.join("; "))).await
    }

    /// Returns the settings of a role, for all databases and for single ones.
    async fn settings(&self, role: &str) -> Result<Vec<Setting>, EngineError> {
        // The server stores `name=value`.
        let sql = "SELECT d.datname, split_part(s.setting, '=', 1), substr(s.setting, strpos(s.setting, '=') + 1) \
                   FROM pg_db_role_setting c JOIN pg_roles r ON r.oid = c.setrole LEFT JOIN pg_database d ON d.oid = c.setdatabase, \
                   unnest(c.setconfig) AS s(setting) WHERE r.rolname = $1";
        let rows = self.query(sql, &[&role]).await?;
        let setting = |row: &Row| Setting {
            place: row
                .get::<_, Option<&str>>(0)
                .map(|name| format!(" IN DATABASE {}", escape_identifier(name)))
                .unwrap_or_default(),
            name: row.get(1),
            value: row.get(2),
        };
        Ok(rows.iter().map(setting).collect())
    }
}

/// A setting of a role.
struct Setting {
    /// Empty, or ` IN DATABASE …`.
    place: String,
    name: String,
    value: String,
}
