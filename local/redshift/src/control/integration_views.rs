//! Integrations as shown to their owner and to the owner of the target.

use axum::response::Response;

use super::clusters::place;
use super::integrations::{invalid, not_found};
use crate::answer::ApiError;
use crate::app::App;
use crate::caller::Caller;
use crate::query::{Params, Xml, answer};
use crate::world::{Integration, World};

/// The fields of an integration as shown to its owner.
pub(super) fn write(xml: &mut Xml, world: &World, integration: &Integration) {
    xml.text("IntegrationArn", &integration.arn);
    xml.text("IntegrationName", &integration.name);
    write_common(xml, integration);
    xml.option("Description", integration.description.as_deref());
    // Without a key of the caller the integration is encrypted with an AWS owned key.
    xml.option("KMSKeyId", integration.kms_key.as_deref());
    if !integration.encryption_context.is_empty() {
        xml.element("AdditionalEncryptionContext", |xml| {
            for (key, value) in &integration.encryption_context {
                xml.element("entry", |xml| {
                    xml.text("key", key);
                    xml.text("value", value);
                });
            }
        });
    }
    xml.tags(world.tags.get(&integration.arn).into_iter().flatten());
}

fn write_common(xml: &mut Xml, integration: &Integration) {
    xml.text("SourceArn", &integration.source_arn);
    xml.text("TargetArn", &integration.target_arn);
    xml.text("Status", integration.status.as_str());
    xml.element("Errors", |xml| {
        for (code, message) in &integration.errors {
            xml.element("IntegrationError", |xml| {
                xml.text("ErrorCode", code);
                xml.text("ErrorMessage", message);
            });
        }
    });
    xml.text("CreateTime", &integration.created.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string());
}

pub(super) fn describe(app: &App, caller: &Caller, params: &Params) -> Result<Response, ApiError> {
    let place = place(caller);
    let world = app.world();
    let mut found: Vec<&Integration> =
        world.integrations.iter().filter(|known| known.place == place).collect();
    if let Some(arn) = params.get("IntegrationArn") {
        found.retain(|known| known.arn == arn);
        if found.is_empty() {
            return Err(not_found(arn));
        }
    }
    for filter in params.structures("Filters", "DescribeIntegrationsFilter") {
        let values = filter.list("Values", "Value");
        let holds = |value: &str| values.iter().any(|wanted| wanted == value);
        match filter.require("Name")? {
            "integration-arn" => found.retain(|known| holds(&known.arn)),
            "source-arn" => found.retain(|known| holds(&known.source_arn)),
            "status" => found.retain(|known| holds(known.status.as_str())),
            "source-types" => found.retain(|_| holds("s3") || holds("s3-event-notifications")),
            other => return Err(invalid(format!("The filter {other} is unknown."))),
        }
    }
    let (page, marker) = paged(&found, params)?;
    Ok(answer("DescribeIntegrations", |xml| {
        xml.option("Marker", marker.as_deref());
        xml.element("Integrations", |xml| {
            for integration in page {
                xml.element("Integration", |xml| write(xml, &world, integration));
            }
        });
    }))
}

pub(super) fn describe_inbound(app: &App, caller: &Caller, params: &Params) -> Result<Response, ApiError> {
    let world = app.world();
    let own = |namespace: &str| {
        world
            .warehouses
            .get(namespace)
            .is_some_and(|found| found.place.account == caller.account && found.place.region == caller.region)
    };
    let mut found: Vec<&Integration> =
        world.integrations.iter().filter(|known| own(&known.namespace_id)).collect();
    if let Some(target) = params.get("TargetArn") {
        let known = world.warehouse_by_arn(target).filter(|found| own(&found.namespace_id));
        let Some(warehouse) = known else {
            let message = format!("The namespace {target} does not exist.");
            return Err(ApiError::new("InvalidNamespaceFault", message));
        };
        found.retain(|known| known.namespace_id == warehouse.namespace_id);
    }
    if let Some(arn) = params.get("IntegrationArn") {
        found.retain(|known| known.arn == arn);
        if found.is_empty() {
            return Err(not_found(arn));
        }
    }
    let (page, marker) = paged(&found, params)?;
    Ok(answer("DescribeInboundIntegrations", |xml| {
        xml.option("Marker", marker.as_deref());
        xml.element("InboundIntegrations", |xml| {
            for integration in page {
                xml.element("InboundIntegration", |xml| {
                    xml.text("IntegrationArn", &integration.arn);
                    write_common(xml, integration);
                });
            }
        });
    }))
}

/// One page: `MaxRecords` 20 to 100, default 100; the marker is the position of the next page.
fn paged<'a>(
    all: &[&'a Integration],
    params: &Params,
) -> Result<(Vec<&'a Integration>, Option<String>), ApiError> {
    let size: usize = params.get("MaxRecords").map_or(Ok(100), str::parse).unwrap_or(0);
    if !(20..=100).contains(&size) {
        return Err(invalid("MaxRecords must be between 20 and 100.".to_owned()));
    }
    let start: usize = params
        .get("Marker")
        .map_or(Ok(0), str::parse)
        .map_err(|_| invalid("Marker is not one that this service gave.".to_owned()))?;
    let page: Vec<&Integration> = all.iter().skip(start).take(size).copied().collect();
    let next = start + page.len();
    Ok((page, (next < all.len()).then(|| next.to_string())))
}
