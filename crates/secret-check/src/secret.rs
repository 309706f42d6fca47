//! The data of a secret, without its value.

use std::collections::HashMap;
use std::future::Future;

use lambda_kit::call::CallError;
use lambda_kit::moment::Moment;

/// The staging label of the version that clients use.
pub const CURRENT: &str = "AWSCURRENT";
/// The staging label of the version that a rotation creates.
pub const PENDING: &str = "AWSPENDING";

/// A secret, as returned by ListSecrets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Secret {
    /// The ARN.
    pub arn: String,
    /// The name.
    pub name: String,
    /// True if rotation is enabled.
    pub rotates: bool,
    /// True if it has a rotation function, even if rotation is disabled.
    pub has_rotation_function: bool,
    /// The time of the last rotation.
    pub last_rotated: Option<Moment>,
    /// The time by which the next rotation is due.
    pub next_rotation: Option<Moment>,
    /// The time of the last change.
    pub last_changed: Option<Moment>,
    /// The day of the last read of its value.
    pub last_accessed: Option<Moment>,
    /// The time of its creation.
    pub created: Option<Moment>,
    /// The time at which it was marked for deletion.
    pub deleted: Option<Moment>,
    /// The service that manages it.
    pub owning_service: Option<String>,
    /// The Region of the primary secret, if it is replicated.
    pub primary_region: Option<String>,
    /// The staging labels by version.
    pub labels: HashMap<String, Vec<String>>,
    /// The tags.
    pub tags: HashMap<String, String>,
}

impl Secret {
    /// Returns the version with a staging label.
    pub fn holder(&self, label: &str) -> Option<&str> {
        let mut holders = self.labels.iter().filter(|(_, labels)| labels.iter().any(|have| have == label));
        holders.next().map(|(version, _)| version.as_str())
    }

    /// Returns the version that is pending and not also current.
    pub fn pending(&self) -> Option<&str> {
        self.holder(PENDING).filter(|pending| self.holder(CURRENT) != Some(pending))
    }

    /// Returns true if this is a replica of a secret in another Region, where it rotates.
    pub fn is_replica(&self, region: &str) -> bool {
        self.primary_region.as_deref().is_some_and(|primary| primary != region)
    }
}

/// A replica of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica {
    /// The Region.
    pub region: String,
    /// The status: `InSync`, `Failed`, `InProgress`, or a later addition.
    pub status: String,
    /// The status message.
    pub message: Option<String>,
}

/// The data that only DescribeSecret returns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Details {
    /// The replicas.
    pub replicas: Vec<Replica>,
    /// The time of its deletion.
    pub deletion: Option<Moment>,
}

/// Reads the secrets of an account and Region.
pub trait Secrets: Send + Sync {
    /// Returns a page of the secrets, including those that are marked for deletion, and the token of the
    /// next page.
    fn page(
        &self,
        next: Option<String>,
    ) -> impl Future<Output = Result<(Vec<Secret>, Option<String>), CallError>> + Send;
    /// Returns the details of a secret, or `None` if it does not exist any more.
    fn details(&self, arn: &str) -> impl Future<Output = Result<Option<Details>, CallError>> + Send;
    /// Returns the creation time of a version, or `None` if it is not listed, such as a version without a
    /// value.
    fn version_created(
        &self,
        arn: &str,
        version: &str,
    ) -> impl Future<Output = Result<Option<Moment>, CallError>> + Send;
}
