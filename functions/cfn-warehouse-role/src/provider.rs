//! One role on one warehouse.

use std::time::Duration;

use custom_resource::{AllowedList, Attributes, Context, Failure, Outcome, PhysicalId, Provider, Use};
use lambda_kit::call::CallError;
use serde::{Deserialize, Serialize};
use warehouse::cluster::{ControlPlane, DescribeError, Warehouse};
use warehouse::roles::Claim;
use warehouse::sql::RoleArn;
use warehouse::target::Target;

/// The pause between checks: attaching takes seconds to a few minutes.
const CHECK_AFTER: Duration = Duration::from_secs(5);

const ROLES: &str = "ALLOWED_ROLES";

/// The lists of values that the function's stack allows.
pub const ALLOWED: [AllowedList; 4] = [
    AllowedList::OTHER_RESOURCES,
    AllowedList::of(Target::CLUSTERS, "ClusterIdentifier"),
    AllowedList::of(Target::WORKGROUPS, "WorkgroupName"),
    AllowedList::of(ROLES, "CopyRoleArn"),
];

/// The properties of `Custom::WarehouseRole`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Properties {
    #[serde(default)]
    cluster_identifier: Option<String>,
    #[serde(default)]
    workgroup_name: Option<String>,
    /// ARN of the role.
    role_arn: String,
    /// Uses a role that was attached elsewhere, and never detaches it.
    #[serde(default)]
    adopt_existing: bool,
}

impl Properties {
    fn target(&self) -> Result<Target, Failure> {
        Target::from_properties(self.cluster_identifier.as_deref(), self.workgroup_name.as_deref())
            .map_err(Failure::from_error)
    }
}

/// The progress of a wait. The state machine's history shows it, and it holds names only.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Progress {
    cluster_identifier: Option<String>,
    workgroup_name: Option<String>,
    role_arn: String,
    attached: bool,
}

impl Progress {
    fn new(target: &Target, role: &str, attached: bool) -> Self {
        let (cluster_identifier, workgroup_name) = match target {
            Target::Cluster(name) => (Some(name.clone()), None),
            Target::Workgroup(name) => (None, Some(name.clone())),
        };
        Self { cluster_identifier, workgroup_name, role_arn: role.to_owned(), attached }
    }

    fn target(&self) -> Result<Target, Failure> {
        Target::from_properties(self.cluster_identifier.as_deref(), self.workgroup_name.as_deref())
            .map_err(Failure::from_error)
    }
}

/// The provider.
pub struct WarehouseRoles {
    control: ControlPlane,
}

impl WarehouseRoles {
    /// Creates a provider with its clients.
    pub fn new(control: ControlPlane) -> Self {
        Self { control }
    }

    fn identity_of(properties: &Properties) -> Result<String, Failure> {
        Ok(format!("{}/{}", properties.target()?, properties.role_arn))
    }

    async fn attach(&self, id: &PhysicalId, new: &Properties) -> Result<Outcome<Progress>, Failure> {
        let role = RoleArn::new("RoleArn", &new.role_arn)
            .map_err(|error| Failure::new(format!("property {error}")))?;
        let role = role.as_str();
        let target = new.target()?;
        let warehouse = self.control.describe(&target).await.map_err(describe_failed)?;
        let claims = self.control.claims(&target, &warehouse).await.map_err(claims_failed)?;
        let claim = Claim { owner: id.tag().to_owned(), role: role.to_owned() };
        let claimed = claims.contains(&claim);
        let claimed_by_any = claims.iter().any(|other| other.role == role);
        let attached = warehouse.roles.iter().find(|have| have.arn == role && have.status != "removing");

        if attached.is_some() && !claimed_by_any {
            if !new.adopt_existing {
                return Err(Failure::new(format!(
                    "property `RoleArn`: {role} is already attached to {target}, and not by a stack of Sluice; \
                     set `AdoptExisting: true` to use it unchanged (this stack then never detaches it)"
                )));
            }
        } else if !claimed {
            self.control.claim(&target, &warehouse, &claim).await.map_err(|error| {
                // A tag that was written all the same is removed by the Delete.
                let is_transient = error.is_transient();
                Failure::caused_by(format!("the tag of {role} could not be written on {target}"), error)
                    .with_leftovers_if(is_transient)
            })?;
        }
        match attached {
            Some(have) if have.is_in_sync() => Ok(ready(role)),
            Some(_) => Ok(wait(&target, role, true)),
            None => {
                match self.control.set_role(&target, &warehouse, role, true).await {
                    Ok(()) => tracing::info!(role, %target, "attaching the role"),
                    // The checks attach it again, unless this call did.
                    Err(error) if error.is_transient() => {
                        tracing::warn!(role, %target, %error, "the role may not be attached yet");
                    }
                    Err(error) => {
                        let failure = role_failure("attached to", role, &target, &warehouse, error);
                        return Err(failure.with_leftovers());
                    }
                }
                Ok(wait(&target, role, true))
            }
        }
    }

