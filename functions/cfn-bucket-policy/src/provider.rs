//! Statements in a bucket's policy. The native resource type rejects a bucket that has a policy,
//! and a bucket takes only one native policy.

use aws_sdk_s3::error::ProvideErrorMetadata;
use custom_resource::{AllowedList, Attributes, Context, Failure, Outcome, PhysicalId, Provider, Use};
use lambda_kit::call::CallError;
use lambda_kit::env::{Env, EnvError};
use serde::Deserialize;
use serde_json::Value;
use warehouse::policy::{Attempts, PolicyStore, Statement, StoreError, converge};

/// The properties of `Custom::BucketPolicyStatements`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Properties {
    /// The bucket, in this account.
    bucket_name: String,
    /// IAM statements, each with a `Sid` of its own, of letters and digits.
    statements: Vec<Value>,
}

impl Properties {
    fn ours(&self) -> Result<Vec<Statement>, Failure> {
        Statement::list(self.statements.iter().cloned())
            .map_err(|error| Failure::caused_by("property `Statements`", error))
    }
}

const BUCKETS: &str = "ALLOWED_BUCKETS";

/// The variable with the allowed statements.
pub(crate) const STATEMENTS: &str = "ALLOWED_STATEMENTS";

/// The lists of values that the function's stack allows.
pub(crate) const ALLOWED: [AllowedList; 3] = [
    AllowedList::OTHER_RESOURCES,
    AllowedList::of(BUCKETS, "BucketName"),
    AllowedList::of(STATEMENTS, "AllowedStatements"),
];

/// The values that `{bucket}`, `{role}` and `{prefix}` stand for in [`STATEMENTS`].
pub(crate) struct Placeholders([(&'static str, String); 3]);

impl Placeholders {
    /// Reads the variables that the template sets beside the statements.
    pub(crate) fn from_env(env: Env<'_>) -> Self {
        // The first bucket is the stack's own.
        let buckets = env.optional("ALLOWED_BUCKETS").unwrap_or_default();
        Self([
            ("{bucket}", buckets.lines().next().unwrap_or_default().to_owned()),
            ("{role}", env.optional("COPY_ROLE_ARN").unwrap_or_default()),
            ("{prefix}", env.optional("SOURCE_PREFIX").unwrap_or_default()),
        ])
    }

    /// Returns a line with the values in place of the names.
    pub(crate) fn fill(&self, line: &str) -> String {
        self.0.iter().fold(line.to_owned(), |line, (name, value)| line.replace(name, value))
    }
}

/// Reads a line of [`STATEMENTS`]: an IAM statement or a list of them, as JSON, or `*` for every
/// statement. A `Sid` makes no difference.
pub(crate) fn allowed_statements(line: &str) -> Result<Vec<String>, EnvError> {
    if line == "*" {
        return Ok(vec![line.to_owned()]);
    }
    let invalid = || EnvError::invalid(STATEMENTS, line, "IAM statements as JSON, or *");
    let statements = match serde_json::from_str(line).map_err(|_| invalid())? {
        Value::Array(statements) => statements,
        one => vec![one],
    };
    let read = |mut value: Value| {
        if let Value::Object(map) = &mut value {
            map.insert("Sid".to_owned(), "Any".into());
        }
        Statement::new(0, value).map(|statement| statement.normal_text()).map_err(|_| invalid())
    };
    statements.into_iter().map(read).collect()
}

/// The longest policy of a bucket, in bytes. Source: "Bucket policies for Amazon S3" of the Amazon S3
/// user guide.
const MAX_POLICY_BYTES: usize = 20 * 1024;

/// The policy would be longer than S3 accepts.
#[derive(Debug)]
struct PolicyTooLong(usize);

impl std::fmt::Display for PolicyTooLong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "with this stack's statements the policy would have {} bytes, and S3 accepts {MAX_POLICY_BYTES}; \
             remove or shorten statements of the bucket's policy",
            self.0
        )
    }
}

impl std::error::Error for PolicyTooLong {}

/// A bucket's policy.
struct BucketPolicy<'a> {
    client: &'a aws_sdk_s3::Client,
    bucket: &'a str,
}

impl PolicyStore for BucketPolicy<'_> {
    async fn get(&self) -> Result<Option<String>, StoreError> {
        match self.client.get_bucket_policy().bucket(self.bucket).send().await {
            Ok(answer) => Ok(answer.policy),
            Err(error) if error.code() == Some("NoSuchBucketPolicy") => Ok(None),
            Err(error) => Err(CallError::new("s3:GetBucketPolicy", &error).into()),
        }
    }

    async fn put(&self, text: &str) -> Result<(), StoreError> {
        if text.len() > MAX_POLICY_BYTES {
            return Err(CallError::caused_by("s3:PutBucketPolicy", &PolicyTooLong(text.len())).into());
        }
        match self.client.put_bucket_policy().bucket(self.bucket).policy(text).send().await {
            Ok(_) => Ok(()),
            // S3 rejects a write while another one to the bucket is in progress.
            Err(error) if error.code() == Some("OperationAborted") => Err(StoreError::Conflict),
            Err(error) => Err(CallError::new("s3:PutBucketPolicy", &error).into()),
        }
    }

    async fn delete(&self) -> Result<(), StoreError> {
        match self.client.delete_bucket_policy().bucket(self.bucket).send().await {
            Ok(_) => Ok(()),
            Err(error) if error.code() == Some("OperationAborted") => Err(StoreError::Conflict),
            Err(error) => Err(CallError::new("s3:DeleteBucketPolicy", &error).into()),
        }
    }
}

