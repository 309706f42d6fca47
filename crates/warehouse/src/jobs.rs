//! Copy jobs and tables in the database.

use tokio::time::Instant;

use crate::data_api::{Cell, Database, Rows, SqlRunError, Token};
use crate::sql::{JobName, Literal, RoleArn, TableName};
use crate::value::InvalidValue;

/// An existing copy job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExistingJob {
    /// Its name.
    pub name: String,
    /// `SYS_COPY_JOB.job_id`.
    pub id: i64,
    /// True if the job loads new files automatically.
    pub auto: bool,
    /// `SYS_COPY_JOB.job_text`, for [`crate::job_text::read`].
    pub text: String,
}

/// An existing table, as the current user sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExistingTable {
    /// Names of its columns, in their order.
    pub columns: Vec<String>,
    /// The current user.
    pub user: String,
    /// True if the user has USAGE on the schema.
    pub may_use_schema: bool,
    /// True if the user may insert rows, which COPY demands.
    pub may_insert: bool,
}

/// The error of a query.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// A value is invalid in a statement.
    #[error(transparent)]
    Sql(#[from] InvalidValue),
    /// The statement failed.
    #[error(transparent)]
    Run(#[from] SqlRunError),
}

impl QueryError {
    /// Returns true if the same query may succeed in a moment.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Sql(_) => false,
            Self::Run(error) => error.is_transient(),
        }
    }
}

/// Returns a cell as a text; empty if it is another value or absent.
fn text(row: &[Cell], at: usize) -> String {
    row.get(at).and_then(Cell::text).unwrap_or_default().to_owned()
}

impl Database {
    /// Returns the jobs that this user may see.
    ///
    /// SYS views show ordinary users only their own rows, without the jobs of other users.
    /// Source: "SYS_COPY_JOB" of the Redshift database developer guide.
    ///
    /// # Errors
    /// The query failed.
    pub async fn jobs(&self, until: Instant) -> Result<Vec<ExistingJob>, QueryError> {
        self.jobs_where("", until).await
    }

    async fn jobs_where(&self, condition: &str, until: Instant) -> Result<Vec<ExistingJob>, QueryError> {
        let sql = format!("SELECT job_id, is_auto, TRIM(job_name), job_text FROM sys_copy_job{condition}");
        let rows = self.run(&sql, Token::Fresh, until).await?;
        let job = |row: &Vec<Cell>| ExistingJob {
            name: text(row, 2),
            id: row.first().and_then(Cell::integer).unwrap_or_default(),
            auto: row.get(1).and_then(Cell::integer) == Some(1),
            text: text(row, 3),
        };
        Ok(rows.iter().map(job).collect())
    }

    /// Returns the job with this name, if it exists and this user may see it.
    ///
    /// # Errors
    /// The query failed.
    pub async fn job(&self, name: &JobName, until: Instant) -> Result<Option<ExistingJob>, QueryError> {
        let literal = Literal::new("JobName", name.as_str())?;
        let jobs = self.jobs_where(&format!(" WHERE TRIM(job_name) = {literal}"), until).await?;
        Ok(jobs.into_iter().find(|job| job.name == name.as_str()))
    }

    /// Returns the name of the current user.
    ///
    /// # Errors
    /// The query failed.
    pub async fn current_user(&self, until: Instant) -> Result<String, QueryError> {
        let rows = self.run("SELECT CURRENT_USER", Token::Fresh, until).await?;
        Ok(rows.first().and_then(|row| row.first()?.text()).unwrap_or_default().to_owned())
    }

    /// Returns true if the current user may run COPY with the role.
    ///
    /// # Errors
    /// The query failed.
    pub async fn may_use_role(&self, role: &RoleArn, until: Instant) -> Result<bool, QueryError> {
        let sql = format!("SELECT pg_catalog.has_assumerole_privilege({role}, 'copy')");
        let rows = self.run(&sql, Token::Fresh, until).await?;
        Ok(rows.first().and_then(|row| row.first()) == Some(&Cell::Boolean(true)))
    }

    /// Returns the table, if it exists.
    ///
    /// The catalog shows a table also to users without a privilege on it, unlike
    /// `information_schema`. The privilege is asked for only in a schema that the user may use: the
    /// question about a table is an error otherwise.
    ///
    /// # Errors
    /// The query failed.
    pub async fn table(
        &self,
        table: &TableName,
        until: Instant,
    ) -> Result<Option<ExistingTable>, QueryError> {
        // Redshift folds names to lower case unless enable_case_sensitive_identifier is on. The
        // comparison folds both.
        let schema = Literal::new("SchemaName", &table.schema.as_str().to_lowercase())?;
        let name = Literal::new("TableName", &table.table.as_str().to_lowercase())?;
        let sql = format!(
            "SELECT a.attname, CURRENT_USER, HAS_SCHEMA_PRIVILEGE(n.nspname, 'USAGE'), \
             CASE WHEN HAS_SCHEMA_PRIVILEGE(n.nspname, 'USAGE') THEN HAS_TABLE_PRIVILEGE(\
             QUOTE_IDENT(n.nspname) || '.' || QUOTE_IDENT(c.relname), 'INSERT') ELSE FALSE END \
             FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid \
             WHERE LOWER(n.nspname) = {schema} AND LOWER(c.relname) = {name} AND c.relkind = 'r' \
             AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"
        );
        let rows = self.run(&sql, Token::Fresh, until).await?;
        let flag = |row: &[Cell], at: usize| row.get(at) == Some(&Cell::Boolean(true));
        Ok(rows.first().map(|first| ExistingTable {
            columns: rows.iter().map(|row| text(row, 0)).collect(),
            user: text(first, 1),
            may_use_schema: flag(first, 2),
            may_insert: flag(first, 3),
        }))
    }

    /// Returns true if the table has no rows.
    ///
    /// # Errors
    /// The query failed.
    pub async fn is_empty(&self, table: &TableName, until: Instant) -> Result<bool, QueryError> {
        let rows: Rows = self.run(&format!("SELECT 1 FROM {table} LIMIT 1"), Token::Fresh, until).await?;
        Ok(rows.is_empty())
    }
}
