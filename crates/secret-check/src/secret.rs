//! A secret without its value.

use std::collections::HashMap;
use std::future::Future;
use std::time::SystemTime;

use lambda_kit::call::CallError;

/// The label of the version that clients use.
pub const CURRENT: &str = "AWSCURRENT";
/// The label of the version that a rotation makes.
pub const PENDING: &str = "AWSPENDING";

/// What ListSecrets says of a secret.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Secret {
    /// Its ARN.
    pub arn: String,
    /// Its name.
    pub name: String,
    /// Whether rotation is on.
    pub rotates: bool,
    /// Whether a function to rotate it with is known, also while rotation is off.
    pub has_rotation_function: bool,
    /// When it was rotated last.
    pub last_rotated: Option<SystemTime>,
    /// By when it should be rotated next.
    pub next_rotation: Option<SystemTime>,
    /// When anything about it changed last.
    pub last_changed: Option<SystemTime>,
    /// The day on which its value was read last.
    pub last_accessed: Option<SystemTime>,
    /// When it was made.
    pub created: Option<SystemTime>,
    /// Whether it is scheduled for deletion.
    pub deleted: Option<SystemTime>,
    /// The service that manages it.
    pub owning_service: Option<String>,
    /// The Region of the primary, of a secret that is replicated.
    pub primary_region: Option<String>,
    /// Labels by version.
    pub labels: HashMap<String, Vec<String>>,
    /// Tags.
    pub tags: HashMap<String, String>,
}

impl Secret {
    /// The version with a label.
    pub fn holder(&self, label: &str) -> Option<&str> {
        let mut holders = self.labels.iter().filter(|(_, labels)| labels.iter().any(|have| have == label));
        holders.next().map(|(version, _)| version.as_str())
    }

    /// The version that is pending beside the current one.
    pub fn pending(&self) -> Option<&str> {
        self.holder(PENDING).filter(|pending| self.holder(CURRENT) != Some(pending))
    }

    /// Whether this is a copy of a secret of another Region, where it is rotated.
    pub fn is_replica(&self, region: &str) -> bool {
        self.primary_region.as_deref().is_some_and(|primary| primary != region)
    }
}

/// A replica of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica {
    /// Its Region.
    pub region: String,
    /// `InSync`, `Failed`, `InProgress`, and what later versions add.
    pub status: String,
    /// Why.
    pub message: Option<String>,
}

/// What only DescribeSecret says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Details {
    /// Its replicas.
    pub replicas: Vec<Replica>,
    /// When it will be deleted.
    pub deletion: Option<SystemTime>,
}

/// The calls of a check.
pub trait Secrets: Send + Sync {
    /// A page of the secrets, with those that are scheduled for deletion, and where the next one begins.
    fn page(
        &self,
        next: Option<String>,
    ) -> impl Future<Output = Result<(Vec<Secret>, Option<String>), CallError>> + Send;
    /// DescribeSecret; `None` if it is gone meanwhile.
    fn details(&self, arn: &str) -> impl Future<Output = Result<Option<Details>, CallError>> + Send;
    /// When a version was made, from ListSecretVersionIds; `None` if that does not show it, as for one without a value.
    fn version_created(
        &self,
        arn: &str,
        version: &str,
    ) -> impl Future<Output = Result<Option<SystemTime>, CallError>> + Send;
}
