//! Workgroups, which are the compute and the endpoint.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{check_name, not_found, place, required, tags, workgroup_arn};
use crate::answer::ApiError;
use crate::app::App;
use crate::caller::Caller;
use crate::credentials::{Becomes, duration, make};
use crate::world::{Place, Workgroup, World};

/// Settings that are stored and returned without effect.
const KEPT: &[&str] = &[
    "baseCapacity",
    "maxCapacity",
    "pricePerformanceTarget",
    "configParameters",
    "securityGroupIds",
    "subnetIds",
    "enhancedVpcRouting",
    "publiclyAccessible",
    "ipAddressType",
    "trackName",
];

fn kept(input: &Value) -> Map<String, Value> {
    KEPT.iter().filter_map(|name| Some(((*name).to_owned(), input.get(name)?.clone()))).collect()
}

pub(super) fn create(app: &Arc<App>, caller: &Caller, input: &Value) -> Result<Value, ApiError> {
    let name = required(input, "workgroupName")?.to_owned();
    check_name("workgroupName", &name)?;
    let namespace = required(input, "namespaceName")?.to_owned();
    let place = place(caller);
    let key = (place.clone(), name.clone());
    let (answer, namespace_id) = {
        let mut world = app.world();
        let namespace_id = world
            .namespaces
            .get(&(place.clone(), namespace.clone()))
            .ok_or_else(|| not_found("namespace", &namespace))?
            .namespace_id
            .clone();
        if world.workgroups.contains_key(&key) {
            return Err(ApiError::new("ConflictException", format!("The workgroup {name} already exists.")));
        }
        if world.workgroups.iter().any(|(of, known)| of.0 == place && known.namespace == namespace) {
            let message = format!("The namespace {namespace} has a workgroup already.");
            return Err(ApiError::new("ConflictException", message));
        }
        let workgroup = Workgroup {
            name,
            id: uuid::Uuid::new_v4().to_string(),
            namespace,
            status: "CREATING",
            created: Timestamp::now(),
            settings: kept(input),
        };
        tags::add(&mut world, &workgroup_arn(&place, &workgroup), input)?;
        world.workgroups.insert(key.clone(), workgroup);
        (render(&world, &key)?, namespace_id)
    };
    let app = Arc::clone(app);
    tokio::spawn(async move {
        settle(&app, &namespace_id).await;
        if let Some(workgroup) = app.world().workgroups.get_mut(&key) {
            workgroup.status = "AVAILABLE";
        }
    });
    Ok(answer)
}

/// Starts or stops the engine of a namespace: it runs while the namespace has a workgroup.
pub(super) async fn settle(app: &Arc<App>, namespace_id: &str) {
    let (server, wanted) = {
        let mut world = app.world();
        let Some(name) =
            world.warehouses.get(namespace_id).map(|known| (known.place.clone(), known.name.clone()))
        else {
            return;
        };
        let wanted = world
            .workgroups
            .iter()
            .any(|(key, known)| key.0 == name.0 && known.namespace == name.1 && known.status != "DELETING");
        let Some(warehouse) = world.warehouses.get_mut(namespace_id) else { return };
        warehouse.available = wanted && warehouse.server.as_ref().is_some_and(|server| server.is_running());
        (warehouse.server.clone(), wanted)
    };
    let Some(server) = server else { return };
    if wanted && !server.is_running() {
        if let Err(error) = server.start().await {
            crate::report(&format!("the engine of namespace {namespace_id} could not be started: {error}"));
            return;
        }
        if let Some(warehouse) = app.world().warehouses.get_mut(namespace_id) {
            warehouse.available = true;
            warehouse.wake.notify_one();
        }
    } else if !wanted && server.is_running() {
        // Stopping never fails, so a task without a result needs no report.
        let _stopped = tokio::task::spawn_blocking(move || server.stop()).await;
    }
}

