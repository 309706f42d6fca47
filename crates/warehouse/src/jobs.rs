//! Copy jobs and tables as the database shows them.

use tokio::time::Instant;

use crate::data_api::{Database, Rows, SqlRunError, Token};
use crate::sql::{JobName, Literal, TableName};
use crate::value::InvalidValue;

/// A copy job that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExistingJob {
    /// `SYS_COPY_JOB.job_id`.
    pub id: i64,
    /// Whether it loads by itself.
    pub auto: bool,
}

/// Why the database could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// A value that no statement may hold.
    #[error(transparent)]
    Sql(#[from] InvalidValue),
    /// The statement failed.
    #[error(transparent)]
    Run(#[from] SqlRunError),
}

impl Database {
    /// The job of this name, if this user may see it and it is there.
    ///
    /// SYS views show an ordinary user only their own rows; a job of another user stays unseen.
    /// Source: "SYS_COPY_JOB" of the Redshift database developer guide.
    ///
    /// # Errors
    /// The database could not be asked.
    pub async fn job(&self, name: &JobName, until: Instant) -> Result<Option<ExistingJob>, AskError> {
        let literal = Literal::new("JobName", name.as_str())?;
        let sql = format!("SELECT job_id, is_auto FROM sys_copy_job WHERE TRIM(job_name) = {literal}");
        let rows = self.run(&sql, Token::Fresh, until).await?;
        Ok(rows.first().map(|row| ExistingJob {
            id: row.first().and_then(crate::data_api::Cell::integer).unwrap_or_default(),
            auto: row.get(1).and_then(crate::data_api::Cell::integer) == Some(1),
        }))
    }

    /// Whether the table is there.
    ///
    /// # Errors
    /// The database could not be asked.
    pub async fn has_table(&self, table: &TableName, until: Instant) -> Result<bool, AskError> {
        // Redshift folds names to lower case unless enable_case_sensitive_identifier is on; the comparison folds both.
        let schema = Literal::new("SchemaName", &table.schema.as_str().to_lowercase())?;
        let name = Literal::new("TableName", &table.table.as_str().to_lowercase())?;
        let sql = format!(
            "SELECT 1 FROM information_schema.tables WHERE LOWER(table_schema) = {schema} AND LOWER(table_name) = {name}"
        );
        Ok(!self.run(&sql, Token::Fresh, until).await?.is_empty())
    }

    /// Whether the table has no row.
    ///
    /// # Errors
    /// The database could not be asked.
    pub async fn is_empty(&self, table: &TableName, until: Instant) -> Result<bool, AskError> {
        let rows: Rows = self.run(&format!("SELECT 1 FROM {table} LIMIT 1"), Token::Fresh, until).await?;
        Ok(rows.is_empty())
    }
}
