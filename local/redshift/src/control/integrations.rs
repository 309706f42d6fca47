//! S3 event integrations.

use std::sync::Arc;

use axum::response::Response;
use jiff::Timestamp;
use serde_json::json;

use super::clusters::place;
use super::integration_rules::{Broken, bucket_allows, bucket_is_free, namespace_allows};
use super::integration_views::write;
use super::tags;
use crate::answer::ApiError;
use crate::app::{App, gateway_failed};
use crate::arn;
use crate::caller::Caller;
use crate::gateway::{GatewayError, Question};
use crate::query::{Params, answer};
use crate::world::{Integration, IntegrationStatus, World};

/// Maximum number for one target [D: auto-copy].
const MAX_PER_TARGET: usize = 50;

pub(super) fn invalid(message: String) -> ApiError {
    ApiError::new("InvalidParameterValue", message)
}

pub(super) fn not_found(arn: &str) -> ApiError {
    ApiError::new("IntegrationNotFoundFault", format!("The integration {arn} does not exist."))
        .with_status(404)
}

/// `^[a-zA-Z][a-zA-Z0-9]*(-[a-zA-Z0-9]+)*$`, 1 to 63 characters [M: redshift].
fn check_name(name: &str) -> Result<(), ApiError> {
    let well_formed = name.len() <= 63
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name
            .split('-')
            .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    if well_formed {
        return Ok(());
    }
    Err(invalid(format!(
        "IntegrationName must have 1 to 63 letters, digits and single hyphens and start with a letter; found {name:?}."
    )))
}

pub(super) async fn create(app: &Arc<App>, caller: &Caller, params: &Params) -> Result<Response, ApiError> {
    let name = params.require("IntegrationName")?.to_owned();
    check_name(&name)?;
    let source_arn = params.require("SourceArn")?.to_owned();
    let target_arn = params.require("TargetArn")?.to_owned();
    let tags = params.tags("TagList");
    tags::check(&tags)?;
    let integration = Integration {
        arn: format!(
            "arn:{}:redshift:{}:{}:integration:{}",
            arn::partition(&caller.region),
            caller.region,
            caller.account,
            uuid::Uuid::new_v4()
        ),
        place: place(caller),
        name,
        bucket: check_source(app, caller, &source_arn).await?,
        source_arn,
        namespace_id: arn::namespace_id(&target_arn)
            .ok_or_else(|| {
                invalid(format!("TargetArn must be the ARN of a namespace; found {target_arn:?}."))
            })?
            .to_owned(),
        target_arn,
        status: IntegrationStatus::Creating,
        errors: Vec::new(),
        created: Timestamp::now(),
        description: params.get("Description").map(str::to_owned),
        kms_key: params.get("KMSKeyId").map(str::to_owned),
        encryption_context: params.map("AdditionalEncryptionContext"),
        creator_key: caller.access_key.clone(),
    };
    check_target(app, caller, &integration).await?;
    check_key(app, caller, &integration).await?;
    if !tags.is_empty() {
        demand(app, caller, "redshift:CreateTags", &integration.arn, None, &caller.account, &json!({}))
            .await?;
    }
    let response = {
        let mut world = app.world();
        check_room(&world, &integration)?;
        if !tags.is_empty() {
            world.tags.insert(integration.arn.clone(), tags.into_iter().collect());
        }
        world.integrations.push(integration.clone());
        answer("CreateIntegration", |xml| write(xml, &world, &integration))
    };
    let app = Arc::clone(app);
    tokio::spawn(async move {
        tokio::time::sleep(app.settings.integration_delay).await;
        let (status, errors) = match establish(&app, &integration).await {
            Ok(None) => (IntegrationStatus::Active, Vec::new()),
            Ok(Some(broken)) => (IntegrationStatus::Failed, vec![broken]),
            Err(error) => {
                (IntegrationStatus::Failed, vec![("InternalFailure".to_owned(), error.to_string())])
            }
        };
        set_status(&app, &integration.arn, status, errors);
    });
    Ok(response)
}

/// The bucket exists in the caller's account and Region, and its name has no period.
async fn check_source(app: &App, caller: &Caller, source_arn: &str) -> Result<String, ApiError> {
    if arn::parse(source_arn).is_some_and(|arn| arn.service == "dynamodb") {
        return Err(ApiError::not_imitated("integrations with DynamoDB"));
    }
    let name = arn::bucket(source_arn).ok_or_else(|| {
        invalid(format!("SourceArn must be the ARN of an S3 bucket; found {source_arn:?}."))
    })?;
    if name.contains('.') {
        return Err(ApiError::new(
            "UnsupportedOperation",
            format!(
                "The bucket name {name} contains a period; an S3 event integration cannot be created for it."
            ),
        ));
    }
    let missing = |why: String| ApiError::new("IntegrationSourceNotFoundFault", why).with_status(404);
    let bucket = app
        .gateway
        .bucket(name)
        .await
        .map_err(gateway_failed)?
        .ok_or_else(|| missing(format!("The source {source_arn} does not exist.")))?;
    if bucket.account != caller.account {
        return Err(missing(format!(
            "The source {source_arn} does not exist in account {}: the integration must be created in the account of the bucket.",
            caller.account
        )));
    }
    if bucket.region != caller.region {
        return Err(missing(format!(
            "The source {source_arn} is in Region {}, not in {}: the integration must be created in the Region of the bucket.",
            bucket.region, caller.region
        )));
    }
    Ok(name.to_owned())
}

