//! CreateTags, DeleteTags, DescribeTags.

use axum::response::Response;

use crate::answer::ApiError;
use crate::app::App;
use crate::arn;
use crate::caller::Caller;
use crate::query::{Params, answer};
use crate::world::{Place, World};

/// At most 50 tags on a resource [D: Tagging resources in Amazon Redshift].
const MAX_TAGS: usize = 50;

/// The type of a resource that exists in the caller's account, as DescribeTags prints it.
fn resource_type(world: &World, caller: &Caller, resource: &str) -> Result<&'static str, ApiError> {
    let not_found = || {
        ApiError::new("ResourceNotFoundFault", format!("The resource {resource} does not exist."))
            .with_status(404)
    };
    let parsed = arn::parse(resource).ok_or_else(not_found)?;
    if parsed.service != "redshift" || parsed.account != caller.account || parsed.region != caller.region {
        return Err(not_found());
    }
    let place = Place { account: parsed.account.to_owned(), region: parsed.region.to_owned() };
    let (kind, name) = parsed.resource.split_once(':').ok_or_else(not_found)?;
    let key = (place, name.to_owned());
    let (known, exists) = match kind {
        "cluster" => ("cluster", world.clusters.contains_key(&key)),
        "namespace" => ("namespace", world.warehouses.contains_key(name)),
        "integration" => ("integration", world.integrations.iter().any(|found| found.arn == resource)),
        "subnetgroup" => ("subnetgroup", world.subnet_groups.contains_key(&key)),
        "parametergroup" => ("parametergroup", world.parameter_groups.contains_key(&key)),
        other => return Err(ApiError::not_imitated(format!("tags on {other}"))),
    };
    if exists { Ok(known) } else { Err(not_found()) }
}

/// Rejects a list of tags that violates the rules.
pub(super) fn check(tags: &[(String, String)]) -> Result<(), ApiError> {
    for (key, value) in tags {
        if key.is_empty() || key.len() > 128 || value.len() > 256 || key.starts_with("aws:") {
            return Err(ApiError::new(
                "InvalidTagFault",
                format!(
                    "The tag {key:?} is not valid: a key has 1 to 128 characters and does not start with aws:, a value has at most 256."
                ),
            ));
        }
    }
    if tags.len() > MAX_TAGS {
        return Err(too_many());
    }
    Ok(())
}

fn too_many() -> ApiError {
    ApiError::new("TagLimitExceededFault", format!("A resource takes at most {MAX_TAGS} tags."))
}

pub(super) fn create(app: &App, caller: &Caller, params: &Params) -> Result<Response, ApiError> {
    let resource = params.require("ResourceName")?;
    let tags = params.tags("Tags");
    check(&tags)?;
    let mut world = app.world();
    resource_type(&world, caller, resource)?;
    let mut known = world.tags.get(resource).cloned().unwrap_or_default();
    known.extend(tags);
    if known.len() > MAX_TAGS {
        return Err(too_many());
    }
    world.tags.insert(resource.to_owned(), known);
    Ok(answer("CreateTags", |_| {}))
}

pub(super) fn delete(app: &App, caller: &Caller, params: &Params) -> Result<Response, ApiError> {
    let resource = params.require("ResourceName")?;
    let mut world = app.world();
    resource_type(&world, caller, resource)?;
    if let Some(known) = world.tags.get_mut(resource) {
        for key in params.list("TagKeys", "TagKey") {
            known.remove(&key);
        }
    }
    Ok(answer("DeleteTags", |_| {}))
}

pub(super) fn describe(app: &App, caller: &Caller, params: &Params) -> Result<Response, ApiError> {
    let keys = params.list("TagKeys", "TagKey");
    let values = params.list("TagValues", "TagValue");
    let world = app.world();
    let resources: Vec<(String, &'static str)> = match params.get("ResourceName") {
        Some(resource) => vec![(resource.to_owned(), resource_type(&world, caller, resource)?)],
        None => world
            .tags
            .keys()
            .filter_map(|resource| Some((resource.clone(), resource_type(&world, caller, resource).ok()?)))
            .collect(),
    };
    let wanted = params.get("ResourceType");
    Ok(answer("DescribeTags", |xml| {
        xml.element("TaggedResources", |xml| {
            for (resource, kind) in
                resources.iter().filter(|(_, kind)| wanted.is_none_or(|wanted| wanted == *kind))
            {
                for (key, value) in world.tags.get(resource).into_iter().flatten() {
                    if (!keys.is_empty() && !keys.contains(key))
                        || (!values.is_empty() && !values.contains(value))
                    {
                        continue;
                    }
                    xml.element("TaggedResource", |xml| {
                        xml.element("Tag", |xml| {
                            xml.text("Key", key);
                            xml.text("Value", value);
                        });
                        xml.text("ResourceName", resource);
                        xml.text("ResourceType", kind);
                    });
                }
            }
        });
    }))
}
