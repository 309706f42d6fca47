//! The subjects of the measurement: a program, its environment on Lambda, and its event.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use super::aws::{SECRET, VERSION};

/// The environment of every function. Credentials and endpoint are not valid, so that a call of AWS
/// fails.
const VARIABLES: [(&str, &str); 15] = [
    ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
    ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
    ("AWS_LAMBDA_LOG_GROUP_NAME", "bench"),
    ("AWS_LAMBDA_LOG_STREAM_NAME", "bench"),
    ("AWS_LAMBDA_LOG_FORMAT", "JSON"),
    ("AWS_REGION", "us-east-1"),
    ("AWS_DEFAULT_REGION", "us-east-1"),
    ("AWS_ACCESS_KEY_ID", "111111111111"),
    ("AWS_SECRET_ACCESS_KEY", "none"),
    ("AWS_ENDPOINT_URL", "http://127.0.0.1:9"),
    ("ACCESS_GRANT_WAIT_SECONDS", "0"),
    ("WAIT_STATE_MACHINE_ARN", "arn:aws:states:us-east-1:111111111111:stateMachine:bench"),
    ("WAIT_KEY_ARN", "arn:aws:kms:us-east-1:111111111111:key/00000000-0000-0000-0000-000000000000"),
    // Missing files, so that boto3 does not read those of the user.
    ("AWS_CONFIG_FILE", "/dev/null"),
    ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
];

/// Further environment of every function of alerts.
const ALERTS: [(&str, &str); 3] = [
    ("TOPIC_ARN", "arn:aws:sns:us-east-1:111111111111:bench"),
    ("STATE_TABLE", "bench"),
    ("READ_ROLE_NAME", "bench"),
];

/// Variables from the templates without which a function does not start.
const OWN: [(&str, &[(&str, &str)]); 6] = [
    (
        "check-copy-jobs",
        &[
            ("CLUSTER_IDENTIFIER", "bench"),
            ("DATABASE", "dev"),
            ("DB_USER", "bench"),
            ("LEDGER_TABLE", "ledger"),
        ],
    ),
    (
        "on-dead-letter",
        &[("DEAD_LETTER_QUEUE_URLS", "https://sqs.us-east-1.amazonaws.com/111111111111/bench")],
    ),
    (
        "rotate-api-key",
        &[
            ("API_KEY_PRESET", "confluent-cloud"),
            ("API_KEY_OWNER", "sa-1"),
            ("API_KEY_RESOURCE", "lsrc-1"),
            ("API_KEY_ENDPOINT", "https://127.0.0.1:9"),
            ("ADMIN_SECRET_ARN", "arn:aws:secretsmanager:us-east-1:111111111111:secret:admin-AbCdEf"),
        ],
    ),
    (
        "rotate-elasticache",
        &[
            ("AUTH_MODE", "user"),
            ("USER_ARN", "arn:aws:elasticache:us-east-1:111111111111:user:bench"),
            ("ENDPOINT_HOST", "127.0.0.1"),
        ],
    ),
    (
        "rotate-msk",
        &[
            (
                "CLUSTER_ARN",
                "arn:aws:kafka:us-east-1:111111111111:cluster/bench/00000000-0000-0000-0000-000000000000-1",
            ),
            ("BOOTSTRAP_BROKERS", ""),
        ],
    ),
    (
        "rotate-redshift",
        &[("REDSHIFT_ACCESS", "wire"), ("REDSHIFT_CHANGE", "sql"), ("PASSWORD_FORM", "as-before")],
    ),
];

/// The event of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    /// CloudFormation's Delete of a resource that was never created, which needs no call of AWS.
    Delete,
    /// The step of a rotation that has ended, which needs DescribeSecret.
    Step,
    /// A schedule's event when nothing is due, which needs the calls that find that out.
    Schedule,
}

/// A measured program.
#[derive(Debug)]
pub(super) struct Subject {
    /// Its name in the table.
    pub(super) name: String,
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<OsString>,
    /// The working directory: on Lambda, that of the function's code.
    pub(super) folder: PathBuf,
    pub(super) call: Call,
}

impl Subject {
    /// Returns a built function, from its folder.
    pub(super) fn function(name: &str, folder: &Path) -> Self {
        Self {
            name: name.to_owned(),
            program: folder.join("bootstrap"),
            arguments: Vec::new(),
            folder: folder.to_owned(),
            call: match name.split('-').next() {
                Some("rotate") => Call::Step,
                Some("on" | "check") => Call::Schedule,
                _ => Call::Delete,
            },
        }
    }