/// The target exists in this Region and lets the caller create the integration.
async fn check_target(app: &App, caller: &Caller, integration: &Integration) -> Result<(), ApiError> {
    let target = &integration.target_arn;
    let missing = |why: String| ApiError::new("IntegrationTargetNotFoundFault", why).with_status(404);
    let parsed = arn::parse(target).ok_or_else(|| missing(format!("The target {target} does not exist.")))?;
    if parsed.region != caller.region {
        return Err(missing(format!(
            "The target {target} is in Region {}, not in {}: bucket and target must be in the same Region.",
            parsed.region, caller.region
        )));
    }
    let (policy, account, namespace_arn, available) = {
        let world = app.world();
        let warehouse = world
            .warehouse_by_arn(target)
            .ok_or_else(|| missing(format!("The target {target} does not exist.")))?;
        (
            warehouse.policy.clone(),
            warehouse.place.account.clone(),
            warehouse.arn.clone(),
            warehouse.available,
        )
    };
    // [D: auto-copy prerequisites] the statement may be conditioned on the source.
    let context = json!({"aws:SourceArn": integration.source_arn, "aws:SourceAccount": caller.account});
    let action = "redshift:CreateInboundIntegration";
    demand(app, caller, action, &namespace_arn, policy.as_deref(), &account, &context).await?;
    if !available {
        return Err(ApiError::new("InvalidClusterState", format!("The target {target} is not available.")));
    }
    Ok(())
}

async fn check_key(app: &App, caller: &Caller, integration: &Integration) -> Result<(), ApiError> {
    let Some(key) = &integration.kms_key else {
        return if integration.encryption_context.is_empty() {
            Ok(())
        } else {
            Err(invalid("AdditionalEncryptionContext needs KMSKeyId.".to_owned()))
        };
    };
    let account = arn::parse(key).map_or(caller.account.as_str(), |arn| arn.account).to_owned();
    for action in ["kms:CreateGrant", "kms:DescribeKey"] {
        demand(app, caller, action, key, None, &account, &json!({})).await?;
    }
    Ok(())
}

async fn demand(
    app: &App,
    caller: &Caller,
    action: &str,
    resource: &str,
    policy: Option<&str>,
    account: &str,
    context: &serde_json::Value,
) -> Result<(), ApiError> {
    app.demand(&Question {
        access_key: &caller.access_key,
        action,
        resource,
        region: &caller.region,
        context,
        resource_policy: policy,
        resource_account: account,
    })
    .await
}

/// One integration per bucket and target, one name per account and Region, 50 per target.
fn check_room(world: &World, new: &Integration) -> Result<(), ApiError> {
    let exists = |what: String| ApiError::new("IntegrationAlreadyExistsFault", what);
    for known in &world.integrations {
        if known.source_arn == new.source_arn && known.namespace_id == new.namespace_id {
            return Err(exists(format!(
                "The integration {} already exists for the source {} and the target {}.",
                known.arn, new.source_arn, new.target_arn
            )));
        }
        if known.place == new.place && known.name == new.name {
            return Err(exists(format!(
                "An integration with the name {} already exists: {}.",
                new.name, known.arn
            )));
        }
    }
    let of_target = world.integrations.iter().filter(|known| known.namespace_id == new.namespace_id).count();
    if of_target >= MAX_PER_TARGET {
        return Err(ApiError::new(
            "IntegrationQuotaExceededFault",
            format!("The target {} has {MAX_PER_TARGET} integrations already.", new.target_arn),
        ));
    }
    Ok(())
}

/// Checks the rules that Redshift checks after creation, then writes Redshift's notification.
async fn establish(app: &App, integration: &Integration) -> Result<Option<Broken>, GatewayError> {
    if let Some(broken) = namespace_allows(app, integration).await? {
        return Ok(Some(broken));
    }
    let Some(bucket) = app.gateway.bucket(&integration.bucket).await? else {
        let gone = format!("The source {} no longer exists.", integration.source_arn);
        return Ok(Some(("SourceNotFound".to_owned(), gone)));
    };
    if let Some(broken) = bucket_allows(app, integration, &bucket).await? {
        return Ok(Some(broken));
    }
    // Another target's integration on the same bucket has the same entry.
    let shared = app.world().integrations.iter().any(|other| {
        other.bucket == integration.bucket
            && other.arn != integration.arn
            && other.status == IntegrationStatus::Active
    });
    if !shared && let Some(broken) = bucket_is_free(integration, &bucket) {
        return Ok(Some(broken));
    }
    app.gateway.bucket_notification(&integration.bucket, &integration.arn, "add").await?;
    Ok(None)
}

