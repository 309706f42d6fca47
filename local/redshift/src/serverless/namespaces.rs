//! Namespaces, which hold the data. The engine of a namespace runs while it has a workgroup.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{check_name, not_found, place, required, strings, tags, text};
use crate::answer::ApiError;
use crate::app::App;
use crate::arn;
use crate::caller::Caller;
use crate::control;
use crate::world::{AttachedRole, Namespace, Place, Warehouse, World};

fn refuse_what_is_not_imitated(input: &Value) -> Result<(), ApiError> {
    if input["manageAdminPassword"] == json!(true) {
        return Err(ApiError::not_imitated("manageAdminPassword=true"));
    }
    for name in ["adminPasswordSecretKmsKeyId", "redshiftIdcApplicationArn"] {
        if text(input, name).is_some() {
            return Err(ApiError::not_imitated(format!("the parameter {name}")));
        }
    }
    Ok(())
}

fn as_validation(error: ApiError) -> ApiError {
    ApiError::validation(error.message)
}

pub(super) async fn create(app: &Arc<App>, caller: &Caller, input: &Value) -> Result<Value, ApiError> {
    refuse_what_is_not_imitated(input)?;
    let name = required(input, "namespaceName")?.to_owned();
    check_name("namespaceName", &name)?;
    let admin = text(input, "adminUsername").unwrap_or("admin").to_owned();
    control::check_admin_name("adminUsername", &admin).map_err(as_validation)?;
    let password = text(input, "adminUserPassword").ok_or_else(|| {
        ApiError::not_imitated("a namespace without adminUserPassword (Redshift would log in by IAM only)")
    })?;
    control::check_password("adminUserPassword", password).map_err(as_validation)?;
    let database = text(input, "dbName").unwrap_or("dev").to_owned();
    control::check_database(&database).map_err(as_validation)?;
    let roles = strings(input, "iamRoles").unwrap_or_default();
    for role in &roles {
        app.demand_pass_role_to_serverless(caller, role).await?;
    }
    let place = place(caller);
    let id = uuid::Uuid::new_v4().to_string();
    let arn = format!(
        "arn:{}:redshift-serverless:{}:{}:namespace/{id}",
        arn::partition(&place.region),
        place.region,
        place.account
    );
    let answer = {
        let mut world = app.world();
        let key = (place.clone(), name.clone());
        if world.namespaces.contains_key(&key) {
            return Err(ApiError::new("ConflictException", format!("The namespace {name} already exists.")));
        }
        tags::add(&mut world, &arn, input)?;
        let namespace = Namespace {
            name: name.clone(),
            namespace_id: id.clone(),
            created: Timestamp::now(),
            default_role: text(input, "defaultIamRoleArn").map(str::to_owned),
            kms_key: text(input, "kmsKeyId").map(str::to_owned),
            log_exports: strings(input, "logExports").unwrap_or_default(),
        };
        let attached = |arn: String| AttachedRole { arn, since: Instant::now(), removing: false };
        world.warehouses.insert(
            id.clone(),
            Warehouse {
                namespace_id: id.clone(),
                arn,
                place,
                name,
                serverless: true,
                admin: admin.clone(),
                database: database.clone(),
                roles: roles.into_iter().map(attached).collect(),
                policy: None,
                server: None,
                available: false,
                events: VecDeque::new(),
                wake: Arc::default(),
                loading: Arc::default(),
            },
        );
        world.namespaces.insert(key.clone(), namespace);
        render(app, &world, &key)?
    };
    // Namespaces become available at once; the engine is created here and stopped until a workgroup
    // is created.
    control::make_server(app, &id, &admin, password, &database).await.map_err(|error| {
        ApiError::new("InternalServerException", format!("The namespace could not be made: {error}"))
            .with_status(500)
    })?;
    super::workgroups::settle(app, &id).await;
    Ok(answer)
}

/// `{"namespace": …}`.
fn render(app: &App, world: &World, key: &(Place, String)) -> Result<Value, ApiError> {
    let namespace = world.namespaces.get(key).ok_or_else(|| not_found("namespace", &key.1))?;
    let warehouse =
        world.warehouses.get(&namespace.namespace_id).ok_or_else(|| not_found("namespace", &key.1))?;
    // The service prints roles in this form; Terraform's provider reads it so [P: Terraform].
    let roles: Vec<String> = warehouse
        .roles
        .iter()
        .filter_map(|role| {
            let status = role.status(app.settings.role_delay)?;
            Some(format!("IamRole(applyStatus={status}, iamRoleArn={})", role.arn))
        })
        .collect();
    let mut map = json!({
        "namespaceName": namespace.name, "namespaceId": namespace.namespace_id, "namespaceArn": warehouse.arn,
        "adminUsername": warehouse.admin, "dbName": warehouse.database, "iamRoles": roles, "status": "AVAILABLE",
        "creationDate": namespace.created.to_string(), "logExports": namespace.log_exports,
    });
    if let Some(role) = &namespace.default_role {
        map["defaultIamRoleArn"] = json!(role);
    }
    map["kmsKeyId"] = json!(namespace.kms_key.as_deref().unwrap_or("AWS_OWNED_KMS_KEY"));
    Ok(json!({"namespace": map}))
}

pub(super) fn get(app: &App, caller: &Caller, input: &Value) -> Result<Value, ApiError> {
    let key = (place(caller), required(input, "namespaceName")?.to_owned());
    render(app, &app.world(), &key)
}

