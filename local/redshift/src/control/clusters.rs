//! CreateCluster, DescribeClusters, ModifyCluster.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use axum::response::Response;
use jiff::Timestamp;

use super::{check_admin_name, check_password, cluster_xml};
use crate::answer::ApiError;
use crate::app::App;
use crate::arn;
use crate::caller::Caller;
use crate::query::{Params, answer};
use crate::sql;
use crate::world::{AttachedRole, Cluster, ClusterStatus, Place, Warehouse, World};
use local_servers::ServerError;
use local_servers::postgres::{Login, Server};

/// Parameters that are stored and returned without effect.
const KEPT: &[&str] = &[
    "ClusterSubnetGroupName",
    "ClusterParameterGroupName",
    "AvailabilityZone",
    "PreferredMaintenanceWindow",
    "AutomatedSnapshotRetentionPeriod",
    "ManualSnapshotRetentionPeriod",
    "PubliclyAccessible",
    "Encrypted",
    "KmsKeyId",
    "EnhancedVpcRouting",
    "MultiAZ",
    "MaintenanceTrackName",
    "AllowVersionUpgrade",
    "ClusterVersion",
    "AvailabilityZoneRelocation",
    "DefaultIamRoleArn",
];

/// Parameters that the stand-in rejects because it does not implement their effect.
const NOT_IMITATED: &[&str] = &[
    "MasterPasswordSecretKmsKeyId",
    "HsmClientCertificateIdentifier",
    "HsmConfigurationIdentifier",
    "ElasticIp",
    "SnapshotScheduleIdentifier",
    "LoadSampleData",
    "RedshiftIdcApplicationArn",
    "CatalogName",
];

pub(super) fn place(caller: &Caller) -> Place {
    Place { account: caller.account.clone(), region: caller.region.clone() }
}

pub(super) fn key(caller: &Caller, identifier: &str) -> (Place, String) {
    (place(caller), identifier.to_ascii_lowercase())
}

pub(super) fn cluster_arn(place: &Place, identifier: &str) -> String {
    let Place { account, region } = place;
    format!("arn:{}:redshift:{region}:{account}:cluster:{identifier}", arn::partition(region))
}

pub(super) fn not_found(identifier: &str) -> ApiError {
    ApiError::new("ClusterNotFound", format!("Cluster {identifier} not found.")).with_status(404)
}

fn refuse_what_is_not_imitated(params: &Params) -> Result<(), ApiError> {
    if params.flag("ManageMasterPassword") == Some(true) {
        return Err(ApiError::not_imitated("ManageMasterPassword=true"));
    }
    match NOT_IMITATED.iter().find(|name| params.get(name).is_some()) {
        Some(name) => Err(ApiError::not_imitated(format!("the parameter {name}"))),
        None => Ok(()),
    }
}

fn check_identifier(identifier: &str) -> Result<(), ApiError> {
    let well_formed = identifier.starts_with(|c: char| c.is_ascii_lowercase())
        && identifier.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !identifier.ends_with('-')
        && !identifier.contains("--")
        && identifier.len() <= 63;
    if well_formed {
        return Ok(());
    }
    Err(ApiError::new(
        "InvalidParameterValue",
        format!(
            "The parameter ClusterIdentifier must have 1 to 63 letters, digits and single hyphens, start with a letter and not end with a hyphen; found {identifier:?}."
        ),
    ))
}

pub(crate) fn check_database(name: &str) -> Result<(), ApiError> {
    let well_formed = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_$+.@-".contains(&b))
        && name.len() <= 63
        && !matches!(name, "template0" | "template1" | "postgres");
    if well_formed {
        return Ok(());
    }
    Err(ApiError::new(
        "InvalidParameterValue",
        format!(
            "The database name must have 1 to 63 lower-case letters, digits and _$+.@- and must not be reserved; found {name:?}."
        ),
    ))
}

