//! The connection keys of a secret.
//!
//! Names: "Secrets Manager secret JSON structure" of the Secrets Manager user guide, for Amazon
//! Redshift; `jdbcUrl` in the form of "Getting the JDBC URL" of the Redshift management guide.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};

use crate::target::Target;

/// The endpoint of a warehouse and one of its databases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// The cluster or workgroup.
    pub target: Target,
    /// Host name.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Database.
    pub database: String,
}

/// The characters that stand for themselves in the database of a JDBC URL are letters, digits and
/// these. The driver looks for `?` or `;`, takes what follows for its properties, and decodes the
/// database as `java.net.URLDecoder` does, so that `+` and `%` would change, too. Sources:
/// "Building the connection URL" of the Redshift management guide; `parseURL` of `Driver.java` in
/// aws/amazon-redshift-jdbc-driver.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');

/// Every key that a connection may write, and a Delete removes.
pub const KEYS: [&str; 8] =
    ["engine", "host", "port", "dbname", "jdbcUrl", "dbClusterIdentifier", "workgroupName", "sluice"];

/// The key that holds the keys' owner.
const OWNER_KEY: &str = "sluice";

impl Connection {
    /// Returns `jdbc:redshift://host:port/database`, without user and password.
    pub fn jdbc_url(&self) -> String {
        let database = utf8_percent_encode(&self.database, ENCODED);
        format!("jdbc:redshift://{}:{}/{database}", self.host, self.port)
    }

    /// Returns the keys and their values. The key `sluice` holds `owner`, so that a later Delete
    /// recognizes its own keys.
    pub fn keys(&self, owner: &str) -> Map<String, Value> {
        let mut keys = Map::new();
        let mut set = |name: &str, value: Value| {
            keys.insert(name.to_owned(), value);
        };
        set("engine", "redshift".into());
        set("host", self.host.clone().into());
        set("port", self.port.into());
        set("dbname", self.database.clone().into());
        set("jdbcUrl", self.jdbc_url().into());
        match &self.target {
            Target::Cluster(name) => set("dbClusterIdentifier", name.clone().into()),
            Target::Workgroup(name) => set("workgroupName", name.clone().into()),
        }
        set(OWNER_KEY, owner.into());
        keys
    }
}

/// Returns the value with the keys, or `None` if it has them. A workgroup's key replaces a
/// cluster's.
pub fn with_keys(value: &Map<String, Value>, keys: &Map<String, Value>) -> Option<Map<String, Value>> {
    let mut wanted = value.clone();
    if value.contains_key(OWNER_KEY) {
        wanted.retain(|name, _| !KEYS.contains(&name.as_str()) || keys.contains_key(name));
    }
    wanted.extend(keys.clone());
    (wanted != *value).then_some(wanted)
}

/// Returns the value without this owner's keys, or `None` if it has none of them.
pub fn without_keys(value: &Map<String, Value>, owner: &str) -> Option<Map<String, Value>> {
    if value.get(OWNER_KEY).and_then(Value::as_str) != Some(owner) {
        return None;
    }
    let mut wanted = value.clone();
    wanted.retain(|name, _| !KEYS.contains(&name.as_str()));
    Some(wanted)
}

#[cfg(test)]
mod tests {
    use percent_encoding::percent_decode_str;
    use proptest::prelude::*;

    use super::*;

    fn url(database: &str) -> String {
        let target = Target::Cluster("main".into());
        Connection { target, host: "h.example".into(), port: 5439, database: database.into() }.jdbc_url()
    }

    #[test]
    fn plain_database_stands_as_it_is() {
        assert_eq!(url("dev_1-a.b"), "jdbc:redshift://h.example:5439/dev_1-a.b");
    }

    #[test]
    fn driver_parameters_in_a_database_name_are_encoded() {
        assert_eq!(
            url("dev?ssl=false;socketFactory=x&a#b/c+d e%66"),
            "jdbc:redshift://h.example:5439/dev%3Fssl%3Dfalse%3BsocketFactory%3Dx%26a%23b%2Fc%2Bd%20e%2566"
        );
    }

    proptest! {
        #[test]
        fn any_database_is_one_part_with_exactly_its_name(database in "\\PC{0,40}|[?;&#/+%=@:\\\\ a]{0,20}") {
            let url = url(&database);
            let (start, part) = url.rsplit_once('/').unwrap();
            prop_assert_eq!(start, "jdbc:redshift://h.example:5439");
            prop_assert!(!part.contains(['?', ';', '&', '#', '+', ' ', '@']) && part.is_ascii(), "{}", part);
            prop_assert_eq!(percent_decode_str(part).decode_utf8().unwrap(), database);
        }
    }
}
