//! Cluster subnet groups and parameter groups: stored and returned, without effect on the database.

use std::collections::BTreeMap;

use axum::response::Response;

use super::clusters::place;
use crate::answer::ApiError;
use crate::app::App;
use crate::arn::partition;
use crate::caller::Caller;
use crate::query::{Params, Xml, answer};
use crate::world::{ParameterGroup, Place, SubnetGroup, World};

fn key(caller: &Caller, name: &str) -> (Place, String) {
    (place(caller), name.to_ascii_lowercase())
}

fn tag(world: &mut World, caller: &Caller, kind: &str, name: &str, params: &Params) {
    let tags: BTreeMap<String, String> = params.tags("Tags").into_iter().collect();
    if !tags.is_empty() {
        world.tags.insert(arn(caller, kind, name), tags);
    }
}

fn arn(caller: &Caller, kind: &str, name: &str) -> String {
    format!("arn:{}:redshift:{}:{}:{kind}:{name}", partition(&caller.region), caller.region, caller.account)
}

fn no_subnet_group(name: &str) -> ApiError {
    ApiError::new("ClusterSubnetGroupNotFoundFault", format!("Subnet group {name} does not exist."))
}

fn no_parameter_group(name: &str) -> ApiError {
    ApiError::new("ClusterParameterGroupNotFound", format!("Parameter group {name} does not exist."))
        .with_status(404)
}

fn write_subnet_group(xml: &mut Xml, world: &World, caller: &Caller, name: &str, group: &SubnetGroup) {
    xml.element("ClusterSubnetGroup", |xml| {
        xml.text("ClusterSubnetGroupName", name);
        xml.text("Description", &group.description);
        xml.text("SubnetGroupStatus", "Complete");
        xml.element("Subnets", |xml| {
            for subnet in &group.subnets {
                xml.element("Subnet", |xml| {
                    xml.text("SubnetIdentifier", subnet);
                    xml.text("SubnetStatus", "Active");
                });
            }
        });
        xml.tags(world.tags.get(&arn(caller, "subnetgroup", name)).into_iter().flatten());
    });
}

pub(super) fn create_subnet_group(app: &App, caller: &Caller, params: &Params) -> Result<Response, ApiError> {
    let name = params.require("ClusterSubnetGroupName")?.to_ascii_lowercase();
    let group = SubnetGroup {
        description: params.require("Description")?.to_owned(),
        subnets: params.list("SubnetIds", "SubnetIdentifier"),
    };
    let mut world = app.world();
    let key = key(caller, &name);
    if world.subnet_groups.contains_key(&key) {
        return Err(ApiError::new(
            "ClusterSubnetGroupAlreadyExists",
            format!("Subnet group {name} already exists."),
        ));
    }
    world.subnet_groups.insert(key, group.clone());
    tag(&mut world, caller, "subnetgroup", &name, params);
    Ok(answer("CreateClusterSubnetGroup", |xml| write_subnet_group(xml, &world, caller, &name, &group)))
}

pub(super) fn modify_subnet_group(app: &App, caller: &Caller, params: &Params) -> Result<Response, ApiError> {
    let name = params.require("ClusterSubnetGroupName")?.to_ascii_lowercase();
    let mut world = app.world();
    let group = world.subnet_groups.get_mut(&key(caller, &name)).ok_or_else(|| no_subnet_group(&name))?;
    group.subnets = params.list("SubnetIds", "SubnetIdentifier");
    if let Some(description) = params.get("Description") {
        group.description = description.to_owned();
    }
    let group = group.clone();
    Ok(answer("ModifyClusterSubnetGroup", |xml| write_subnet_group(xml, &world, caller, &name, &group)))
}

pub(super) fn describe_subnet_groups(
    app: &App,
    caller: &Caller,
    params: &Params,
) -> Result<Response, ApiError> {
    let wanted = params.get("ClusterSubnetGroupName").map(str::to_ascii_lowercase);
    let world = app.world();
    let place = place(caller);
    let found: Vec<_> = world
        .subnet_groups
        .iter()
        .filter(|(key, _)| key.0 == place && wanted.as_ref().is_none_or(|wanted| *wanted == key.1))
        .collect();
    if let (Some(wanted), true) = (&wanted, found.is_empty()) {
        return Err(no_subnet_group(wanted));
    }
    Ok(answer("DescribeClusterSubnetGroups", |xml| {
        xml.element("ClusterSubnetGroups", |xml| {
            for (key, group) in found {
                write_subnet_group(xml, &world, caller, &key.1, group);
            }
        });
    }))
}

pub(super) fn delete_subnet_group(app: &App, caller: &Caller, params: &Params) -> Result<Response, ApiError> {
    let name = params.require("ClusterSubnetGroupName")?.to_ascii_lowercase();
    let mut world = app.world();
    if is_used(&world, caller, "ClusterSubnetGroupName", &name) {
        return Err(ApiError::new(
            "InvalidClusterSubnetGroupStateFault",
            format!("Subnet group {name} is used by a cluster."),
        ));
    }
    world.subnet_groups.remove(&key(caller, &name)).ok_or_else(|| no_subnet_group(&name))?;
    world.tags.remove(&arn(caller, "subnetgroup", &name));
    Ok(answer("DeleteClusterSubnetGroup", |_| {}))
}

