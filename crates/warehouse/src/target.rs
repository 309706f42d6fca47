//! The reference to a warehouse: a provisioned cluster or a Serverless workgroup.

use std::fmt;

/// A provisioned cluster by its identifier, or a Serverless workgroup by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// `ClusterIdentifier`.
    Cluster(String),
    /// `WorkgroupName`.
    Workgroup(String),
}

/// The error of a reference with neither or both names.
#[derive(Debug, thiserror::Error)]
#[error("give exactly one of `ClusterIdentifier` and `WorkgroupName`, found {0}")]
pub struct AmbiguousTarget(&'static str);

impl Target {
    /// Creates the reference from the two properties. Exactly one must be set; an empty one counts
    /// as absent.
    ///
    /// # Errors
    /// Neither or both are set.
    pub fn from_properties(cluster: Option<&str>, workgroup: Option<&str>) -> Result<Self, AmbiguousTarget> {
        match (cluster.filter(|s| !s.is_empty()), workgroup.filter(|s| !s.is_empty())) {
            (Some(cluster), None) => Ok(Self::Cluster(cluster.to_owned())),
            (None, Some(workgroup)) => Ok(Self::Workgroup(workgroup.to_owned())),
            (None, None) => Err(AmbiguousTarget("neither")),
            (Some(_), Some(_)) => Err(AmbiguousTarget("both")),
        }
    }

    /// Returns the name of the cluster or workgroup.
    pub fn name(&self) -> &str {
        match self {
            Self::Cluster(name) | Self::Workgroup(name) => name,
        }
    }

    /// Returns the environment variable with the names that a function's stack allows.
    pub fn allowed_by(&self) -> &'static str {
        match self {
            Self::Cluster(_) => Self::CLUSTERS,
            Self::Workgroup(_) => Self::WORKGROUPS,
        }
    }

    /// The variable with the allowed clusters.
    pub const CLUSTERS: &str = "ALLOWED_CLUSTERS";
    /// The variable with the allowed workgroups.
    pub const WORKGROUPS: &str = "ALLOWED_WORKGROUPS";

    /// Returns the name of this kind's property.
    pub fn property(&self) -> &'static str {
        match self {
            Self::Cluster(_) => "ClusterIdentifier",
            Self::Workgroup(_) => "WorkgroupName",
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cluster(name) => write!(f, "cluster {name}"),
            Self::Workgroup(name) => write!(f, "workgroup {name}"),
        }
    }
}