pub(super) async fn create(app: &Arc<App>, caller: &Caller, params: &Params) -> Result<Response, ApiError> {
    refuse_what_is_not_imitated(params)?;
    let identifier = params.require("ClusterIdentifier")?.to_ascii_lowercase();
    check_identifier(&identifier)?;
    let node_type = params.require("NodeType")?.to_owned();
    let admin = params.require("MasterUsername")?.to_owned();
    check_admin_name("MasterUsername", &admin)?;
    let password = params.require("MasterUserPassword")?.to_owned();
    check_password("MasterUserPassword", &password)?;
    let database = params.get("DBName").unwrap_or("dev").to_owned();
    check_database(&database)?;
    let nodes = params.get("NumberOfNodes").and_then(|n| n.parse().ok()).unwrap_or(1);
    let roles = params.list("IamRoles", "IamRoleArn");
    for role in &roles {
        app.demand_pass_role(caller, role).await?;
    }
    let place = place(caller);
    let namespace_id = uuid::Uuid::new_v4().to_string();
    let namespace_arn = format!(
        "arn:{}:redshift:{}:{}:namespace:{namespace_id}",
        arn::partition(&place.region),
        place.region,
        place.account
    );
    let cluster = Cluster {
        identifier: identifier.clone(),
        namespace_id: namespace_id.clone(),
        node_type,
        nodes,
        status: ClusterStatus::Creating,
        created: Timestamp::now(),
        pending_password: false,
        settings: kept(params),
        security_groups: params.list("VpcSecurityGroupIds", "VpcSecurityGroupId"),
        logging: None,
    };
    let response = {
        let mut world = app.world();
        let key = (place.clone(), identifier.clone());
        if world.clusters.contains_key(&key) {
            return Err(ApiError::new(
                "ClusterAlreadyExists",
                format!("Cluster already exists: {identifier}"),
            ));
        }
        if let Some(group) = params.get("ClusterSubnetGroupName")
            && !world.subnet_groups.contains_key(&(place.clone(), group.to_ascii_lowercase()))
        {
            return Err(ApiError::new(
                "ClusterSubnetGroupNotFoundFault",
                format!("Subnet group {group} does not exist."),
            ));
        }
        if let Some(group) = params.get("ClusterParameterGroupName")
            && !group.starts_with("default.")
            && !world.parameter_groups.contains_key(&(place.clone(), group.to_ascii_lowercase()))
        {
            return Err(ApiError::new(
                "ClusterParameterGroupNotFound",
                format!("Parameter group {group} does not exist."),
            )
            .with_status(404));
        }
        let tags: BTreeMap<String, String> = params.tags("Tags").into_iter().collect();
        if !tags.is_empty() {
            world.tags.insert(cluster_arn(&place, &identifier), tags);
        }
        world.warehouses.insert(
            namespace_id.clone(),
            Warehouse {
                namespace_id: namespace_id.clone(),
                arn: namespace_arn,
                place,
                name: identifier,
                serverless: false,
                admin: admin.clone(),
                database: database.clone(),
                roles: attach_all(roles),
                policy: None,
                server: None,
                available: false,
                events: VecDeque::new(),
                wake: Arc::default(),
                loading: Arc::default(),
            },
        );
        world.clusters.insert(key.clone(), cluster);
        render(app, &world, &key, "CreateCluster")?
    };
    let key = key(caller, params.require("ClusterIdentifier")?);
    let app = Arc::clone(app);
    tokio::spawn(async move {
        let made = make_server(&app, &namespace_id, &admin, &password, &database).await;
        let status = match made {
            Ok(()) => ClusterStatus::Available,
            Err(error) => {
                crate::report(&format!("cluster {} could not be made: {error}", key.1));
                ClusterStatus::Failed
            }
        };
        if let Some(cluster) = app.world().clusters.get_mut(&key) {
            cluster.status = status;
        }
    });
    Ok(response)
}

fn attach_all(roles: Vec<String>) -> Vec<AttachedRole> {
    roles.into_iter().map(|arn| AttachedRole { arn, since: Instant::now(), removing: false }).collect()
}

/// Creates and starts the server of a warehouse with its administrator and first database.
pub(crate) async fn make_server(
    app: &Arc<App>,
    namespace_id: &str,
    admin: &str,
    password: &str,
    database: &str,
) -> Result<(), ServerError> {
    let server = start_server(app).await?;
    let client = server.connect("postgres", &Login::system()).await?;
    let serverless = app.world().warehouses.get(namespace_id).is_some_and(|known| known.serverless);
    if serverless {
        // [D: STL views] only provisioned clusters have them.
        let drop = "SET allow_system_table_mods = on; DROP VIEW pg_catalog.stl_load_errors, pg_catalog.stl_load_commits";
        server.connect("template1", &Login::system()).await?.batch_execute(drop).await?;
        // CREATE DATABASE copies template1, which no other session may use, and our session may
        // take a moment to end.
        local_servers::postgres::kill_sessions(&client, "template1").await?;
    }
    let (admin, password) = (sql::identifier(admin), sql::literal(password));
    client
        .batch_execute(&format!(
            "CREATE ROLE {admin} LOGIN SUPERUSER CREATEDB CREATEROLE PASSWORD {password}"
        ))
        .await?;
    client.batch_execute(&format!("CREATE DATABASE {} OWNER {admin}", sql::identifier(database))).await?;
    let mut world = app.world();
    if let Some(warehouse) = world.warehouses.get_mut(namespace_id) {
        warehouse.server = Some(server);
        warehouse.available = true;
        crate::auto_copy::start(app, namespace_id, Arc::clone(&warehouse.wake));
    }
    Ok(())
}

