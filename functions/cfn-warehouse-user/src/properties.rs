//! The properties of `Custom::WarehouseUser`, and the user that they describe.

use custom_resource::Failure;
use serde::Deserialize;
use warehouse::sql::{Identifier, RoleArn, TableName};
use warehouse::target::Target;
use warehouse::value::InvalidValue;

use crate::grants::{Grant, grants};

/// The longest base of a name: 127 bytes less the suffix.
const MAX_BASE_BYTES: usize = 127 - 9;

/// The purpose of a user, which decides about its grants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Purpose {
    /// Reads the system views of the copy jobs, and no data.
    Reader,
    /// Owns copy jobs, and loads their tables.
    Loader,
}

/// The properties of `Custom::WarehouseUser`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Properties {
    #[serde(default)]
    cluster_identifier: Option<String>,
    #[serde(default)]
    workgroup_name: Option<String>,
    /// The database with the copy jobs.
    pub(crate) database: String,
    /// The secret of the superuser that creates the user.
    pub(crate) admin_secret_arn: String,
    /// The user's own secret, with a generated password.
    pub(crate) secret_arn: String,
    /// Name of the user; a suffix is added.
    user_name: String,
    /// `reader` or `loader`.
    pub(crate) purpose: Purpose,
    /// The role that a loader may use for COPY.
    #[serde(default)]
    pub(crate) copy_role_arn: Option<String>,
    /// Schemas in which a loader may create tables.
    #[serde(default)]
    schemas: Vec<String>,
    /// Existing tables, each as `schema.table`, that a loader may insert into.
    #[serde(default)]
    tables: Vec<String>,
    /// Takes the right to use IAM roles from all users that were not granted it.
    #[serde(default)]
    pub(crate) restrict_roles: bool,
}

/// The checked content of the properties.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) target: Target,
    pub(crate) user: Identifier,
    pub(crate) grants: Vec<Grant>,
    pub(crate) copy_role: Option<RoleArn>,
}

/// Returns the values that are not blank: an empty parameter, split at its commas, is a blank one.
fn given(list: &[String]) -> impl Iterator<Item = &String> {
    list.iter().filter(|text| !text.trim().is_empty())
}

impl Properties {
    pub(crate) fn target(&self) -> Result<Target, Failure> {
        Target::from_properties(self.cluster_identifier.as_deref(), self.workgroup_name.as_deref())
            .map_err(Failure::from_error)
    }

    pub(crate) fn schemas(&self) -> impl Iterator<Item = &String> {
        given(&self.schemas)
    }

    pub(crate) fn tables(&self) -> impl Iterator<Item = &String> {
        given(&self.tables)
    }

    /// Returns the base of the user's name: lower case, so that it is the same name with and without
    /// quotes, and whatever `enable_case_sensitive_identifier` is.
    pub(crate) fn base(&self) -> Result<&str, Failure> {
        let name = self.user_name.as_str();
        let is_plain = name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if is_plain && name.len() <= MAX_BASE_BYTES {
            return Ok(name);
        }
        Err(Failure::new(format!(
            "property `UserName`: expected 1 to {MAX_BASE_BYTES} lower-case letters, digits and underscores, a letter \
             first, found {:?}",
            name.chars().take(40).collect::<String>()
        )))
    }

    /// Checks everything that needs no call to AWS.
    pub(crate) fn wanted(&self, owner: &str) -> Result<Wanted, Failure> {
        let name = format!("{}_{owner}", self.base()?);
        let invalid = |error: InvalidValue| Failure::new(format!("property {error}"));
        let user = Identifier::new("UserName", &name).map_err(invalid)?;
        let copy_role = match (self.purpose, &self.copy_role_arn) {
            (Purpose::Loader, Some(arn)) => Some(RoleArn::new("CopyRoleArn", arn).map_err(invalid)?),
            (Purpose::Loader, None) => {
                return Err(Failure::new(
                    "property `CopyRoleArn`: a loader needs the role that its jobs read files with",
                ));
            }
            (Purpose::Reader, _) => {
                self.reject_for_reader()?;
                None
            }
        };
        let grants = grants(self).map_err(invalid)?;
        Ok(Wanted { target: self.target()?, user, grants, copy_role })
    }

