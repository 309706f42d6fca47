//! The values that the function's own stack allows. A request for anything else fails, also if it is
//! sent by someone who may invoke the function.

use std::collections::BTreeSet;

use custom_resource::Failure;
use lambda_kit::env::{Env, EnvError};

use crate::properties::Properties;

/// The allowed values of the properties, from the function's environment.
#[derive(Debug, Clone, Default)]
pub struct Allowed {
    warehouses: BTreeSet<String>,
    databases: BTreeSet<String>,
    admin_secrets: BTreeSet<String>,
    secrets: BTreeSet<String>,
    copy_roles: BTreeSet<String>,
    schemas: BTreeSet<String>,
    tables: BTreeSet<String>,
}

fn list(text: Option<String>) -> BTreeSet<String> {
    let parts = text.unwrap_or_default();
    parts.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

impl Allowed {
    /// Reads the lists, each separated by commas: `ALLOWED_WAREHOUSES` (names of clusters or
    /// workgroups), `ALLOWED_DATABASES`, `ALLOWED_ADMIN_SECRETS`, `ALLOWED_SECRETS`,
    /// `ALLOWED_COPY_ROLES`, `ALLOWED_SCHEMAS`, `ALLOWED_TABLES`. The last three may be empty.
    ///
    /// # Errors
    /// One of the other lists is not set.
    pub fn from_env(env: Env<'_>) -> Result<Self, EnvError> {
        let required = |name: &str| env.required(name).map(|text| list(Some(text)));
        Ok(Self {
            warehouses: required("ALLOWED_WAREHOUSES")?,
            databases: required("ALLOWED_DATABASES")?,
            admin_secrets: required("ALLOWED_ADMIN_SECRETS")?,
            secrets: required("ALLOWED_SECRETS")?,
            copy_roles: list(env.optional("ALLOWED_COPY_ROLES")),
            schemas: list(env.optional("ALLOWED_SCHEMAS")),
            tables: list(env.optional("ALLOWED_TABLES")),
        })
    }

    /// Checks what a request gives or uses.
    pub(crate) fn check(&self, new: &Properties) -> Result<(), Failure> {
        self.check_place(new)?;
        for (property, values, allowed, variable) in [
            ("CopyRoleArn", new.copy_role_arn.iter().collect(), &self.copy_roles, "ALLOWED_COPY_ROLES"),
            ("Schemas", new.schemas().collect::<Vec<_>>(), &self.schemas, "ALLOWED_SCHEMAS"),
            ("Tables", new.tables().collect(), &self.tables, "ALLOWED_TABLES"),
        ] {
            for value in values {
                within(property, value, allowed, variable)?;
            }
        }
        Ok(())
    }

    /// Checks where a request works and as whom. This much is also needed for what is taken away.
    pub(crate) fn check_place(&self, new: &Properties) -> Result<(), Failure> {
        let target = new.target()?;
        let (warehouse::target::Target::Cluster(name) | warehouse::target::Target::Workgroup(name)) = &target;
        within(target.property(), name, &self.warehouses, "ALLOWED_WAREHOUSES")?;
        within("Database", &new.database, &self.databases, "ALLOWED_DATABASES")?;
        within("AdminSecretArn", &new.admin_secret_arn, &self.admin_secrets, "ALLOWED_ADMIN_SECRETS")?;
        within("SecretArn", &new.secret_arn, &self.secrets, "ALLOWED_SECRETS")
    }
}

fn within(property: &str, value: &str, allowed: &BTreeSet<String>, variable: &str) -> Result<(), Failure> {
    if allowed.contains(value) {
        return Ok(());
    }
    let expected = match allowed.len() {
        0 => "nothing".to_owned(),
        _ => allowed.iter().map(String::as_str).collect::<Vec<_>>().join(", "),
    };
    Err(Failure::new(format!(
        "property `{property}`: this function's stack allows {expected}, found {value}; change the parameter \
         of the function's stack that sets {variable}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::properties::tests::with;
    use serde_json::json;

    fn allowed() -> Allowed {
        let source = |name: &str| {
            let value = match name {
                "ALLOWED_WAREHOUSES" => "main",
                "ALLOWED_DATABASES" => "dev",
                "ALLOWED_ADMIN_SECRETS" => "arn:admin",
                "ALLOWED_SECRETS" => "arn:reader, arn:loader",
                "ALLOWED_COPY_ROLES" => "arn:aws:iam::222222222222:role/copy",
                "ALLOWED_SCHEMAS" => "public,sales",
                _ => return None,
            };
            Some(value.to_owned())
        };
        Allowed::from_env(Env::from(&source)).unwrap()
    }

    #[test]
    fn only_values_of_the_functions_stack_are_accepted() {
        let allowed = allowed();
        assert!(allowed.check(&with(json!({})).unwrap()).is_ok());
        for (change, part) in [
            (
                json!({"ClusterIdentifier": "other"}),
                "property `ClusterIdentifier`: this function's stack allows main",
            ),
            (json!({"Database": "finance"}), "property `Database`"),
            (json!({"AdminSecretArn": "arn:reader"}), "property `AdminSecretArn`"),
            (
                json!({"SecretArn": "arn:admin"}),
                "property `SecretArn`: this function's stack allows arn:loader, arn:reader, found arn:admin",
            ),
            (json!({"CopyRoleArn": "arn:aws:iam::222222222222:role/other"}), "property `CopyRoleArn`"),
            (json!({"Schemas": ["public", "finance"]}), "property `Schemas`"),
            (
                json!({"Tables": ["finance.salaries"]}),
                "property `Tables`: this function's stack allows nothing",
            ),
        ] {
            let error = allowed.check(&with(change).unwrap()).unwrap_err().chain();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn missing_list_is_named() {
        let error = Allowed::from_env(Env::from(&|_: &str| None)).unwrap_err().to_string();
        assert!(error.contains("ALLOWED_WAREHOUSES is not set"), "{error}");
    }
}
