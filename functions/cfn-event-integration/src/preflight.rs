//! Checks before the creation, which find in seconds what would fail the integration minutes later.
//!
//! The rules: "Create an S3 event integration to automatically copy files from Amazon S3 buckets"
//! of the Redshift management guide.

use aws_sdk_s3::Client;
use aws_sdk_s3::error::ProvideErrorMetadata;
use custom_resource::Failure;
use lambda_kit::arn::Arn;
use lambda_kit::call::CallError;

use crate::bucket_policy::BucketPolicy;

/// The checks.
pub struct Preflight {
    client: Client,
    kms: aws_sdk_kms::Client,
}

/// Returns the failure of a call that reads what the checks need. An earlier delivery of the request
/// may have created the integration, so a call without a result leaves that open.
fn unreadable(what: String, error: CallError) -> Failure {
    let is_transient = error.is_transient();
    Failure::caused_by(format!("{what} could not be read"), error).with_leftovers_if(is_transient)
}

impl Preflight {
    /// Creates the checks with their clients.
    pub fn new(client: Client, kms: aws_sdk_kms::Client) -> Self {
        Self { client, kms }
    }

    /// Checks all rules for an integration of this stack. The failure names the first broken one.
    pub(crate) async fn check(&self, bucket: &str, stack: &Arn, key: Option<&str>) -> Result<(), Failure> {
        self.location(bucket, &stack.region).await?;
        self.notifications(bucket).await?;
        self.policy(bucket, &stack.account).await?;
        match key {
            Some(key) => self.key(key, &stack.region).await,
            None => Ok(()),
        }
    }

    /// Checks that the key can encrypt an integration.
    ///
    /// The key's policy is not read: it may belong to another account. Source: "Creating a zero-ETL
    /// integration with a customer managed key" of the Redshift management guide.
    async fn key(&self, key: &str, region: &str) -> Result<(), Failure> {
        let policy = "the key's policy must let this account's deployment kms:DescribeKey, kms:CreateGrant and kms:Decrypt, \
                      and redshift.amazonaws.com kms:CreateGrant";
        let found = match self.kms.describe_key().key_id(key).send().await {
            Ok(answer) => answer.key_metadata,
            Err(error) => {
                let error = CallError::new("kms:DescribeKey", &error);
                if error.has_code(&["NotFoundException"]) {
                    return Err(Failure::caused_by(
                        format!("property `KmsKeyId`: there is no key {key}"),
                        error,
                    ));
                }
                if error.is_access_denied() {
                    let problem = format!("property `KmsKeyId`: the key {key} cannot be used; {policy}");
                    return Err(Failure::caused_by(problem, error));
                }
                return Err(unreadable(format!("the key {key}"), error));
            }
        };
        let Some(found) = found else { return Ok(()) };
        let wrong = |found: &str, remedy: &str| {
            Err(Failure::new(format!("property `KmsKeyId`: the key {key} {found}; {remedy}")))
        };
        let elsewhere =
            found.arn().and_then(|arn| arn.parse::<Arn>().ok()).filter(|arn| arn.region != region);
        if let Some(arn) = elsewhere {
            return wrong(&format!("is in {}", arn.region), &format!("give a key in {region}"));
        }
        let (state, usage, spec) = (
            found.key_state().map(|state| state.as_str()).unwrap_or_default(),
            found.key_usage().map(|usage| usage.as_str()).unwrap_or_default(),
            found.key_spec().map(|spec| spec.as_str()).unwrap_or_default(),
        );
        if !["", "Enabled"].contains(&state) {
            return wrong(&format!("is {state}"), "enable it, or give another key");
        }
        if !["", "ENCRYPT_DECRYPT"].contains(&usage) || !["", "SYMMETRIC_DEFAULT"].contains(&spec) {
            return wrong(&format!("is for {usage} with {spec}"), "give a symmetric key for encryption");
        }
        Ok(())
    }

    /// Returns true if the bucket's policy lets Redshift in under conditions only.
    pub(crate) async fn has_conditions(&self, bucket: &str) -> bool {
        self.bucket_policy(bucket).await.is_ok_and(|policy| policy.has_conditions())
    }

    /// Reads the bucket's policy.
    async fn bucket_policy(&self, bucket: &str) -> Result<BucketPolicy, CallError> {
        match self.client.get_bucket_policy().bucket(bucket).send().await {
            Ok(answer) => Ok(BucketPolicy::parse(&answer.policy.unwrap_or_default())),
            Err(error) if error.code() == Some("NoSuchBucketPolicy") => Ok(BucketPolicy::parse("")),
            Err(error) => Err(CallError::new("s3:GetBucketPolicy", &error)),
        }
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
                return Err(unreadable(format!("the Region of bucket \"{bucket}\""), error));
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
                    unreadable(format!("the notifications of bucket \"{bucket}\""), error)
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

    async fn policy(&self, bucket: &str, account: &str) -> Result<(), Failure> {
        let read = self.bucket_policy(bucket).await;
        let policy = read.map_err(|error| unreadable(format!("the policy of bucket \"{bucket}\""), error))?;
        let missing = policy.missing_actions();
        if !missing.is_empty() {
            return Err(Failure::new(format!(
                "the policy of bucket \"{bucket}\" does not allow redshift.amazonaws.com {}; \
                 add the statement of `Custom::BucketPolicyStatements` in templates/copy-source.yaml",
                missing.join(", ")
            )));
        }
        match policy.denial(bucket, account) {
            None => Ok(()),
            Some(denial) => Err(Failure::new(format!(
                "the policy of bucket \"{bucket}\" denies redshift.amazonaws.com {} ({}); calls of AWS services come from no VPC endpoint, \
                 network or principal of yours, so exempt them with the condition \"BoolIfExists\": {{\"aws:PrincipalIsAWSService\": \"false\"}}",
                denial.action, denial.statement
            ))),
        }
    }
}
