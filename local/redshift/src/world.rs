//! The state of the stand-in: the resources of each account. It lives as long as the process.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::Deserialize;

use crate::data_api::Statements;
use crate::loading::Loading;
use local_servers::postgres::Server;

/// Account and Region, in which a name is unique.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// 12 digits.
    pub account: String,
    /// For example `us-east-1`.
    pub region: String,
}

/// The resources of all accounts.
#[derive(Debug, Default)]
pub struct World {
    /// Provisioned clusters by place and identifier.
    pub clusters: BTreeMap<(Place, String), Cluster>,
    /// Serverless namespaces by place and name.
    pub namespaces: BTreeMap<(Place, String), Namespace>,
    /// Serverless workgroups by place and name.
    pub workgroups: BTreeMap<(Place, String), Workgroup>,
    /// The databases of clusters and Serverless namespaces, by namespace id.
    pub warehouses: BTreeMap<String, Warehouse>,
    /// S3 event integrations, oldest first.
    pub integrations: Vec<Integration>,
    /// Tags by ARN.
    pub tags: BTreeMap<String, BTreeMap<String, String>>,
    /// Subnet groups by place and name.
    pub subnet_groups: BTreeMap<(Place, String), SubnetGroup>,
    /// Parameter groups by place and name.
    pub parameter_groups: BTreeMap<(Place, String), ParameterGroup>,
    /// Statements of the Data API.
    pub statements: Statements,
    /// Switches that tests have set.
    pub switches: Switches,
}

/// Switches that tests set with `POST /internal/switches`.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Switches {
    /// Number of the next PutResourcePolicy calls that fail with `ConflictPolicyUpdateFault`.
    pub policy_conflicts: u32,
}

/// A database engine with its data: behind a cluster, or behind a Serverless namespace and its
/// workgroup.
#[derive(Debug)]
pub struct Warehouse {
    /// UUID in the namespace ARN.
    pub namespace_id: String,
    /// Namespace ARN.
    pub arn: String,
    /// Account and Region.
    pub place: Place,
    /// Cluster identifier or namespace name.
    pub name: String,
    /// Serverless or provisioned.
    pub serverless: bool,
    /// The administrator.
    pub admin: String,
    /// The first database.
    pub database: String,
    /// IAM roles.
    pub roles: Vec<AttachedRole>,
    /// Resource policy of the namespace, as stored.
    pub policy: Option<String>,
    /// The server, once it was created.
    pub server: Option<Arc<Server>>,
    /// True if statements can run: the server accepts connections and nothing is paused.
    pub available: bool,
    /// S3 events that no job has processed yet, in order.
    pub events: VecDeque<S3Event>,
    /// Wakes the worker that loads files.
    pub wake: Arc<tokio::sync::Notify>,
    /// The jobs that load files.
    pub loading: Arc<Loading>,
}

/// An IAM role that is being added to, is on, or is being removed from a warehouse.
#[derive(Debug, Clone)]
pub struct AttachedRole {
    /// ARN of the role.
    pub arn: String,
    /// Time of the addition or removal.
    pub since: Instant,
    /// Being removed.
    pub removing: bool,
}

impl AttachedRole {
    /// The apply status that DescribeClusters shows, or `None` once the role is removed.
    ///
    /// `in-sync`, `adding`, `removing` [M: redshift, ClusterIamRole.ApplyStatus].
    #[must_use]
    pub fn status(&self, delay: Duration) -> Option<&'static str> {
        match (self.removing, self.since.elapsed() < delay) {
            (false, true) => Some("adding"),
            (false, false) => Some("in-sync"),
            (true, true) => Some("removing"),
            (true, false) => None,
        }
    }
}

/// State of a provisioned cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClusterStatus {
    /// The server is being created.
    Creating,
    /// In service.
    Available,
    /// Changing to paused.
    Pausing,
    /// The server is stopped.
    Paused,
    /// Changing to available.
    Resuming,
    /// Being removed.
    Deleting,
    /// The server could not be created.
    Failed,
}

impl ClusterStatus {
    /// As DescribeClusters prints it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Available => "available",
            Self::Pausing => "pausing",
            Self::Paused => "paused",
            Self::Resuming => "resuming",
            Self::Deleting => "deleting",
            Self::Failed => "incompatible-network",
        }
    }
}

/// A provisioned cluster; its database is the warehouse of `namespace_id`.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// Lower-case identifier.
    pub identifier: String,
    /// Id of its namespace.
    pub namespace_id: String,
    /// For example `ra3.large`.
    pub node_type: String,
    /// Number of nodes.
    pub nodes: u32,
    /// Its status.
    pub status: ClusterStatus,
    /// Time of its creation.
    pub created: Timestamp,
    /// True while a new administrator's password is pending.
    pub pending_password: bool,
    /// Settings without effect that are stored and returned, by the name of the request's
    /// parameter.
    pub settings: BTreeMap<String, String>,
    /// Security groups of the VPC.
    pub security_groups: Vec<String>,
    /// Audit logging, if it is on.
    pub logging: Option<Logging>,
}

