//! Statements through the Redshift Data API.

use lambda_kit::call::CallError;
use warehouse::batch::{Batch, Page, Progress};
use warehouse::data_api::Database;

use crate::ports::Statements;

impl Statements for Database {
    async fn start(&self, name: &str, token: &str, statements: &[String]) -> Result<String, CallError> {
        self.start_batch(&Batch { name, token, statements }).await
    }

    async fn progress(&self, id: &str) -> Result<Progress, CallError> {
        Self::progress(self, id).await
    }

    async fn page(&self, id: &str, statement: usize, next: Option<String>) -> Result<Page, CallError> {
        Self::page(self, &format!("{id}:{statement}"), next).await
    }

    async fn cancel(&self, id: &str) {
        Self::cancel(self, id).await;
    }
}