/// `{"workgroup": …}`.
fn render(world: &World, key: &(Place, String)) -> Result<Value, ApiError> {
    let workgroup = world.workgroups.get(key).ok_or_else(|| not_found("workgroup", &key.1))?;
    let mut map = workgroup.settings.clone();
    let arn = workgroup_arn(&key.0, workgroup);
    let port = world
        .namespaces
        .get(&(key.0.clone(), workgroup.namespace.clone()))
        .and_then(|namespace| world.warehouses.get(&namespace.namespace_id))
        .and_then(|warehouse| warehouse.server.as_ref())
        .map(|server| server.port());
    let Value::Object(fixed) = json!({
        "workgroupName": workgroup.name, "workgroupId": workgroup.id, "workgroupArn": arn,
        "namespaceName": workgroup.namespace, "status": workgroup.status,
        "creationDate": workgroup.created.to_string(),
    }) else {
        return Ok(Value::Null);
    };
    map.extend(fixed);
    if let Some(port) = port {
        map.insert("endpoint".into(), json!({"address": "127.0.0.1", "port": port, "vpcEndpoints": []}));
        map.insert("port".into(), json!(port));
    }
    Ok(json!({"workgroup": map}))
}

pub(super) fn get(app: &App, caller: &Caller, input: &Value) -> Result<Value, ApiError> {
    let key = (place(caller), required(input, "workgroupName")?.to_owned());
    render(&app.world(), &key)
}

pub(super) fn list(app: &App, caller: &Caller) -> Result<Value, ApiError> {
    let place = place(caller);
    let world = app.world();
    let mut found = Vec::new();
    for key in world.workgroups.keys().filter(|key| key.0 == place) {
        found.push(render(&world, key)?["workgroup"].take());
    }
    Ok(json!({"workgroups": found}))
}

pub(super) fn update(app: &App, caller: &Caller, input: &Value) -> Result<Value, ApiError> {
    let key = (place(caller), required(input, "workgroupName")?.to_owned());
    let mut world = app.world();
    let workgroup = world.workgroups.get_mut(&key).ok_or_else(|| not_found("workgroup", &key.1))?;
    workgroup.settings.extend(kept(input));
    render(&world, &key)
}

/// GetCredentials: the caller's own database user. The gateway has checked the caller's policies.
pub(super) async fn credentials(app: &App, caller: &Caller, input: &Value) -> Result<Value, ApiError> {
    let key = (place(caller), required(input, "workgroupName")?.to_owned());
    let lasts =
        duration(input["durationSeconds"].as_i64()).map_err(|error| ApiError::validation(error.message))?;
    let namespace_id = {
        let world = app.world();
        let workgroup = world.workgroups.get(&key).ok_or_else(|| not_found("workgroup", &key.1))?;
        let namespace = world.namespaces.get(&(key.0.clone(), workgroup.namespace.clone()));
        namespace.ok_or_else(|| not_found("namespace", &workgroup.namespace))?.namespace_id.clone()
    };
    let temporary = make(app, &namespace_id, &caller.database_user(), Becomes::Itself, lasts).await?;
    Ok(json!({
        "dbUser": temporary.user, "dbPassword": temporary.password, "expiration": temporary.expiration.as_second(),
        "nextRefreshTime": temporary.expiration.as_second(),
    }))
}

pub(super) fn delete(app: &Arc<App>, caller: &Caller, input: &Value) -> Result<Value, ApiError> {
    let key = (place(caller), required(input, "workgroupName")?.to_owned());
    let (answer, namespace_id) = {
        let mut world = app.world();
        let workgroup = world.workgroups.get_mut(&key).ok_or_else(|| not_found("workgroup", &key.1))?;
        workgroup.status = "DELETING";
        let namespace = (key.0.clone(), workgroup.namespace.clone());
        let id = world.namespaces.get(&namespace).map(|namespace| namespace.namespace_id.clone());
        (render(&world, &key)?, id)
    };
    let app = Arc::clone(app);
    tokio::spawn(async move {
        if let Some(id) = namespace_id {
            settle(&app, &id).await;
        }
        let mut world = app.world();
        if let Some(workgroup) = world.workgroups.remove(&key) {
            world.tags.remove(&workgroup_arn(&key.0, &workgroup));
        }
    });
    Ok(answer)
}
