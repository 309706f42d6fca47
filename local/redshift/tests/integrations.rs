//! S3 event integrations: errors at once, and errors that Redshift reports later.
#![allow(clippy::expect_used, reason = "tests")]

use std::time::Duration;

use crate::support::{Answer, Local, REGION, SOURCE, TARGET};
use serde_json::json;

async fn create(local: &Local, account: &str, name: &str, bucket: &str, target: &str) -> Answer {
    let source = format!("arn:aws:s3:::{bucket}");
    let parameters = [("IntegrationName", name), ("SourceArn", source.as_str()), ("TargetArn", target)];
    local.redshift(account, "CreateIntegration", &parameters).await
}

/// Creates an integration that must fail later; returns code and text of its error.
async fn fails(local: &Local, bucket: &str, target: &str) -> (String, String) {
    let created = create(local, SOURCE, "files", bucket, target).await.ok();
    assert_eq!(created.text("Status").as_deref(), Some("creating"));
    let arn = created.text("IntegrationArn").expect("an ARN");
    let answer = local
        .until("failed", || async {
            let answer = local.redshift(SOURCE, "DescribeIntegrations", &[("IntegrationArn", &arn)]).await;
            (answer.text("Status").as_deref() == Some("failed")).then_some(answer)
        })
        .await;
    let inbound = local.redshift(TARGET, "DescribeInboundIntegrations", &[("TargetArn", target)]).await.ok();
    assert_eq!(inbound.text("ErrorMessage"), answer.text("ErrorMessage"), "the target sees the same");
    (answer.text("ErrorCode").expect("a code"), answer.text("ErrorMessage").expect("a message"))
}

