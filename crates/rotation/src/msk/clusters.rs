//! The port to Amazon MSK.

use std::future::Future;

use lambda_kit::call::CallError;

/// The call of a rotation to Amazon MSK: `kafka:ListScramSecrets`.
pub trait Clusters: Send + Sync {
    /// Returns the ARNs of the secrets that are associated with a cluster, of all pages.
    fn secrets(&self, cluster: &str) -> impl Future<Output = Result<Vec<String>, CallError>> + Send;
}
