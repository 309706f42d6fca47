//! Auto-copy: S3 events become pending files, pending files become rows.
//!
//! Each warehouse has one worker, which starts a run for each job with pending files and does not
//! wait for it: the jobs of a warehouse load side by side. It has the limits that Redshift documents: only files created
//! after the job, each name once, no second attempt for a failed file, nothing while paused,
//! nothing without an active integration.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio_postgres::Client;

use crate::app::App;
use crate::jobs::{self, Pending, Place};
use crate::loading::{JobKey, Loading, Run};
use crate::world::{IntegrationStatus, S3Event};
use local_servers::ServerError;
use local_servers::postgres::{Login, Server};

/// Records an S3 event for every warehouse that has an active integration with the bucket.
pub fn deliver(app: &App, event: &S3Event) {
    let name = event.event_name.trim_start_matches("s3:");
    if !name.starts_with("ObjectCreated") {
        return;
    }
    let mut world = app.world();
    // A later writer of the bucket's configuration may have narrowed or removed Redshift's entry;
    // the event lists the entries that match.
    let namespaces: Vec<String> = world
        .integrations
        .iter()
        .filter(|known| {
            known.bucket == event.bucket
                && known.status == IntegrationStatus::Active
                && event.integrations.contains(&known.arn)
        })
        .map(|known| known.namespace_id.clone())
        .collect();
    for namespace_id in namespaces {
        if let Some(warehouse) = world.warehouses.get_mut(&namespace_id) {
            warehouse.events.push_back(event.clone());
            warehouse.wake.notify_one();
        }
    }
}

/// Starts the worker of a warehouse; it ends with the warehouse.
pub fn start(app: &Arc<App>, namespace_id: &str, wake: Arc<Notify>) {
    let (app, namespace_id) = (Arc::downgrade(app), namespace_id.to_owned());
    tokio::spawn(async move {
        loop {
            wake.notified().await;
            let Some(app) = app.upgrade() else { return };
            let (server, name) = match app.world().warehouses.get(&namespace_id) {
                None => return,
                Some(warehouse) => match warehouse.server.clone().filter(|_| warehouse.available) {
                    // Paused: ResumeCluster wakes this worker.
                    None => continue,
                    Some(server) => (server, warehouse.name.clone()),
                },
            };
            let target = Target { namespace_id: namespace_id.clone(), name, server };
            if let Err(error) = work(&app, &target, &wake).await {
                retry(&app, &target, &error, &wake);
            }
        }
    });
}

/// The warehouse of a worker.
#[derive(Clone)]
struct Target {
    namespace_id: String,
    name: String,
    server: Arc<Server>,
}

/// Wakes the worker again after a second, unless the warehouse is paused or gone.
fn retry(app: &App, target: &Target, error: &ServerError, wake: &Arc<Notify>) {
    let available = app.world().warehouses.get(&target.namespace_id).is_some_and(|known| known.available);
    if available {
        crate::report(&format!("auto-copy of {}: {error}; it is tried again", target.name));
        let wake = Arc::clone(wake);
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            wake.notify_one();
        });
    }
}

/// Records new files as pending and starts a run of each job that has some.
async fn work(app: &Arc<App>, target: &Target, wake: &Arc<Notify>) -> Result<(), ServerError> {
    let Target { namespace_id, server, .. } = target;
    let databases = jobs::databases(server).await?;
    let mut clients = Vec::new();
    for database in databases {
        let client = server.connect(&database, &Login::system()).await?;
        mirror(app, namespace_id, &client).await?;
        clients.push((database, client));
    }
    loop {
        let event =
            app.world().warehouses.get(namespace_id).and_then(|warehouse| warehouse.events.front().cloned());
        let Some(event) = event else { break };
        let created = event.event_time.parse::<Timestamp>().unwrap_or_else(|_| Timestamp::now());
        for (_, client) in &clients {
            jobs::note(client, &event, created).await?;
        }
        if let Some(warehouse) = app.world().warehouses.get_mut(namespace_id) {
            warehouse.events.pop_front();
        }
    }
    let loading = app.world().warehouses.get(namespace_id).map(|warehouse| Arc::clone(&warehouse.loading));
    let Some(loading) = loading else { return Ok(()) };
    for (database, client) in &clients {
        let pending = jobs::pending(client, None).await?;
        let allowed = pending.iter().filter(|pending| is_allowed(app, namespace_id, pending));
        let jobs: std::collections::BTreeSet<i64> = allowed.map(Pending::job_id).collect();
        for job in jobs {
            start_run(app, target, &loading, wake, (database.clone(), job));
        }
    }
    Ok(())
}

/// Returns true if an active integration with the bucket of a file lets its job load it.
fn is_allowed(app: &App, namespace_id: &str, pending: &Pending) -> bool {
    pending.auto
        && app.world().integrations.iter().any(|known| {
            known.namespace_id == namespace_id
                && known.bucket == pending.object.bucket
                && known.status == IntegrationStatus::Active
        })
}

/// Starts a run of a job unless it is running. Its end wakes the worker, because a file that came
/// meanwhile found it running.
fn start_run(app: &Arc<App>, target: &Target, loading: &Arc<Loading>, wake: &Arc<Notify>, job: JobKey) {
    let Some(run) = loading.start(job.clone()) else { return };
    let (app, target, wake) = (Arc::clone(app), target.clone(), Arc::clone(wake));
    tokio::spawn(async move {
        let ended = load_pending(&app, &target, &job).await;
        drop::<Run>(run);
        match ended {
            Ok(()) => wake.notify_one(),
            Err(error) => retry(&app, &target, &error, &wake),
        }
    });
}

/// Loads the pending files of a job, oldest first.
async fn load_pending(app: &Arc<App>, target: &Target, job: &JobKey) -> Result<(), ServerError> {
    let (database, id) = job;
    let Target { namespace_id, name, server } = target;
    let client = server.connect(database, &Login::system()).await?;
    let place = Place { app, namespace_id, target_name: name, server, database };
    for pending in jobs::pending(&client, Some(*id)).await? {
        if is_allowed(app, namespace_id, &pending) {
            // The system views hold the error of the file.
            let _recorded = jobs::run_file(&place, &client, &pending).await?;
        }
    }
    Ok(())
}

/// Writes the state of the warehouse's integrations to the table behind
/// `SVV_COPY_JOB_INTEGRATIONS`.
///
/// # Errors
/// As PostgreSQL reports it.
pub async fn mirror(app: &App, namespace_id: &str, client: &Client) -> Result<(), tokio_postgres::Error> {
    let known: Vec<(String, String, &'static str)> = app
        .world()
        .integrations
        .iter()
        .filter(|known| known.namespace_id == namespace_id)
        .map(|known| (known.arn.clone(), known.bucket.clone(), known.status.channel_state()))
        .collect();
    let mut text = "BEGIN; DELETE FROM sluice_sys.integration;".to_owned();
    for (arn, bucket, state) in known {
        let values = [arn.as_str(), &bucket, state].map(crate::sql::literal).join(", ");
        text.push_str(&format!("INSERT INTO sluice_sys.integration VALUES ({values});"));
    }
    text.push_str("COMMIT");
    client.batch_execute(&text).await
}
