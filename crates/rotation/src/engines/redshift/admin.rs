//! The control planes: the endpoint of a warehouse, and the password of its admin.
//!
//! ModifyCluster and UpdateNamespace take the password in clear, over TLS and with IAM; CloudTrail
//! hides it. Only with them does the service itself know of the change. Sources: "ModifyCluster" of
//! the Redshift API reference, "UpdateNamespace" of the Redshift Serverless API reference.

use aws_sdk_redshift::error::ProvideErrorMetadata;
use lambda_kit::call::CallError;
use secrecy::{ExposeSecret, SecretString};
use warehouse::target::Target;

use crate::engine::{Account, EngineError};

/// The control plane of one warehouse.
#[derive(Debug, Clone)]
pub struct ControlPlane {
    /// The client for provisioned clusters.
    pub redshift: aws_sdk_redshift::Client,
    /// The client for Serverless.
    pub serverless: aws_sdk_redshiftserverless::Client,
    /// The warehouse.
    pub target: Target,
}

/// A warehouse's description.
#[derive(Debug)]
pub(super) struct Described {
    endpoint: Option<(String, u16)>,
    /// The admin's name.
    pub(super) admin: String,
    /// The reason why a change is not possible now, or has not taken effect yet.
    pub(super) busy: Option<String>,
    /// True if AWS manages the admin's password in a secret of its own.
    pub(super) managed: bool,
    /// The namespace, for UpdateNamespace.
    namespace: Option<String>,
}

impl Described {
    /// Checks that the account is on this warehouse. The configuration names the warehouse and the
    /// secret names the host: whoever may write the secret must not direct the function elsewhere.
    pub(super) fn check(&self, target: &Target, account: &Account) -> Result<(), EngineError> {
        let (host, port) = self.endpoint.clone().unwrap_or_default();
        if host == account.server.host && port == account.server.port {
            return Ok(());
        }
        let endpoint = match &self.endpoint {
            Some((host, port)) => format!("whose endpoint is {host}:{port}"),
            None => "which has no endpoint yet".to_owned(),
        };
        Err(EngineError::ServerMismatch {
            server: account.server.clone(),
            configured: format!("{target}, {endpoint}"),
        })
    }
}

impl ControlPlane {
    /// Returns what [`Described::check`] needs.
    pub(super) async fn endpoint(&self) -> Result<Described, EngineError> {
        match &self.target {
            Target::Cluster(name) => self.cluster(name).await,
            Target::Workgroup(name) => self.workgroup(name).await,
        }
        .map_err(EngineError::Call)
    }

    /// Returns the whole description.
    pub(super) async fn describe(&self) -> Result<Described, EngineError> {
        let mut found = self.endpoint().await?;
        if let Some(name) = found.namespace.clone() {
            let answer = self.serverless.get_namespace().namespace_name(&name).send().await;
            let answer =
                answer.map_err(|error| CallError::new("redshift-serverless:GetNamespace", &error))?;
            let namespace = answer.namespace();
            found.admin = namespace.and_then(|found| found.admin_username()).unwrap_or_default().to_owned();
            found.managed = namespace.is_some_and(|found| found.admin_password_secret_arn().is_some());
            let status = namespace.and_then(|found| found.status()).map(|status| status.as_str());
            if status != Some("AVAILABLE") {
                found.busy = Some(format!("its namespace is {}", status.unwrap_or("in no known state")));
            }
        }
        Ok(found)
    }

    async fn cluster(&self, name: &str) -> Result<Described, CallError> {
        let action = "redshift:DescribeClusters";
        let answer = self.redshift.describe_clusters().cluster_identifier(name).send().await;
        let answer = answer.map_err(|error| CallError::new(action, &error))?;
        let Some(cluster) = answer.clusters().first() else {
            return Err(CallError::without_answer(action, &format!("there is no cluster {name}")));
        };
        let pending =
            cluster.pending_modified_values().and_then(|values| values.master_user_password()).is_some();
        let status = cluster.cluster_status().unwrap_or("in no known state");
        let busy = if pending {
            Some("a password of its admin is pending".to_owned())
        } else {
            (status != "available").then(|| format!("it is {status}"))
        };
        let endpoint = cluster.endpoint();
        Ok(Described {
            endpoint: endpoint.and_then(|found| address(found.address(), found.port())),
            admin: cluster.master_username().unwrap_or_default().to_owned(),
            busy,
            managed: cluster.master_password_secret_arn().is_some(),
            namespace: None,
        })
    }

    async fn workgroup(&self, name: &str) -> Result<Described, CallError> {
        let action = "redshift-serverless:GetWorkgroup";
        let answer = self.serverless.get_workgroup().workgroup_name(name).send().await;
        let answer = answer.map_err(|error| CallError::new(action, &error))?;
        let Some(workgroup) = answer.workgroup() else {
            return Err(CallError::without_answer(action, &format!("there is no workgroup {name}")));
        };
        let status = workgroup.status().map_or("in no known state", |status| status.as_str());
        let endpoint = workgroup.endpoint();
        Ok(Described {
            endpoint: endpoint.and_then(|found| address(found.address(), found.port())),
            admin: String::new(),
            busy: (status != "AVAILABLE").then(|| format!("its workgroup is {status}")),
            managed: false,
            namespace: Some(workgroup.namespace_name().unwrap_or_default().to_owned()),
        })
    }

    /// Starts a change of the admin's password. Returns `None` if the warehouse accepts no change
    /// now.
    pub(super) async fn set_password(
        &self,
        described: &Described,
        new: &SecretString,
    ) -> Result<Option<()>, EngineError> {
        let new = new.expose_secret();
        let (error, later) = match &self.target {
            Target::Cluster(name) => {
                let call = self.redshift.modify_cluster().cluster_identifier(name).master_user_password(new);
                match call.send().await {
                    Ok(_) => return Ok(Some(())),
                    Err(error) => (
                        CallError::new("redshift:ModifyCluster", &error),
                        error.code() == Some("InvalidClusterState"),
                    ),
                }
            }
            Target::Workgroup(_) => {
                let name = described.namespace.clone().unwrap_or_default();
                // A password without the name is a ValidationException: "must be updated together
                // with adminUsername" (UpdateNamespaceRequest in botocore).
                let call = self.serverless.update_namespace().namespace_name(name);
                let call = call.admin_username(&described.admin).admin_user_password(new);
                match call.send().await {
                    Ok(_) => return Ok(Some(())),
                    Err(error) => (
                        CallError::new("redshift-serverless:UpdateNamespace", &error),
                        error.code() == Some("ConflictException"),
                    ),
                }
            }
        };
        if later { Ok(None) } else { Err(EngineError::Call(error)) }
    }
}

fn address(host: Option<&str>, port: Option<i32>) -> Option<(String, u16)> {
    Some((host?.to_owned(), u16::try_from(port?).ok()?))
}
