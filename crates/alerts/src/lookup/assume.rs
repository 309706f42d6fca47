//! The role that reads in the account of an event.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sdk_sts::Client;
use lambda_kit::arn::Arn;
use lambda_kit::call::CallError;
use lambda_kit::sdk::Aws;
use tokio::sync::Mutex;

use crate::incident::AccountRegion;

/// The time before their expiration during which credentials are not used.
const MARGIN: Duration = Duration::from_secs(300);
const ACTION: &str = "sts:AssumeRole";

/// A role that has the same name in every account.
#[derive(Debug)]
pub struct ReadRole {
    aws: Aws,
    client: Client,
    name: String,
    known: Mutex<HashMap<String, Credentials>>,
}

impl ReadRole {
    /// Creates the role with this name.
    pub fn new(aws: Aws, name: String) -> Self {
        let client = aws.sts();
        Self { aws, client, name, known: Mutex::default() }
    }

    /// Returns a client factory that may read the resource with this ARN.
    ///
    /// # Errors
    /// The ARN has no account or Region, or the role cannot be assumed.
    pub async fn for_resource(&self, arn: &str) -> Result<Aws, CallError> {
        let arn: Arn = arn.parse().map_err(|error| CallError::caused_by(ACTION, &error))?;
        if arn.account.is_empty() || arn.region.is_empty() {
            let problem = format!("the ARN {arn} has no account or no Region");
            return Err(CallError::without_answer(ACTION, &problem));
        }
        self.at(&arn.partition, &AccountRegion::new(&arn.account, &arn.region)).await
    }

    /// Returns a client factory for an account and Region of a partition.
    ///
    /// # Errors
    /// The role cannot be assumed.
    pub async fn at(&self, partition: &str, location: &AccountRegion) -> Result<Aws, CallError> {
        let role = format!("arn:{partition}:iam::{}:role/{}", location.account, self.name);
        Ok(self.aws.acting_as(self.credentials(&role).await?, &location.region))
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
            .ok_or_else(|| CallError::without_answer(ACTION, "the response has no credentials"))?;
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

#[cfg(test)]
mod tests {
    use aws_sdk_sts::operation::assume_role::AssumeRoleOutput;
    use aws_sdk_sts::primitives::DateTime;
    use aws_sdk_sts::types::Credentials as Assumed;
    use aws_smithy_mocks::{RuleMode, mock, mock_client};
    use lambda_kit::env::Env;

    use super::*;

    const SECRET: &str = "arn:aws-us-gov:secretsmanager:us-gov-west-1:222222222222:secret:app-AbCdEf";

    fn role(client: Client) -> ReadRole {
        let source = |name: &str| {
            let set = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"].contains(&name);
            set.then(|| "us-east-1".to_owned())
        };
        let aws = Aws::from_env(Env::from(&source)).unwrap();
        ReadRole { aws, client, name: "sluice-read".into(), known: Mutex::default() }
    }

    fn rule(lives: Duration) -> aws_smithy_mocks::Rule {
        mock!(Client::assume_role)
            .match_requests(|request| {
                request.role_arn() == Some("arn:aws-us-gov:iam::222222222222:role/sluice-read")
            })
            .then_output(move || {
                let ends = DateTime::from(SystemTime::now() + lives);
                let found = Assumed::builder()
                    .access_key_id("a")
                    .secret_access_key("s")
                    .session_token("t")
                    .expiration(ends);
                AssumeRoleOutput::builder().credentials(found.build().unwrap()).build()
            })
    }

    #[tokio::test]
    async fn role_of_the_resources_account_is_assumed_until_it_expires() {
        for (lives, calls) in [(Duration::from_secs(3600), 1), (Duration::from_secs(200), 2)] {
            let rule = rule(lives);
            let role = role(mock_client!(aws_sdk_sts, RuleMode::MatchAny, [&rule]));
            role.for_resource(SECRET).await.unwrap();
            role.for_resource(SECRET).await.unwrap();
            assert_eq!(rule.num_calls(), calls);
        }
    }

    #[tokio::test]
    async fn name_that_is_no_arn_is_rejected() {
        let rule = rule(Duration::from_secs(3600));
        let role = role(mock_client!(aws_sdk_sts, RuleMode::MatchAny, [&rule]));
        let error = role.for_resource("app").await.unwrap_err();
        assert!(error.to_string().contains("\"app\" is not an ARN"), "{error}");
        assert_eq!(rule.num_calls(), 0);
    }
}