    /// Checks the role's state. What was accepted is not always done: a call whose outcome is unknown,
    /// or a list of another writer to the same namespace, leaves the old state. Then it is done again.
    async fn check_role(
        &self,
        target: &Target,
        role: &str,
        attached: bool,
    ) -> Result<Outcome<Progress>, Failure> {
        let warehouse = match self.control.describe(target).await {
            Err(error) if error.is_transient() => return Ok(wait(target, role, attached)),
            Err(DescribeError::Absent(_)) if !attached => return Ok(Outcome::done()),
            other => other.map_err(|error| Failure::from_error(error).with_leftovers())?,
        };
        let have = warehouse.roles.iter().find(|have| have.arn == role);
        let is_stale = match (have, attached) {
            (Some(have), true) if have.is_in_sync() => return Ok(ready(role)),
            (None, false) => return Ok(Outcome::done()),
            (None, true) => true,
            (Some(have), true) => have.status == "removing",
            (Some(have), false) => have.status != "removing",
        };
        if is_stale && warehouse.is_available() {
            // Another stack may have claimed the role since this one released it.
            match self.control.claims(target, &warehouse).await {
                Err(error) => {
                    tracing::warn!(role, %target, %error, "the owners could not be read");
                    return Ok(wait(target, role, attached));
                }
                Ok(claims) if !attached && claims.iter().any(|claim| claim.role == role) => {
                    return Ok(Outcome::done());
                }
                Ok(_) => {}
            }
            let repeated = self.control.set_role(target, &warehouse, role, attached).await;
            match repeated {
                Err(error) if !error.is_transient() && !is_busy(&error) => {
                    let what = if attached { "attached to" } else { "detached from" };
                    return Err(role_failure(what, role, target, &warehouse, error).with_leftovers());
                }
                _ => tracing::info!(role, %target, attached, "the role's state is set again"),
            }
        }
        Ok(wait(target, role, attached))
    }
}

fn ready(role: &str) -> Outcome<Progress> {
    Outcome::Ready(Attributes::none().with("RoleArn", role))
}

fn wait(target: &Target, role: &str, attached: bool) -> Outcome<Progress> {
    Outcome::Waiting { progress: Progress::new(target, role, attached), check_after: CHECK_AFTER }
}

fn claims_failed(error: CallError) -> Failure {
    let is_transient = error.is_transient();
    Failure::caused_by("the owners of the warehouse's roles could not be read", error)
        .with_leftovers_if(is_transient)
}

fn describe_failed(error: DescribeError) -> Failure {
    let is_transient = error.is_transient();
    Failure::from_error(error).with_leftovers_if(is_transient)
}

/// Returns true if the warehouse takes no change at the moment.
fn is_busy(error: &CallError) -> bool {
    error.has_code(&["InvalidClusterState", "ConflictException"])
}

