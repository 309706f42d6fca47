//! Roles attached to a warehouse, and their owners.
//!
//! An attachment has no owner, so each owner writes a tag on the warehouse:
//! `sluice:copy-role:<owner>` with the role's ARN. The tag is written before the role is attached,
//! and removed after Redshift accepted the detachment. A run that dies in between leaves a claim
//! without a role, never a role without a claim.

use aws_sdk_redshift::error::ProvideErrorMetadata;
use lambda_kit::arn::Arn;
use lambda_kit::call::CallError;

use crate::cluster::{AttachedRole, ControlPlane, Warehouse};
use crate::target::Target;

/// The first part of the tags' keys.
const CLAIM: &str = "sluice:copy-role:";

/// A claim of one owner on one role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The owner's tag.
    pub owner: String,
    /// The role's ARN.
    pub role: String,
}

impl Claim {
    fn key(&self) -> String {
        format!("{CLAIM}{}", self.owner)
    }

    fn from_tag(key: Option<&str>, value: Option<&str>) -> Option<Self> {
        let owner = key?.strip_prefix(CLAIM)?;
        Some(Self { owner: owner.to_owned(), role: value?.to_owned() })
    }
}

/// Returns the ARN of a cluster, for its tags, from its namespace's ARN.
fn cluster_arn(action: &str, namespace_arn: &str, name: &str) -> Result<String, CallError> {
    let arn: Arn = namespace_arn.parse().map_err(|error| CallError::caused_by(action, &error))?;
    let resource = format!("cluster:{name}");
    Ok(arn.sibling(&arn.service, &arn.region, &arn.account, &resource).to_string())
}

impl ControlPlane {
    /// Returns the claims on a warehouse's roles.
    ///
    /// # Errors
    /// The tags could not be read.
    pub async fn claims(&self, target: &Target, warehouse: &Warehouse) -> Result<Vec<Claim>, CallError> {
        match target {
            Target::Cluster(name) => {
                let answer = self.redshift.describe_clusters().cluster_identifier(name).send().await;
                let answer = answer.map_err(|error| CallError::new("redshift:DescribeClusters", &error))?;
                let tags = answer.clusters().iter().flat_map(|cluster| cluster.tags());
                Ok(tags.filter_map(|tag| Claim::from_tag(tag.key(), tag.value())).collect())
            }
            Target::Workgroup(_) => {
                let answer = self
                    .serverless
                    .list_tags_for_resource()
                    .resource_arn(&warehouse.namespace_arn)
                    .send()
                    .await;
                let answer = answer
                    .map_err(|error| CallError::new("redshift-serverless:ListTagsForResource", &error))?;
                let tags = answer.tags().iter();
                Ok(tags.filter_map(|tag| Claim::from_tag(Some(tag.key()), Some(tag.value()))).collect())
            }
        }
    }

    /// Writes a claim.
    ///
    /// # Errors
    /// The tag could not be written.
    pub async fn claim(
        &self,
        target: &Target,
        warehouse: &Warehouse,
        claim: &Claim,
    ) -> Result<(), CallError> {
        match target {
            Target::Cluster(name) => {
                let tag = aws_sdk_redshift::types::Tag::builder().key(claim.key()).value(&claim.role).build();
                let action = "redshift:CreateTags";
                let arn = cluster_arn(action, &warehouse.namespace_arn, name)?;
                let call = self.redshift.create_tags().resource_name(arn).tags(tag);
                call.send().await.map_err(|error| CallError::new(action, &error))?;
            }
            Target::Workgroup(_) => {
                let tag = aws_sdk_redshiftserverless::types::Tag::builder()
                    .key(claim.key())
                    .value(&claim.role)
                    .build();
                let action = "redshift-serverless:TagResource";
                let tag = tag.map_err(|error| CallError::caused_by(action, &error))?;
                let call = self.serverless.tag_resource().resource_arn(&warehouse.namespace_arn).tags(tag);
                call.send().await.map_err(|error| CallError::new(action, &error))?;
            }
        }
        Ok(())
    }

