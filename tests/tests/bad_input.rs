//! Bad input: the reason names the property or permission, the found and the expected value, and
//! the fix.
//!
//! The functions are called as CloudFormation calls them. `life_cycle.rs` shows that the reason
//! reaches the stack's events.

#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use cloud::{Cloud, Options, SECOND, SOURCE, TARGET, kit};
use end_to_end::{Answers, Function};
use serde_json::{Value, json};

/// The time limit of a response that needs no wait for new permissions.
const AT_ONCE: Duration = Duration::from_secs(20);

/// Returns `base` with the members of `change`.
fn with(base: &Value, change: Value) -> Value {
    let mut properties = base.clone();
    let (Value::Object(map), Value::Object(change)) = (&mut properties, change) else { panic!("maps") };
    map.extend(change);
    properties
}

/// Checks that a Create request fails at once with a reason that contains all of `parts`.
#[track_caller]
fn refused(function: &Function<'_>, properties: &Value, parts: &[&str]) {
    let started = Instant::now();
    let reason = function.refusal("Create", properties, None);
    for part in parts {
        assert!(reason.contains(part), "`{part}` is not in: {reason}");
    }
    assert!(started.elapsed() < AT_ONCE, "{:?} for: {reason}", started.elapsed());
}

#[test]
fn invalid_integration_fails_with_one_sentence() {
    let cloud = Cloud::start(&Options::default(), &|_| {}).unwrap();
    let no_wait = [("AccessGrantWaitSeconds", "0")];
    let warehouse = kit::warehouse(&cloud, &[]).unwrap();
    let target = kit::target(&cloud, &warehouse, &[SOURCE], &no_wait).unwrap();
    let source = kit::source(&cloud, SOURCE, &target, &no_wait).unwrap();
    let answers = Answers::start();
    let function =
        Function::unrestricted(&cloud, SOURCE, "sluice-source", "EventIntegrationFunction", &answers);
    let account = cloud.account(SOURCE);
    // The function's role may read every bucket here, because the cases are about the buckets and
    // not about its permissions.
    let role = account.physical_id("sluice-source", "EventIntegrationRole").unwrap();
    let policy = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Resource": "*", "Action": [
        "s3:GetBucketLocation", "s3:GetBucketNotification", "s3:GetBucketPolicy", "redshift:CreateInboundIntegration"]}]});
    let words = [
        ("RoleName", role.as_str()),
        ("PolicyName", "read-any-bucket"),
        ("PolicyDocument", &policy.to_string()),
    ];
    account.query("iam", "PutRolePolicy", &words).unwrap();

    let base = json!({
        "IntegrationName": "direct", "BucketName": source["BucketName"], "TargetArn": target["NamespaceArn"],
    });
    let bucket = |name: &str| with(&base, json!({"BucketName": name}));

    refused(
        &function,
        &bucket("with.period"),
        &["property `BucketName`", "\"with.period\" holds a period", "use a bucket without one"],
    );
    refused(
        &function,
        &bucket("nowhere-to-be-found"),
        &["property `BucketName`", "no bucket \"nowhere-to-be-found\""],
    );
    refused(
        &function,
        &with(&base, json!({"IntegrationName": "two--hyphens"})),
        &["property `IntegrationName`", "single hyphens"],
    );
    refused(
        &function,
        &with(&base, json!({"TargetArn": "arn:aws:redshift:us-east-1:222222222222:cluster:x"})),
        &["property `TargetArn`", "NamespaceArn"],
    );
    let elsewhere = target["NamespaceArn"].replace(cloud.region(), "eu-west-1");
    refused(
        &function,
        &with(&base, json!({"TargetArn": elsewhere})),
        &["property `TargetArn`", "eu-west-1", "one Region"],
    );
    refused(&function, &base, &["there is an integration between bucket", "AdoptExisting: true"]);
    refused(&function, &with(&base, json!({"Buckte": "x"})), &["`Buckte` is unknown"]);

    // A bucket without a policy, then one that already has a notification.
    account.create_bucket("no-policy").unwrap();
    refused(
        &function,
        &bucket("no-policy"),
        &[
            "the policy of bucket \"no-policy\" does not allow redshift.amazonaws.com",
            "s3:PutBucketNotification",
            "copy-source.yaml",
        ],
    );
    let allowed = |account_id: &str| {
        json!({"Version": "2012-10-17", "Statement": [{"Sid": "Redshift", "Effect": "Allow",
            "Principal": {"Service": "redshift.amazonaws.com"}, "Resource": "arn:aws:s3:::no-policy",
            "Action": ["s3:GetBucketNotification", "s3:PutBucketNotification", "s3:GetBucketLocation"],
            "Condition": {"StringEquals": {"aws:SourceAccount": account_id}}}]})
    };
    account.put_bucket_policy("no-policy", &allowed(SOURCE.account)).unwrap();
    refused(
        &function,
        &bucket("no-policy"),
        &[
            "the resource policy of the warehouse does not let this account",
            "SourceBuckets",
            "CreateInboundIntegration",
        ],
    );
    let arn = format!("arn:aws:sqs:{}:{}:taken", cloud.region(), SOURCE.account);
    let open = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"},
        "Action": "sqs:SendMessage", "Resource": arn}]});
    account
        .json("sqs", "CreateQueue", json!({"QueueName": "taken", "Attributes": {"Policy": open.to_string()}}))
        .unwrap();
    let taken = format!(
        "<NotificationConfiguration><QueueConfiguration><Id>mine</Id><Queue>{arn}</Queue><Event>s3:ObjectCreated:*</Event></QueueConfiguration></NotificationConfiguration>"
    );
    account.rest("s3", "PUT", "/no-policy?notification", &[], taken.as_bytes()).unwrap();
    refused(
        &function,
        &bucket("no-policy"),
        &["has a notification for s3:ObjectCreated:* already (id \"mine\")", "remove it"],
    );

    // Redshift reports a bucket policy whose condition names another account only after some time.
    account.create_bucket("wrong-conditions").unwrap();
    let mut policy = allowed(SECOND.account);
    policy["Statement"][0]["Resource"] = "arn:aws:s3:::wrong-conditions".into();
    account.put_bucket_policy("wrong-conditions", &policy).unwrap();
    kit::target(
        &cloud,
        &warehouse,
        &[SOURCE],
        &[("SourceBuckets", "wrong-conditions"), ("AccessGrantWaitSeconds", "0")],
    )
    .unwrap();
    let answer = function.call("Create", &bucket("wrong-conditions"), None);
    let reason = answer["Reason"].as_str().unwrap_or_default().to_owned();
    assert_eq!(answer["Status"], "FAILED", "{answer}");
    assert!(reason.contains("is failed: "), "{reason}");
    // The failed Create left an integration, and the Delete request with its id removes it.
    let id = answer["PhysicalResourceId"].as_str().unwrap();
    assert!(id.starts_with("sluice-event-integration:"), "{answer}");
    let deleted = function.call("Delete", &bucket("wrong-conditions"), Some(id));
    assert_eq!(deleted["Status"], "SUCCESS", "{deleted}");

    // The bucket belongs to another account.
    let other = kit::source(
        &cloud,
        SECOND,
        &target,
        &[("AccessGrantWaitSeconds", "0"), ("CreateBucket", "false"), ("BucketName", &source["BucketName"])],
    );
    let reason = other.unwrap_err().to_string();
    assert!(reason.contains("AccessDenied") || reason.contains("no bucket"), "{reason}");
}

