//! What DescribeSecret says.

use lambda_kit::call::CallError;

use super::{ReadRole, Secrets};

/// Secrets of AWS Secrets Manager.
#[derive(Debug)]
pub struct AwsSecrets(ReadRole);

impl AwsSecrets {
    /// Secrets, read under this role.
    pub fn new(role: ReadRole) -> Self {
        Self(role)
    }
}

impl Secrets for AwsSecrets {
    async fn rotates(&self, secret: &str) -> Result<bool, CallError> {
        let client = self.0.for_resource(secret).await?.secretsmanager();
        let answer = client.describe_secret().secret_id(secret).send().await;
        let answer = answer.map_err(|error| CallError::new("secretsmanager:DescribeSecret", &error))?;
        Ok(answer.rotation_enabled().unwrap_or(false))
    }
}
