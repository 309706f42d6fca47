//! The values that a job names, for comparison with what the function's stack allows.

use custom_resource::{AllowedList, Failure, Use};
use warehouse::data_api::Login;
use warehouse::target::Target;

use crate::properties::Properties;

const DATABASES: &str = "ALLOWED_DATABASES";
const SECRETS: &str = "ALLOWED_SECRETS";
const DB_USERS: &str = "ALLOWED_DB_USERS";
const JOB_NAMES: &str = "ALLOWED_JOB_NAMES";
const SCHEMAS: &str = "ALLOWED_SCHEMAS";
const TABLES: &str = "ALLOWED_TABLES";
const SOURCES: &str = "ALLOWED_SOURCES";
const COPY_ROLES: &str = "ALLOWED_COPY_ROLES";
const OVERLAP: &str = "ALLOWED_OVERLAP";

/// The lists of values that the function's stack allows.
pub const ALLOWED: [AllowedList; 12] = [
    AllowedList::OTHER_RESOURCES,
    AllowedList::of(Target::CLUSTERS, "ClusterIdentifier"),
    AllowedList::of(Target::WORKGROUPS, "WorkgroupName"),
    AllowedList::of(DATABASES, "AllowedDatabases"),
    AllowedList::of(SECRETS, "WarehouseSecretArn"),
    AllowedList::of(DB_USERS, "DbUser"),
    AllowedList::of(JOB_NAMES, "AllowedJobNames"),
    AllowedList::of(SCHEMAS, "AllowedSchemas"),
    AllowedList::of(TABLES, "AllowedTables"),
    AllowedList::of(SOURCES, "AllowedSources"),
    AllowedList::of(COPY_ROLES, "AllowedCopyRoles"),
    AllowedList::of(OVERLAP, "AllowOverlap"),
];

/// Returns everything that the properties name outside of the job.
pub(crate) fn of(properties: &Properties) -> Result<Vec<Use>, Failure> {
    let target = properties.target()?;
    let source = format!("s3://{}/{}", properties.source_bucket, properties.source_prefix);
    let mut uses = vec![
        Use::new(target.property(), target.name(), target.allowed_by()),
        Use::new("Database", &properties.database, DATABASES),
        match properties.login()? {
            Login::Secret(secret) => Use::new("WarehouseSecretArn", secret, SECRETS),
            Login::DbUser(user) => Use::new("DbUser", user, DB_USERS),
        },
        Use::new("JobName", &properties.job_name, JOB_NAMES),
        Use::new("SchemaName", &properties.schema_name, SCHEMAS),
        Use::new("TableName", &properties.table_name, TABLES),
        Use::new("SourceBucket` with `SourcePrefix", source, SOURCES),
        Use::new("CopyRoleArn", &properties.copy_role_arn, COPY_ROLES),
    ];
    if let Some(paths) = properties.options.json_paths.as_ref().filter(|paths| paths.starts_with("s3://")) {
        uses.push(Use::new("Options.JsonPaths", paths, SOURCES));
    }
    if properties.allow_overlap {
        uses.push(Use::new("AllowOverlap", "true", OVERLAP));
    }
    Ok(uses)
}

#[cfg(test)]
mod tests {
    use super::*;
    use custom_resource::properties::{UnknownNames, parse};
    use serde_json::{Value, json};

    fn uses(change: Value) -> Vec<Use> {
        let mut properties = json!({
            "ClusterIdentifier": "main", "Database": "dev", "WarehouseSecretArn": "arn:secret", "JobName": "import",
            "TableName": "data", "SourceBucket": "bucket-a", "SourcePrefix": "in/", "CopyRoleArn": "arn:role", "Format": "JSON",
        });
        properties.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        of(&parse(properties.as_object().unwrap(), UnknownNames::Reject, &[]).unwrap()).unwrap()
    }

    #[test]
    fn every_place_that_a_job_names_is_a_use() {
        let expected = [
            ("ClusterIdentifier", "main", "ALLOWED_CLUSTERS"),
            ("Database", "dev", "ALLOWED_DATABASES"),
            ("WarehouseSecretArn", "arn:secret", "ALLOWED_SECRETS"),
            ("JobName", "import", "ALLOWED_JOB_NAMES"),
            ("SchemaName", "public", "ALLOWED_SCHEMAS"),
            ("TableName", "data", "ALLOWED_TABLES"),
            ("SourceBucket` with `SourcePrefix", "s3://bucket-a/in/", "ALLOWED_SOURCES"),
            ("CopyRoleArn", "arn:role", "ALLOWED_COPY_ROLES"),
        ];
        assert_eq!(
            uses(json!({})),
            expected.map(|(property, value, variable)| Use::new(property, value, variable))
        );
    }

    #[test]
    fn optional_places_are_uses_if_they_are_given() {
        let last = |change| uses(change).pop().unwrap();
        let paths = json!({"Options": {"JsonPaths": "s3://other/map.json"}});
        assert_eq!(last(paths), Use::new("Options.JsonPaths", "s3://other/map.json", SOURCES));
        assert_eq!(last(json!({"Options": {"JsonPaths": "auto"}})), last(json!({})));
        assert_eq!(last(json!({"AllowOverlap": "true"})), Use::new("AllowOverlap", "true", OVERLAP));
        let by_user = uses(json!({"WarehouseSecretArn": "", "DbUser": "loader"}));
        assert_eq!(by_user[2], Use::new("DbUser", "loader", DB_USERS));
    }
}
