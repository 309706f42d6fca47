//! The rules of an S3 event integration that Redshift itself checks after CreateIntegration was
//! accepted.
//!
//! [D: Create an S3 event integration to automatically copy files from Amazon S3 buckets]

use serde_json::{Value, json};

use crate::app::App;
use crate::gateway::{Bucket, GatewayError};
use crate::world::Integration;

/// The actions that the bucket's policy must allow Redshift.
const BUCKET_ACTIONS: [&str; 3] =
    ["s3:GetBucketNotification", "s3:PutBucketNotification", "s3:GetBucketLocation"];

/// A violated rule: code and text for `Errors`. AWS documents neither; both are the stand-in's.
pub(super) type Broken = (String, String);

/// Checks that the namespace's policy lets Redshift receive events from the bucket.
pub(super) async fn namespace_allows(
    app: &App,
    integration: &Integration,
) -> Result<Option<Broken>, GatewayError> {
    let (policy, namespace) = {
        let world = app.world();
        match world.warehouses.get(&integration.namespace_id) {
            Some(warehouse) => (warehouse.policy.clone().unwrap_or_default(), warehouse.arn.clone()),
            None => {
                let gone = format!("The target {} no longer exists.", integration.target_arn);
                return Ok(Some(("TargetNotFound".to_owned(), gone)));
            }
        }
    };
    // [D: Configure authorization] the statement's conditions name the bucket and its owner.
    let context =
        json!({"aws:SourceArn": integration.source_arn, "aws:SourceAccount": integration.place.account});
    let allowed = if policy.is_empty() {
        false
    } else {
        app.gateway
            .authorize_service("redshift:AuthorizeInboundIntegration", &namespace, &context, &policy)
            .await?
            .allowed
    };
    Ok((!allowed).then(|| {
        (
            "AccessDenied".to_owned(),
            format!(
                "The resource policy of {namespace} does not allow redshift.amazonaws.com to \
                 redshift:AuthorizeInboundIntegration for the source {} of account {}.",
                integration.source_arn, integration.place.account
            ),
        )
    }))
}

/// Checks that the bucket's policy lets Redshift read and write its notification configuration.
pub(super) async fn bucket_allows(
    app: &App,
    integration: &Integration,
    bucket: &Bucket,
) -> Result<Option<Broken>, GatewayError> {
    let context = json!({"aws:SourceArn": integration.arn, "aws:SourceAccount": integration.place.account});
    let policy = bucket.policy.clone().unwrap_or_default();
    let mut refused = Vec::new();
    for action in BUCKET_ACTIONS {
        let allowed = if policy.is_empty() {
            false
        } else {
            app.gateway.authorize_service(action, &integration.source_arn, &context, &policy).await?.allowed
        };
        if !allowed {
            refused.push(action);
        }
    }
    Ok((!refused.is_empty()).then(|| {
        (
            "AccessDenied".to_owned(),
            format!(
                "The bucket policy of {} does not allow redshift.amazonaws.com to {} with aws:SourceArn {} and \
                 aws:SourceAccount {}.",
                integration.bucket,
                refused.join(", "),
                integration.arn,
                integration.place.account
            ),
        )
    }))
}

/// Checks that the bucket has no other notifications for created objects.
pub(super) fn bucket_is_free(integration: &Integration, bucket: &Bucket) -> Option<Broken> {
    has_created_notification(&bucket.notifications).then(|| {
        (
            "InvalidSourceConfiguration".to_owned(),
            format!(
                "The bucket {} already has an event notification for s3:ObjectCreated; remove it before creating the \
                 integration.",
                integration.bucket
            ),
        )
    })
}

/// Returns true if any entry of a notification configuration lists an ObjectCreated event.
fn has_created_notification(configuration: &Value) -> bool {
    match configuration {
        Value::String(text) => text.starts_with("s3:ObjectCreated:"),
        Value::Array(list) => list.iter().any(has_created_notification),
        Value::Object(map) => map.values().any(has_created_notification),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_created_notification_of_any_kind_is_seen() {
        let taken =
            json!({"QueueConfigurations": [{"Events": ["s3:ObjectRemoved:*", "s3:ObjectCreated:Put"]}]});
        assert!(has_created_notification(&taken));
        assert!(!has_created_notification(
            &json!({"QueueConfigurations": [{"Events": ["s3:ObjectRemoved:*"]}]})
        ));
    }
}