fn is_used(world: &World, caller: &Caller, setting: &str, name: &str) -> bool {
    let place = place(caller);
    world.clusters.iter().any(|(key, cluster)| {
        key.0 == place && cluster.settings.get(setting).is_some_and(|used| used.eq_ignore_ascii_case(name))
    })
}

fn write_parameter_group(xml: &mut Xml, world: &World, caller: &Caller, name: &str, group: &ParameterGroup) {
    xml.element("ClusterParameterGroup", |xml| {
        xml.text("ParameterGroupName", name);
        xml.text("ParameterGroupFamily", &group.family);
        xml.text("Description", &group.description);
        xml.tags(world.tags.get(&arn(caller, "parametergroup", name)).into_iter().flatten());
    });
}

pub(super) fn create_parameter_group(
    app: &App,
    caller: &Caller,
    params: &Params,
) -> Result<Response, ApiError> {
    let name = params.require("ParameterGroupName")?.to_ascii_lowercase();
    let group = ParameterGroup {
        family: params.require("ParameterGroupFamily")?.to_owned(),
        description: params.require("Description")?.to_owned(),
        values: BTreeMap::new(),
    };
    let mut world = app.world();
    let key = key(caller, &name);
    if world.parameter_groups.contains_key(&key) {
        return Err(ApiError::new(
            "ClusterParameterGroupAlreadyExists",
            format!("Parameter group {name} already exists."),
        ));
    }
    world.parameter_groups.insert(key, group.clone());
    tag(&mut world, caller, "parametergroup", &name, params);
    Ok(answer("CreateClusterParameterGroup", |xml| write_parameter_group(xml, &world, caller, &name, &group)))
}

pub(super) fn modify_parameter_group(
    app: &App,
    caller: &Caller,
    params: &Params,
) -> Result<Response, ApiError> {
    let name = params.require("ParameterGroupName")?.to_ascii_lowercase();
    let mut world = app.world();
    let group =
        world.parameter_groups.get_mut(&key(caller, &name)).ok_or_else(|| no_parameter_group(&name))?;
    for parameter in params.structures("Parameters", "Parameter") {
        let value = parameter.get("ParameterValue").unwrap_or_default();
        group.values.insert(parameter.require("ParameterName")?.to_owned(), value.to_owned());
    }
    Ok(answer("ModifyClusterParameterGroup", |xml| {
        xml.text("ParameterGroupName", &name);
        xml.text("ParameterGroupStatus", "Your parameter group has been updated");
    }))
}

pub(super) fn describe_parameter_groups(
    app: &App,
    caller: &Caller,
    params: &Params,
) -> Result<Response, ApiError> {
    let wanted = params.get("ParameterGroupName").map(str::to_ascii_lowercase);
    let world = app.world();
    let place = place(caller);
    let found: Vec<_> = world
        .parameter_groups
        .iter()
        .filter(|(key, _)| key.0 == place && wanted.as_ref().is_none_or(|wanted| *wanted == key.1))
        .collect();
    if let (Some(wanted), true) = (&wanted, found.is_empty()) {
        return Err(no_parameter_group(wanted));
    }
    Ok(answer("DescribeClusterParameterGroups", |xml| {
        xml.element("ParameterGroups", |xml| {
            for (key, group) in found {
                write_parameter_group(xml, &world, caller, &key.1, group);
            }
        });
    }))
}

pub(super) fn describe_parameters(app: &App, caller: &Caller, params: &Params) -> Result<Response, ApiError> {
    let name = params.require("ParameterGroupName")?.to_ascii_lowercase();
    let world = app.world();
    let group = world.parameter_groups.get(&key(caller, &name)).ok_or_else(|| no_parameter_group(&name))?;
    Ok(answer("DescribeClusterParameters", |xml| {
        xml.element("Parameters", |xml| {
            for (name, value) in &group.values {
                xml.element("Parameter", |xml| {
                    xml.text("ParameterName", name);
                    xml.text("ParameterValue", value);
                    xml.text("Source", "user");
                });
            }
        });
    }))
}

pub(super) fn delete_parameter_group(
    app: &App,
    caller: &Caller,
    params: &Params,
) -> Result<Response, ApiError> {
    let name = params.require("ParameterGroupName")?.to_ascii_lowercase();
    let mut world = app.world();
    if is_used(&world, caller, "ClusterParameterGroupName", &name) {
        return Err(ApiError::new(
            "InvalidClusterParameterGroupState",
            format!("Parameter group {name} is used by a cluster."),
        ));
    }
    world.parameter_groups.remove(&key(caller, &name)).ok_or_else(|| no_parameter_group(&name))?;
    world.tags.remove(&arn(caller, "parametergroup", &name));
    Ok(answer("DeleteClusterParameterGroup", |_| {}))
}
