//! Built-in adapters.
//!
//! Sources: "API Keys (iam/v2)" of the Confluent Cloud API reference (create: POST, response 202
//! with `spec.secret`; list: filters `spec.owner` and `spec.resource`, pages by `metadata.next`;
//! delete), "Schema Registry API usage" and "ksqlDB REST API" (Basic authentication with key and
//! secret).

use serde_json::{Value, json};

/// The address of Confluent Cloud's API for keys.
pub const CONFLUENT_API: &str = "https://api.confluent.cloud";
/// The time that a new key may need, in seconds. Confluent's Terraform provider waits a minute
/// before it uses one for Schema Registry.
const CONFLUENT_PATIENCE: u32 = 120;

/// The parameters of the preset for Confluent Cloud.
#[derive(Debug, Clone, Copy)]
pub struct Confluent<'a> {
    /// The address of the API for keys.
    pub api: &'a str,
    /// The owner of the keys: a service account (`sa-…`) or user (`u-…`).
    pub owner: &'a str,
    /// The cluster that the keys open: of Schema Registry (`lsrc-…`), ksqlDB (`lksqlc-…`) or Kafka
    /// (`lkc-…`).
    pub resource: &'a str,
    /// The cluster's environment (`env-…`), if required.
    pub environment: Option<&'a str>,
    /// The cluster's own address, which tries a new key.
    pub endpoint: &'a str,
}

impl Confluent<'_> {
    /// Returns the adapter; `None` if the resource is of another kind.
    pub fn adapter(&self) -> Option<String> {
        // A harmless read of each kind that requires a key.
        let verify = match self.resource.split_once('-')?.0 {
            "lsrc" => json!({"path": "/subjects", "auth": "basic"}),
            "lksqlc" => {
                json!({"method": "POST", "path": "/ksql", "auth": "basic", "body": {"ksql": "LIST STREAMS;", "streamsProperties": {}}})
            }
            "lkc" => json!({"path": "/kafka/v3/clusters/{{resource}}/topics", "auth": "basic"}),
            _ => return None,
        };
        let mut resource = json!({"id": "{{resource}}"});
        if let Some(environment) = self.environment {
            resource["environment"] = Value::from(environment);
        }
        let adapter = json!({
            "base": self.api, "owner": self.owner, "resource": self.resource,
            "create": {
                "request": {"path": "/iam/v2/api-keys", "auth": "basic", "body": {"spec": {
                    "display_name": "{{name}}", "description": "{{mark}}", "owner": {"id": "{{owner}}"}, "resource": resource,
                }}},
                "id": "/id", "secret": "/spec/secret",
            },
            "list": {
                "request": {"path": "/iam/v2/api-keys", "auth": "basic", "query": {
                    // The limit is 100, but an item has more than a kilobyte, and 64 of a response
                    // are read.
                    "spec.owner": "{{owner}}", "spec.resource": "{{resource}}", "page_size": "25",
                }},
                "items": "/data", "id": "/id", "mark": "/spec/description",
                "next": {"pointer": "/metadata/next", "parameter": "page_token", "form": "url"},
            },
            "revoke": {"request": {"path": "/iam/v2/api-keys/{{id}}", "auth": "basic"}},
            "verify": {"base": self.endpoint, "request": verify, "patience_seconds": CONFLUENT_PATIENCE},
        });
        Some(adapter.to_string())
    }
}
