//! Copy jobs and tables in the database.

use tokio::time::Instant;

use crate::data_api::{Database, Rows, SqlRunError, Token};
use crate::sql::{JobName, Literal, TableName};
use crate::value::InvalidValue;

/// An existing copy job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExistingJob {
    /// `SYS_COPY_JOB.job_id`.
    pub id: i64,
    /// True if the job loads new files automatically.
    pub auto: bool,
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

impl Database {
    /// Returns the job with this name, if it exists and this user may see it.
    ///
    /// SYS views show ordinary users only their own rows, without the jobs of other users.
    /// Source: "SYS_COPY_JOB" of the Redshift database developer guide.
    ///
    /// # Errors
    /// The query failed.
    pub async fn job(&self, name: &JobName, until: Instant) -> Result<Option<ExistingJob>, QueryError> {
        let literal = Literal::new("JobName", name.as_str())?;
        let sql = format!("SELECT job_id, is_auto FROM sys_copy_job WHERE TRIM(job_name) = {literal}");
        let rows = self.run(&sql, Token::Fresh, until).await?;
        Ok(rows.first().map(|row| ExistingJob {
            id: row.first().and_then(crate::data_api::Cell::integer).unwrap_or_default(),
            auto: row.get(1).and_then(crate::data_api::Cell::integer) == Some(1),
        }))
    }

    /// Returns true if the table exists.
    ///
    /// # Errors
    /// The query failed.
    pub async fn has_table(&self, table: &TableName, until: Instant) -> Result<bool, QueryError> {
        // Redshift folds names to lower case unless enable_case_sensitive_identifier is on. The
        // comparison folds both.
        let schema = Literal::new("SchemaName", &table.schema.as_str().to_lowercase())?;
        let name = Literal::new("TableName", &table.table.as_str().to_lowercase())?;
        let sql = format!(
            "SELECT 1 FROM information_schema.tables WHERE LOWER(table_schema) = {schema} AND LOWER(table_name) = {name}"
        );
        Ok(!self.run(&sql, Token::Fresh, until).await?.is_empty())
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