pub(super) fn list(app: &App, caller: &Caller) -> Result<Value, ApiError> {
    let place = place(caller);
    let world = app.world();
    let mut found = Vec::new();
    for key in world.namespaces.keys().filter(|key| key.0 == place) {
        found.push(render(app, &world, key)?["namespace"].take());
    }
    Ok(json!({"namespaces": found}))
}

pub(super) async fn update(app: &Arc<App>, caller: &Caller, input: &Value) -> Result<Value, ApiError> {
    refuse_what_is_not_imitated(input)?;
    let key = (place(caller), required(input, "namespaceName")?.to_owned());
    let password = new_admin_password(app, &key, input)?;
    let roles = strings(input, "iamRoles");
    together(input, "iamRoles", "defaultIamRoleArn")?;
    if !app.world().namespaces.contains_key(&key) {
        return Err(not_found("namespace", &key.1));
    }
    // On each role of the list, also on those that the namespace has
    // (guidance-for-clickstream-analytics-on-aws, redshift-associate-iam-role.ts: "have to use
    // wildcard for keeping existing associated roles").
    for role in roles.iter().flatten() {
        app.demand_pass_role_to_serverless(caller, role).await?;
    }
    let (answer, id) = {
        let mut world = app.world();
        let namespace = world.namespaces.get_mut(&key).ok_or_else(|| not_found("namespace", &key.1))?;
        let id = namespace.namespace_id.clone();
        if let Some(role) = text(input, "defaultIamRoleArn") {
            namespace.default_role = (!role.is_empty()).then(|| role.to_owned());
        }
        if let Some(exports) = strings(input, "logExports") {
            namespace.log_exports = exports;
        }
        if let (Some(wanted), Some(warehouse)) = (roles, world.warehouses.get_mut(&id)) {
            replace_roles(warehouse, &wanted, app.settings.role_delay);
        }
        (render(app, &world, &key)?, id)
    };
    if let Some(password) = password {
        let app = Arc::clone(app);
        tokio::spawn(async move {
            tokio::time::sleep(app.settings.password_delay).await;
            if let Err(error) = control::set_admin_password(&app, &id, &password).await {
                crate::report(&format!(
                    "namespace {id}: the administrator's password could not be set: {error}"
                ));
            }
        });
    }
    Ok(answer)
}

/// "This parameter must be updated together with …" [M: redshift-serverless, UpdateNamespaceRequest].
/// An empty defaultIamRoleArn is none [P: terraform-provider-aws#39268].
fn together(input: &Value, one: &str, other: &str) -> Result<(), ApiError> {
    if input.get(one).is_some_and(|value| !value.is_null())
        == input.get(other).is_some_and(|value| !value.is_null())
    {
        return Ok(());
    }
    Err(ApiError::validation(format!("The parameters {one} and {other} must be updated together.")))
}

/// Returns the new password of the administrator. AWS accepts the password only together with the
/// name: "This parameter must be updated together with `adminUsername`" (botocore 1.44,
/// redshift-serverless, UpdateNamespaceRequest); the message is that of
/// hashicorp/terraform-provider-aws#28122.
fn new_admin_password(app: &App, key: &(Place, String), input: &Value) -> Result<Option<String>, ApiError> {
    let (user, password) = match (text(input, "adminUsername"), text(input, "adminUserPassword")) {
        (None, None) => return Ok(None),
        (Some(user), Some(password)) => (user, password),
        _ => {
            let message = "Specify both the user name and password, or neither.".to_owned();
            return Err(ApiError::new("ValidationException", message));
        }
    };
    control::check_password("adminUserPassword", password).map_err(as_validation)?;
    let world = app.world();
    let namespace = world.namespaces.get(key).ok_or_else(|| not_found("namespace", &key.1))?;
    let found = world.warehouses.get(&namespace.namespace_id);
    if found.is_some_and(|warehouse| warehouse.admin != user) {
        return Err(ApiError::not_imitated("a new adminUsername"));
    }
    Ok(Some(password.to_owned()))
}

/// UpdateNamespace sets the whole list.
fn replace_roles(warehouse: &mut Warehouse, wanted: &[String], delay: std::time::Duration) {
    warehouse.roles.retain(|role| role.status(delay).is_some());
    for role in &mut warehouse.roles {
        let keep = wanted.contains(&role.arn);
        if keep == role.removing {
            *role = AttachedRole { arn: role.arn.clone(), since: Instant::now(), removing: !keep };
        }
    }
    for arn in wanted {
        if !warehouse.roles.iter().any(|role| role.arn == *arn) {
            warehouse.roles.push(AttachedRole { arn: arn.clone(), since: Instant::now(), removing: false });
        }
    }
}

pub(super) fn delete(app: &Arc<App>, caller: &Caller, input: &Value) -> Result<Value, ApiError> {
    if text(input, "finalSnapshotName").is_some() {
        return Err(ApiError::not_imitated("snapshots"));
    }
    let key = (place(caller), required(input, "namespaceName")?.to_owned());
    let mut world = app.world();
    if world.workgroups.iter().any(|(of, known)| of.0 == key.0 && known.namespace == key.1) {
        let message = format!("The namespace {} has a workgroup; delete it first.", key.1);
        return Err(ApiError::new("ConflictException", message));
    }
    let mut answer = render(app, &world, &key)?;
    answer["namespace"]["status"] = json!("DELETING");
    if let Some(namespace) = world.namespaces.remove(&key)
        && let Some(warehouse) = world.warehouses.remove(&namespace.namespace_id)
    {
        world.tags.remove(&warehouse.arn);
        warehouse.wake.notify_one();
        if let Some(server) = warehouse.server {
            tokio::task::spawn_blocking(move || {
                server.stop();
                server.remove();
            });
        }
    }
    Ok(answer)
}