#[tokio::test(flavor = "multi_thread")]
async fn integration_becomes_active_and_writes_its_notification() {
    let local = Local::start().await;
    let namespace = local.cluster().await;
    let arn = local.integration(&namespace, "files-a").await;
    assert_eq!(local.gateway.entries("files-a"), [json!(arn)]);
    let filter = [
        ("Filters.DescribeIntegrationsFilter.1.Name", "source-arn"),
        ("Filters.DescribeIntegrationsFilter.1.Values.Value.1", "arn:aws:s3:::files-a"),
    ];
    let found = local.redshift(SOURCE, "DescribeIntegrations", &filter).await.ok();
    assert_eq!(found.text("IntegrationArn").as_ref(), Some(&arn));
    let other = [filter[0], (filter[1].0, "arn:aws:s3:::files-b")];
    assert_eq!(
        local.redshift(SOURCE, "DescribeIntegrations", &other).await.ok().text("IntegrationArn"),
        None
    );
    let inbound =
        local.redshift(TARGET, "DescribeInboundIntegrations", &[("TargetArn", &namespace)]).await.ok();
    assert_eq!(
        (inbound.text("IntegrationArn"), inbound.text("Status").as_deref()),
        (Some(arn.clone()), Some("active"))
    );
    let foreign = local.redshift(TARGET, "DescribeIntegrations", &[("IntegrationArn", &arn)]).await;
    assert_eq!((foreign.status, foreign.code().as_str()), (404, "IntegrationNotFoundFault"));
    let unknown = local.redshift(SOURCE, "DescribeInboundIntegrations", &[("TargetArn", &namespace)]).await;
    assert_eq!(unknown.code(), "InvalidNamespaceFault");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_be_judged_at_once_is_refused_at_once() {
    let local = Local::start().await;
    let namespace = local.cluster().await;
    local.gateway.bucket("files-a", SOURCE);
    local.gateway.bucket("files.b", SOURCE);
    let missing_policy = create(&local, SOURCE, "files", "files-a", &namespace).await;
    assert_eq!((missing_policy.status, missing_policy.code().as_str()), (403, "AccessDenied"));
    assert!(missing_policy.body.contains("redshift:CreateInboundIntegration"));
    local.authorize_source(&namespace, "files-a").await;
    let elsewhere = namespace.replace(REGION, "eu-west-1");
    let unknown = "arn:aws:redshift:us-east-1:222222222222:namespace:00000000-0000-0000-0000-000000000000";
    for (account, name, bucket, target, code, words) in [
        (
            TARGET,
            "files",
            "files-a",
            namespace.as_str(),
            "IntegrationSourceNotFoundFault",
            "account of the bucket",
        ),
        (SOURCE, "files", "files.b", &namespace, "UnsupportedOperation", "contains a period"),
        (SOURCE, "files", "nowhere", &namespace, "IntegrationSourceNotFoundFault", "does not exist"),
        (SOURCE, "files", "files-a", &elsewhere, "IntegrationTargetNotFoundFault", "same Region"),
        (SOURCE, "files", "files-a", unknown, "IntegrationTargetNotFoundFault", "does not exist"),
        (SOURCE, "files", "files-a", "arn:aws:s3:::x", "InvalidParameterValue", "namespace"),
        (SOURCE, "my_files", "files-a", &namespace, "InvalidParameterValue", "single hyphens"),
    ] {
        let refused = create(&local, account, name, bucket, target).await;
        assert_eq!(refused.code(), code, "{}", refused.body);
        assert!(refused.body.contains(words), "{}", refused.body);
    }
    let source = [
        ("IntegrationName", "files"),
        ("SourceArn", "arn:aws:s3:::files-a"),
        ("TargetArn", namespace.as_str()),
    ];
    let region = local.redshift_in(SOURCE, "eu-west-1", "CreateIntegration", &source).await;
    assert_eq!(region.code(), "IntegrationSourceNotFoundFault");
    assert!(region.body.contains("Region of the bucket"), "{}", region.body);
    let context = [
        source[0],
        source[1],
        source[2],
        ("AdditionalEncryptionContext.entry.1.key", "a"),
        ("AdditionalEncryptionContext.entry.1.value", "b"),
    ];
    assert_eq!(local.redshift(SOURCE, "CreateIntegration", &context).await.code(), "InvalidParameterValue");
    local.gateway.deny("kms:CreateGrant");
    let key = [source[0], source[1], source[2], ("KMSKeyId", "arn:aws:kms:us-east-1:111111111111:key/k")];
    let refused = local.redshift(SOURCE, "CreateIntegration", &key).await;
    assert!(refused.code() == "AccessDenied" && refused.body.contains("kms:CreateGrant"), "{}", refused.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn integration_fails_without_a_namespace_policy() {
    let local = Local::start().await;
    let namespace = local.cluster().await;
    local.gateway.bucket("files-a", SOURCE);
    local.authorize_source(&namespace, "another-bucket").await;
    let (code, message) = fails(&local, "files-a", &namespace).await;
    assert_eq!(code, "AccessDenied");
    assert!(
        message.contains("redshift:AuthorizeInboundIntegration") && message.contains(SOURCE),
        "{message}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn integration_fails_without_a_bucket_policy() {
    let local = Local::start().await;
    let namespace = local.cluster().await;
    local.gateway.bucket("files-a", SOURCE);
    local.authorize_source(&namespace, "files-a").await;
    let right = local.gateway.state().buckets["files-a"].policy.clone().expect("a policy");
    let wrong_account = right
        .replace(&format!("\"aws:SourceAccount\":\"{SOURCE}\""), "\"aws:SourceAccount\":\"999999999999\"");
    let one_action = right.replace("\"s3:GetBucketNotification\",\"s3:PutBucketNotification\",", "");
    assert!(wrong_account != right && one_action != right);
    for (policy, words) in [
        (None, "s3:GetBucketNotification, s3:PutBucketNotification, s3:GetBucketLocation"),
        (Some(wrong_account), "s3:GetBucketNotification, s3:PutBucketNotification, s3:GetBucketLocation"),
        (Some(one_action), "s3:GetBucketNotification, s3:PutBucketNotification with"),
    ] {
        local.gateway.state().buckets.get_mut("files-a").expect("the bucket").policy = policy;
        let (code, message) = fails(&local, "files-a", &namespace).await;
        assert_eq!(code, "AccessDenied");
        assert!(message.contains(words), "{message}");
        let arn = local
            .redshift(SOURCE, "DescribeIntegrations", &[])
            .await
            .text("IntegrationArn")
            .expect("the failed one");
        local.redshift(SOURCE, "DeleteIntegration", &[("IntegrationArn", &arn)]).await.ok();
        local
            .until("its end", || async {
                let answer = local.redshift(SOURCE, "DescribeIntegrations", &[]).await;
                answer.text("IntegrationArn").is_none().then_some(())
            })
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn integration_fails_with_another_notification() {
    let local = Local::start().await;
    let namespace = local.cluster().await;
    local.gateway.bucket("files-a", SOURCE);
    local.authorize_source(&namespace, "files-a").await;
    let entry = json!({"Id": "theirs", "Events": ["s3:ObjectCreated:Put"]});
    local.gateway.state().buckets.get_mut("files-a").expect("the bucket").notifications.push(entry);
    let (_, message) = fails(&local, "files-a", &namespace).await;
    assert!(message.contains("already has an event notification for s3:ObjectCreated"), "{message}");
    assert_eq!(local.gateway.entries("files-a"), [json!("theirs")], "theirs stays, ours was not written");
}

#[tokio::test(flavor = "multi_thread")]
async fn integrations_are_unique_and_limited_to_fifty() {
    let local = Local::start().await;
    let namespace = local.cluster().await;
    local.gateway.bucket("files-a", SOURCE);
    local.gateway.bucket("files-b", SOURCE);
    local.authorize_source(&namespace, "files-a").await;
    create(&local, SOURCE, "files", "files-a", &namespace).await.ok();
    for (name, bucket) in [("other", "files-a"), ("files", "files-b")] {
        let refused = create(&local, SOURCE, name, bucket, &namespace).await;
        assert_eq!(refused.code(), "IntegrationAlreadyExistsFault", "{}", refused.body);
    }
    for number in 1..50 {
        let bucket = format!("bucket-{number}");
        local.gateway.bucket(&bucket, SOURCE);
        create(&local, SOURCE, &format!("files-{number}"), &bucket, &namespace).await.ok();
    }
    let refused = create(&local, SOURCE, "one-more", "files-b", &namespace).await;
    assert_eq!(refused.code(), "IntegrationQuotaExceededFault");
    let page = local.redshift(SOURCE, "DescribeIntegrations", &[("MaxRecords", "20")]).await.ok();
    assert_eq!(
        (page.body.matches("<Integration>").count(), page.text("Marker").as_deref()),
        (20, Some("20"))
    );
    let last =
        local.redshift(SOURCE, "DescribeIntegrations", &[("MaxRecords", "20"), ("Marker", "40")]).await.ok();
    assert_eq!((last.body.matches("<Integration>").count(), last.text("Marker")), (10, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn integration_cannot_change_while_creating_or_deleting() {
    // Longer than a request takes on a busy machine.
    let local = Local::with_integration_delay(Duration::from_secs(3)).await;
    let namespace = local.cluster().await;
    local.gateway.bucket("files-a", SOURCE);
    local.authorize_source(&namespace, "files-a").await;
    let created = create(&local, SOURCE, "files", "files-a", &namespace).await.ok();
    let arn = created.text("IntegrationArn").expect("an ARN");
    let early = local.redshift(SOURCE, "DeleteIntegration", &[("IntegrationArn", &arn)]).await;
    assert_eq!(early.code(), "IntegrationConflictStateFault");
    local.integration_status(&arn, "active").await;
    let change = [("IntegrationArn", arn.as_str()), ("Description", "d"), ("IntegrationName", "renamed")];
    let changed = local.redshift(SOURCE, "ModifyIntegration", &change).await.ok();
    assert_eq!(
        (changed.text("IntegrationName").as_deref(), changed.text("Description").as_deref()),
        (Some("renamed"), Some("d"))
    );
    let tags = [("ResourceName", arn.as_str()), ("Tags.Tag.1.Key", "stack"), ("Tags.Tag.1.Value", "s")];
    local.redshift(SOURCE, "CreateTags", &tags).await.ok();
    let described = local.redshift(SOURCE, "DescribeIntegrations", &[("IntegrationArn", &arn)]).await.ok();
    assert_eq!(described.text("Key").as_deref(), Some("stack"));
    let deleted = local.redshift(SOURCE, "DeleteIntegration", &[("IntegrationArn", &arn)]).await.ok();
    assert_eq!(deleted.text("Status").as_deref(), Some("deleting"));
    let again = local.redshift(SOURCE, "DeleteIntegration", &[("IntegrationArn", &arn)]).await;
    assert_eq!(again.code(), "IntegrationConflictOperationFault");
}
