//! Batches of statements, whose completion is an EventBridge event with the batch's id.
//!
//! Source: "Using the Amazon Redshift Data API" and "Monitoring scheduled statements with Amazon
//! EventBridge" of the Redshift management guide: the statements of a batch have the ids `ID:1`,
//! `ID:2`, …; the event has neither result nor error text; a result is kept for 24 hours.

use aws_sdk_redshiftdata::types::StatusString;
use lambda_kit::call::CallError;

use crate::data_api::{Cell, Database, Login, Rows, cell};
use crate::target::Target;

/// Statements that run in order, in one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch<'a> {
    /// The name in the completion event, at most 500 characters.
    pub name: &'a str,
    /// The idempotency token, valid for 8 hours; 1 to 64 characters.
    pub token: &'a str,
    /// 1 to 40 statements.
    pub statements: &'a [String],
}

/// The state of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// Every state that is not an end, also one of a later version of the API.
    OnTheWay,
    /// All results can be read.
    Finished,
    /// Redshift rejected a statement, with this message.
    Failed(String),
    /// The batch was cancelled, for this reason.
    Aborted(String),
    /// The Data API has forgotten the batch: results are kept for 24 hours.
    Forgotten,
}

/// A page of a result.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Page {
    /// Names of the columns.
    pub columns: Vec<String>,
    /// The rows.
    pub rows: Rows,
    /// The token of the next page.
    pub next: Option<String>,
}

impl Page {
    /// Returns the position of a column.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|have| have.eq_ignore_ascii_case(name))
    }
}

impl Database {
    /// Starts a batch, whose end is an event, and returns its id.
    ///
    /// # Errors
    /// The call failed.
    pub async fn start_batch(&self, batch: &Batch<'_>) -> Result<String, CallError> {
        let mut call = self
            .client
            .batch_execute_statement()
            .set_sqls(Some(batch.statements.to_vec()))
            .database(&self.database)
            .statement_name(batch.name)
            .client_token(batch.token)
            .with_event(true);
        call = match &self.target {
            Target::Cluster(name) => call.cluster_identifier(name),
            Target::Workgroup(name) => call.workgroup_name(name),
        };
        call = match (&self.login, &self.target) {
            (Login::Secret(arn), _) => call.secret_arn(arn),
            (Login::DbUser(_), Target::Workgroup(_)) => call,
            (Login::DbUser(user), Target::Cluster(_)) => call.db_user(user),
        };
        let output = call
            .send()
            .await
            .map_err(|error| CallError::new("redshift-data:BatchExecuteStatement", &error))?;
        Ok(output.id().unwrap_or_default().to_owned())
    }

    /// Returns the state of a batch, or of one of its statements.
    ///
    /// # Errors
    /// The call failed.
    pub async fn progress(&self, id: &str) -> Result<Progress, CallError> {
        let status = match self.client.describe_statement().id(id).send().await {
            Ok(status) => status,
            Err(error) => {
                let error = CallError::new("redshift-data:DescribeStatement", &error);
                let forgotten = error.has_code(&["ResourceNotFoundException"]);
                return if forgotten { Ok(Progress::Forgotten) } else { Err(error) };
            }
        };
        // The reason of a failed batch is with the failed statement.
        let reason = status
            .error()
            .into_iter()
            .chain(status.sub_statements().iter().filter_map(|sub| sub.error()))
            .find(|text| !text.is_empty());
        let reason = || reason.unwrap_or("no reason given").to_owned();
        Ok(match status.status() {
            Some(StatusString::Finished) => Progress::Finished,
            Some(StatusString::Failed) => Progress::Failed(reason()),
            Some(StatusString::Aborted) => Progress::Aborted(reason()),
            _ => Progress::OnTheWay,
        })
    }

    /// Returns a page of a statement's result: the first one without `next`.
    ///
    /// # Errors
    /// The call failed.
    pub async fn page(&self, id: &str, next: Option<String>) -> Result<Page, CallError> {
        let output = self
            .client
            .get_statement_result()
            .id(id)
            .set_next_token(next)
            .send()
            .await
            .map_err(|error| CallError::new("redshift-data:GetStatementResult", &error))?;
        Ok(Page {
            columns: output
                .column_metadata()
                .iter()
                .map(|column| column.name().unwrap_or_default().to_owned())
                .collect(),
            rows: output.records().iter().map(|row| row.iter().map(cell).collect::<Vec<Cell>>()).collect(),
            next: output.next_token().filter(|token| !token.is_empty()).map(str::to_owned),
        })
    }

    /// Cancels a statement, unless it has ended.
    pub async fn cancel(&self, id: &str) {
        if let Err(error) = self.client.cancel_statement().id(id).send().await {
            // The statement may have just finished.
            let error = CallError::new("redshift-data:CancelStatement", &error);
            tracing::warn!(statement = id, %error, "a statement that took too long could not be cancelled");
        }
    }
}
