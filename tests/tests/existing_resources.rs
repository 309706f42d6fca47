//! Stacks that use an existing cluster, bucket and role, which stay unchanged when the stacks are
//! deleted.

#![allow(clippy::unwrap_used)]

use cloud::wait::{self, Seen};
use cloud::{Cloud, Options, SOURCE, TARGET, sql::Database};
use end_to_end::PATIENCE;
use serde_json::{Value, json};

/// Returns parameters with one more.
fn with<'a>(parameters: &[(&'a str, &'a str)], more: (&'a str, &'a str)) -> Vec<(&'a str, &'a str)> {
    parameters.iter().copied().chain([more]).collect()
}

#[test]
fn existing_cluster_bucket_and_role_are_used_and_kept() {
    let cloud = Cloud::start(&Options::default(), &|_| {}).unwrap();
    let (target, source) = (cloud.account(TARGET), cloud.account(SOURCE));

    // Resources without a stack: a cluster with its secret and an attached role, a bucket with a
    // policy, and a table with a row.
    let words = [
        ("ClusterIdentifier", "by-hand"),
        ("NodeType", "ra3.large"),
        ("ClusterType", "single-node"),
        ("MasterUsername", "admin"),
        ("MasterUserPassword", "By-hand-1"),
        ("DBName", "dev"),
    ];
    target.query("redshift", "CreateCluster", &words).unwrap();
    let cluster = [("ClusterIdentifier", "by-hand")];
    wait::until("the cluster", PATIENCE, || {
        let status =
            target.query("redshift", "DescribeClusters", &cluster)?.text("ClusterStatus").unwrap_or_default();
        Ok(if status == "available" { Seen::Yes(()) } else { Seen::NotYet(status) })
    })
    .unwrap();
    let value = json!({"username": "admin", "password": "By-hand-1", "dbClusterIdentifier": "by-hand"});
    let secret = json!({"Name": "by-hand", "SecretString": value.to_string()});
    let secret =
        target.json("secretsmanager", "CreateSecret", secret).unwrap()["ARN"].as_str().unwrap().to_owned();
    let trust = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"redshift.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;
    let words = [("RoleName", "by-hand"), ("AssumeRolePolicyDocument", trust)];
    let role = target.query("iam", "CreateRole", &words).unwrap().text("Arn").unwrap();
    let may_read = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket"],
        "Resource": ["arn:aws:s3:::by-hand", "arn:aws:s3:::by-hand/*"]}]});
    let words = [("RoleName", "by-hand"), ("PolicyName", "read"), ("PolicyDocument", &may_read.to_string())];
    target.query("iam", "PutRolePolicy", &words).unwrap();
    let words = [("ClusterIdentifier", "by-hand"), ("AddIamRoles.IamRoleArn.1", &role)];
    target.query("redshift", "ModifyClusterIamRoles", &words).unwrap();
    source.create_bucket("by-hand").unwrap();
    let foreign = json!({"Version": "2012-10-17", "Id": "mine", "Statement": [{"Sid": "Mine", "Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::444444444444:root"}, "Action": "s3:GetObject", "Resource": "arn:aws:s3:::by-hand/shared/*"}]});
    source.put_bucket_policy("by-hand", &foreign).unwrap();
    let database = Database::new(
        cloud.account(TARGET),
        json!({"ClusterIdentifier": "by-hand", "Database": "dev", "SecretArn": secret}),
    );
    database.query("CREATE TABLE kept (id integer, name varchar(20))").unwrap();
    database.query("INSERT INTO kept VALUES (0, 'by hand')").unwrap();
    wait::until("the role in sync", PATIENCE, || {
        let status =
            target.query("redshift", "DescribeClusters", &cluster)?.text("ApplyStatus").unwrap_or_default();
        Ok(if status == "in-sync" { Seen::Yes(()) } else { Seen::NotYet(status) })
    })
    .unwrap();

    // Without `AdoptExistingRole` the deployment is rejected.
    let mut parameters = vec![
        ("ClusterIdentifier", "by-hand"),
        ("SourceAccounts", SOURCE.account),
        ("SourceBuckets", "by-hand"),
        ("CopyRoleArn", role.as_str()),
    ];
    let refused = target.deploy("sluice-target", "copy-target", &parameters).unwrap_err().to_string();
    assert!(refused.contains("AdoptExisting: true"), "{refused}");
    target.delete_stack("sluice-target").unwrap();

    parameters.push(("AdoptExistingRole", "true"));
    let made = target.deploy("sluice-target", "copy-target", &parameters).unwrap();
    let source_parameters = [
        ("BucketName", "by-hand"),
        ("CreateBucket", "false"),
        ("TargetNamespaceArn", made["NamespaceArn"].as_str()),
        ("CopyRoleArn", &role),
    ];
    source.deploy("sluice-source", "copy-source", &source_parameters).unwrap();
    let job_parameters = [
        ("ClusterIdentifier", "by-hand"),
        ("Database", "dev"),
        ("WarehouseSecretArn", secret.as_str()),
        ("CopyRoleArn", &role),
        ("SourceBucket", "by-hand"),
        ("JobName", "load_kept"),
        ("TableName", "kept"),
        ("Format", "CSV"),
    ];
    target.deploy("sluice-job", "copy-job", &job_parameters).unwrap();

    source.put_object("by-hand", "a.csv", b"1,one\n2,two\n").unwrap();
    wait::until("three rows", PATIENCE, || {
        let rows = database.query("SELECT id FROM kept")?.rows;
        Ok(if rows.len() == 3 { Seen::Yes(()) } else { Seen::NotYet(format!("{rows:?}")) })
    })
    .unwrap();

    // Two more stacks adopt the integration and the job, and leave both when they are deleted.
    let integrations =
        || source.query("redshift", "DescribeIntegrations", &[]).unwrap().all("IntegrationArn").len();
    let adopting = with(&source_parameters, ("AdoptExistingIntegration", "true"));
    source.deploy("sluice-adopts", "copy-source", &adopting).unwrap();
    // The column is blank-padded.
    let jobs = || database.query("SELECT trim(job_name) FROM sys_copy_job").unwrap().rows;
    let name = jobs()[0][0].clone().unwrap();
    let mut adopting = with(&job_parameters, ("AdoptExistingJob", "true"));
    adopting.retain(|(parameter, _)| *parameter != "JobName");
    adopting.push(("JobName", name.as_str()));
    target.deploy("sluice-adopts-job", "copy-job", &adopting).unwrap();
    assert_eq!(integrations(), 1);
    target.delete_stack("sluice-adopts-job").unwrap();
    source.delete_stack("sluice-adopts").unwrap();
    assert_eq!(integrations(), 1);
    assert_eq!(jobs(), [[Some(name)]]);
    source.put_object("by-hand", "b.csv", b"3,three\n").unwrap();
    wait::until("four rows", PATIENCE, || {
        let rows = database.query("SELECT id FROM kept")?.rows;
        Ok(if rows.len() == 4 { Seen::Yes(()) } else { Seen::NotYet(format!("{rows:?}")) })
    })
    .unwrap();

    for (account, stack) in [(&target, "sluice-job"), (&source, "sluice-source"), (&target, "sluice-target")]
    {
        account.delete_stack(stack).unwrap();
    }
    assert_eq!(database.query("SELECT id FROM kept ORDER BY id").unwrap().rows.len(), 4);
    assert_eq!(jobs(), Vec::<Vec<Option<String>>>::new());
    assert_eq!(source.bucket_policy("by-hand").unwrap(), Some(foreign));
    assert_eq!(source.get_object("by-hand", "a.csv").unwrap(), b"1,one\n2,two\n");
    let described = target.query("redshift", "DescribeClusters", &cluster).unwrap();
    assert_eq!(described.text("IamRoleArn"), Some(role));
    assert_eq!(described.text("ApplyStatus").as_deref(), Some("in-sync"));
    assert!(described.all("Key").iter().all(|key| !key.value.starts_with("sluice:")));
    let value = target.json("secretsmanager", "GetSecretValue", json!({"SecretId": secret})).unwrap();
    let value: Value = serde_json::from_str(value["SecretString"].as_str().unwrap()).unwrap();
    assert_eq!(
        value,
        json!({"username": "admin", "password": "By-hand-1", "dbClusterIdentifier": "by-hand"})
    );
}