    /// Returns its whole environment; `address` is that of the Runtime API.
    pub(super) fn environment(&self, address: &str) -> Vec<(&'static str, String)> {
        let mut variables: Vec<_> = VARIABLES.map(|(name, value)| (name, value.to_owned())).into();
        variables.push(("AWS_LAMBDA_RUNTIME_API", address.to_owned()));
        variables.push(("AWS_LAMBDA_FUNCTION_NAME", self.name.clone()));
        variables.push(("_HANDLER", "bootstrap".to_owned()));
        let own = OWN.iter().find(|(name, _)| *name == self.name).map(|(_, own)| *own).unwrap_or_default();
        variables.extend(own.iter().map(|(name, value)| (*name, (*value).to_owned())));
        if self.call == Call::Schedule {
            variables.extend(ALERTS.iter().map(|(name, value)| (*name, (*value).to_owned())));
        }
        if self.call != Call::Delete {
            let endpoint = format!("http://{address}");
            variables.retain(|(name, _)| *name != "AWS_ENDPOINT_URL");
            // For the Python originals: the first for all, the second for ElastiCache.
            variables.push(("SECRETS_MANAGER_ENDPOINT", endpoint.clone()));
            if self.call == Call::Step {
                variables.push(("SECRET_ARN", SECRET.to_owned()));
            }
            variables.push(("AWS_ENDPOINT_URL", endpoint));
            // A zip has no bytecode of the handler, and the checkout must not change.
            variables.push(("PYTHONDONTWRITEBYTECODE", "1".to_owned()));
        }
        variables
    }

    /// The AWS calls of one event, by `X-Amz-Target`, in any order. Other or missing calls fail the
    /// measurement.
    pub(super) fn calls(&self) -> &'static [&'static str] {
        match (self.call, self.name.as_str()) {
            (Call::Delete, _) => &[],
            (Call::Step, _) => &["secretsmanager.DescribeSecret"],
            (Call::Schedule, "check-copy-jobs") => &[
                "DynamoDB_20120810.Query",
                "DynamoDB_20120810.GetItem",
                "DynamoDB_20120810.PutItem",
                "RedshiftData.BatchExecuteStatement",
                "DynamoDB_20120810.GetItem",
                "DynamoDB_20120810.PutItem",
                "DynamoDB_20120810.GetItem",
            ],
            // Twice: the open incidents of the one account, and the outcome of its check.
            (Call::Schedule, "check-secrets") => &[
                "secretsmanager.ListSecrets",
                "DynamoDB_20120810.BatchGetItem",
                "DynamoDB_20120810.BatchGetItem",
            ],
            (Call::Schedule, "on-dead-letter") => &[
                "DynamoDB_20120810.Query",
                "AmazonSQS.GetQueueAttributes",
                "DynamoDB_20120810.BatchGetItem",
                "DynamoDB_20120810.TransactWriteItems",
            ],
            // The entries that are due in the alerts' table.
            (Call::Schedule, _) => &["DynamoDB_20120810.Query"],
        }
    }

    /// The event that it gets repeatedly; `address` is that of a custom resource's response URL.
    pub(super) fn event(&self, address: &str) -> Value {
        match self.call {
            Call::Step => json!({"Step": "createSecret", "SecretId": SECRET, "ClientRequestToken": VERSION}),
            Call::Schedule => json!({
                "version": "0",
                "id": "00000000-0000-0000-0000-000000000003",
                "detail-type": "Scheduled Event",
                "source": "aws.events",
                "account": "111111111111",
                "time": "2026-01-01T00:00:00Z",
                "region": "us-east-1",
                "resources": ["arn:aws:events:us-east-1:111111111111:rule/bench"],
                "detail": {},
            }),
            Call::Delete => json!({
                "RequestType": "Delete",
                "ResponseURL": format!("http://{address}/answer"),
                "StackId": "arn:aws:cloudformation:us-east-1:111111111111:stack/bench/00000000-0000-0000-0000-000000000000",
                "RequestId": "bench",
                "ResourceType": "Custom::Bench",
                "LogicalResourceId": "Bench",
                "PhysicalResourceId": "never-made",
                "ResourceProperties": {"ServiceToken": "arn:aws:lambda:us-east-1:111111111111:function:bench"},
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::aws;
    use super::*;

    #[test]
    fn every_called_action_has_a_response() {
        for name in
            ["cfn-copy-job", "rotate-msk", "check-copy-jobs", "check-secrets", "on-dead-letter", "on-failure"]
        {
            let subject = Subject::function(name, Path::new("f"));
            let watches = name.starts_with("on-") || name.starts_with("check-");
            assert_eq!(subject.calls().is_empty(), name.starts_with("cfn-"), "{name}");
            assert!(subject.calls().iter().all(|target| aws::answer(target).is_some()), "{name}");
            assert_eq!(subject.event("127.0.0.1:1")["detail-type"] == "Scheduled Event", watches, "{name}");
            let variables = subject.environment("127.0.0.1:1");
            assert_eq!(variables.iter().any(|(name, _)| *name == "STATE_TABLE"), watches, "{name}");
        }
    }

    #[test]
    fn rotation_calls_secrets_manager_only() {
        for (name, endpoint) in
            [("rotate-msk", "http://127.0.0.1:4711"), ("cfn-copy-job", "http://127.0.0.1:9")]
        {
            let variables = Subject::function(name, Path::new("f")).environment("127.0.0.1:4711");
            let values = |wanted: &str| -> Vec<&str> {
                variables
                    .iter()
                    .filter(|(name, _)| *name == wanted)
                    .map(|(_, value)| value.as_str())
                    .collect()
            };
            assert_eq!(values("AWS_ENDPOINT_URL"), [endpoint]);
            assert_eq!(values("CLUSTER_ARN").len(), usize::from(name == "rotate-msk"));
        }
    }
}
