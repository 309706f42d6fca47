//! The state of the stand-in: what each account has. It lives as long as the process.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::Deserialize;

use crate::data_api::Statements;
use local_servers::postgres::Server;

/// Account and Region: where a name is unique.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// 12 digits.
    pub account: String,
    /// For example `us-east-1`.
    pub region: String,
}

/// Everything.
#[derive(Debug, Default)]
pub struct World {
    /// Provisioned clusters by place and identifier.
    pub clusters: BTreeMap<(Place, String), Cluster>,
    /// Serverless namespaces by place and name.
    pub namespaces: BTreeMap<(Place, String), Namespace>,
    /// Serverless workgroups by place and name.
    pub workgroups: BTreeMap<(Place, String), Workgroup>,
    /// What a cluster or a Serverless namespace holds, by namespace id.
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
    /// What a test has switched on.
    pub switches: Switches,
}

/// What a test can switch on over `POST /internal/switches`.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Switches {
    /// So many of the next PutResourcePolicy calls fail with `ConflictPolicyUpdateFault`.
    pub policy_conflicts: u32,
}

/// A database engine with its data: behind a cluster, or behind a Serverless namespace and its workgroup.
#[derive(Debug)]
pub struct Warehouse {
    /// UUID in the namespace ARN.
    pub namespace_id: String,
    /// Namespace ARN.
    pub arn: String,
    /// Where it is.
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
    /// The server, once it was made.
    pub server: Option<Arc<Server>>,
    /// Whether statements can run: the server takes connections, nothing is paused.
    pub available: bool,
    /// S3 events that no job has seen yet, in order.
    pub events: VecDeque<S3Event>,
    /// Wakes the worker that loads files.
    pub wake: Arc<tokio::sync::Notify>,
    /// Held while a job loads a file.
    pub loading: Arc<tokio::sync::Mutex<()>>,
}

/// An IAM role on its way to, on, or off a warehouse.
#[derive(Debug, Clone)]
pub struct AttachedRole {
    /// ARN of the role.
    pub arn: String,
    /// When it was added or removed.
    pub since: Instant,
    /// Being removed.
    pub removing: bool,
}

impl AttachedRole {
    /// The apply status that DescribeClusters shows, or nothing once the role is gone.
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
    /// The server is being made.
    Creating,
    /// In service.
    Available,
    /// On its way to paused.
    Pausing,
    /// The server is stopped.
    Paused,
    /// On its way to available.
    Resuming,
    /// Being removed.
    Deleting,
    /// The server could not be made.
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
    /// Where it stands.
    pub status: ClusterStatus,
    /// When it was created.
    pub created: Timestamp,
    /// A new administrator's password is on its way.
    pub pending_password: bool,
    /// Settings that are only kept and shown again, by the name of the request's parameter.
    pub settings: BTreeMap<String, String>,
    /// Security groups of the VPC.
    pub security_groups: Vec<String>,
    /// Audit logging, if it is on.
    pub logging: Option<Logging>,
}

/// Where audit logs would go.
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
    /// When it was created.
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
    /// When it was created.
    pub created: Timestamp,
    /// The request, of which the settings are shown again.
    pub settings: serde_json::Map<String, serde_json::Value>,
}

/// A cluster subnet group.
#[derive(Debug, Clone)]
pub struct SubnetGroup {
    /// Text.
    pub description: String,
    /// Ids.
    pub subnets: Vec<String>,
}

/// A cluster parameter group.
#[derive(Debug, Clone)]
pub struct ParameterGroup {
    /// For example `redshift-1.0`.
    pub family: String,
    /// Text.
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
    /// Creation was refused; the errors say why.
    Failed,
    /// Being removed.
    Deleting,
    /// An authorisation has gone.
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
    /// Namespace id out of it.
    pub namespace_id: String,
    /// Where it stands.
    pub status: IntegrationStatus,
    /// Code and text of what went wrong.
    pub errors: Vec<(String, String)>,
    /// When it was created.
    pub created: Timestamp,
    /// Text.
    pub description: Option<String>,
    /// KMS key.
    pub kms_key: Option<String>,
    /// Encryption context.
    pub encryption_context: Vec<(String, String)>,
    /// The creator's key, with which the target's policy is judged.
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
    /// When it happened, RFC 3339.
    pub event_time: String,
    /// ARNs of the integrations whose entry in the bucket's notification configuration matches this event.
    #[serde(default)]
    pub integrations: Vec<String>,
}

impl World {
    /// The warehouse of a namespace ARN.
    #[must_use]
    pub fn warehouse_by_arn(&self, arn: &str) -> Option<&Warehouse> {
        let id = crate::arn::namespace_id(arn)?;
        let found = self.warehouses.get(id)?;
        // Both separators are understood, but service, Region and account have to be right.
        let (asked, known) = (crate::arn::parse(arn)?, crate::arn::parse(&found.arn)?);
        ((asked.service, asked.region, asked.account) == (known.service, known.region, known.account))
            .then_some(found)
    }

    /// The same, to change it.
    pub fn warehouse_by_arn_mut(&mut self, arn: &str) -> Option<&mut Warehouse> {
        let id = self.warehouse_by_arn(arn)?.namespace_id.clone();
        self.warehouses.get_mut(&id)
    }
}