#[test]
fn invalid_copy_job_fails_with_one_sentence() {
    let cloud = Cloud::start(&Options::default(), &|_| {}).unwrap();
    let warehouse = kit::warehouse(&cloud, &[]).unwrap();
    let target = kit::target(&cloud, &warehouse, &[SOURCE], &[]).unwrap();
    let source = kit::source(&cloud, SOURCE, &target, &[]).unwrap();
    kit::job(&cloud, "sluice-job", (&warehouse, &target, &source), &kit::SAMPLE_JOB).unwrap();
    let answers = Answers::start();
    let function = Function::unrestricted(&cloud, TARGET, "sluice-job", "CopyJobFunction", &answers);
    let base = json!({
        "ClusterIdentifier": warehouse["ClusterIdentifier"], "Database": warehouse["Database"],
        "WarehouseSecretArn": target["LoaderSecretArn"], "JobName": "direct", "TableName": "measurements", "Format": "CSV",
        "SourceBucket": source["BucketName"], "CopyRoleArn": target["CopyRoleArn"],
    });
    for (change, parts) in [
        (json!({"JobName": "my-job"}), &["property `JobName`", "holds a hyphen", "\"my_job\""][..]),
        (
            json!({"TableName": "absent"}),
            &["property `TableName`", "there is no table \"public\".\"absent\"", "CreateTable: true"],
        ),
        (
            json!({"Options": {"MaxError": "5"}}),
            &["property `Options.MaxError`", "a COPY JOB does not take this option"],
        ),
        (
            json!({"Options": {"Manifest": "true"}}),
            &["property `Options.Manifest`", "a job finds its files by the prefix"],
        ),
        (
            json!({"CopyRoleArn": "default"}),
            &["property `CopyRoleArn`", "default IAM role", "attached to the cluster"],
        ),
        (
            json!({"CopyRoleArn": "arn:aws:iam::222222222222:role/not-attached"}),
            &["property `CopyRoleArn`", "is not attached to cluster", "Custom::WarehouseRole"],
        ),
        (json!({"SourceBucket": "has.period"}), &["property `SourceBucket`", "holds a period"]),
        (
            json!({"SourceBucket": "not-integrated"}),
            &["property `SourceBucket`", "no integration brings the events of bucket \"not-integrated\""],
        ),
        (
            json!({"ClusterIdentifier": null, "WorkgroupName": null}),
            &["exactly one of `ClusterIdentifier` and `WorkgroupName`, found neither"],
        ),
        (
            json!({"Auto": "perhaps"}),
            &["property `Auto`: expected true or false, found the string \"perhaps\""],
        ),
        (json!({"Format": "XLSX"}), &["property `Format`: expected one of CSV, DELIMITED"]),
        (
            json!({"AdoptExisting": "true", "JobName": "unseen"}),
            &["property `JobName`", "there is no job \"unseen\""],
        ),
    ] {
        refused(&function, &with(&base, change), parts);
    }
    // Unusual but valid names are quoted when the table is created and dropped.
    let strange = "we\"ird; -- table \\ 🦀 /* ' */";
    let properties = with(
        &base,
        json!({"TableName": strange, "CreateTable": "true", "TableColumns": ["\"co\"\"l;\" integer"]}),
    );
    let id = function.create(&properties);
    let database = kit::database(&cloud, &warehouse);
    let found = database
        .query("SELECT table_name FROM information_schema.tables WHERE table_name LIKE 'we%'")
        .unwrap();
    assert_eq!(found.rows, [[Some(strange.to_owned())]]);
    assert_eq!(function.call("Delete", &properties, Some(&id))["Status"], "SUCCESS");
}
