//! EnableLogging, DisableLogging, DescribeLoggingStatus: the setting and its checks. No log is
//! delivered.

use std::sync::Arc;

use axum::response::Response;
use serde_json::json;

use super::clusters::{key, not_found};
use crate::answer::ApiError;
use crate::app::{App, gateway_failed};
use crate::arn::partition;
use crate::caller::Caller;
use crate::query::{Params, answer};
use crate::world::{ClusterStatus, Logging};

const KINDS: [&str; 3] = ["connectionlog", "useractivitylog", "userlog"];

fn invalid(message: String) -> ApiError {
    ApiError::new("InvalidParameterValue", message)
}

/// The requested setting [M: redshift; D: Database audit logging].
fn parse(params: &Params) -> Result<Logging, ApiError> {
    let destination = params.get("LogDestinationType").unwrap_or("s3").to_owned();
    let exports = params.list("LogExports", "member");
    if let Some(unknown) = exports.iter().find(|kind| !KINDS.contains(&kind.as_str())) {
        return Err(invalid(format!("LogExports takes {}; found {unknown:?}.", KINDS.join(", "))));
    }
    let prefix = params.get("S3KeyPrefix").map(str::to_owned);
    if prefix.as_ref().is_some_and(|prefix| prefix.len() > 256 || prefix.contains([' ', '"', '\'', '\\'])) {
        let message = "S3KeyPrefix has at most 256 characters, without spaces, quotes and backslashes.";
        return Err(ApiError::new("InvalidS3KeyPrefixFault", message));
    }
    match destination.as_str() {
        "cloudwatch" if exports.is_empty() => {
            Err(invalid("LogDestinationType cloudwatch needs LogExports.".to_owned()))
        }
        "cloudwatch" => Ok(Logging { destination, bucket: None, prefix: None, exports }),
        "s3" => {
            let bucket = params.require("BucketName")?.to_owned();
            Ok(Logging { destination, bucket: Some(bucket), prefix, exports })
        }
        other => Err(ApiError::not_imitated(format!("LogDestinationType {other}"))),
    }
}

/// Checks that the bucket exists and its policy lets Redshift write [D: Database audit logging].
async fn check_bucket(app: &App, caller: &Caller, name: &str, prefix: &str) -> Result<(), ApiError> {
    let bucket = app.gateway.bucket(name).await.map_err(gateway_failed)?;
    let bucket = bucket
        .ok_or_else(|| ApiError::new("BucketNotFoundFault", format!("The bucket {name} does not exist.")))?;
    let policy = bucket.policy.unwrap_or_default();
    let base = format!("arn:{}:s3:::{name}", partition(&caller.region));
    let context = json!({"aws:SourceAccount": caller.account});
    for (action, resource) in [
        ("s3:GetBucketAcl", base.clone()),
        ("s3:PutObject", format!("{base}/{prefix}AWSLogs/{}/probe", caller.account)),
    ] {
        let allowed = !policy.is_empty()
            && app
                .gateway
                .authorize_service(action, &resource, &context, &policy)
                .await
                .map_err(gateway_failed)?
                .allowed;
        if !allowed {
            let message = format!(
                "The policy of bucket {name} does not allow redshift.amazonaws.com to {action} on {resource}."
            );
            return Err(ApiError::new("InsufficientS3BucketPolicyFault", message));
        }
    }
    Ok(())
}

fn status(operation: &str, logging: Option<&Logging>) -> Response {
    answer(operation, |xml| {
        xml.text("LoggingEnabled", if logging.is_some() { "true" } else { "false" });
        if let Some(logging) = logging {
            xml.option("BucketName", logging.bucket.as_deref());
            xml.option("S3KeyPrefix", logging.prefix.as_deref());
            xml.text("LogDestinationType", &logging.destination);
            xml.element("LogExports", |xml| logging.exports.iter().for_each(|kind| xml.text("member", kind)));
        }
    })
}

fn set(app: &App, caller: &Caller, params: &Params, logging: Option<Logging>) -> Result<(), ApiError> {
    let identifier = params.require("ClusterIdentifier")?;
    let mut world = app.world();
    let cluster = world.clusters.get_mut(&key(caller, identifier)).ok_or_else(|| not_found(identifier))?;
    if cluster.status != ClusterStatus::Available {
        let message = format!("Cluster {identifier} is {}; it must be available.", cluster.status.as_str());
        return Err(ApiError::new("InvalidClusterState", message));
    }
    cluster.logging = logging;
    Ok(())
}

pub(super) async fn enable(app: &Arc<App>, caller: &Caller, params: &Params) -> Result<Response, ApiError> {
    let logging = parse(params)?;
    if let Some(bucket) = &logging.bucket {
        check_bucket(app, caller, bucket, logging.prefix.as_deref().unwrap_or_default()).await?;
    }
    let response = status("EnableLogging", Some(&logging));
    set(app, caller, params, Some(logging))?;
    Ok(response)
}

pub(super) fn disable(app: &App, caller: &Caller, params: &Params) -> Result<Response, ApiError> {
    set(app, caller, params, None)?;
    Ok(status("DisableLogging", None))
}

pub(super) fn describe(app: &App, caller: &Caller, params: &Params) -> Result<Response, ApiError> {
    let identifier = params.require("ClusterIdentifier")?;
    let world = app.world();
    let cluster = world.clusters.get(&key(caller, identifier)).ok_or_else(|| not_found(identifier))?;
    Ok(status("DescribeLoggingStatus", cluster.logging.as_ref()))
}
