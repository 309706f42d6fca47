//! The control plane `redshift` (query protocol, 2012-12-01).

mod cluster_xml;
mod clusters;
mod credentials;
mod groups;
mod integration_rules;
mod integration_views;
mod integrations;
mod life;
mod logging;
mod passwords;
mod policy;
mod roles;
mod tags;

use std::sync::Arc;

use axum::response::Response;

use crate::answer::ApiError;
use crate::app::App;
use crate::caller::Caller;
use crate::query::Params;

pub(crate) use clusters::{check_database, make_server, set_admin_password};
pub use integrations::review as review_integrations;
pub use passwords::{check as check_password, check_admin_name};

/// Handles one request.
pub async fn serve(app: &Arc<App>, caller: &Caller, body: &[u8]) -> Response {
    let params = Params::parse(body);
    dispatch(app, caller, &params).await.unwrap_or_else(ApiError::into_xml)
}

async fn dispatch(app: &Arc<App>, caller: &Caller, params: &Params) -> Result<Response, ApiError> {
    match params.get("Action").unwrap_or_default() {
        "CreateCluster" => clusters::create(app, caller, params).await,
        "DescribeClusters" => clusters::describe(app, caller, params),
        "ModifyCluster" => clusters::modify(app, caller, params),
        "DeleteCluster" => life::delete(app, caller, params),
        "PauseCluster" => life::pause(app, caller, params),
        "ResumeCluster" => life::resume(app, caller, params),
        "ModifyClusterIamRoles" => roles::modify(app, caller, params).await,
        "CreateTags" => tags::create(app, caller, params),
        "DeleteTags" => tags::delete(app, caller, params),
        "DescribeTags" => tags::describe(app, caller, params),
        "CreateClusterSubnetGroup" => groups::create_subnet_group(app, caller, params),
        "ModifyClusterSubnetGroup" => groups::modify_subnet_group(app, caller, params),
        "DescribeClusterSubnetGroups" => groups::describe_subnet_groups(app, caller, params),
        "DeleteClusterSubnetGroup" => groups::delete_subnet_group(app, caller, params),
        "CreateClusterParameterGroup" => groups::create_parameter_group(app, caller, params),
        "ModifyClusterParameterGroup" => groups::modify_parameter_group(app, caller, params),
        "DescribeClusterParameterGroups" => groups::describe_parameter_groups(app, caller, params),
        "DescribeClusterParameters" => groups::describe_parameters(app, caller, params),
        "DeleteClusterParameterGroup" => groups::delete_parameter_group(app, caller, params),
        "EnableLogging" => logging::enable(app, caller, params).await,
        "DisableLogging" => logging::disable(app, caller, params),
        "DescribeLoggingStatus" => logging::describe(app, caller, params),
        "GetClusterCredentials" => credentials::for_user(app, caller, params).await,
        "GetClusterCredentialsWithIAM" => credentials::for_caller(app, caller, params).await,
        "PutResourcePolicy" => policy::put(app, caller, params).await,
        "GetResourcePolicy" => policy::get(app, caller, params),
        "DeleteResourcePolicy" => policy::delete(app, caller, params).await,
        "CreateIntegration" => integrations::create(app, caller, params).await,
        "DescribeIntegrations" => integration_views::describe(app, caller, params),
        "DescribeInboundIntegrations" => integration_views::describe_inbound(app, caller, params),
        "ModifyIntegration" => integrations::modify(app, caller, params),
        "DeleteIntegration" => integrations::delete(app, caller, params),
        other => Err(ApiError::not_imitated(format!("the action redshift:{other}"))),
    }
}
