//! Tags of namespaces and workgroups.

use serde_json::{Value, json};

use super::{not_found, place, required, strings, text, workgroup_arn};
use crate::answer::ApiError;
use crate::app::App;
use crate::caller::Caller;
use crate::world::World;

fn check(world: &World, caller: &Caller, arn: &str) -> Result<(), ApiError> {
    let place = place(caller);
    let namespace =
        world.warehouses.values().any(|known| known.serverless && known.place == place && known.arn == arn);
    let workgroup =
        world.workgroups.iter().any(|(key, known)| key.0 == place && workgroup_arn(&place, known) == arn);
    if namespace || workgroup { Ok(()) } else { Err(not_found("resource", arn)) }
}

/// Adds the tags of a request to a resource.
pub(super) fn add(world: &mut World, arn: &str, input: &Value) -> Result<(), ApiError> {
    let tags = world.tags.entry(arn.to_owned()).or_default();
    for tag in input["tags"].as_array().into_iter().flatten() {
        let (key, value) = (required(tag, "key")?, text(tag, "value").unwrap_or_default());
        if key.starts_with("aws:") || key.is_empty() || key.len() > 128 || value.len() > 256 {
            return Err(ApiError::validation(format!("The tag {key:?} is not valid.")));
        }
        tags.insert(key.to_owned(), value.to_owned());
    }
    if tags.len() > 50 {
        return Err(ApiError::new("TooManyTagsException", "A resource takes at most 50 tags."));
    }
    Ok(())
}

pub(super) fn tag(app: &App, caller: &Caller, input: &Value) -> Result<Value, ApiError> {
    let arn = required(input, "resourceArn")?;
    let mut world = app.world();
    check(&world, caller, arn)?;
    add(&mut world, arn, input)?;
    Ok(json!({}))
}

pub(super) fn untag(app: &App, caller: &Caller, input: &Value) -> Result<Value, ApiError> {
    let arn = required(input, "resourceArn")?;
    let mut world = app.world();
    check(&world, caller, arn)?;
    for key in strings(input, "tagKeys").unwrap_or_default() {
        if let Some(tags) = world.tags.get_mut(arn) {
            tags.remove(&key);
        }
    }
    Ok(json!({}))
}

pub(super) fn list(app: &App, caller: &Caller, input: &Value) -> Result<Value, ApiError> {
    let arn = required(input, "resourceArn")?;
    let world = app.world();
    check(&world, caller, arn)?;
    let tags: Vec<Value> = world
        .tags
        .get(arn)
        .into_iter()
        .flatten()
        .map(|(key, value)| json!({"key": key, "value": value}))
        .collect();
    Ok(json!({"tags": tags}))
}
