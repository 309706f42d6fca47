//! The call to Amazon MSK.

use aws_sdk_kafka::Client;
use lambda_kit::call::CallError;

use super::clusters::Clusters;

/// Amazon MSK.
#[derive(Debug, Clone)]
pub struct MskApi {
    client: Client,
}

impl MskApi {
    /// Creates the adapter for a client.
    pub fn new(client: Client) -> Self {
        Self { client }
    }
}

impl Clusters for MskApi {
    async fn secrets(&self, cluster: &str) -> Result<Vec<String>, CallError> {
        let mut pages = self.client.list_scram_secrets().cluster_arn(cluster).into_paginator().send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| CallError::new("kafka:ListScramSecrets", &error))?;
            found.extend(page.secret_arn_list.unwrap_or_default());
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_kafka::operation::list_scram_secrets::{ListScramSecretsError, ListScramSecretsOutput};
    use aws_smithy_mocks::{RuleMode, mock, mock_client};
    use aws_smithy_types::error::ErrorMetadata;

    use super::*;

    #[tokio::test]
    async fn secrets_of_all_pages_are_listed() {
        let page = |from: Option<&'static str>, secret: &'static str, next: Option<&'static str>| {
            mock!(Client::list_scram_secrets)
                .match_requests(move |request| {
                    request.cluster_arn() == Some("arn:c") && request.next_token() == from
                })
                .then_output(move || {
                    let page = ListScramSecretsOutput::builder().secret_arn_list(secret);
                    page.set_next_token(next.map(str::to_owned)).build()
                })
        };
        let (first, second) = (page(None, "arn:one", Some("more")), page(Some("more"), "arn:two", None));
        let refused = mock!(Client::list_scram_secrets).then_error(|| {
            ListScramSecretsError::generic(
                ErrorMetadata::builder().code("AccessDeniedException").message("no").build(),
            )
        });
        let client = mock_client!(aws_sdk_kafka, RuleMode::Sequential, [&first, &second, &refused]);
        let api = MskApi::new(client);
        assert_eq!(api.secrets("arn:c").await.unwrap(), ["arn:one", "arn:two"]);
        let error = api.secrets("arn:c").await.unwrap_err().to_string();
        assert!(error.contains("kafka:ListScramSecrets: AccessDeniedException"), "{error}");
    }
}