fn role_failure(what: &str, role: &str, target: &Target, warehouse: &Warehouse, error: CallError) -> Failure {
    if is_busy(&error) {
        let remedy = warehouse.remedy(target);
        return Failure::caused_by(
            format!("{role} cannot be {what} {target} while that is {}; {remedy}", warehouse.status),
            error,
        );
    }
    let others: Vec<String> = warehouse.other_roles(role).collect();
    if error.is_access_denied() && warehouse.namespace_name.is_some() && !others.is_empty() {
        // UpdateNamespace takes the whole list, and its caller needs iam:PassRole on each role of it.
        return Failure::caused_by(
            format!(
                "{role} could not be {what} {target}, because Redshift Serverless takes the list of all its roles and demands iam:PassRole on each; \
                 give the ARNs of its other roles to the parameter `OtherRoleArns` of templates/copy-target.yaml: {}",
                others.join(",")
            ),
            error,
        );
    }
    Failure::caused_by(format!("{role} could not be {what} {target}"), error)
}

impl Provider for WarehouseRoles {
    type Properties = Properties;
    type Progress = Progress;
    const KIND: &'static str = "sluice-warehouse-role";

    fn uses(&self, properties: &Properties) -> Result<Vec<Use>, Failure> {
        let target = properties.target()?;
        Ok(vec![
            Use::new(target.property(), target.name(), target.allowed_by()),
            Use::new("RoleArn", &properties.role_arn, ROLES),
        ])
    }

    fn identity(&self, properties: &Properties) -> Result<String, Failure> {
        Self::identity_of(properties)
    }

    async fn create(
        &self,
        _: &Context,
        id: &PhysicalId,
        new: Properties,
    ) -> Result<Outcome<Progress>, Failure> {
        self.attach(id, &new).await
    }

    async fn delete(
        &self,
        _: &Context,
        id: &PhysicalId,
        old: Properties,
    ) -> Result<Outcome<Progress>, Failure> {
        let target = old.target()?;
        let warehouse = match self.control.describe(&target).await {
            Err(DescribeError::Absent(_)) => return Ok(Outcome::done()),
            other => other.map_err(Failure::from_error)?,
        };
        let role = old.role_arn;
        let claim = Claim { owner: id.tag().to_owned(), role: role.clone() };
        let claims = self.control.claims(&target, &warehouse).await.map_err(claims_failed)?;
        if !claims.contains(&claim) {
            // Adopted, or never attached.
            return Ok(Outcome::done());
        }
        let others = claims.iter().any(|other| other.role == role && other.owner != claim.owner);
        let have = warehouse.roles.iter().find(|have| have.arn == role);
        let attached = have.is_some();
        if have.is_some_and(|have| have.status != "removing") && !others {
            self.control
                .set_role(&target, &warehouse, &role, false)
                .await
                .map_err(|error| role_failure("detached from", &role, &target, &warehouse, error))?;
            tracing::info!(role, %target, "detaching the role");
        }
        self.control.release(&target, &warehouse, &claim).await.map_err(|error| {
            Failure::caused_by(format!("the tag of {role} could not be removed from {target}"), error)
        })?;
        if attached && !others { Ok(wait(&target, &role, false)) } else { Ok(Outcome::done()) }
    }

    async fn check(
        &self,
        _: &Context,
        _: &PhysicalId,
        progress: Progress,
    ) -> Result<Outcome<Progress>, Failure> {
        self.check_role(&progress.target()?, &progress.role_arn, progress.attached).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use custom_resource::Request;

    fn sample(text: &str) -> Properties {
        let request = Request::parse(&serde_json::from_str(text).unwrap()).unwrap();
        request.properties(&[]).unwrap()
    }

    #[test]
    fn sample_event_names_cluster_and_role() {
        let properties = sample(include_str!("../../../events/cloudformation/warehouse-role-create.json"));
        assert_eq!(properties.target().unwrap(), Target::Cluster("main".into()));
        assert!(!properties.adopt_existing);
        let id = WarehouseRoles::identity_of(&properties).unwrap();
        assert_eq!(id, "cluster main/arn:aws:iam::222222222222:role/sluice-target-CopyRole");
    }
}
