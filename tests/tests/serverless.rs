//! The main file flow with Redshift Serverless as the warehouse.

#![allow(clippy::unwrap_used)]

use cloud::wait::{self, Seen};
use cloud::{Cloud, Options, SOURCE, TARGET, kit};
use end_to_end::PATIENCE;
use serde_json::{Value, json};

#[test]
fn serverless_workgroup_loads_files_and_deletes_cleanly() {
    let cloud = Cloud::start(&Options::default(), &|_| {}).unwrap();
    let warehouse = kit::warehouse(&cloud, &[("Kind", "serverless")]).unwrap();
    assert!(warehouse.contains_key("WorkgroupName"), "{warehouse:?}");
    // A role that the namespace has besides: its list of roles is sent as a whole.
    let other = attached_role(&cloud);
    let target_parameters = [("SourceConditions", "false"), ("OtherRoleArns", other.as_str())];
    let target = kit::target(&cloud, &warehouse, &[SOURCE], &target_parameters).unwrap();
    let source = kit::source(&cloud, SOURCE, &target, &[("ServiceConditions", "false")]).unwrap();
    // Both switches leave out conditions; the COPY role's own statements keep theirs.
    let policy = cloud.account(SOURCE).bucket_policy(&source["BucketName"]).unwrap().unwrap();
    assert!(condition_of(&policy, "RedshiftManagesNotification").is_null(), "{policy}");
    assert!(condition_of(&policy, "CopyRoleReads").is_object(), "{policy}");
    let words = [("ResourceArn", target["NamespaceArn"].as_str())];
    let policy = cloud.account(TARGET).query("redshift", "GetResourcePolicy", &words).unwrap();
    let policy: Value = serde_json::from_str(&policy.text("Policy").unwrap()).unwrap();
    assert!(condition_of(&policy, "SluiceAuthorize").is_null(), "{policy}");
    assert!(condition_of(&policy, "SluiceCreate").is_null(), "{policy}");
    kit::job(&cloud, "sluice-job", (&warehouse, &target, &source), &kit::SAMPLE_JOB).unwrap();
    let file = b"id,name,value,timestamp\n1,one,1.00,2026-01-05 08:00:00\n";
    cloud.account(SOURCE).put_object(&source["BucketName"], "first.csv", file).unwrap();
    let database = kit::database(&cloud, &warehouse);
    wait::until("one row", PATIENCE, || {
        let rows = database.query("SELECT id FROM public.measurements")?.rows;
        Ok(if rows.len() == 1 { Seen::Yes(()) } else { Seen::NotYet(format!("{rows:?}")) })
    })
    .unwrap();
    // The source stack is deleted first; life_cycle.rs covers the other order.
    cloud.account(SOURCE).delete_stack("sluice-source").unwrap();
    cloud.account(TARGET).delete_stack("sluice-job").unwrap();
    cloud.account(TARGET).delete_stack("sluice-target").unwrap();
    let account = cloud.account(TARGET);
    let namespaces = account.json("redshift-serverless", "ListNamespaces", json!({})).unwrap();
    assert_eq!(namespaces["namespaces"].as_array().unwrap().len(), 1);
    assert!(!namespaces.to_string().contains("role/sluice-target"), "{namespaces}");
    assert!(namespaces.to_string().contains(&other), "{namespaces}");
}

/// Attaches a role to the only namespace and returns its ARN.
fn attached_role(cloud: &Cloud) -> String {
    let account = cloud.account(TARGET);
    let trust = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"redshift.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;
    let words = [("RoleName", "unload"), ("AssumeRolePolicyDocument", trust)];
    let role = account.query("iam", "CreateRole", &words).unwrap().text("Arn").unwrap();
    let namespaces = account.json("redshift-serverless", "ListNamespaces", json!({})).unwrap();
    let name = &namespaces["namespaces"][0]["namespaceName"];
    let words = json!({"namespaceName": name, "iamRoles": [role], "defaultIamRoleArn": ""});
    account.json("redshift-serverless", "UpdateNamespace", words).unwrap();
    role
}

/// Returns the condition of the only statement whose Sid begins with `sid`; null if it has none.
fn condition_of<'a>(policy: &'a Value, sid: &str) -> &'a Value {
    let is = |one: &&Value| one["Sid"].as_str().is_some_and(|found| found.starts_with(sid));
    let found: Vec<&Value> = policy["Statement"].as_array().unwrap().iter().filter(is).collect();
    assert_eq!(found.len(), 1, "{sid}: {policy}");
    &found[0]["Condition"]
}
