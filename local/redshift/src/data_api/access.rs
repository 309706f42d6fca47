//! Access checks of statements: the warehouse, the permission and the database user.

use std::sync::Arc;

use serde_json::{Value, json};

use super::string;
use crate::answer::ApiError;
use crate::app::{App, gateway_failed};
use crate::arn;
use crate::caller::Caller;
use crate::gateway::{Credentials, GatewayError, Question};
use crate::world::{Place, Warehouse, World};
use local_servers::postgres::{Login, Server};

/// The warehouse in which a statement runs.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) namespace_id: String,
    pub(super) server: Arc<Server>,
    /// ARN of the cluster or workgroup.
    pub(super) resource: String,
    /// Cluster identifier or workgroup name.
    pub(super) name: String,
    pub(super) serverless: bool,
}

/// The warehouse that a request names.
pub(super) fn target(app: &App, caller: &Caller, input: &Value) -> Result<Target, ApiError> {
    let place = Place { account: caller.account.clone(), region: caller.region.clone() };
    let world = app.world();
    let (warehouse, resource, name) =
        match (string(input, "ClusterIdentifier"), string(input, "WorkgroupName")) {
            (Some(_), Some(_)) | (None, None) => {
                return Err(ApiError::validation(
                    "Exactly one of ClusterIdentifier and WorkgroupName is required.",
                ));
            }
            (Some(cluster), None) => {
                let key = (place.clone(), cluster.to_ascii_lowercase());
                let found = world.clusters.get(&key).ok_or_else(no_endpoint)?;
                let resource = format!(
                    "arn:{}:redshift:{}:{}:cluster:{}",
                    arn::partition(&place.region),
                    place.region,
                    place.account,
                    key.1
                );
                (world.warehouses.get(&found.namespace_id), resource, key.1)
            }
            (None, Some(workgroup)) => workgroup_target(&world, &place, workgroup)?,
        };
    let warehouse: &Warehouse = warehouse.ok_or_else(no_endpoint)?;
    let server = warehouse.server.clone().filter(|_| warehouse.available).ok_or_else(|| {
        ApiError::validation(format!(
            "Redshift endpoint of {name} is not available: it is paused or not yet in service."
        ))
    })?;
    Ok(Target {
        namespace_id: warehouse.namespace_id.clone(),
        server,
        resource,
        name,
        serverless: warehouse.serverless,
    })
}

fn workgroup_target<'a>(
    world: &'a World,
    place: &Place,
    workgroup: &str,
) -> Result<(Option<&'a Warehouse>, String, String), ApiError> {
    // The name or the ARN [M: redshift-data].
    let found = world
        .workgroups
        .iter()
        .find(|(key, found)| {
            key.0 == *place
                && (found.name == workgroup || crate::serverless::workgroup_arn(place, found) == workgroup)
        })
        .map(|(_, found)| found)
        .ok_or_else(no_endpoint)?;
    let namespace =
        world.namespaces.get(&(place.clone(), found.namespace.clone())).ok_or_else(no_endpoint)?;
    let resource = crate::serverless::workgroup_arn(place, found);
    Ok((world.warehouses.get(&namespace.namespace_id), resource, found.name.clone()))
}

fn no_endpoint() -> ApiError {
    ApiError::validation("Redshift endpoint doesn't exist in this region.")
}

/// Returns the database user of a request after the IAM checks.
///
/// [D: Using the Data API] a secret; a cluster and DbUser; a cluster or workgroup alone.
pub(super) async fn login(
    app: &App,
    caller: &Caller,
    input: &Value,
    target: &Target,
) -> Result<Login, ApiError> {
    match (string(input, "SecretArn"), string(input, "DbUser")) {
        (Some(_), Some(_)) => Err(ApiError::validation("SecretArn and DbUser cannot be used together.")),
        (Some(secret), None) => from_secret(app, caller, secret, target).await,
        (None, Some(_)) if target.serverless => {
            Err(ApiError::validation("DbUser cannot be used with WorkgroupName."))
        }
        (None, Some(user)) => {
            let resource = format!("{}/{user}", target.resource.replace(":cluster:", ":dbuser:"));
            // The user and the database are resources of the action [D: GetClusterCredentials].
            demand(app, caller, "redshift:GetClusterCredentials", &resource).await?;
            demand(app, caller, "redshift:GetClusterCredentials", &database(target, input)).await?;
            Ok(Login::Trusted(user.to_owned()))
        }
        (None, None) => {
            let action = if target.serverless {
                "redshift-serverless:GetCredentials"
            } else {
                "redshift:GetClusterCredentialsWithIAM"
            };
            let resource = if target.serverless { target.resource.clone() } else { database(target, input) };
            demand(app, caller, action, &resource).await?;
            let user = caller.database_user();
            ensure_user(target, &user).await?;
            Ok(Login::Trusted(user))
        }
    }
}

