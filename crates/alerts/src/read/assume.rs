//! The role under which things are read in the account of an event.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sdk_sts::Client;
use lambda_kit::call::CallError;
use lambda_kit::sdk::Aws;
use tokio::sync::Mutex;

use crate::event::arn_part;

/// Credentials are not used for their last minutes.
const MARGIN: Duration = Duration::from_secs(300);
const ACTION: &str = "sts:AssumeRole";

/// A role of this name in every account.
#[derive(Debug)]
pub struct ReadRole {
    aws: Aws,
    client: Client,
    name: String,
    known: Mutex<HashMap<String, Credentials>>,
}

impl ReadRole {
    /// The role with this name.
    pub fn new(aws: Aws, name: String) -> Self {
        let client = aws.sts();
        Self { aws, client, name, known: Mutex::default() }
    }

    /// What clients are made of that may read the resource with this ARN.
    ///
    /// # Errors
    /// The ARN names no account, or the role cannot be assumed.
    pub async fn for_resource(&self, arn: &str) -> Result<Aws, CallError> {
        let (partition, region, account) = (arn_part(arn, 1), arn_part(arn, 3), arn_part(arn, 4));
        if account.is_empty() || region.is_empty() {
            return Err(CallError::without_answer(
                ACTION,
                "the event names no ARN with an account and a Region",
            ));
        }
        let role = format!("arn:{partition}:iam::{account}:role/{}", self.name);
        Ok(self.aws.acting_as(self.credentials(&role).await?, region))
    }

    async fn credentials(&self, role: &str) -> Result<Credentials, CallError> {
        let mut known = self.known.lock().await;
        let fresh = |credentials: &&Credentials| {
            credentials.expiry().is_some_and(|end| end > SystemTime::now() + MARGIN)
        };
        if let Some(credentials) = known.get(role).filter(fresh) {
            return Ok(credentials.clone());
        }
        let answer = self.client.assume_role().role_arn(role).role_session_name("sluice-alerts").send().await;
        let answer = answer.map_err(|error| CallError::new(ACTION, &error))?;
        let found = answer
            .credentials()
            .ok_or_else(|| CallError::without_answer(ACTION, "no credentials in the answer"))?;
        let credentials = Credentials::new(
            found.access_key_id(),
            found.secret_access_key(),
            Some(found.session_token().to_owned()),
            SystemTime::try_from(*found.expiration()).ok(),
            "AssumedReadRole",
        );
        known.insert(role.to_owned(), credentials.clone());
        Ok(credentials)
    }
}
