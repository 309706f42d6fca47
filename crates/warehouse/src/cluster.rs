//! The warehouse itself: its endpoint, its state, its roles.

use aws_sdk_redshift::error::ProvideErrorMetadata;
use lambda_kit::call::CallError;

use crate::target::Target;

/// A warehouse as the control plane describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warehouse {
    /// ARN of the namespace, which is the target of integrations and has the resource policy.
    pub namespace_arn: String,
    /// Name of the Serverless namespace; `None` for a cluster.
    pub namespace_name: Option<String>,
    /// Host and port, if there is an endpoint.
    pub endpoint: Option<(String, u16)>,
    /// `available`, `paused`, …
    pub status: String,
    /// The attached roles.
    pub roles: Vec<AttachedRole>,
    /// The default role of a Serverless namespace.
    pub default_role: Option<String>,
}

impl Warehouse {
    /// Returns true if statements run and settings can be changed.
    pub fn is_available(&self) -> bool {
        self.status == "available"
    }

    /// Returns what to do about a warehouse that is not available, as the end of a sentence.
    pub fn remedy(&self, target: &Target) -> String {
        match (self.status.as_str(), target) {
            ("paused" | "pausing", Target::Cluster(name)) => {
                format!(
                    "resume it with `aws redshift resume-cluster --cluster-identifier {name}`, wait until it is available, and try again"
                )
            }
            _ => "wait until it is available and try again".to_owned(),
        }
    }
}

/// A role of a warehouse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachedRole {
    /// Its ARN.
    pub arn: String,
    /// `in-sync`, `adding`, `removing`.
    pub status: String,
}

impl AttachedRole {
    /// Returns true if COPY can use the role.
    pub fn is_in_sync(&self) -> bool {
        self.status == "in-sync"
    }
}

/// The error of a description.
#[derive(Debug, thiserror::Error)]
pub enum DescribeError {
    /// There is no such cluster or workgroup in this account and Region.
    #[error("property `{property}`: there is no {target} in this account and Region", property = .0.property(), target = .0)]
    Absent(Target),
    /// A call failed.
    #[error(transparent)]
    Call(#[from] CallError),
}

impl DescribeError {
    /// Returns true if the same call may succeed in a moment.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Absent(_) => false,
            Self::Call(error) => error.is_transient(),
        }
    }
}

/// The two control planes.
#[derive(Debug, Clone)]
pub struct ControlPlane {
    /// The client for clusters, and for policies and integrations of both kinds.
    pub redshift: aws_sdk_redshift::Client,
    /// The client for Serverless.
    pub serverless: aws_sdk_redshiftserverless::Client,
}

impl ControlPlane {
    /// Describes a warehouse.
    ///
    /// # Errors
    /// The warehouse does not exist, or a call failed.
    pub async fn describe(&self, target: &Target) -> Result<Warehouse, DescribeError> {
        match target {
            Target::Cluster(name) => self.cluster(target, name).await,
            Target::Workgroup(name) => self.workgroup(target, name).await,
        }
    }

    async fn cluster(&self, target: &Target, name: &str) -> Result<Warehouse, DescribeError> {
        let answer = self.redshift.describe_clusters().cluster_identifier(name).send().await;
        let answer = answer.map_err(|error| match error.code() {
            Some("ClusterNotFound") => DescribeError::Absent(target.clone()),
            _ => CallError::new("redshift:DescribeClusters", &error).into(),
        })?;
        let cluster = answer.clusters().first().ok_or_else(|| DescribeError::Absent(target.clone()))?;
        Ok(Warehouse {
            namespace_arn: cluster.cluster_namespace_arn().unwrap_or_default().to_owned(),
            namespace_name: None,
            endpoint: cluster.endpoint().and_then(|endpoint| {
                let port = u16::try_from(endpoint.port().unwrap_or_default()).ok()?;
                Some((endpoint.address()?.to_owned(), port))
            }),
            status: cluster.cluster_status().unwrap_or_default().to_owned(),
            roles: cluster
                .iam_roles()
                .iter()
                .map(|role| AttachedRole {
                    arn: role.iam_role_arn().unwrap_or_default().to_owned(),
                    status: role.apply_status().unwrap_or_default().to_owned(),
                })
                .collect(),
            default_role: None,
        })
    }

    async fn workgroup(&self, target: &Target, name: &str) -> Result<Warehouse, DescribeError> {
        let answer = self.serverless.get_workgroup().workgroup_name(name).send().await;
        let answer = answer.map_err(|error| match error.code() {
            Some("ResourceNotFoundException") => DescribeError::Absent(target.clone()),
            _ => CallError::new("redshift-serverless:GetWorkgroup", &error).into(),
        })?;
        let workgroup = answer.workgroup().ok_or_else(|| DescribeError::Absent(target.clone()))?;
        let namespace_name = workgroup.namespace_name().unwrap_or_default();
        let answer = self.serverless.get_namespace().namespace_name(namespace_name).send().await;
        let answer = answer.map_err(|error| CallError::new("redshift-serverless:GetNamespace", &error))?;
        let namespace = answer.namespace().ok_or_else(|| DescribeError::Absent(target.clone()))?;
        Ok(Warehouse {
            namespace_arn: namespace.namespace_arn().unwrap_or_default().to_owned(),
            namespace_name: Some(namespace_name.to_owned()),
            endpoint: workgroup.endpoint().and_then(|endpoint| {
                let port = u16::try_from(endpoint.port().unwrap_or_default()).ok()?;
                Some((endpoint.address()?.to_owned(), port))
            }),
            status: workgroup.status().map(|status| status.as_str().to_lowercase()).unwrap_or_default(),
            roles: namespace.iam_roles().iter().map(|text| serverless_role(text)).collect(),
            default_role: namespace.default_iam_role_arn().filter(|arn| !arn.is_empty()).map(str::to_owned),
        })
    }
}

/// Parses a role of a Serverless namespace: `IamRole(applyStatus=in-sync, iamRoleArn=arn:…)`, as in
/// the examples of the API, or a bare ARN.
fn serverless_role(text: &str) -> AttachedRole {
    let field = |name: &str| {
        let (_, rest) = text.split_once(name)?;
        Some(rest.split([',', ')']).next().unwrap_or(rest).trim().to_owned())
    };
    match field("iamRoleArn=") {
        Some(arn) => AttachedRole { arn, status: field("applyStatus=").unwrap_or_default() },
        None => AttachedRole { arn: text.to_owned(), status: "in-sync".to_owned() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_of_a_namespace_are_read_in_both_forms() {
        let arn = "arn:aws:iam::222222222222:role/copy";
        let long = serverless_role(&format!("IamRole(applyStatus=adding, iamRoleArn={arn})"));
        assert_eq!(long, AttachedRole { arn: arn.into(), status: "adding".into() });
        assert!(serverless_role(arn).is_in_sync());
    }
}
