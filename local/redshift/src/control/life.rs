//! PauseCluster, ResumeCluster, DeleteCluster.

use std::sync::Arc;

use axum::response::Response;

use super::clusters::{cluster_arn, key, not_found, render};
use crate::answer::ApiError;
use crate::app::App;
use crate::caller::Caller;
use crate::query::Params;
use crate::world::{ClusterStatus, Place};
use local_servers::postgres::Server;

/// Changes a cluster from one status to the next and returns its server.
fn turn(
    app: &App,
    key: &(Place, String),
    from: &[ClusterStatus],
    to: ClusterStatus,
) -> Result<Option<Arc<Server>>, ApiError> {
    let mut world = app.world();
    let cluster = world.clusters.get_mut(key).ok_or_else(|| not_found(&key.1))?;
    if !from.contains(&cluster.status) {
        let expected: Vec<&str> = from.iter().map(|status| status.as_str()).collect();
        return Err(ApiError::new(
            "InvalidClusterState",
            format!("Cluster {} is {}; expected {}.", key.1, cluster.status.as_str(), expected.join(" or ")),
        ));
    }
    cluster.status = to;
    let namespace = cluster.namespace_id.clone();
    let Some(warehouse) = world.warehouses.get_mut(&namespace) else { return Ok(None) };
    warehouse.available = false;
    Ok(warehouse.server.clone())
}

pub(super) fn pause(app: &Arc<App>, caller: &Caller, params: &Params) -> Result<Response, ApiError> {
    let key = key(caller, params.require("ClusterIdentifier")?);
    let server = turn(app, &key, &[ClusterStatus::Available], ClusterStatus::Pausing)?;
    let response = render(app, &app.world(), &key, "PauseCluster");
    let app = Arc::clone(app);
    tokio::task::spawn_blocking(move || {
        if let Some(server) = server {
            server.stop();
        }
        set_status(&app, &key, ClusterStatus::Paused, false);
    });
    response
}

pub(super) fn resume(app: &Arc<App>, caller: &Caller, params: &Params) -> Result<Response, ApiError> {
    let key = key(caller, params.require("ClusterIdentifier")?);
    let server = turn(app, &key, &[ClusterStatus::Paused], ClusterStatus::Resuming)?;
    let response = render(app, &app.world(), &key, "ResumeCluster");
    let app = Arc::clone(app);
    tokio::spawn(async move {
        let Some(server) = server else { return };
        match server.start().await {
            Ok(()) => set_status(&app, &key, ClusterStatus::Available, true),
            Err(error) => {
                crate::report(&format!("cluster {} could not be resumed: {error}", key.1));
                set_status(&app, &key, ClusterStatus::Failed, false);
            }
        }
    });
    response
}

fn set_status(app: &App, key: &(Place, String), status: ClusterStatus, available: bool) {
    let mut world = app.world();
    let Some(cluster) = world.clusters.get_mut(key) else { return };
    cluster.status = status;
    let namespace = cluster.namespace_id.clone();
    if let Some(warehouse) = world.warehouses.get_mut(&namespace) {
        warehouse.available = available;
        warehouse.wake.notify_one();
    }
}

pub(super) fn delete(app: &Arc<App>, caller: &Caller, params: &Params) -> Result<Response, ApiError> {
    if params.flag("SkipFinalClusterSnapshot") != Some(true)
        && params.get("FinalClusterSnapshotIdentifier").is_none()
    {
        return Err(ApiError::new(
            "InvalidParameterCombination",
            "FinalClusterSnapshotIdentifier is required unless SkipFinalClusterSnapshot is specified.",
        ));
    }
    if params.get("FinalClusterSnapshotIdentifier").is_some() {
        return Err(ApiError::not_imitated("snapshots; delete with SkipFinalClusterSnapshot=true"));
    }
    let key = key(caller, params.require("ClusterIdentifier")?);
    let from = [ClusterStatus::Available, ClusterStatus::Paused, ClusterStatus::Failed];
    let server = turn(app, &key, &from, ClusterStatus::Deleting)?;
    let response = render(app, &app.world(), &key, "DeleteCluster");
    let app = Arc::clone(app);
    tokio::spawn(async move {
        if let Some(server) = server {
            let stopping = tokio::task::spawn_blocking(move || {
                server.stop();
                server.remove();
            });
            // If the task panicked, the server ends with the process.
            let _ended = stopping.await;
        }
        let namespace = {
            let mut world = app.world();
            let Some(cluster) = world.clusters.remove(&key) else { return };
            world.tags.remove(&cluster_arn(&key.0, &key.1));
            if let Some(warehouse) = world.warehouses.remove(&cluster.namespace_id) {
                warehouse.wake.notify_one();
            }
            cluster.namespace_id
        };
        super::review_integrations(&app, &namespace).await;
    });
    response
}