    /// Removes a claim. If there is none, that is success.
    ///
    /// # Errors
    /// The tag could not be removed.
    pub async fn release(
        &self,
        target: &Target,
        warehouse: &Warehouse,
        claim: &Claim,
    ) -> Result<(), CallError> {
        match target {
            Target::Cluster(name) => {
                let action = "redshift:DeleteTags";
                let arn = cluster_arn(action, &warehouse.namespace_arn, name)?;
                let call = self.redshift.delete_tags().resource_name(arn);
                match call.tag_keys(claim.key()).send().await {
                    Err(error) if error.code() != Some("ResourceNotFoundFault") => {
                        Err(CallError::new(action, &error))
                    }
                    _ => Ok(()),
                }
            }
            Target::Workgroup(_) => {
                let call = self.serverless.untag_resource().resource_arn(&warehouse.namespace_arn);
                match call.tag_keys(claim.key()).send().await {
                    Err(error) if error.code() != Some("ResourceNotFoundException") => {
                        Err(CallError::new("redshift-serverless:UntagResource", &error))
                    }
                    _ => Ok(()),
                }
            }
        }
    }

    /// Attaches or detaches one role, and keeps the others.
    ///
    /// A Serverless namespace takes only the whole list, so the call has the list of `warehouse`.
    ///
    /// # Errors
    /// The call failed, for example with `InvalidClusterState` for a paused or busy cluster.
    pub async fn set_role(
        &self,
        target: &Target,
        warehouse: &Warehouse,
        role: &str,
        attached: bool,
    ) -> Result<(), CallError> {
        match (target, &warehouse.namespace_name) {
            (Target::Workgroup(_), Some(namespace)) => {
                let list: Vec<String> =
                    warehouse.other_roles(role).chain(attached.then(|| role.to_owned())).collect();
                // Both "must be updated together" (UpdateNamespaceRequest of the service's API
                // model); an empty text is none, as Terraform's provider sends it
                // (hashicorp/terraform-provider-aws#39268).
                let default = warehouse.default_role.clone().filter(|default| list.contains(default));
                let call = self.serverless.update_namespace().namespace_name(namespace);
                call.set_iam_roles(Some(list))
                    .default_iam_role_arn(default.unwrap_or_default())
                    .send()
                    .await
                    .map_err(|error| CallError::new("redshift-serverless:UpdateNamespace", &error))?;
            }
            (Target::Cluster(name) | Target::Workgroup(name), _) => {
                let call = self.redshift.modify_cluster_iam_roles().cluster_identifier(name);
                let call = if attached { call.add_iam_roles(role) } else { call.remove_iam_roles(role) };
                call.send()
                    .await
                    .map_err(|error| CallError::new("redshift:ModifyClusterIamRoles", &error))?;
            }
        }
        Ok(())
    }
}

impl Warehouse {
    /// Returns the other roles, without those that are being removed: sent again, they would stay.
    pub fn other_roles(&self, role: &str) -> impl Iterator<Item = String> {
        let stays = move |have: &&AttachedRole| have.arn != role && have.status != "removing";
        self.roles.iter().filter(stays).map(|have| have.arn.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arn_of_a_cluster_comes_from_its_namespace() {
        assert_eq!(
            cluster_arn("a", "arn:aws-cn:redshift:cn-north-1:222222222222:namespace:1-2-3", "main").unwrap(),
            "arn:aws-cn:redshift:cn-north-1:222222222222:cluster:main"
        );
    }

    #[test]
    fn claim_reads_back_from_its_tag() {
        let claim = Claim { owner: "0a1b2c3d".into(), role: "arn:role".into() };
        assert_eq!(Claim::from_tag(Some(&claim.key()), Some("arn:role")), Some(claim));
        assert_eq!(Claim::from_tag(Some("Name"), Some("x")), None);
    }
}
