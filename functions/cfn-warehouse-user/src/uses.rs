//! The values that a user's properties name, for comparison with what the function's stack allows.

use custom_resource::{AllowedList, Failure, Use};
use warehouse::target::Target;

use crate::properties::Properties;

const DATABASES: &str = "ALLOWED_DATABASES";
const ADMIN_SECRETS: &str = "ALLOWED_ADMIN_SECRETS";
const SECRETS: &str = "ALLOWED_SECRETS";
const USER_NAMES: &str = "ALLOWED_USER_NAMES";
const COPY_ROLES: &str = "ALLOWED_COPY_ROLES";
const SCHEMAS: &str = "ALLOWED_SCHEMAS";
const TABLES: &str = "ALLOWED_TABLES";
const RESTRICT_ROLES: &str = "ALLOWED_RESTRICT_ROLES";

/// The lists of values that the function's stack allows.
pub const ALLOWED: [AllowedList; 10] = [
    AllowedList::of(Target::CLUSTERS, "ClusterIdentifier"),
    AllowedList::of(Target::WORKGROUPS, "WorkgroupName"),
    AllowedList::of(DATABASES, "MonitorDatabase"),
    AllowedList::of(ADMIN_SECRETS, "AdminSecretArn"),
    AllowedList::own(SECRETS),
    AllowedList::own(USER_NAMES),
    AllowedList::own(COPY_ROLES),
    AllowedList::of(SCHEMAS, "LoaderSchemas"),
    AllowedList::of(TABLES, "LoaderTables"),
    AllowedList::of(RESTRICT_ROLES, "RestrictRoles"),
];

/// Returns everything that the properties name outside of the user.
pub(crate) fn of(properties: &Properties) -> Result<Vec<Use>, Failure> {
    let target = properties.target()?;
    let mut uses = vec![
        Use::new(target.property(), target.name(), target.allowed_by()),
        Use::new("Database", &properties.database, DATABASES),
        Use::new("AdminSecretArn", &properties.admin_secret_arn, ADMIN_SECRETS),
        Use::new("SecretArn", &properties.secret_arn, SECRETS),
        Use::new("UserName", properties.base()?, USER_NAMES),
    ];
    uses.extend(properties.copy_role_arn.iter().map(|role| Use::new("CopyRoleArn", role, COPY_ROLES)));
    uses.extend(properties.schemas().map(|schema| Use::new("Schemas", schema, SCHEMAS)));
    uses.extend(properties.tables().map(|table| Use::new("Tables", table, TABLES)));
    if properties.restrict_roles {
        uses.push(Use::new("RestrictRoles", "true", RESTRICT_ROLES));
    }
    Ok(uses)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::properties::tests::with;
    use serde_json::json;

    #[test]
    fn every_place_that_a_user_names_is_a_use() {
        let change = json!({"Schemas": ["public", ""], "Tables": ["sales.orders"], "RestrictRoles": "true",
            "AdminSecretArn": "arn:admin", "SecretArn": "arn:loader", "UserName": "sluice_loader", "Database": "dev",
            "ClusterIdentifier": "main", "CopyRoleArn": "arn:aws:iam::222222222222:role/copy"});
        let expected = [
            ("ClusterIdentifier", "main", "ALLOWED_CLUSTERS"),
            ("Database", "dev", "ALLOWED_DATABASES"),
            ("AdminSecretArn", "arn:admin", "ALLOWED_ADMIN_SECRETS"),
            ("SecretArn", "arn:loader", "ALLOWED_SECRETS"),
            ("UserName", "sluice_loader", "ALLOWED_USER_NAMES"),
            ("CopyRoleArn", "arn:aws:iam::222222222222:role/copy", "ALLOWED_COPY_ROLES"),
            ("Schemas", "public", "ALLOWED_SCHEMAS"),
            ("Tables", "sales.orders", "ALLOWED_TABLES"),
            ("RestrictRoles", "true", "ALLOWED_RESTRICT_ROLES"),
        ];
        let found = of(&with(change).unwrap()).unwrap();
        assert_eq!(found, expected.map(|(property, value, variable)| Use::new(property, value, variable)));
    }
}
