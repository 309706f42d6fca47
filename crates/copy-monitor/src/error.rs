//! The errors of a run.

use alerts::notifier::{ReconcileError, RecordError};
use lambda_kit::call::CallError;
use warehouse::value::InvalidValue;

/// A run could not be completed. The next one continues where it stopped.
#[derive(Debug, thiserror::Error)]
pub enum MonitorError {
    /// A call to AWS failed.
    #[error(transparent)]
    Call(#[from] CallError),
    /// A document of the ledger could not be written as JSON.
    #[error("the ledger's document \"{name}\" could not be written as JSON")]
    Document {
        /// The document's name.
        name: &'static str,
        /// The cause.
        #[source]
        source: serde_json::Error,
    },
    /// A value does not fit into a statement.
    #[error("a statement on the system views could not be built")]
    Statement(#[from] InvalidValue),
    /// An alert could not be recorded or published.
    #[error("the alerts could not be recorded")]
    Record(#[from] RecordError),
    /// The conditions could not be reconciled with the open incidents.
    #[error("the conditions of the jobs could not be reconciled")]
    Reconcile(#[from] ReconcileError),
}
