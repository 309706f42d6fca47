//! Checks before the creation of a job, which find why it would load nothing. Redshift itself does
//! not validate options at creation.
//!
//! Source: "COPY JOB" of the Redshift database developer guide.

use custom_resource::Failure;
use lambda_kit::call::CallError;
use tokio::time::Instant;
use warehouse::cluster::{ControlPlane, Warehouse};
use warehouse::data_api::{Database, SqlRunError, Token};
use warehouse::job_text;
use warehouse::jobs::{ExistingJob, ExistingTable};
use warehouse::sql::{Copy, CreateTable, Identifier};
use warehouse::target::Target;

/// Checks that the role is attached to the warehouse and usable.
pub(crate) fn role_is_attached(copy: &Copy, target: &Target, warehouse: &Warehouse) -> Result<(), Failure> {
    let role = copy.role().as_str();
    match warehouse.roles.iter().find(|have| have.arn == role) {
        Some(have) if have.is_in_sync() => Ok(()),
        Some(have) => Err(Failure::new(format!(
            "property `CopyRoleArn`: {role} is attached to {target} but its state is \"{}\"; wait until it is in-sync",
            have.status
        ))),
        None => Err(Failure::new(format!(
            "property `CopyRoleArn`: {role} is not attached to {target}; attach it with `Custom::WarehouseRole` (templates/copy-target.yaml)"
        ))),
    }
}

/// Checks that the user may run COPY with the role. Redshift checks this when the job runs.
///
/// Source: "HAS_ASSUMEROLE_PRIVILEGE" and the usage notes of "GRANT" for ASSUMEROLE in the Redshift
/// database developer guide.
pub(crate) async fn may_use_role(
    database: &Database,
    copy: &Copy,
    existing: Option<&ExistingTable>,
    until: Instant,
) -> Result<(), Failure> {
    let role = copy.role();
    if database.may_use_role(role, until).await.map_err(crate::provider::query_failed)? {
        return Ok(());
    }
    let user = match existing {
        Some(table) => table.user.clone(),
        None => database.current_user(until).await.unwrap_or_default(),
    };
    let user = Identifier::new("", &user).map_or(user, |user| user.to_string());
    Err(Failure::new(format!(
        "property `CopyRoleArn`: the user {user} may not use the role {}; run GRANT ASSUMEROLE ON {role} TO {user} FOR COPY as a superuser, \
         or use the user that templates/copy-target.yaml creates (output LoaderSecretArn)",
        role.as_str()
    )))
}

/// Checks that no other job loads the same files into the same table.
///
/// Only the jobs of this user are visible, unless it is a superuser.
pub(crate) fn no_other_job_loads(copy: &Copy, jobs: &[ExistingJob]) -> Result<(), Failure> {
    let overlapping = jobs.iter().find_map(|job| {
        let text = job_text::read(&job.text)?;
        text.overlaps(copy.table(), copy.from()).then_some((&job.name, text))
    });
    match overlapping {
        None => Ok(()),
        Some((name, text)) => Err(Failure::new(format!(
            "property `SourcePrefix`: job \"{name}\" already loads s3://{}/{} into {}, so the rows of every file under both prefixes would \
             arrive twice; choose another prefix or table, or set `AllowOverlap: true`",
            text.bucket,
            text.prefix,
            copy.table()
        ))),
    }
}

/// Checks that the user may load the existing table, and that the table has the job's columns.
pub(crate) fn fits_table(
    copy: &Copy,
    create: Option<&CreateTable>,
    existing: &ExistingTable,
) -> Result<(), Failure> {
    let table = copy.table();
    let user =
        Identifier::new("", &existing.user).map_or_else(|_| existing.user.clone(), |user| user.to_string());
    if !existing.may_use_schema {
        return Err(Failure::new(format!(
            "property `SchemaName`: the user {user} may not use schema {schema}; run GRANT USAGE ON SCHEMA {schema} TO {user}",
            schema = table.schema
        )));
    }
    if !existing.may_insert {
        return Err(Failure::new(format!(
            "property `TableName`: the user {user} may not insert into table {table}; run GRANT INSERT ON {table} TO {user}"
        )));
    }
    let has = |name: &Identifier| {
        existing.columns.iter().any(|have| have.to_lowercase() == name.as_str().to_lowercase())
    };
    let columns = existing.columns.join(", ");
    if let Some(absent) = copy.columns().iter().find(|name| !has(name)) {
        return Err(Failure::new(format!(
            "property `Columns`: table {table} has no column {absent}; its columns are {columns}"
        )));
    }
    let absent = create.into_iter().flat_map(CreateTable::columns).find(|column| !has(&column.name));
    if let Some(absent) = absent {
        return Err(Failure::new(format!(
            "property `TableColumns`: table {table} exists and has no column {}; its columns are {columns}; \
             set `CreateTable: false` to load it as it is, or choose another `TableName`",
            absent.name
        )));
    }
    Ok(())
}

