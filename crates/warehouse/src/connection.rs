//! The connection keys of a secret.
//!
//! Names: "Secrets Manager secret JSON structure" of the Secrets Manager user guide, for Amazon
//! Redshift; `jdbcUrl` in the form of "Getting the JDBC URL" of the Redshift management guide.

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

/// Every key that a connection may write, and a Delete removes.
pub const KEYS: [&str; 8] =
    ["engine", "host", "port", "dbname", "jdbcUrl", "dbClusterIdentifier", "workgroupName", "sluice"];

/// The key that holds the keys' owner.
const OWNER_KEY: &str = "sluice";

impl Connection {
    /// Returns `jdbc:redshift://host:port/database`, without user and password.
    pub fn jdbc_url(&self) -> String {
        format!("jdbc:redshift://{}:{}/{}", self.host, self.port, self.database)
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
