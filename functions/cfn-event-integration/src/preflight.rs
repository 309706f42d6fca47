//! Checks before the creation, which find in seconds what would fail the integration minutes later.
//!
//! The rules: "Create an S3 event integration to automatically copy files from Amazon S3 buckets"
//! of the Redshift management guide.

use aws_sdk_s3::Client;
use aws_sdk_s3::error::ProvideErrorMetadata;
use custom_resource::Failure;
use lambda_kit::call::CallError;
use serde_json::Value;

/// The actions that Redshift needs on the bucket.
const ACTIONS: [&str; 3] = ["s3:GetBucketNotification", "s3:PutBucketNotification", "s3:GetBucketLocation"];

/// The checks.
pub(crate) struct Preflight {
    client: Client,
}

impl Preflight {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    /// Checks all rules. The failure names the first broken one.
    pub(crate) async fn check(&self, bucket: &str, region: &str) -> Result<(), Failure> {
        self.location(bucket, region).await?;
        self.notifications(bucket).await?;
        self.policy(bucket).await
    }

    async fn location(&self, bucket: &str, region: &str) -> Result<(), Failure> {
        let answer = match self.client.get_bucket_location().bucket(bucket).send().await {
            Ok(answer) => answer,
            Err(error) if error.code() == Some("NoSuchBucket") => {
                return Err(Failure::new(format!(
                    "property `BucketName`: there is no bucket \"{bucket}\"; the integration belongs into the account that owns the bucket"
                )));
            }
            Err(error) => {
                let error = CallError::new("s3:GetBucketLocation", &error);
                return Err(Failure::caused_by(
                    format!("the Region of bucket \"{bucket}\" could not be read"),
                    error,
                ));
            }
        };
        // No constraint means us-east-1, and EU is an old name of eu-west-1.
        let here = match answer.location_constraint().map(|constraint| constraint.as_str()) {
            None | Some("") => "us-east-1",
            Some("EU") => "eu-west-1",
            Some(other) => other,
        };
        if here != region {
            return Err(Failure::new(format!(
                "property `BucketName`: bucket \"{bucket}\" is in {here} and this stack in {region}; \
                 bucket, integration and warehouse must be in one Region: deploy both stacks in {here}"
            )));
        }
        Ok(())
    }

    async fn notifications(&self, bucket: &str) -> Result<(), Failure> {
        let answer =
            self.client.get_bucket_notification_configuration().bucket(bucket).send().await.map_err(
                |error| {
                    let error = CallError::new("s3:GetBucketNotification", &error);
                    Failure::caused_by(
                        format!("the notifications of bucket \"{bucket}\" could not be read"),
                        error,
                    )
                },
            )?;
        let events = answer
            .queue_configurations()
            .iter()
            .map(|one| (one.id(), one.events()))
            .chain(answer.topic_configurations().iter().map(|one| (one.id(), one.events())))
            .chain(answer.lambda_function_configurations().iter().map(|one| (one.id(), one.events())));
        for (id, events) in events {
            if let Some(created) = events.iter().find(|event| event.as_str().starts_with("s3:ObjectCreated:"))
            {
                return Err(Failure::new(format!(
                    "property `BucketName`: bucket \"{bucket}\" has a notification for {created} already (id \"{}\"), and Redshift creates \
                     an integration only for a bucket without one; remove it, or send it through EventBridge, and add it again with a prefix afterwards",
                    id.unwrap_or("none")
                )));
            }
        }
        Ok(())
    }

    async fn policy(&self, bucket: &str) -> Result<(), Failure> {
        let policy = match self.client.get_bucket_policy().bucket(bucket).send().await {
            Ok(answer) => answer.policy.unwrap_or_default(),
            Err(error) if error.code() == Some("NoSuchBucketPolicy") => String::new(),
            Err(error) => {
                let error = CallError::new("s3:GetBucketPolicy", &error);
                return Err(Failure::caused_by(
                    format!("the policy of bucket \"{bucket}\" could not be read"),
                    error,
                ));
            }
        };
        let missing = missing_actions(&policy);
        if missing.is_empty() {
            return Ok(());
        }
        Err(Failure::new(format!(
            "the policy of bucket \"{bucket}\" does not allow redshift.amazonaws.com {}; \
             add the statement of `Custom::BucketPolicyStatements` in templates/copy-source.yaml",
            missing.join(", ")
        )))
    }
}

/// Returns the actions that no statement allows Redshift. It ignores conditions: Redshift evaluates
/// them, and reports them as the integration's error.
fn missing_actions(policy: &str) -> Vec<&'static str> {
    let document: Value = serde_json::from_str(policy).unwrap_or_default();
    let statements = list(document.get("Statement"));
    ACTIONS.into_iter().filter(|action| !statements.iter().any(|one| allows(one, action))).collect()
}

fn list(value: Option<&Value>) -> Vec<&Value> {
    match value {
        Some(Value::Array(items)) => items.iter().collect(),
        Some(single) => vec![single],
        None => Vec::new(),
    }
}

fn allows(statement: &Value, action: &str) -> bool {
    let principal = statement.get("Principal");
    let to_redshift = principal == Some(&Value::from("*"))
        || list(principal.and_then(|who| who.get("Service"))).iter().any(|service| {
            service.as_str().is_some_and(|name| name == "redshift.amazonaws.com" || name == "*")
        });
    let allowed = list(statement.get("Action"))
        .iter()
        .any(|pattern| pattern.as_str().is_some_and(|p| matches(p, action)));
    statement.get("Effect") == Some(&Value::from("Allow")) && to_redshift && allowed
}

/// Matches an action with a pattern, which may have one `*`, in any case.
fn matches(pattern: &str, action: &str) -> bool {
    let (pattern, action) = (pattern.to_ascii_lowercase(), action.to_ascii_lowercase());
    match pattern.split_once('*') {
        Some((start, end)) => {
            action.len() >= start.len() + end.len() && action.starts_with(start) && action.ends_with(end)
        }
        None => pattern == action,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn policy_with_the_three_actions_lacks_none() {
        for actions in
            [json!(ACTIONS), json!("s3:*"), json!(["s3:Get*", "s3:putbucketnotification"]), json!("*")]
        {
            let policy = json!({"Statement": {"Effect": "Allow", "Principal": {"Service": ["redshift.amazonaws.com"]}, "Action": actions}});
            assert!(missing_actions(&policy.to_string()).is_empty(), "{policy}");
        }
    }

    #[test]
    fn denied_and_foreign_actions_are_missing() {
        assert_eq!(missing_actions(""), ACTIONS);
        let other = json!({"Statement": [
            {"Effect": "Deny", "Principal": "*", "Action": "s3:*"},
            {"Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"}, "Action": "s3:*"},
            {"Effect": "Allow", "Principal": {"Service": "redshift.amazonaws.com"}, "Action": "s3:GetBucketLocation"},
        ]});
        assert_eq!(missing_actions(&other.to_string()), ACTIONS[..2]);
    }
}