fn set_status(app: &App, arn: &str, status: IntegrationStatus, errors: Vec<Broken>) {
    let mut world = app.world();
    let Some(integration) = world.integrations.iter_mut().find(|known| known.arn == arn) else { return };
    if integration.status == IntegrationStatus::Deleting {
        return;
    }
    integration.status = status;
    integration.errors = errors;
    let namespace = integration.namespace_id.clone();
    if let Some(warehouse) = world.warehouses.get(&namespace) {
        warehouse.wake.notify_one();
    }
}

/// Checks the integrations of a namespace again after its policy changed. Without an authorised
/// source no data flows.
///
/// [D: Configure authorization] removing the authorised source deactivates its integrations. That
/// they become active when the source is authorised again is the stand-in's choice
/// (local/redshift/README.md).
pub async fn review(app: &Arc<App>, namespace_id: &str) {
    let integrations: Vec<Integration> = app
        .world()
        .integrations
        .iter()
        .filter(|known| {
            known.namespace_id == namespace_id
                && matches!(known.status, IntegrationStatus::Active | IntegrationStatus::NeedsAttention)
        })
        .cloned()
        .collect();
    for integration in integrations {
        match namespace_allows(app, &integration).await {
            Ok(None) => set_status(app, &integration.arn, IntegrationStatus::Active, Vec::new()),
            Ok(Some(broken)) => {
                set_status(app, &integration.arn, IntegrationStatus::NeedsAttention, vec![broken])
            }
            Err(error) => {
                crate::report(&format!("integration {} could not be judged: {error}", integration.arn))
            }
        }
    }
}

/// Returns the caller's integration if its state allows a change.
fn changeable<'a>(world: &'a mut World, caller: &Caller, arn: &str) -> Result<&'a mut Integration, ApiError> {
    let place = place(caller);
    let found = world
        .integrations
        .iter_mut()
        .find(|known| known.arn == arn && known.place == place)
        .ok_or_else(|| not_found(arn))?;
    match found.status {
        IntegrationStatus::Creating => Err(ApiError::new(
            "IntegrationConflictStateFault",
            format!("The integration {arn} is creating; wait until it is active or failed."),
        )),
        IntegrationStatus::Deleting => Err(ApiError::new(
            "IntegrationConflictOperationFault",
            format!("The integration {arn} is being deleted."),
        )),
        IntegrationStatus::Active | IntegrationStatus::Failed | IntegrationStatus::NeedsAttention => {
            Ok(found)
        }
    }
}

pub(super) fn modify(app: &App, caller: &Caller, params: &Params) -> Result<Response, ApiError> {
    let arn = params.require("IntegrationArn")?;
    let mut world = app.world();
    if let Some(name) = params.get("IntegrationName") {
        check_name(name)?;
        let place = place(caller);
        if world
            .integrations
            .iter()
            .any(|known| known.place == place && known.name == name && known.arn != arn)
        {
            let message = format!("An integration with the name {name} already exists.");
            return Err(ApiError::new("IntegrationAlreadyExistsFault", message));
        }
    }
    let found = changeable(&mut world, caller, arn)?;
    if let Some(name) = params.get("IntegrationName") {
        found.name = name.to_owned();
    }
    if let Some(description) = params.get("Description") {
        found.description = Some(description.to_owned());
    }
    let changed = found.clone();
    Ok(answer("ModifyIntegration", |xml| write(xml, &world, &changed)))
}

pub(super) fn delete(app: &Arc<App>, caller: &Caller, params: &Params) -> Result<Response, ApiError> {
    let arn = params.require("IntegrationArn")?;
    let (integration, response) = {
        let mut world = app.world();
        let found = changeable(&mut world, caller, arn)?;
        found.status = IntegrationStatus::Deleting;
        let found = found.clone();
        let response = answer("DeleteIntegration", |xml| write(xml, &world, &found));
        (found, response)
    };
    let app = Arc::clone(app);
    tokio::spawn(async move {
        tokio::time::sleep(app.settings.integration_delay).await;
        // The bucket may already be deleted.
        if let Err(error) =
            app.gateway.bucket_notification(&integration.bucket, &integration.arn, "remove").await
        {
            crate::report(&format!("the notification of {} could not be removed: {error}", integration.arn));
        }
        let mut world = app.world();
        world.integrations.retain(|known| known.arn != integration.arn);
        world.tags.remove(&integration.arn);
        if let Some(warehouse) = world.warehouses.get(&integration.namespace_id) {
            warehouse.wake.notify_one();
        }
    });
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_integration_name_has_letters_digits_and_single_hyphens() {
        for good in ["a", "sales-files-1", "A1"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", "1a", "a--b", "a-", "a_b", &"a".repeat(64)] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }
}
