//! GetClusterCredentials and GetClusterCredentialsWithIAM. The gateway has checked the caller's
//! policies.

use axum::response::Response;

use super::clusters::{key, not_found};
use crate::answer::ApiError;
use crate::app::App;
use crate::caller::Caller;
use crate::credentials::{Becomes, Temporary, duration, make};
use crate::query::{Params, answer};

fn namespace(app: &App, caller: &Caller, params: &Params) -> Result<String, ApiError> {
    let identifier = params.require("ClusterIdentifier")?;
    let world = app.world();
    let cluster = world.clusters.get(&key(caller, identifier)).ok_or_else(|| not_found(identifier))?;
    Ok(cluster.namespace_id.clone())
}

fn render(operation: &str, temporary: &Temporary) -> Response {
    answer(operation, |xml| {
        xml.text("DbUser", &temporary.user);
        xml.text("DbPassword", &temporary.password);
        xml.text("Expiration", &temporary.expiration.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
    })
}

pub(super) async fn for_user(app: &App, caller: &Caller, params: &Params) -> Result<Response, ApiError> {
    if !params.list("DbGroups", "DbGroup").is_empty() {
        return Err(ApiError::not_imitated("DbGroups of GetClusterCredentials"));
    }
    let user = params.require("DbUser")?.to_lowercase();
    let lasts = duration(params.get("DurationSeconds").and_then(|seconds| seconds.parse().ok()))?;
    let namespace = namespace(app, caller, params)?;
    // [M: redshift] IAM: or, with AutoCreate, IAMA: before the name.
    let (login, becomes) = if params.flag("AutoCreate") == Some(true) {
        (format!("IAMA:{user}"), Becomes::Created(&user))
    } else {
        (format!("IAM:{user}"), Becomes::Known(&user))
    };
    let temporary = make(app, &namespace, &login, becomes, lasts).await?;
    Ok(render("GetClusterCredentials", &temporary))
}

pub(super) async fn for_caller(app: &App, caller: &Caller, params: &Params) -> Result<Response, ApiError> {
    let lasts = duration(params.get("DurationSeconds").and_then(|seconds| seconds.parse().ok()))?;
    let namespace = namespace(app, caller, params)?;
    let temporary = make(app, &namespace, &caller.database_user(), Becomes::Itself, lasts).await?;
    Ok(render("GetClusterCredentialsWithIAM", &temporary))
}
