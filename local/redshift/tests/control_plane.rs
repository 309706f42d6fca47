//! Clusters, roles, tags, groups, policies, Serverless.
#![allow(clippy::expect_used, reason = "tests")]

use crate::support::{Local, PASSWORD, ROLE, SOURCE, TARGET};
use serde_json::{Value, json};

const NEW: [(&str, &str); 4] = [
    ("ClusterIdentifier", "c1"),
    ("NodeType", "ra3.large"),
    ("MasterUsername", "admin"),
    ("MasterUserPassword", PASSWORD),
];

/// Logs in over the wire port; returns the database user of the session.
async fn log_in_as(port: &str, user: &str, password: &str) -> Result<String, tokio_postgres::Error> {
    let mut config = tokio_postgres::Config::new();
    config.host("127.0.0.1").port(port.parse().expect("a port")).user(user).password(password).dbname("dev");
    let (client, connection) = config.connect(tokio_postgres::NoTls).await?;
    tokio::spawn(connection);
    Ok(client.query_one("SELECT current_user::text", &[]).await?.get(0))
}

async fn log_in(port: &str, password: &str) -> Result<String, tokio_postgres::Error> {
    log_in_as(port, "admin", password).await
}

#[tokio::test(flavor = "multi_thread")]
async fn cluster_becomes_available_at_a_real_endpoint() {
    let local = Local::start().await;
    let created = local.redshift(TARGET, "CreateCluster", &NEW).await.ok();
    assert_eq!(created.text("ClusterStatus").as_deref(), Some("creating"));
    let again = local.redshift(TARGET, "CreateCluster", &NEW).await;
    assert_eq!((again.status, again.code().as_str()), (400, "ClusterAlreadyExists"));
    let described = local.cluster_status("available").await;
    assert_eq!(described.text("Address").as_deref(), Some("127.0.0.1"));
    log_in(&described.text("Port").expect("a port"), PASSWORD).await.expect("the password logs in");
    assert!(log_in(&described.text("Port").expect("a port"), "Wrong-123").await.is_err());
    let arn = described.text("ClusterNamespaceArn").expect("an ARN");
    assert!(arn.starts_with("arn:aws:redshift:us-east-1:222222222222:namespace:"), "{arn}");
    let unknown = local.redshift(TARGET, "DescribeClusters", &[("ClusterIdentifier", "other")]).await;
    assert_eq!((unknown.status, unknown.code().as_str()), (404, "ClusterNotFound"));
    let elsewhere = local.redshift(SOURCE, "DescribeClusters", &[]).await.ok();
    assert_eq!(elsewhere.text("ClusterIdentifier"), None, "another account has none");
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_cluster_parameters_are_rejected() {
    let local = Local::start().await;
    for (name, value, code) in [
        ("ClusterIdentifier", "a--b", "InvalidParameterValue"),
        ("MasterUserPassword", "short", "InvalidParameterValue"),
        ("MasterUsername", "Admin", "InvalidParameterValue"),
        ("DBName", "template1", "InvalidParameterValue"),
        ("ClusterSubnetGroupName", "none", "ClusterSubnetGroupNotFoundFault"),
        ("ClusterParameterGroupName", "none", "ClusterParameterGroupNotFound"),
        ("ManageMasterPassword", "true", "UnsupportedOperation"),
    ] {
        let mut parameters = NEW.to_vec();
        parameters.retain(|(known, _)| *known != name);
        parameters.push((name, value));
        let refused = local.redshift(TARGET, "CreateCluster", &parameters).await;
        assert_eq!(refused.code(), code, "{name}: {}", refused.body);
    }
    let missing = local.redshift(TARGET, "CreateCluster", &NEW[..1]).await;
    assert_eq!(missing.code(), "MissingParameter");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_administrators_password_is_pending_before_it_logs_in() {
    let local = Local::start().await;
    local.cluster().await;
    let change = [("ClusterIdentifier", "c1"), ("MasterUserPassword", "Another-123")];
    let answer = local.redshift(TARGET, "ModifyCluster", &change).await.ok();
    assert_eq!(answer.text("MasterUserPassword").as_deref(), Some("****"));
    assert_eq!(answer.text("ClusterStatus").as_deref(), Some("available"), "the status proves nothing");
    let port = answer.text("Port").expect("a port");
    log_in(&port, PASSWORD).await.expect("the old password still logs in");
    local
        .until("the password applied", || async {
            let answer = local.redshift(TARGET, "DescribeClusters", &[]).await;
            answer.text("MasterUserPassword").is_none().then_some(())
        })
        .await;
    log_in(&port, "Another-123").await.expect("the new password logs in");
    assert!(log_in(&port, PASSWORD).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn resumed_cluster_has_the_same_port() {
    let local = Local::start().await;
    local.cluster().await;
    local.sql("CREATE TABLE kept AS SELECT 1 AS id").await;
    let paused = local.redshift(TARGET, "PauseCluster", &[("ClusterIdentifier", "c1")]).await.ok();
    assert_eq!(paused.text("ClusterStatus").as_deref(), Some("pausing"));
    let port = local.cluster_status("paused").await.text("Port").expect("a port");
    assert!(log_in(&port, PASSWORD).await.is_err());
    for action in ["PauseCluster", "ModifyCluster"] {
        let refused = local.redshift(TARGET, action, &[("ClusterIdentifier", "c1")]).await;
        assert_eq!(refused.code(), "InvalidClusterState", "{action}");
    }
    let roles = [("ClusterIdentifier", "c1"), ("AddIamRoles.IamRoleArn.1", ROLE)];
    assert_eq!(local.redshift(TARGET, "ModifyClusterIamRoles", &roles).await.code(), "InvalidClusterState");
    local.redshift(TARGET, "ResumeCluster", &[("ClusterIdentifier", "c1")]).await.ok();
    assert_eq!(local.cluster_status("available").await.text("Port"), Some(port));
    assert_eq!(local.rows("SELECT id FROM kept").await, [["1"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_cluster_is_not_found() {
    let local = Local::start().await;
    local.cluster().await;
    let name = ("ClusterIdentifier", "c1");
    assert_eq!(local.redshift(TARGET, "DeleteCluster", &[name]).await.code(), "InvalidParameterCombination");
    let snapshot =
        local.redshift(TARGET, "DeleteCluster", &[name, ("FinalClusterSnapshotIdentifier", "s")]).await;
    assert_eq!(snapshot.code(), "UnsupportedOperation");
    let answer =
        local.redshift(TARGET, "DeleteCluster", &[name, ("SkipFinalClusterSnapshot", "true")]).await.ok();
    assert_eq!(answer.text("ClusterStatus").as_deref(), Some("deleting"));
    local
        .until("ClusterNotFound", || async {
            (local.redshift(TARGET, "DescribeClusters", &[name]).await.code() == "ClusterNotFound")
                .then_some(())
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cluster_role_goes_through_its_states_and_needs_pass_role() {
    let local = Local::start().await;
    local.cluster().await;
    let add = [("ClusterIdentifier", "c1"), ("AddIamRoles.IamRoleArn.1", ROLE)];
    local.gateway.deny("iam:PassRole");
    let refused = local.redshift(TARGET, "ModifyClusterIamRoles", &add).await;
    assert_eq!((refused.status, refused.code().as_str()), (403, "AccessDenied"));
    assert!(refused.body.contains("iam:PassRole"), "{}", refused.body);
    let question = local.gateway.state().asked.last().expect("asked").clone();
    assert_eq!(question["context"], json!({"iam:PassedToService": "redshift.amazonaws.com"}));
    local.gateway.state().denied.clear();
    let answer = local.redshift(TARGET, "ModifyClusterIamRoles", &add).await.ok();
    assert_eq!(answer.text("ApplyStatus").as_deref(), Some("adding"));
    let status = |wanted: Option<&'static str>| {
        let local = &local;
        async move {
            local
                .until("the role's status", || async {
                    let found = local.redshift(TARGET, "DescribeClusters", &[]).await.text("ApplyStatus");
                    (found.as_deref() == wanted).then_some(())
                })
                .await;
        }
    };
    status(Some("in-sync")).await;
    let remove = [("ClusterIdentifier", "c1"), ("RemoveIamRoles.IamRoleArn.1", ROLE)];
    let answer = local.redshift(TARGET, "ModifyClusterIamRoles", &remove).await.ok();
    assert_eq!(answer.text("ApplyStatus").as_deref(), Some("removing"));
    status(None).await;
    let bad = [("ClusterIdentifier", "c1"), ("AddIamRoles.IamRoleArn.1", "default")];
    assert_eq!(local.redshift(TARGET, "ModifyClusterIamRoles", &bad).await.code(), "InvalidParameterValue");
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_are_set_listed_and_removed() {
    let local = Local::start().await;
    let namespace = local.cluster().await;
    let cluster = "arn:aws:redshift:us-east-1:222222222222:cluster:c1";
    for resource in [cluster, namespace.as_str()] {
        let tags = [("ResourceName", resource), ("Tags.Tag.1.Key", "owner"), ("Tags.Tag.1.Value", "<us>")];
        local.redshift(TARGET, "CreateTags", &tags).await.ok();
        let listed = local.redshift(TARGET, "DescribeTags", &[("ResourceName", resource)]).await.ok();
        assert_eq!(
            (listed.text("Key").as_deref(), listed.text("Value").as_deref()),
            (Some("owner"), Some("<us>"))
        );
        local
            .redshift(TARGET, "DeleteTags", &[("ResourceName", resource), ("TagKeys.TagKey.1", "owner")])
            .await
            .ok();
        let listed = local.redshift(TARGET, "DescribeTags", &[("ResourceName", resource)]).await.ok();
        assert_eq!(listed.text("Key"), None);
    }
    let reserved = [("ResourceName", cluster), ("Tags.Tag.1.Key", "aws:x"), ("Tags.Tag.1.Value", "1")];
    assert_eq!(local.redshift(TARGET, "CreateTags", &reserved).await.code(), "InvalidTagFault");
    let missing = local
        .redshift(
            TARGET,
            "DescribeTags",
            &[("ResourceName", "arn:aws:redshift:us-east-1:222222222222:cluster:no")],
        )
        .await;
    assert_eq!((missing.status, missing.code().as_str()), (404, "ResourceNotFoundFault"));
}

#[tokio::test(flavor = "multi_thread")]
async fn temporary_credentials_log_in_as_user_or_caller() {
    let local = Local::start().await;
    local.cluster().await;
    let port = local.cluster_status("available").await.text("Port").expect("a port");
    let get = async |action: &str, parameters: &[(&str, &str)]| {
        let mut all = vec![("ClusterIdentifier", "c1"), ("DbName", "dev")];
        all.extend(parameters);
        let answer = local.redshift(TARGET, action, &all).await.ok();
        (answer.text("DbUser").expect("a user"), answer.text("DbPassword").expect("a password"))
    };
    let (user, password) = get("GetClusterCredentials", &[("DbUser", "admin")]).await;
    assert_eq!(user, "IAM:admin");
    assert_eq!(log_in_as(&port, &user, &password).await.expect("it logs in"), "admin");
    let (user, password) = get("GetClusterCredentials", &[("DbUser", "nobody_yet")]).await;
    assert!(log_in_as(&port, &user, &password).await.is_err(), "a user that is not there");
    let (user, password) =
        get("GetClusterCredentials", &[("DbUser", "nobody_yet"), ("AutoCreate", "true")]).await;
    assert_eq!(user, "IAMA:nobody_yet");
    assert_eq!(log_in_as(&port, &user, &password).await.expect("it logs in"), "nobody_yet");
    let (user, password) = get("GetClusterCredentialsWithIAM", &[]).await;
    assert_eq!(log_in_as(&port, &user, &password).await.expect("it logs in"), "IAM:root");
    let short = [("ClusterIdentifier", "c1"), ("DbUser", "admin"), ("DurationSeconds", "60")];
    assert_eq!(local.redshift(TARGET, "GetClusterCredentials", &short).await.code(), "InvalidParameterValue");
}

#[tokio::test(flavor = "multi_thread")]
async fn audit_logging_needs_a_writable_bucket() {
    let local = Local::start().await;
    local.cluster().await;
    let name = ("ClusterIdentifier", "c1");
    let enable =
        async |parameters: &[(&str, &str)]| local.redshift(TARGET, "EnableLogging", parameters).await;
    let s3 = [name, ("BucketName", "logs"), ("S3KeyPrefix", "redshift/")];
    assert_eq!(enable(&s3).await.code(), "BucketNotFoundFault");
    local.gateway.bucket("logs", TARGET);
    let refused = enable(&s3).await;
    assert_eq!(refused.code(), "InsufficientS3BucketPolicyFault");
    assert!(refused.body.contains("s3:GetBucketAcl"), "{}", refused.body);
    let policy = json!({"Statement": [{"Effect": "Allow", "Principal": {"Service": "redshift.amazonaws.com"},
        "Action": ["s3:GetBucketAcl", "s3:PutObject"], "Resource": "*"}]});
    local.gateway.state().buckets.get_mut("logs").expect("the bucket").policy = Some(policy.to_string());
    enable(&s3).await.ok();
    let status = local.redshift(TARGET, "DescribeLoggingStatus", &[name]).await.ok();
    assert_eq!(
        (status.text("LoggingEnabled").as_deref(), status.text("BucketName").as_deref()),
        (Some("true"), Some("logs"))
    );
    assert_eq!(enable(&[name, ("LogDestinationType", "cloudwatch")]).await.code(), "InvalidParameterValue");
    enable(&[name, ("LogDestinationType", "cloudwatch"), ("LogExports.member.1", "userlog")]).await.ok();
    local.redshift(TARGET, "DisableLogging", &[name]).await.ok();
    let status = local.redshift(TARGET, "DescribeLoggingStatus", &[name]).await.ok();
    assert_eq!(status.text("LoggingEnabled").as_deref(), Some("false"));
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_in_use_cannot_be_deleted() {
    let local = Local::start().await;
    let subnets = [
        ("ClusterSubnetGroupName", "subnets"),
        ("Description", "d"),
        ("SubnetIds.SubnetIdentifier.1", "subnet-1"),
        ("SubnetIds.SubnetIdentifier.2", "subnet-2"),
    ];
    local.redshift(TARGET, "CreateClusterSubnetGroup", &subnets).await.ok();
    assert_eq!(
        local.redshift(TARGET, "CreateClusterSubnetGroup", &subnets).await.code(),
        "ClusterSubnetGroupAlreadyExists"
    );
    let group = [
        ("ParameterGroupName", "parameters"),
        ("ParameterGroupFamily", "redshift-1.0"),
        ("Description", "d"),
    ];
    local.redshift(TARGET, "CreateClusterParameterGroup", &group).await.ok();
    let set = [
        ("ParameterGroupName", "parameters"),
        ("Parameters.Parameter.1.ParameterName", "require_ssl"),
        ("Parameters.Parameter.1.ParameterValue", "true"),
    ];
    local.redshift(TARGET, "ModifyClusterParameterGroup", &set).await.ok();
    let listed = local
        .redshift(TARGET, "DescribeClusterParameters", &[("ParameterGroupName", "parameters")])
        .await
        .ok();
    assert_eq!(listed.text("ParameterName").as_deref(), Some("require_ssl"));
    let mut cluster = NEW.to_vec();
    cluster.push(("ClusterSubnetGroupName", "subnets"));
    cluster.push(("ClusterParameterGroupName", "parameters"));
    local.redshift(TARGET, "CreateCluster", &cluster).await.ok();
    let used =
        local.redshift(TARGET, "DeleteClusterSubnetGroup", &[("ClusterSubnetGroupName", "subnets")]).await;
    assert_eq!(used.code(), "InvalidClusterSubnetGroupStateFault");
    let used =
        local.redshift(TARGET, "DeleteClusterParameterGroup", &[("ParameterGroupName", "parameters")]).await;
    assert_eq!(used.code(), "InvalidClusterParameterGroupState");
    local.cluster_status("available").await;
    let unused = [("ClusterSubnetGroupName", "unused"), ("Description", "d")];
    local.redshift(TARGET, "CreateClusterSubnetGroup", &unused).await.ok();
    local.redshift(TARGET, "DeleteClusterSubnetGroup", &unused[..1]).await.ok();
    let gone = local.redshift(TARGET, "DescribeClusterSubnetGroups", &unused[..1]).await;
    assert_eq!(gone.code(), "ClusterSubnetGroupNotFoundFault");
}

#[tokio::test(flavor = "multi_thread")]
async fn resource_policy_is_replaced_and_reformatted() {
    let local = Local::start().await;
    let namespace = local.cluster().await;
    let named = [("ResourceArn", namespace.as_str())];
    let none = local.redshift(TARGET, "GetResourcePolicy", &named).await;
    assert_eq!((none.status, none.code().as_str()), (404, "ResourceNotFoundFault"));
    local.authorize_source(&namespace, "files-a").await;
    local.authorize_source(&namespace, "files-b").await;
    let stored =
        local.redshift(TARGET, "GetResourcePolicy", &named).await.ok().text("Policy").expect("a policy");
    assert!(!stored.contains("files-a"), "replaced: {stored}");
    let stored: Value = serde_json::from_str(&stored).expect("JSON");
    assert_eq!(stored["Statement"][1]["Principal"]["AWS"], "arn:aws:iam::111111111111:root");
    let bad = local.redshift(TARGET, "PutResourcePolicy", &[named[0], ("Policy", "{}")]).await;
    assert_eq!(bad.code(), "InvalidPolicyFault");
    let foreign = local.redshift(SOURCE, "GetResourcePolicy", &named).await;
    assert_eq!(foreign.code(), "ResourceNotFoundFault");
    local.post("/internal/switches", &[], json!({"policy_conflicts": 1}).to_string()).await;
    let policy = stored.to_string();
    let put = [named[0], ("Policy", policy.as_str())];
    let conflict = local.redshift(TARGET, "PutResourcePolicy", &put).await;
    assert_eq!((conflict.status, conflict.code().as_str()), (409, "ConflictPolicyUpdateFault"));
    local.redshift(TARGET, "PutResourcePolicy", &put).await.ok();
    local.redshift(TARGET, "DeleteResourcePolicy", &named).await.ok();
    assert_eq!(local.redshift(TARGET, "GetResourcePolicy", &named).await.code(), "ResourceNotFoundFault");
}

const NEXT_PASSWORD: &str = "Secret-456";

#[tokio::test(flavor = "multi_thread")]
async fn serverless_namespace_runs_with_its_workgroup() {
    let local = Local::start().await;
    let call =
        async |operation: &str, input: Value| local.json("redshift-serverless", operation, input).await;
    let name = json!({"namespaceName": "ns-1"});
    let missing = call("GetNamespace", name.clone()).await;
    assert_eq!(missing.code(), "ResourceNotFoundException");
    let create = json!({"namespaceName": "ns-1", "adminUsername": "admin", "adminUserPassword": PASSWORD, "dbName": "dev",
        "iamRoles": [ROLE], "tags": [{"key": "owner", "value": "us"}]});
    let made = call("CreateNamespace", create.clone()).await.json();
    assert_eq!(call("CreateNamespace", create).await.code(), "ConflictException");
    let roles = &made["namespace"]["iamRoles"];
    assert_eq!(*roles, json!([format!("IamRole(applyStatus=adding, iamRoleArn={ROLE})")]));
    let arn = made["namespace"]["namespaceArn"].as_str().expect("an ARN").to_owned();
    assert!(arn.starts_with("arn:aws:redshift-serverless:us-east-1:222222222222:namespace/"), "{arn}");
    let tags = call("ListTagsForResource", json!({"resourceArn": arn})).await.json();
    assert_eq!(tags["tags"], json!([{"key": "owner", "value": "us"}]));
    call("UntagResource", json!({"resourceArn": arn, "tagKeys": ["owner"]})).await.ok();
    call("TagResource", json!({"resourceArn": arn, "tags": [{"key": "new", "value": ""}]})).await.ok();
    assert_eq!(
        call("ListTagsForResource", json!({"resourceArn": arn})).await.json()["tags"],
        json!([{"key": "new", "value": ""}])
    );
    local.authorize_source(&arn, "files-a").await;
    local.redshift(TARGET, "GetResourcePolicy", &[("ResourceArn", &arn)]).await.ok();
    call("CreateWorkgroup", json!({"workgroupName": "wg-1", "namespaceName": "ns-1"})).await.ok();
    assert_eq!(call("DeleteNamespace", name.clone()).await.code(), "ConflictException");
    let port = local
        .until("AVAILABLE", || async {
            let found = call("GetWorkgroup", json!({"workgroupName": "wg-1"})).await.json();
            (found["workgroup"]["status"] == "AVAILABLE")
                .then(|| found["workgroup"]["endpoint"]["port"].to_string())
        })
        .await;
    log_in(&port, PASSWORD).await.expect("the password logs in");
    let own = call("GetCredentials", json!({"workgroupName": "wg-1", "dbName": "dev"})).await.json();
    let (user, password) =
        (own["dbUser"].as_str().expect("a user"), own["dbPassword"].as_str().expect("a password"));
    assert_eq!(log_in_as(&port, user, password).await.expect("it logs in"), "IAM:root");
    for lone in [json!({"adminUserPassword": PASSWORD}), json!({"adminUsername": "admin"})] {
        let mut input = name.clone();
        input.as_object_mut().expect("an object").extend(lone.as_object().expect("an object").clone());
        assert_eq!(call("UpdateNamespace", input).await.code(), "ValidationException");
    }
    let both = json!({"namespaceName": "ns-1", "adminUsername": "admin", "adminUserPassword": NEXT_PASSWORD});
    call("UpdateNamespace", both).await.ok();
    local
        .until("the new password", || async { log_in(&port, NEXT_PASSWORD).await.is_ok().then_some(()) })
        .await;
    let alone = call("UpdateNamespace", json!({"namespaceName": "ns-1", "iamRoles": []})).await;
    assert_eq!((alone.status, alone.code().as_str()), (400, "ValidationException"));
    assert!(alone.body.contains("iamRoles and defaultIamRoleArn must be updated together"), "{}", alone.body);
    let roles = |list: Value| json!({"namespaceName": "ns-1", "iamRoles": list, "defaultIamRoleArn": ROLE});
    let kept = call("UpdateNamespace", roles(json!([ROLE]))).await.json();
    assert_eq!(kept["namespace"]["defaultIamRoleArn"], ROLE);
    // The list is judged as a whole: also a role that stays, and without iam:PassedToService.
    local.gateway.deny("iam:PassRole");
    let refused = call("UpdateNamespace", roles(json!([ROLE]))).await;
    assert_eq!((refused.status, refused.code().as_str()), (403, "AccessDeniedException"), "{}", refused.body);
    assert!(refused.body.contains("iam:PassRole"), "{}", refused.body);
    let question = local.gateway.state().asked.last().expect("asked").clone();
    assert_eq!((&question["resource"], &question["context"]), (&json!(ROLE), &json!({})));
    local.gateway.state().denied.clear();
    let none = json!({"namespaceName": "ns-1", "iamRoles": [], "defaultIamRoleArn": ""});
    let removed = call("UpdateNamespace", none).await.json();
    assert!(removed["namespace"].get("defaultIamRoleArn").is_none(), "{removed}");
    assert_eq!(
        removed["namespace"]["iamRoles"],
        json!([format!("IamRole(applyStatus=removing, iamRoleArn={ROLE})")])
    );
    call("DeleteWorkgroup", json!({"workgroupName": "wg-1"})).await.ok();
    local
        .until("no workgroup", || async {
            let answer = call("GetWorkgroup", json!({"workgroupName": "wg-1"})).await;
            (answer.code() == "ResourceNotFoundException").then_some(())
        })
        .await;
    assert!(log_in(&port, NEXT_PASSWORD).await.is_err(), "without a workgroup nothing listens");
    assert_eq!(
        call("ListNamespaces", json!({})).await.json()["namespaces"].as_array().map(Vec::len),
        Some(1)
    );
    call("DeleteNamespace", name.clone()).await.ok();
    assert_eq!(call("GetNamespace", name).await.code(), "ResourceNotFoundException");
}
