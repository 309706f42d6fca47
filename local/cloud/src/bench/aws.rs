//! The AWS responses for the functions that are measured: one secret that has rotated, and nothing
//! else.
//!
//! Members are those of the services' API references. In an account without resources every
//! response is short, so that the measurement is of the function and its client.

use serde_json::{Value, json};

/// The secret of every rotation that is measured.
pub(super) const SECRET: &str = "arn:aws:secretsmanager:us-east-1:111111111111:secret:bench-AbCdEf";
/// Its only version, which has AWSCURRENT because its rotation has ended.
pub(super) const VERSION: &str = "00000000-0000-0000-0000-000000000001";

/// Returns the response to an action by its `X-Amz-Target`, or `None` for an unexpected action.
pub(super) fn answer(target: &str) -> Option<Value> {
    Some(match target {
        "secretsmanager.DescribeSecret" => json!({
            "ARN": SECRET, "Name": "bench", "RotationEnabled": true, "VersionIdsToStages": {VERSION: ["AWSCURRENT"]},
        }),
        "secretsmanager.ListSecrets" => json!({"SecretList": []}),
        "DynamoDB_20120810.Query" => json!({"Items": [], "Count": 0, "ScannedCount": 0}),
        "DynamoDB_20120810.BatchGetItem" => json!({"Responses": {}, "UnprocessedKeys": {}}),
        "DynamoDB_20120810.GetItem"
        | "DynamoDB_20120810.PutItem"
        | "DynamoDB_20120810.TransactWriteItems" => json!({}),
        "AmazonSQS.ReceiveMessage" => json!({}),
        "AmazonSQS.GetQueueAttributes" => {
            json!({"Attributes": {"ApproximateNumberOfMessages": "0", "QueueArn": "arn:aws:sqs:us-east-1:111111111111:bench"}})
        }
        "RedshiftData.BatchExecuteStatement" => json!({
            "Id": "00000000-0000-0000-0000-000000000002", "ClusterIdentifier": "bench", "Database": "dev", "DbUser": "bench",
            "CreatedAt": 1_700_000_000.0,
        }),
        _ => return None,
    })
}
