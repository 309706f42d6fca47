//! PostgreSQL: Amazon RDS, Aurora, and any other server from version 10.
//!
//! The new password reaches the server only as a SCRAM verifier made here, so it is in no
//! statement, server log or `pg_stat_activity`. Sources: "ALTER ROLE" and "Password Authentication"
//! of the PostgreSQL manual; RFC 5803.

use postgres_protocol::escape::{escape_identifier, escape_literal};
use postgres_protocol::password;
use secrecy::{ExposeSecret, SecretString};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, SimpleQueryMessage, SimpleQueryRow};

use super::pg_wire::{self, NotOpened, certified, not_connected};
use super::trust::Tls;
use crate::document::{DocumentError, SecretDocument};
use crate::engine::{Account, Defaults, Engine, EngineError, Login};
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
        pg_wire::connect(&self.tls, account, certified(&self.tls, &account.server.host)).await
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
        let opened = pg_wire::open(&self.tls, account, certified(&self.tls, &account.server.host)).await;
        let client = match opened {
            Ok(client) => client,
            Err(NotOpened::Postgres(error)) if pg_wire::is_refusal(&error) => return Ok(Login::Refused),
            // An administrator may change its password all the same.
            Err(NotOpened::Postgres(error)) if pg_wire::is_known_and_barred(&error) => {
                tracing::warn!(user = account.user, %error, "the password is right, and the user may not log in");
                return Ok(Login::Accepted);
            }
            Err(error) => return Err(error.into_engine(account)),
        };
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

/// The start of every transaction. Only names of `pg_catalog` are found without a schema: a database's
/// owner may set another path for every session in it (ALTER DATABASE … SET search_path), and a
/// function of its own would run with the rights of the administrator (CVE-2018-1058). SET LOCAL ends
/// with the transaction, so that a pooler does not lend this path to other clients.
const OWN_NAMES: &str = "SET LOCAL search_path = pg_catalog, pg_temp";

/// A session that changes one user.
///
/// Every statement is a simple query: a pooler such as PgBouncer or RDS Proxy may run a prepared
/// statement on another connection than the one that it was prepared on. Functions, types, tables and
/// operators are named with their schema, too.
struct Session<'a> {
    client: Client,
    by: &'a Account,
    user: &'a str,
}

impl<'a> Session<'a> {
    async fn open(engine: &Postgres, by: &'a Account, user: &'a str) -> Result<Self, EngineError> {
        match engine.connect(by).await? {
            Some(client) => Ok(Self { client, by, user }),
            None => Err(EngineError::SetPasswordFailed {
                server: by.server.clone(),
                user: user.to_owned(),
                problem: format!("the password of `{}` is rejected", by.user),
            }),
        }
    }

    fn not_set(&self, problem: String) -> EngineError {
        EngineError::SetPasswordFailed { server: self.by.server.clone(), user: self.user.to_owned(), problem }
    }

    /// Returns the error of a statement, with the remedy where the server's words lack it.
    fn failed(&self, error: &tokio_postgres::Error) -> EngineError {
        let problem = lambda_kit::error::chain(error);
        let remedy = match error.code() {
            Some(&SqlState::READ_ONLY_SQL_TRANSACTION) => {
                "; this host is a read-only endpoint; write the host of the writer into the secret"
            }
            Some(&SqlState::INSUFFICIENT_PRIVILEGE) if self.by.user != self.user => {
                "; nothing was changed; use an administrator that may, or let the user change its own password \
                 (ROTATION_STRATEGY single-user without ADMIN_SECRET_ARN)"
            }
            _ => "",
        };
        self.not_set(problem + remedy)
    }

    /// Runs statements in one transaction: all or none. A user's sessions may be read-only by
    /// default.
    async fn execute(&self, statements: &str) -> Result<(), EngineError> {
        let whole = SecretString::from(format!("BEGIN READ WRITE; {OWN_NAMES}; {statements}; COMMIT"));
        let done = self.client.batch_execute(whole.expose_secret()).await;
        done.map_err(|error| self.failed(&error))
    }