/// Checks that an active integration sends the bucket's events to this warehouse.
pub(crate) async fn integration_is_active(
    control: &ControlPlane,
    copy: &Copy,
    warehouse: &Warehouse,
) -> Result<(), Failure> {
    let bucket = copy.from().bucket().as_str();
    let ending = format!(":s3:::{bucket}");
    let mut marker = None;
    loop {
        let page = control
            .redshift
            .describe_inbound_integrations()
            .target_arn(&warehouse.namespace_arn)
            .set_marker(marker)
            .send()
            .await
            .map_err(|error| {
                let error = CallError::new("redshift:DescribeInboundIntegrations", &error);
                let is_transient = error.is_transient();
                Failure::caused_by("the integrations into this warehouse could not be read", error)
                    .with_leftovers_if(is_transient)
            })?;
        let ours = page
            .inbound_integrations()
            .iter()
            .find(|one| one.source_arn().is_some_and(|arn| arn.ends_with(&ending)));
        if let Some(found) = ours {
            let status = found.status().map(|status| status.as_str()).unwrap_or_default();
            if status == "active" {
                return Ok(());
            }
            return Err(Failure::new(format!(
                "property `SourceBucket`: the integration of bucket \"{bucket}\" is {status}, not active; \
                 fix it in the stack of the source account first"
            )));
        }
        marker = page.marker().filter(|marker| !marker.is_empty()).map(str::to_owned);
        if marker.is_none() {
            return Err(Failure::new(format!(
                "property `SourceBucket`: no integration brings the events of bucket \"{bucket}\" to this warehouse, so the job would never load a file; \
                 deploy the source account's stack first, or set `RequireIntegration: false`"
            )));
        }
    }
}

/// Checks that the role can list the bucket under the prefix, with a COPY that loads nothing from a
/// prefix without objects.
///
/// Only Redshift can check this, because the role, the bucket's policy and the bucket's key belong
/// to two accounts. An empty prefix proves that the role may list. The first file shows if it may
/// read.
pub(crate) async fn role_can_list(database: &Database, copy: &Copy, until: Instant) -> Result<(), Failure> {
    let probe = copy.from().below(".sluice-preflight-finds-nothing");
    let Some(sql) = probe.ok().and_then(|from| copy.dry_run(from)) else {
        // Columnar files have no NOLOAD, and a prefix of the full length has no room for the
        // suffix.
        return Ok(());
    };
    match database.run(&sql, Token::Fresh, until).await {
        Ok(_) => Ok(()),
        Err(SqlRunError::Failed(message)) if says_nothing_there(&message) => Ok(()),
        Err(SqlRunError::Failed(message)) if says_denied(&message) => Err(Failure::new(format!(
            "property `CopyRoleArn`: {} cannot read bucket \"{}\": {message}. Check the bucket's name, and that `SourceBuckets` of the target's \
             stack lists it: the role needs s3:ListBucket and s3:GetObject from its own policy and, in another account, from the bucket's \
             policy (`CopyRoleArn` of templates/copy-source.yaml)",
            copy.role().as_str(),
            copy.from().bucket().as_str()
        ))),
        Err(error) => {
            let is_transient = error.is_transient();
            let problem = if is_transient {
                "a trial COPY (NOLOAD) with this job's options did not end"
            } else {
                "Redshift refused a trial COPY (NOLOAD) with this job's options"
            };
            Err(Failure::caused_by(problem, error).with_leftovers_if(is_transient))
        }
    }
}

/// Redshift reports that the prefix does not exist, which it knows only after listing.
fn says_nothing_there(message: &str) -> bool {
    message.contains("does not exist") && message.contains("prefix")
}

fn says_denied(message: &str) -> bool {
    message.contains("Access Denied")
        || message.contains("AccessDenied")
        || message.contains("not authorized")
}