    fn reject_for_reader(&self) -> Result<(), Failure> {
        let property = if self.copy_role_arn.is_some() {
            "CopyRoleArn"
        } else if self.schemas().next().is_some() {
            "Schemas"
        } else if self.tables().next().is_some() {
            "Tables"
        } else if self.restrict_roles {
            "RestrictRoles"
        } else {
            return Ok(());
        };
        Err(Failure::new(format!(
            "property `{property}`: a reader has no such grants; omit it, or set `Purpose: loader`"
        )))
    }
}

/// Parses `schema.table`; the names have no dots.
pub(crate) fn table(property: &str, text: &str) -> Result<TableName, InvalidValue> {
    let Some((schema, table)) = text.trim().split_once('.').filter(|(_, table)| !table.contains('.')) else {
        return Err(InvalidValue::new(
            property,
            format!("expected schema.table, found {:?}", text.chars().take(60).collect::<String>()),
        ));
    };
    Ok(TableName { schema: Identifier::new(property, schema)?, table: Identifier::new(property, table)? })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use custom_resource::Request;
    use custom_resource::properties::{UnknownNames, parse};
    use serde_json::{Value, json};

    pub(crate) fn with(change: Value) -> Result<Properties, String> {
        let base = json!({
            "ClusterIdentifier": "main", "Database": "dev", "AdminSecretArn": "arn:admin", "SecretArn": "arn:loader",
            "UserName": "sluice_loader", "Purpose": "loader", "CopyRoleArn": "arn:aws:iam::222222222222:role/copy",
            "Schemas": ["public"], "Tables": [""],
        });
        let (Value::Object(mut map), Value::Object(change)) = (base, change) else { panic!("maps") };
        map.extend(change);
        map.retain(|_, value| !value.is_null());
        parse(&map, UnknownNames::Reject, &[]).map_err(|error| error.to_string())
    }

    fn error(change: Value) -> String {
        match with(change) {
            Ok(properties) => properties.wanted("0a1b2c3d").unwrap_err().chain(),
            Err(error) => error,
        }
    }

    #[test]
    fn sample_events_make_a_reader_and_a_loader() {
        let read = |text: &str| -> Properties {
            let request = Request::parse(&serde_json::from_str(text).unwrap()).unwrap();
            request.properties(&[]).unwrap()
        };
        let loader = read(include_str!("../../../events/cloudformation/warehouse-user-create.json"));
        let wanted = loader.wanted("0a1b2c3d").unwrap();
        assert_eq!(wanted.user.as_str(), "sluice_loader_0a1b2c3d");
        assert!(wanted.copy_role.is_some() && loader.restrict_roles);
        let reader = with(json!({"Purpose": "reader", "CopyRoleArn": null, "Schemas": null})).unwrap();
        let wanted = reader.wanted("0a1b2c3d").unwrap();
        assert!(wanted.copy_role.is_none() && wanted.grants.is_empty());
    }

    #[test]
    fn invalid_property_has_one_sentence() {
        for (change, part) in [
            (json!({"UserName": "Loader"}), "property `UserName`: expected 1 to 118 lower-case letters"),
            (json!({"UserName": "a\"; DROP USER b; --"}), "property `UserName`"),
            (json!({"UserName": "x".repeat(119)}), "property `UserName`"),
            (json!({"Purpose": "admin"}), "expected one of reader, loader, found \"admin\""),
            (json!({"CopyRoleArn": null}), "property `CopyRoleArn`: a loader needs the role"),
            (json!({"CopyRoleArn": "default"}), "property `CopyRoleArn`"),
            (json!({"Tables": ["orders"]}), "property `Tables[0]`: expected schema.table, found \"orders\""),
            (json!({"Tables": ["a.b.c"]}), "property `Tables[0]`: expected schema.table"),
            (json!({"Schemas": ["ok", "a\nb"]}), "property `Schemas[1]`"),
            (json!({"Purpose": "reader"}), "property `CopyRoleArn`: a reader has no such grants"),
            (
                json!({"Purpose": "reader", "CopyRoleArn": null}),
                "property `Schemas`: a reader has no such grants",
            ),
            (json!({"WorkgroupName": "w"}), "give exactly one of `ClusterIdentifier` and `WorkgroupName`"),
            (json!({"Password": "x"}), "Password"),
        ] {
            let error = error(change);
            assert!(error.contains(part), "{error}");
        }
    }
}
