//! Secrets Manager.
//!
//! Actions: ListSecrets (on `*`), DescribeSecret, ListSecretVersionIds.

use std::time::SystemTime;

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::types::SecretListEntry;
use aws_smithy_types::DateTime;
use lambda_kit::call::CallError;
use lambda_kit::moment::Moment;

use crate::secret::{Details, Replica, Secret, Secrets};

/// The largest number of secrets in a page.
const PAGE: i32 = 100;

/// The secrets of the client's account and Region.
#[derive(Debug, Clone)]
pub struct SecretsManager(Client);

impl SecretsManager {
    /// Creates the secrets that this client reads.
    pub fn new(client: Client) -> Self {
        Self(client)
    }
}

fn time(time: Option<&DateTime>) -> Option<Moment> {
    time.and_then(|time| SystemTime::try_from(*time).ok()).map(Moment::from)
}

fn secret(entry: &SecretListEntry) -> Secret {
    Secret {
        arn: entry.arn().unwrap_or_default().to_owned(),
        name: entry.name().unwrap_or_default().to_owned(),
        rotates: entry.rotation_enabled() == Some(true),
        has_rotation_function: entry.rotation_lambda_arn().is_some_and(|arn| !arn.is_empty()),
        last_rotated: time(entry.last_rotated_date()),
        next_rotation: time(entry.next_rotation_date()),
        last_changed: time(entry.last_changed_date()),
        last_accessed: time(entry.last_accessed_date()),
        created: time(entry.created_date()),
        deleted: time(entry.deleted_date()),
        owning_service: entry.owning_service().map(str::to_owned),
        primary_region: entry.primary_region().map(str::to_owned),
        labels: entry.secret_versions_to_stages().cloned().unwrap_or_default(),
        tags: entry
            .tags()
            .iter()
            .filter_map(|tag| Some((tag.key()?.to_owned(), tag.value().unwrap_or_default().to_owned())))
            .collect(),
    }
}

impl Secrets for SecretsManager {
    async fn page(&self, next: Option<String>) -> Result<(Vec<Secret>, Option<String>), CallError> {
        let output = self
            .0
            .list_secrets()
            .max_results(PAGE)
            .include_planned_deletion(true)
            .set_next_token(next)
            .send()
            .await
            .map_err(|error| CallError::new("secretsmanager:ListSecrets", &error))?;
        let next = output.next_token().filter(|token| !token.is_empty()).map(str::to_owned);
        Ok((output.secret_list().iter().map(secret).collect(), next))
    }

    async fn details(&self, arn: &str) -> Result<Option<Details>, CallError> {
        let output = match self.0.describe_secret().secret_id(arn).send().await {
            Ok(output) => output,
            Err(error) => {
                let error = CallError::new("secretsmanager:DescribeSecret", &error);
                let gone = error.has_code(&["ResourceNotFoundException"]);
                return if gone { Ok(None) } else { Err(error) };
            }
        };
        let replicas = output
            .replication_status()
            .iter()
            .map(|replica| Replica {
                region: replica.region().unwrap_or_default().to_owned(),
                status: replica.status().map(|status| status.as_str().to_owned()).unwrap_or_default(),
                message: replica.status_message().map(str::to_owned),
            })
            .collect();
        Ok(Some(Details { replicas, deletion: time(output.deleted_date()) }))
    }

    async fn version_created(&self, arn: &str, version: &str) -> Result<Option<Moment>, CallError> {
        let mut next = None;
        loop {
            let sent = self
                .0
                .list_secret_version_ids()
                .secret_id(arn)
                .max_results(PAGE)
                .set_next_token(next)
                .send()
                .await;
            let output = match sent {
                Ok(output) => output,
                Err(error) => {
                    let error = CallError::new("secretsmanager:ListSecretVersionIds", &error);
                    let gone = error.has_code(&["ResourceNotFoundException"]);
                    return if gone { Ok(None) } else { Err(error) };
                }
            };
            let found = output.versions().iter().find(|known| known.version_id() == Some(version));
            if let Some(found) = found {
                return Ok(time(found.created_date()));
            }
            next = output.next_token().filter(|token| !token.is_empty()).map(str::to_owned);
            if next.is_none() {
                return Ok(None);
            }
        }
    }
}