/// Returns a running server. Another process may take the chosen port before the server listens;
/// then another port is tried.
async fn start_server(app: &Arc<App>) -> Result<Arc<Server>, ServerError> {
    let mut attempts = 0;
    loop {
        attempts += 1;
        let maker = Arc::clone(app);
        let server =
            tokio::task::spawn_blocking(move || maker.postgres.create()).await.map_err(|error| {
                ServerError::Program { program: "cp".to_owned(), output: error.to_string() }
            })??;
        match server.start().await {
            Ok(()) => return Ok(Arc::new(server)),
            Err(error) if attempts == 3 => return Err(error),
            Err(_) => server.remove(),
        }
    }
}

fn kept(params: &Params) -> BTreeMap<String, String> {
    KEPT.iter()
        .filter_map(|name| params.get(name).map(|value| ((*name).to_owned(), value.to_owned())))
        .collect()
}

/// The response of an operation that returns one cluster.
pub(super) fn render(
    app: &App,
    world: &World,
    key: &(Place, String),
    operation: &str,
) -> Result<Response, ApiError> {
    let cluster = world.clusters.get(key).ok_or_else(|| not_found(&key.1))?;
    Ok(answer(operation, |xml| cluster_xml::write(xml, app, world, &key.0, cluster)))
}

pub(super) fn describe(app: &App, caller: &Caller, params: &Params) -> Result<Response, ApiError> {
    let place = place(caller);
    let world = app.world();
    let wanted = params.get("ClusterIdentifier").map(str::to_ascii_lowercase);
    let tag_keys = params.list("TagKeys", "TagKey");
    if !tag_keys.is_empty() || !params.list("TagValues", "TagValue").is_empty() {
        return Err(ApiError::not_imitated("TagKeys and TagValues of DescribeClusters"));
    }
    let found: Vec<&Cluster> = world
        .clusters
        .iter()
        .filter(|(key, _)| key.0 == place && wanted.as_ref().is_none_or(|wanted| *wanted == key.1))
        .map(|(_, cluster)| cluster)
        .collect();
    if let (Some(wanted), true) = (&wanted, found.is_empty()) {
        return Err(not_found(wanted));
    }
    Ok(answer("DescribeClusters", |xml| {
        xml.element("Clusters", |xml| {
            for cluster in found {
                cluster_xml::write(xml, app, &world, &place, cluster);
            }
        });
    }))
}

pub(super) fn modify(app: &Arc<App>, caller: &Caller, params: &Params) -> Result<Response, ApiError> {
    refuse_what_is_not_imitated(params)?;
    for name in ["NewClusterIdentifier", "ClusterType"] {
        if params.get(name).is_some() {
            return Err(ApiError::not_imitated(format!("{name} of ModifyCluster")));
        }
    }
    let identifier = params.require("ClusterIdentifier")?;
    let key = key(caller, identifier);
    let password = params.get("MasterUserPassword").map(str::to_owned);
    if let Some(password) = &password {
        check_password("MasterUserPassword", password)?;
    }
    let mut world = app.world();
    let cluster = world.clusters.get_mut(&key).ok_or_else(|| not_found(identifier))?;
    if cluster.status != ClusterStatus::Available {
        return Err(ApiError::new(
            "InvalidClusterState",
            format!(
                "Cluster {identifier} is {}; it must be available to be modified.",
                cluster.status.as_str()
            ),
        ));
    }
    cluster.settings.extend(kept(params));
    let groups = params.list("VpcSecurityGroupIds", "VpcSecurityGroupId");
    if !groups.is_empty() {
        cluster.security_groups = groups;
    }
    if let Some(node_type) = params.get("NodeType") {
        cluster.node_type = node_type.to_owned();
    }
    if let Some(nodes) = params.get("NumberOfNodes").and_then(|n| n.parse().ok()) {
        cluster.nodes = nodes;
    }
    if let Some(password) = password {
        cluster.pending_password = true;
        let (app, key, namespace) = (Arc::clone(app), key.clone(), cluster.namespace_id.clone());
        tokio::spawn(async move {
            tokio::time::sleep(app.settings.password_delay).await;
            if let Err(error) = set_admin_password(&app, &namespace, &password).await {
                crate::report(&format!(
                    "cluster {}: the administrator's password could not be set: {error}",
                    key.1
                ));
                return;
            }
            if let Some(cluster) = app.world().clusters.get_mut(&key) {
                cluster.pending_password = false;
            }
        });
    }
    render(app, &world, &key, "ModifyCluster")
}

/// Sets the administrator's password in the database.
pub(crate) async fn set_admin_password(
    app: &App,
    namespace_id: &str,
    password: &str,
) -> Result<(), ServerError> {
    let (server, admin) = {
        let world = app.world();
        let Some(warehouse) = world.warehouses.get(namespace_id) else { return Ok(()) };
        let Some(server) = &warehouse.server else { return Ok(()) };
        (Arc::clone(server), warehouse.admin.clone())
    };
    let client = server.connect("postgres", &Login::system()).await?;
    client
        .batch_execute(&format!("ALTER ROLE {} PASSWORD {}", sql::identifier(&admin), sql::literal(password)))
        .await?;
    Ok(())
}
