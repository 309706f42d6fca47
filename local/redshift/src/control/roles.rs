//! ModifyClusterIamRoles.

use std::sync::Arc;
use std::time::Instant;

use axum::response::Response;

use super::clusters::{key, not_found, render};
use crate::answer::ApiError;
use crate::app::App;
use crate::caller::Caller;
use crate::query::Params;
use crate::world::{AttachedRole, ClusterStatus};

/// Redshift's quota of roles on a cluster [D: quotas].
const MAX_ROLES: usize = 50;

pub(super) async fn modify(app: &Arc<App>, caller: &Caller, params: &Params) -> Result<Response, ApiError> {
    let identifier = params.require("ClusterIdentifier")?;
    let key = key(caller, identifier);
    let add = params.list("AddIamRoles", "IamRoleArn");
    let remove = params.list("RemoveIamRoles", "IamRoleArn");
    for role in add.iter().chain(&remove) {
        let well_formed = crate::arn::parse(role)
            .is_some_and(|arn| arn.service == "iam" && arn.resource.starts_with("role/"));
        if !well_formed {
            return Err(ApiError::new(
                "InvalidParameterValue",
                format!("The ARN of an IAM role is expected; found {role:?}."),
            ));
        }
    }
    {
        let world = app.world();
        let cluster = world.clusters.get(&key).ok_or_else(|| not_found(identifier))?;
        if cluster.status != ClusterStatus::Available {
            return Err(ApiError::new(
                "InvalidClusterState",
                format!(
                    "Cluster {identifier} is {}; it must be available to change its roles.",
                    cluster.status.as_str()
                ),
            ));
        }
    }
    for role in &add {
        app.demand_pass_role(caller, role).await?;
    }
    let mut world = app.world();
    let namespace = world.clusters.get(&key).ok_or_else(|| not_found(identifier))?.namespace_id.clone();
    let delay = app.settings.role_delay;
    let warehouse = world.warehouses.get_mut(&namespace).ok_or_else(|| not_found(identifier))?;
    warehouse.roles.retain(|role| role.status(delay).is_some());
    for arn in add {
        match warehouse.roles.iter_mut().find(|role| role.arn == arn) {
            Some(role) if !role.removing => {}
            Some(role) => *role = AttachedRole { arn, since: Instant::now(), removing: false },
            None => warehouse.roles.push(AttachedRole { arn, since: Instant::now(), removing: false }),
        }
    }
    for arn in &remove {
        if let Some(role) = warehouse.roles.iter_mut().find(|role| role.arn == *arn && !role.removing) {
            *role = AttachedRole { arn: arn.clone(), since: Instant::now(), removing: true };
        }
    }
    if warehouse.roles.iter().filter(|role| !role.removing).count() > MAX_ROLES {
        return Err(ApiError::new(
            "InvalidParameterValue",
            format!("A cluster takes at most {MAX_ROLES} IAM roles."),
        ));
    }
    render(app, &world, &key, "ModifyClusterIamRoles")
}