/// The destination of audit logs.
#[derive(Debug, Clone)]
pub struct Logging {
    /// `s3` or `cloudwatch`.
    pub destination: String,
    /// Bucket.
    pub bucket: Option<String>,
    /// Key prefix.
    pub prefix: Option<String>,
    /// Kinds of logs.
    pub exports: Vec<String>,
}

/// A Serverless namespace.
#[derive(Debug, Clone)]
pub struct Namespace {
    /// Name.
    pub name: String,
    /// Id.
    pub namespace_id: String,
    /// Time of its creation.
    pub created: Timestamp,
    /// Default role.
    pub default_role: Option<String>,
    /// KMS key.
    pub kms_key: Option<String>,
    /// Exported logs.
    pub log_exports: Vec<String>,
}

/// A Serverless workgroup.
#[derive(Debug, Clone)]
pub struct Workgroup {
    /// Name.
    pub name: String,
    /// UUID in its ARN.
    pub id: String,
    /// Its namespace's name.
    pub namespace: String,
    /// CREATING, AVAILABLE, DELETING.
    pub status: &'static str,
    /// Time of its creation.
    pub created: Timestamp,
    /// The request, whose settings are returned.
    pub settings: serde_json::Map<String, serde_json::Value>,
}

/// A cluster subnet group.
#[derive(Debug, Clone)]
pub struct SubnetGroup {
    /// Description.
    pub description: String,
    /// Ids.
    pub subnets: Vec<String>,
}

/// A cluster parameter group.
#[derive(Debug, Clone)]
pub struct ParameterGroup {
    /// For example `redshift-1.0`.
    pub family: String,
    /// Description.
    pub description: String,
    /// Values set by ModifyClusterParameterGroup.
    pub values: BTreeMap<String, String>,
}

/// Status of an integration [M: redshift, ZeroETLIntegrationStatus].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntegrationStatus {
    /// Being checked.
    Creating,
    /// Events flow.
    Active,
    /// Creation was rejected; the errors have the reason.
    Failed,
    /// Being removed.
    Deleting,
    /// An authorisation was removed.
    NeedsAttention,
}

impl IntegrationStatus {
    /// As the API prints it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Active => "active",
            Self::Failed => "failed",
            Self::Deleting => "deleting",
            Self::NeedsAttention => "needs_attention",
        }
    }

    /// As `SVV_COPY_JOB_INTEGRATIONS` prints it.
    #[must_use]
    pub fn channel_state(self) -> &'static str {
        match self {
            Self::Creating => "Pending",
            Self::Active => "Established",
            Self::Failed | Self::Deleting | Self::NeedsAttention => "Inactive",
        }
    }
}

/// An S3 event integration.
#[derive(Debug, Clone)]
pub struct Integration {
    /// Its ARN, in the account that created it.
    pub arn: String,
    /// Owner.
    pub place: Place,
    /// Name.
    pub name: String,
    /// Bucket ARN.
    pub source_arn: String,
    /// The bucket.
    pub bucket: String,
    /// Namespace ARN as given.
    pub target_arn: String,
    /// Namespace id of that ARN.
    pub namespace_id: String,
    /// Its status.
    pub status: IntegrationStatus,
    /// Code and text of each error.
    pub errors: Vec<(String, String)>,
    /// Time of its creation.
    pub created: Timestamp,
    /// Description.
    pub description: Option<String>,
    /// KMS key.
    pub kms_key: Option<String>,
    /// Encryption context.
    pub encryption_context: Vec<(String, String)>,
    /// The creator's key, for the evaluation of the target's policy.
    pub creator_key: String,
}

/// An event of S3 as the gateway reports it.
#[derive(Debug, Clone, Deserialize)]
pub struct S3Event {
    /// Owner of the bucket.
    pub account: String,
    /// Region of the bucket.
    pub region: String,
    /// Bucket.
    pub bucket: String,
    /// Key.
    pub key: String,
    /// Bytes.
    #[serde(default)]
    pub size: i64,
    /// Entity tag, perhaps with quotes.
    #[serde(default)]
    pub etag: String,
    /// For example `ObjectCreated:Put`.
    pub event_name: String,
    /// Time of the event, RFC 3339.
    pub event_time: String,
    /// ARNs of the integrations whose entry in the bucket's notification configuration matches this
    /// event.
    #[serde(default)]
    pub integrations: Vec<String>,
}

impl World {
    /// The warehouse of a namespace ARN.
    #[must_use]
    pub fn warehouse_by_arn(&self, arn: &str) -> Option<&Warehouse> {
        let id = crate::arn::namespace_id(arn)?;
        let found = self.warehouses.get(id)?;
        // Both separators are accepted; service, Region and account must match.
        let (asked, known) = (crate::arn::parse(arn)?, crate::arn::parse(&found.arn)?);
        ((asked.service, asked.region, asked.account) == (known.service, known.region, known.account))
            .then_some(found)
    }

    /// The warehouse of a namespace ARN, to change it.
    pub fn warehouse_by_arn_mut(&mut self, arn: &str) -> Option<&mut Warehouse> {
        let id = self.warehouse_by_arn(arn)?.namespace_id.clone();
        self.warehouses.get_mut(&id)
    }
}