/// ARN of the database that a request names.
fn database(target: &Target, input: &Value) -> String {
    let name = string(input, "Database").unwrap_or("*");
    format!("{}/{name}", target.resource.replace(":cluster:", ":dbname:"))
}

async fn demand(app: &App, caller: &Caller, action: &str, resource: &str) -> Result<(), ApiError> {
    app.demand(&Question {
        access_key: &caller.access_key,
        action,
        resource,
        region: &caller.region,
        context: &json!({}),
        resource_policy: None,
        resource_account: &caller.account,
    })
    .await
}

/// Credentials for an IAM identity create the user at its first use [D:
/// GetClusterCredentialsWithIAM].
async fn ensure_user(target: &Target, user: &str) -> Result<(), ApiError> {
    let failed = |error: tokio_postgres::Error| {
        ApiError::new("InternalServerException", local_servers::postgres::describe_error(&error))
            .with_status(500)
    };
    let client = target.server.connect("postgres", &Login::system()).await.map_err(failed)?;
    let known =
        client.query_opt("SELECT 1 FROM pg_roles WHERE rolname = $1", &[&user]).await.map_err(failed)?;
    if known.is_none() {
        let create = format!("CREATE ROLE {} LOGIN", crate::sql::identifier(user));
        client.batch_execute(&create).await.map_err(failed)?;
    }
    Ok(())
}

async fn from_secret(app: &App, caller: &Caller, secret: &str, target: &Target) -> Result<Login, ApiError> {
    let credentials = Credentials { access_key: caller.access_key.clone(), token: None };
    let answer = app
        .gateway
        .json(
            "secretsmanager",
            "secretsmanager.GetSecretValue",
            &caller.region,
            &credentials,
            &json!({"SecretId": secret}),
        )
        .await
        .map_err(|error| match error {
            GatewayError::Refused { code, message, .. } if code.starts_with("AccessDenied") => {
                ApiError::access_denied(message)
            }
            GatewayError::Refused { message, .. } => {
                ApiError::validation(format!("The secret {secret} cannot be read: {message}"))
            }
            other => gateway_failed(other),
        })?;
    let bad = |why: &str| ApiError::validation(format!("The secret {secret} {why}."));
    let text = answer["SecretString"].as_str().ok_or_else(|| bad("has no SecretString"))?;
    let value: Value = serde_json::from_str(text).map_err(|_| bad("is not a JSON object"))?;
    let key = |name: &str| value[name].as_str().map(str::to_owned);
    let user = key("username").ok_or_else(|| bad("has no key username"))?;
    let password = key("password").ok_or_else(|| bad("has no key password"))?;
    // [D: Storing database credentials in AWS Secrets Manager] the secret of a cluster has
    // dbClusterIdentifier [M: redshift-data, SecretArn with ClusterIdentifier], and it must be this
    // cluster.
    if !target.serverless {
        let named = key("dbClusterIdentifier").ok_or_else(|| {
            bad("has no key dbClusterIdentifier, which the Data API needs for a cluster; add it to the secret")
        })?;
        if !named.eq_ignore_ascii_case(&target.name) {
            return Err(bad(&format!(
                "has dbClusterIdentifier {named}, which does not match the ClusterIdentifier {} of the request",
                target.name
            )));
        }
    }
    Ok(Login::Password { user, password })
}