/// The provider.
pub(crate) struct BucketPolicies {
    client: aws_sdk_s3::Client,
}

impl BucketPolicies {
    /// Creates a provider with its client.
    pub(crate) fn new(client: aws_sdk_s3::Client) -> Self {
        Self { client }
    }

    async fn converge(
        &self,
        context: &Context,
        id: &PhysicalId,
        bucket: &str,
        ours: &[Statement],
    ) -> Result<(), StoreError> {
        let store = BucketPolicy { client: &self.client, bucket };
        let attempts = Attempts::until(context.deadline);
        let writes = converge(&store, id.tag(), ours, attempts, &mut fastrand::Rng::new()).await?;
        tracing::info!(bucket, writes, statements = ours.len(), "the policy holds this stack's statements");
        Ok(())
    }

    async fn put(
        &self,
        context: &Context,
        id: &PhysicalId,
        new: &Properties,
    ) -> Result<Outcome<()>, Failure> {
        let ours = new.ours()?;
        self.converge(context, id, &new.bucket_name, &ours)
            .await
            .map_err(|error| cannot_change(&new.bucket_name, error))?;
        Ok(Outcome::Ready(Attributes::none().with("BucketName", &new.bucket_name)))
    }
}

fn cannot_change(bucket: &str, error: StoreError) -> Failure {
    if is_absent(&error) {
        return Failure::new(format!(
            "property `BucketName`: there is no bucket \"{bucket}\" in this account"
        ));
    }
    let written = error.may_have_written();
    Failure::caused_by(format!("the policy of bucket \"{bucket}\" could not be changed"), error)
        .with_leftovers_if(written)
}

fn is_absent(error: &StoreError) -> bool {
    matches!(error, StoreError::Call(call) if call.has_code(&["NoSuchBucket"]))
}

impl Provider for BucketPolicies {
    type Properties = Properties;
    type Progress = ();
    const KIND: &'static str = "sluice-bucket-policy";

    fn uses(&self, properties: &Properties) -> Result<Vec<Use>, Failure> {
        let statements = properties.ours()?.into_iter().enumerate();
        let statements = statements
            .map(|(index, one)| Use::new(format!("Statements[{index}]"), one.normal_text(), STATEMENTS));
        Ok([Use::new("BucketName", &properties.bucket_name, BUCKETS)].into_iter().chain(statements).collect())
    }

    fn identity(&self, properties: &Properties) -> Result<String, Failure> {
        Ok(properties.bucket_name.clone())
    }

    async fn create(
        &self,
        context: &Context,
        id: &PhysicalId,
        new: Properties,
    ) -> Result<Outcome<()>, Failure> {
        self.put(context, id, &new).await
    }

    async fn delete(
        &self,
        context: &Context,
        id: &PhysicalId,
        _old: Properties,
    ) -> Result<Outcome<()>, Failure> {
        let bucket = id.identity();
        match self.converge(context, id, bucket, &[]).await {
            Err(error) if is_absent(&error) => Ok(Outcome::done()),
            Err(error) => Err(cannot_change(bucket, error)),
            Ok(()) => Ok(Outcome::done()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use custom_resource::Request;

    fn sample(text: &str) -> Properties {
        let request = Request::parse(&serde_json::from_str(text).unwrap()).unwrap();
        request.properties(&[]).unwrap()
    }

    #[test]
    fn sample_event_has_one_statement() {
        let properties = sample(include_str!("../../../events/cloudformation/bucket-policy-create.json"));
        assert_eq!(properties.bucket_name, "sluice-111111111111-us-east-1");
        assert_eq!(properties.ours().unwrap().len(), 1);
    }

    #[test]
    fn allowed_statement_is_the_one_of_the_request_in_any_form() {
        let properties = sample(include_str!("../../../events/cloudformation/bucket-policy-create.json"));
        let wanted = properties.ours().unwrap()[0].normal_text();
        let mut statement = properties.statements[0].clone();
        statement.as_object_mut().unwrap().remove("Sid");
        for line in [statement.to_string(), format!("[{statement}]")] {
            assert_eq!(allowed_statements(&line).unwrap(), [wanted.as_str()]);
        }
        assert_eq!(allowed_statements("*").unwrap(), ["*"]);
        let named = Placeholders::from_env(Env::from(&|name| match name {
            "ALLOWED_BUCKETS" => Some("b\n*".to_owned()),
            "COPY_ROLE_ARN" => Some("r".to_owned()),
            _ => None,
        }));
        assert_eq!(named.fill("x:{bucket}/{prefix}* {role} {other}"), "x:b/* r {other}");
        for line in ["x", "{}", "[1]", "{\"Effect\": \"Allow\"}"] {
            let error = allowed_statements(line).unwrap_err().to_string();
            assert!(error.ends_with("expected IAM statements as JSON, or *"), "{line}: {error}");
        }
    }

    #[tokio::test]
    async fn policy_that_is_too_long_is_not_sent() {
        // No address: a request would be another error.
        let client = aws_sdk_s3::Client::from_conf(
            aws_sdk_s3::Config::builder()
                .behavior_version(aws_sdk_s3::config::BehaviorVersion::latest())
                .build(),
        );
        let store = BucketPolicy { client: &client, bucket: "b" };
        let error = store.put(&"x".repeat(20_481)).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "s3:PutBucketPolicy: with this stack's statements the policy would have 20481 bytes, and S3 accepts 20480; \
             remove or shorten statements of the bucket's policy"
        );
    }
}