    async fn query(&self, sql: &str) -> Result<Vec<SimpleQueryRow>, EngineError> {
        let whole = format!("BEGIN; {OWN_NAMES}; {sql}; COMMIT");
        let messages = self.client.simple_query(&whole).await.map_err(|error| self.failed(&error))?;
        let rows = messages.into_iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        Ok(rows.collect())
    }

    async fn set_password(&self, new: &SecretString) -> Result<(), EngineError> {
        let sql = "SELECT setting, source FROM pg_catalog.pg_settings WHERE name OPERATOR(pg_catalog.=) 'password_encryption'";
        let found = self.query(sql).await?;
        let text =
            |column| found.first().and_then(|row: &SimpleQueryRow| row.get(column)).unwrap_or_default();
        let (encryption, source) = (text(0), text(1));
        if (encryption, source) == ("md5", "database") {
            // Its owner may set it, and would get hashes that are weaker than the server's.
            let problem = format!(
                "password_encryption is md5 for the database `{}` alone; run ALTER DATABASE {} RESET password_encryption",
                self.by.server.database,
                escape_identifier(&self.by.server.database).trim()
            );
            return Err(self.not_set(problem));
        }
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

    /// Returns true if `member` is a direct member of `role`.
    async fn is_member(&self, member: &str, role: &str) -> Result<bool, EngineError> {
        let sql = format!(
            "SELECT 1 FROM pg_catalog.pg_auth_members m \
             JOIN pg_catalog.pg_roles r ON r.oid OPERATOR(pg_catalog.=) m.roleid \
             JOIN pg_catalog.pg_roles u ON u.oid OPERATOR(pg_catalog.=) m.member \
             WHERE r.rolname OPERATOR(pg_catalog.=) {} AND u.rolname OPERATOR(pg_catalog.=) {}",
            escape_literal(role),
            escape_literal(member)
        );
        Ok(!self.query(&sql).await?.is_empty())
    }

    /// Creates the user, if it does not exist, as a member of `model` whose sessions start as
    /// `model`: it has the same privileges, and its objects belong to `model`. Attributes are not
    /// inherited, and a session has some of them before it is `model`: they are copied each time,
    /// as are settings and limits.
    async fn clone_privileges(&self, model: &str) -> Result<(), EngineError> {
        let (user, role) = (escape_identifier(self.user), escape_identifier(model));
        // The first of the two users never becomes a member of the second, which is its member
        // already.
        if self.is_member(model, self.user).await? {
            return Ok(());
        }
        let Some(wanted) = self.attributes(model).await? else {
            return Err(self.not_set(format!("there is no role `{model}` to copy the privileges of")));
        };
        let own = self.attributes(self.user).await?;
        let mut statements = Vec::new();
        if own.is_none() {
            statements.push(format!("CREATE ROLE {user} LOGIN"));
        }
        if !self.is_member(self.user, model).await? {
            statements.push(format!("GRANT {role} TO {user}"));
        }
        let changed = wanted.changes(&own.unwrap_or_default());
        if !changed.is_empty() {
            statements.push(format!("ALTER ROLE {user} {}", changed.join(" ")));
        }
        let until = escape_literal(&wanted.valid_until);
        statements.push(format!(
            "ALTER ROLE {user} CONNECTION LIMIT {} VALID UNTIL {until}",
            wanted.connection_limit
        ));
        statements.push(format!("ALTER ROLE {user} RESET ALL"));
        for setting in self.settings(self.user).await?.iter().filter(|setting| !setting.place.is_empty()) {
            statements.push(format!("ALTER ROLE {user}{} RESET ALL", setting.place));
        }
        statements.push(format!("ALTER ROLE {user} SET role TO {role}"));
        let mut settings = self.settings(model).await?;
        // The path is the last, because it applies to what comes after it.
        settings.sort_by_key(|setting| setting.name == "search_path");
        for setting in settings {
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
                    statements.push(format!(
                        "SELECT pg_catalog.set_config({}, {value}, true)",
                        escape_literal(&setting.name)
                    ));
                    statements.push(format!("ALTER ROLE {user}{place} SET {name} FROM CURRENT"));
                }
                _ => statements.push(format!("ALTER ROLE {user}{place} SET {name} TO {value}")),
            }
        }
        self.execute(&statements.join("; ")).await.map_err(|error| match error {
            EngineError::SetPasswordFailed { problem, .. } if !changed.is_empty() => self.not_set(format!(
                "`{model}` has or lacks the attributes {}, which a member does not inherit, and they cannot be \
                 copied: {problem}",
                changed.join(", ")
            )),
            other => other,
        })
    }

    async fn attributes(&self, role: &str) -> Result<Option<Attributes>, EngineError> {
        let sql = format!(
            "SELECT rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls, rolconnlimit, \
             rolvaliduntil::pg_catalog.text FROM pg_catalog.pg_roles WHERE rolname OPERATOR(pg_catalog.=) {}",
            escape_literal(role)
        );
        let rows = self.query(&sql).await?;
        Ok(rows.first().map(|row| Attributes {
            granted: std::array::from_fn(|column| row.get(column) == Some("t")),
            connection_limit: row.get(5).unwrap_or("-1").to_owned(),
            valid_until: row.get(6).unwrap_or("infinity").to_owned(),
        }))
    }

    /// Returns the settings of a role, for all databases and for single ones.
    async fn settings(&self, role: &str) -> Result<Vec<Setting>, EngineError> {
        // The server stores `name=value`.
        let sql = format!(
            "SELECT d.datname, pg_catalog.split_part(s.setting, '=', 1), pg_catalog.substr(s.setting, \
             pg_catalog.strpos(s.setting, '=') OPERATOR(pg_catalog.+) 1) FROM pg_catalog.pg_db_role_setting c \
             JOIN pg_catalog.pg_roles r ON r.oid OPERATOR(pg_catalog.=) c.setrole \
             LEFT JOIN pg_catalog.pg_database d ON d.oid OPERATOR(pg_catalog.=) c.setdatabase, \
             pg_catalog.unnest(c.setconfig) AS s(setting) WHERE r.rolname OPERATOR(pg_catalog.=) {}",
            escape_literal(role)
        );
        let rows = self.query(&sql).await?;
        let setting = |row: &SimpleQueryRow| Setting {
            place: row
                .get(0)
                .map(|name| format!(" IN DATABASE {}", escape_identifier(name)))
                .unwrap_or_default(),
            name: row.get(1).unwrap_or_default().to_owned(),
            value: row.get(2).unwrap_or_default().to_owned(),
        };
        Ok(rows.iter().map(setting).collect())
    }
}

/// The names of the attributes, in the order of the query.
const ATTRIBUTES: [&str; 5] = ["SUPERUSER", "CREATEDB", "CREATEROLE", "REPLICATION", "BYPASSRLS"];

/// The attributes of a role, beside its privileges.
#[derive(Default)]
struct Attributes {
    granted: [bool; ATTRIBUTES.len()],
    connection_limit: String,
    valid_until: String,
}

impl Attributes {
    /// Returns the words of ALTER ROLE that make the attributes of `own` these.
    fn changes(&self, own: &Self) -> Vec<String> {
        let pairs = self.granted.iter().zip(own.granted).zip(ATTRIBUTES);
        let changed = pairs.filter(|((wanted, own), _)| *wanted != own);
        changed.map(|((wanted, _), name)| format!("{}{name}", if *wanted { "" } else { "NO" })).collect()
    }
}

/// A setting of a role.
struct Setting {
    /// Empty, or ` IN DATABASE …`.
    place: String,
    name: String,
    value: String,
}
