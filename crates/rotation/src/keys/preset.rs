//! Adapters that need not be written.
//!
//! Sources: "API Keys (iam/v2)" of the Confluent Cloud API reference (create: POST, answered 202 with `spec.secret`; list: filters `spec.owner` and `spec.resource`, parts
//! by `metadata.next`; delete), "Schema Registry API usage" and "ksqlDB REST API" (Basic authentication with key and secret).

use serde_json::{Value, json};

/// Where Confluent Cloud's keys are managed.
pub const CONFLUENT_API: &str = "https://api.confluent.cloud";
/// How long a new key may take. The Terraform provider of Confluent waits a minute before it uses one of Schema Registry's.
const CONFLUENT_PATIENCE: u32 = 120;

/// The parameters of the preset for Confluent Cloud.
#[derive(Debug, Clone, Copy)]
pub struct Confluent<'a> {
    /// Where keys are managed.
    pub api: &'a str,
    /// Service account (`sa-…`) or user (`u-…`) that the keys belong to.
    pub owner: &'a str,
    /// Cluster of Schema Registry (`lsrc-…`), ksqlDB (`lksqlc-…`) or Kafka (`lkc-…`) that they open.
    pub resource: &'a str,
    /// Its environment (`env-…`), where that is needed.
    pub environment: Option<&'a str>,
    /// Its own address, where a new key is tried.
    pub endpoint: &'a str,
}

impl Confluent<'_> {
    /// The adapter's text; `None` if the resource is of none of the three kinds.
    pub fn adapter(&self) -> Option<String> {
        // A harmless read of each that is refused without a key.
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
                    // 100 at most, but an item has more than a kilobyte, and an answer is read up to 64.
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
