//! The statements about a user, in the session of the admin.
//!
//! Every function, table and view has its schema, so that nothing that another user created can be
//! meant. Users cannot create operators on Redshift.

use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;
use warehouse::data_api::{Cell, Database, SqlRunError, Token};
use warehouse::password_hash::{PasswordHashFormat, without_literals};
use warehouse::sql::{Identifier, Literal, RoleArn, TableName};
use warehouse::value::InvalidValue;

use crate::grants::{Grant, literal};

/// The error of a statement.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UserError {
    /// A name is invalid in a statement.
    #[error(transparent)]
    Sql(#[from] InvalidValue),
    /// The statement failed.
    #[error(transparent)]
    Run(SqlRunError),
    /// The system has no random bytes.
    #[error("the system has no random bytes")]
    NoRandomness,
}

impl From<SqlRunError> for UserError {
    /// Redshift's messages may repeat a part of the statement, also a password's literal.
    fn from(error: SqlRunError) -> Self {
        Self::Run(match error {
            SqlRunError::Failed(message) => SqlRunError::Failed(without_literals(&message)),
            other => other,
        })
    }
}

impl UserError {
    fn message(&self) -> Option<&str> {
        match self {
            Self::Run(error) => error.database_message(),
            Self::Sql(_) | Self::NoRandomness => None,
        }
    }
}

/// A user of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ExistingUser {
    /// `pg_user.usesysid`, which the system views show as the owner of jobs.
    pub(crate) id: i64,
    pub(crate) superuser: bool,
}

/// The admin's sessions in one database. The Data API has one for each statement.
pub(crate) struct Users<'a> {
    pub(crate) database: &'a Database,
    pub(crate) until: Instant,
}

