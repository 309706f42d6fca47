//! The grants of a user: each as a value, with its statements.
//!
//! Sources: "GRANT", "REVOKE", "COPY JOB" (required privileges) and "COPY" (INSERT on the table) of
//! the Redshift database developer guide.

use warehouse::sql::{Identifier, Literal, RoleArn, TableName};
use warehouse::value::InvalidValue;

use crate::properties::{Properties, Purpose, table};

/// One grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Grant {
    /// Creates, alters and drops copy jobs in a database.
    CopyJobs(Identifier),
    /// Sees the objects of a schema.
    Use(Identifier),
    /// Creates tables in a schema.
    CreateIn(Identifier),
    /// Inserts rows into a table.
    InsertInto(TableName),
}

impl Grant {
    fn what(&self) -> String {
        match self {
            Self::CopyJobs(database) => format!("CREATE, ALTER, DROP FOR COPY JOBS IN DATABASE {database}"),
            Self::Use(schema) => format!("USAGE ON SCHEMA {schema}"),
            Self::CreateIn(schema) => format!("CREATE ON SCHEMA {schema}"),
            Self::InsertInto(table) => format!("INSERT ON TABLE {table}"),
        }
    }

    /// Returns the statement that grants it.
    pub(crate) fn give(&self, user: &Identifier) -> String {
        format!("GRANT {} TO {user}", self.what())
    }

    /// Returns the statement that takes it away.
    pub(crate) fn take(&self, user: &Identifier) -> String {
        format!("REVOKE {} FROM {user}", self.what())
    }

    /// Returns the schema of the grant.
    pub(crate) fn schema(&self) -> Option<&Identifier> {
        match self {
            Self::CopyJobs(_) => None,
            Self::Use(schema) | Self::CreateIn(schema) => Some(schema),
            Self::InsertInto(table) => Some(&table.schema),
        }
    }
}

/// Returns the grants that the properties describe, each once, in the order in which they are given.
pub(crate) fn grants(properties: &Properties) -> Result<Vec<Grant>, InvalidValue> {
    let mut found = Vec::new();
    let mut add = |grant: Grant| {
        if !found.contains(&grant) {
            found.push(grant);
        }
    };
    if properties.purpose == Purpose::Reader {
        return Ok(Vec::new());
    }
    add(Grant::CopyJobs(Identifier::new("Database", &properties.database)?));
    for (index, schema) in properties.schemas().enumerate() {
        let schema = Identifier::new(&format!("Schemas[{index}]"), schema.trim())?;
        add(Grant::Use(schema.clone()));
        add(Grant::CreateIn(schema));
    }
    for (index, name) in properties.tables().enumerate() {
        let table = table(&format!("Tables[{index}]"), name)?;
        add(Grant::Use(table.schema.clone()));
        add(Grant::InsertInto(table));
    }
    Ok(found)
}

/// Returns the statement that lets the user run COPY with a role.
pub(crate) fn allow_role(role: &RoleArn, user: &Identifier) -> String {
    format!("GRANT ASSUMEROLE ON {role} TO {user} FOR COPY")
}

/// Returns the statement that takes a role from the user.
pub(crate) fn forbid_role(role: &RoleArn, user: &Identifier) -> String {
    format!("REVOKE ASSUMEROLE ON {role} FROM {user} FOR COPY")
}

/// Takes the right to use IAM roles from all users that were not granted it. Until this has run once
/// on a warehouse, every user may use every role.
pub(crate) const RESTRICT_ROLES: &str = "REVOKE ASSUMEROLE ON ALL FROM PUBLIC FOR ALL";

/// Returns a name as a literal.
pub(crate) fn literal(name: &Identifier) -> Result<Literal, InvalidValue> {
    Literal::new("UserName", name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::properties::tests::with;
    use serde_json::json;

    #[test]
    fn grants_of_a_loader_are_exactly_those_of_its_jobs() {
        let loader = with(json!({"Schemas": ["sales", "sales"], "Tables": ["crm.leads", "sales.orders"]}));
        let user = Identifier::new("UserName", "loader").unwrap();
        let grants = grants(&loader.unwrap()).unwrap();
        let given: Vec<String> = grants.iter().map(|grant| grant.give(&user)).collect();
        assert_eq!(
            given,
            [
                "GRANT CREATE, ALTER, DROP FOR COPY JOBS IN DATABASE \"dev\" TO \"loader\"",
                "GRANT USAGE ON SCHEMA \"sales\" TO \"loader\"",
                "GRANT CREATE ON SCHEMA \"sales\" TO \"loader\"",
                "GRANT USAGE ON SCHEMA \"crm\" TO \"loader\"",
                "GRANT INSERT ON TABLE \"crm\".\"leads\" TO \"loader\"",
                "GRANT INSERT ON TABLE \"sales\".\"orders\" TO \"loader\"",
            ]
        );
        assert_eq!(grants[4].take(&user), "REVOKE INSERT ON TABLE \"crm\".\"leads\" FROM \"loader\"");
        let role = RoleArn::new("P", "arn:aws:iam::222222222222:role/copy").unwrap();
        assert_eq!(
            allow_role(&role, &user),
            "GRANT ASSUMEROLE ON 'arn:aws:iam::222222222222:role/copy' TO \"loader\" FOR COPY"
        );
    }

    #[test]
    fn hostile_names_stay_inside_their_quotes() {
        let hostile = "a\" TO evil; GRANT ALL ON x TO \"y";
        let loader = with(json!({"Schemas": [hostile]})).unwrap();
        let user = Identifier::new("UserName", "loader").unwrap();
        let statement = grants(&loader).unwrap()[1].give(&user);
        assert_eq!(
            statement,
            "GRANT USAGE ON SCHEMA \"a\"\" TO evil; GRANT ALL ON x TO \"\"y\" TO \"loader\""
        );
    }
}