impl Users<'_> {
    /// Runs a statement that may be repeated. Each run is a new one: an earlier run of the same
    /// request may have failed.
    pub(crate) async fn run(&self, sql: &str) -> Result<Vec<Vec<Cell>>, UserError> {
        Ok(self.database.run(sql, Token::Fresh, self.until).await?)
    }

    async fn names(&self, sql: &str) -> Result<Vec<String>, UserError> {
        let rows = self.run(sql).await?;
        Ok(rows.iter().filter_map(|row| row.first()?.text().map(str::to_owned)).collect())
    }

    /// Returns the user, if it exists.
    pub(crate) async fn find(&self, user: &Identifier) -> Result<Option<ExistingUser>, UserError> {
        let sql = format!(
            "SELECT u.usesysid, u.usesuper FROM pg_catalog.pg_user u WHERE u.usename = {}",
            literal(user)?
        );
        let rows = self.run(&sql).await?;
        Ok(rows.first().map(|row| ExistingUser {
            id: row.first().and_then(Cell::integer).unwrap_or_default(),
            superuser: row.get(1) == Some(&Cell::Boolean(true)),
        }))
    }

    /// Creates the user. Returns false if it exists: an earlier delivery of the request may have
    /// created it since it was looked for.
    pub(crate) async fn create(&self, user: &Identifier, password: &SecretString) -> Result<bool, UserError> {
        match self.set_password("CREATE", user, password).await {
            Ok(()) => Ok(true),
            Err(error) if error.message().is_some_and(|message| message.contains("already exists")) => {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Sets the password of an existing user.
    pub(crate) async fn alter_password(
        &self,
        user: &Identifier,
        password: &SecretString,
    ) -> Result<(), UserError> {
        self.set_password("ALTER", user, password).await
    }

    /// The statement has a hash instead of the password. Who reads the hash can log in with it all
    /// the same: the Data API shows the statement to this function's role only, for a day.
    async fn set_password(
        &self,
        verb: &str,
        user: &Identifier,
        password: &SecretString,
    ) -> Result<(), UserError> {
        let hash = PasswordHashFormat::Md5.literal(user.as_str(), password, false, || None);
        let hash = hash.ok_or(UserError::NoRandomness)?;
        let hash = Literal::new("password", hash.expose_secret())?;
        self.run(&format!("{verb} USER {user} PASSWORD {hash}")).await.map(|_| ())
    }

    /// Returns the schemas and tables of the grants that do not exist, each with its property.
    pub(crate) async fn absent(&self, grants: &[Grant]) -> Result<Vec<(&'static str, String)>, UserError> {
        let mut absent = Vec::new();
        for grant in grants {
            let found = match grant {
                Grant::CopyJobs(_) => true,
                Grant::Use(schema) | Grant::CreateIn(schema) => self.has_schema(schema).await?,
                Grant::InsertInto(table) => self.has_table(table).await?,
            };
            if !found {
                absent.push(match grant {
                    Grant::InsertInto(table) => ("Tables", format!("table {table}")),
                    other => ("Schemas", format!("schema {}", other.schema().map_or("", Identifier::as_str))),
                });
            }
        }
        absent.dedup();
        Ok(absent)
    }

    async fn has_schema(&self, schema: &Identifier) -> Result<bool, UserError> {
        let sql = format!(
            "SELECT n.nspname FROM pg_catalog.pg_namespace n WHERE n.nspname IN ({})",
            spellings("Schemas", schema)?
        );
        Ok(!self.run(&sql).await?.is_empty())
    }

    async fn has_table(&self, table: &TableName) -> Result<bool, UserError> {
        let sql = format!(
            "SELECT c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             WHERE c.relkind = 'r' AND n.nspname IN ({}) AND c.relname IN ({})",
            spellings("Tables", &table.schema)?,
            spellings("Tables", &table.table)?
        );
        Ok(!self.run(&sql).await?.is_empty())
    }

    /// Returns the ordinary users who may run COPY with the role, without `user`.
    ///
    /// Source: "HAS_ASSUMEROLE_PRIVILEGE" of the Redshift database developer guide.
    pub(crate) async fn others_with_role(
        &self,
        role: &RoleArn,
        user: &Identifier,
    ) -> Result<Vec<String>, UserError> {
        let sql = format!(
            "SELECT u.usename FROM pg_catalog.pg_user u WHERE u.usesuper = FALSE AND u.usename <> {} \
             AND pg_catalog.has_assumerole_privilege(u.usename, {role}, 'copy') ORDER BY 1",
            literal(user)?
        );
        self.names(&sql).await
    }

    /// Returns true if the user may run COPY with the role.
    pub(crate) async fn may_use_role(&self, role: &RoleArn, user: &Identifier) -> Result<bool, UserError> {
        let sql = format!("SELECT pg_catalog.has_assumerole_privilege({}, {role}, 'copy')", literal(user)?);
        let rows = self.run(&sql).await?;
        Ok(rows.first().and_then(|row| row.first()) == Some(&Cell::Boolean(true)))
    }

    /// Returns the names of the copy jobs that the user owns.
    pub(crate) async fn jobs(&self, id: i64) -> Result<Vec<String>, UserError> {
        let sql = format!(
            "SELECT DISTINCT i.job_name FROM pg_catalog.svv_copy_job_integrations i WHERE i.job_owner = {id} ORDER BY 1"
        );
        self.names(&sql).await
    }

    /// Gives the tables that the user owns in this database to the admin.
    pub(crate) async fn give_tables_away(&self, id: i64) -> Result<(), UserError> {
        let sql = format!(
            "SELECT n.nspname, c.relname, CURRENT_USER FROM pg_catalog.pg_class c \
             JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND c.relowner = {id}"
        );
        for row in self.run(&sql).await? {
            let name =
                |at: usize| Identifier::new("a name", row.get(at).and_then(Cell::text).unwrap_or_default());
            let table = TableName { schema: name(0)?, table: name(1)? };
            let admin = name(2)?;
            self.run(&format!("ALTER TABLE {table} OWNER TO {admin}")).await?;
            tracing::info!(%table, %admin, "the table belongs to the admin now");
        }
        Ok(())
    }
}

/// Returns a name as it is and in lower case, as literals. Redshift folds names to lower case unless
/// `enable_case_sensitive_identifier` is on.
fn spellings(property: &str, name: &Identifier) -> Result<String, InvalidValue> {
    let literal = |text: &str| Literal::new(property, text);
    Ok(format!("{}, {}", literal(name.as_str())?, literal(&name.as_str().to_lowercase())?))
}
