//! Every granted action is needed: without it, the function fails with AccessDenied and names the
//! action.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use cloud::aws::Account;
use cloud::stacks::Outputs;
use cloud::wait::{self, Seen};
use cloud::{Cloud, Options, Profile, SOURCE, TARGET, kit};
use end_to_end::{Answers, Function, Grants, PATIENCE};
use serde_json::{Value, json};

/// Called only for a statement that outlasts the function's time; `data_api.rs` covers the call.
const ON_DEADLINE_ONLY: &str = "redshift-data:CancelStatement";

/// A function, its role, and requests that make it call every granted action.
struct Case<'a> {
    function: Function<'a>,
    role: String,
    /// Properties of resources that are created, updated if there are second properties, and
    /// deleted.
    properties: Vec<(Value, Option<Value>)>,
}

/// Runs all requests and returns the reasons and execution histories of those that failed.
fn replay(case: &Case<'_>, account: &Account) -> Vec<String> {
    let mut failures = Vec::new();
    for (first, second) in &case.properties {
        let mut id = None;
        let mut requests = vec![("Create", first)];
        requests.extend(second.as_ref().map(|second| ("Update", second)));
        requests.push(("Delete", second.as_ref().unwrap_or(first)));
        for (kind, properties) in requests {
            let request = case.function.send(kind, properties, id.as_deref());
            match answer(case, account, &request) {
                Ok(answer) => {
                    let given = answer["PhysicalResourceId"].as_str().unwrap().to_owned();
                    id.get_or_insert(given);
                    if answer["Status"] == "FAILED" {
                        failures.push(answer["Reason"].as_str().unwrap().to_owned());
                    }
                }
                Err(cause) => failures.push(cause),
            }
        }
    }
    failures
}

/// Returns the response, or the cause of a state machine's failure to send one.
fn answer(case: &Case<'_>, account: &Account, request: &str) -> Result<Value, String> {
    wait::until(&format!("a response to {request}"), PATIENCE, || {
        if let Some(answer) = case.function.answers.within(request, Duration::from_millis(50)) {
            return Ok(Seen::Yes(Ok(answer)));
        }
        let failed = failed_executions(account, request);
        Ok(if failed.is_empty() { Seen::NotYet("nothing".into()) } else { Seen::Yes(Err(failed.join("\n"))) })
    })
    .unwrap()
}

/// Returns the causes of executions of this request that failed.
fn failed_executions(account: &Account, request: &str) -> Vec<String> {
    let machines = account.json("states", "ListStateMachines", json!({})).unwrap();
    let mut causes = Vec::new();
    for machine in machines["stateMachines"].as_array().into_iter().flatten() {
        let words = json!({"stateMachineArn": machine["stateMachineArn"], "statusFilter": "FAILED"});
        let executions = account.json("states", "ListExecutions", words).unwrap();
        for execution in executions["executions"].as_array().into_iter().flatten() {
            let words = json!({"executionArn": execution["executionArn"]});
            let found = account.json("states", "DescribeExecution", words.clone()).unwrap();
            if found["input"].as_str().unwrap_or_default().contains(request) {
                let history = account.json("states", "GetExecutionHistory", words).unwrap();
                causes.push(format!("{} {} {history}", found["error"], found["cause"]));
            }
        }
    }
    causes
}

/// Checks that every granted action is needed.
fn check(case: &Case<'_>, profile: Profile, cloud: &Cloud) {
    let account = cloud.account(profile);
    let grants = Grants::of(&account, &case.role);
    assert_eq!(
        replay(case, &account),
        Vec::<String>::new(),
        "{}: the requests must succeed with all permissions",
        case.role
    );
    let mut checked = 0;
    for action in grants.called() {
        if action == ON_DEADLINE_ONLY {
            continue;
        }
        grants.put(&grants.without(&action));
        let failures = replay(case, &account);
        grants.put(&grants.document);
        let named =
            failures.iter().any(|text| text.contains("AccessDenied") && text.contains(action.as_str()));
        assert!(named, "{}: without {action} no failure names it: {failures:#?}", case.role);
        // A complete run removes the resources that the failed requests left.
        assert_eq!(
            replay(case, &account),
            Vec::<String>::new(),
            "{}: after {action} was restored",
            case.role
        );
        checked += 1;
    }
    assert!(checked >= 3, "{}: only {checked} actions were checked", case.role);
}

fn deployed(cloud: &Cloud, kind: &str) -> [Outputs; 3] {
    let no_wait = [("AccessGrantWaitSeconds", "0")];
    let warehouse = kit::warehouse(cloud, &[no_wait[0], ("Kind", kind)]).unwrap();
    let target = kit::target(cloud, &warehouse, &[SOURCE], &no_wait).unwrap();
    let source = kit::source(cloud, SOURCE, &target, &no_wait).unwrap();
    [warehouse, target, source]
}

#[test]
fn in_the_source_account_every_grant_is_needed() {
    let cloud = Cloud::start(&Options::default(), &|_| {}).unwrap();
    let [_, target, source] = deployed(&cloud, "provisioned");
    let answers = Answers::start();
    let account = cloud.account(SOURCE);
    let bucket = source["BucketName"].as_str();
    let role = |name: &str| account.physical_id("sluice-source", name).unwrap();
    // The stack's own integration is replaced by one of the test, because a bucket can have only
    // one.
    let own = account.query("redshift", "DescribeIntegrations", &[]).unwrap().text("IntegrationArn").unwrap();
    account.query("redshift", "DeleteIntegration", &[("IntegrationArn", &own)]).unwrap();
    wait::until("the integration gone", PATIENCE, || {
        let left = account.query("redshift", "DescribeIntegrations", &[])?;
        Ok(if left.all("IntegrationArn").is_empty() { Seen::Yes(()) } else { Seen::NotYet("there".into()) })
    })
    .unwrap();
    let integration = |description: &str| json!({"IntegrationName": "direct", "BucketName": bucket, "TargetArn": target["NamespaceArn"], "Description": description});
    check(
        &Case {
            function: Function::unrestricted(
                &cloud,
                SOURCE,
                "sluice-source",
                "EventIntegrationFunction",
                &answers,
            ),
            role: role("EventIntegrationRole"),
            properties: vec![(integration("one"), Some(integration("two")))],
        },
        SOURCE,
        &cloud,
    );
    // The bucket has no policy, so that the removal of the last statement removes the policy.
    account.rest("s3", "DELETE", &format!("/{bucket}?policy"), &[], &[]).unwrap();
    let statement = |action: &str| {
        json!({"Sid": "Direct", "Effect": "Allow", "Principal": {"AWS": "222222222222"}, "Action": action,
            "Resource": format!("arn:aws:s3:::{bucket}")})
    };
    check(
        &Case {
            function: Function::unrestricted(
                &cloud,
                SOURCE,
                "sluice-source",
                "BucketPolicyFunction",
                &answers,
            ),
            role: role("BucketPolicyRole"),
            properties: vec![(
                json!({"BucketName": bucket, "Statements": [statement("s3:ListBucket")]}),
                Some(json!({"BucketName": bucket, "Statements": [statement("s3:GetBucketLocation")]})),
            )],
        },
        SOURCE,
        &cloud,
    );
}

#[test]
fn in_the_target_account_every_grant_for_a_cluster_is_needed() {
    target_account("provisioned");
}

#[test]
fn in_the_target_account_every_grant_for_a_workgroup_is_needed() {
    target_account("serverless");
}

fn target_account(kind: &str) {
    let cloud = Cloud::start(&Options::default(), &|_| {}).unwrap();
    let [warehouse, target, source] = deployed(&cloud, kind);
    let mut parameters = kit::SAMPLE_JOB.to_vec();
    parameters.push(("AccessGrantWaitSeconds", "0"));
    kit::job(&cloud, "sluice-job", (&warehouse, &target, &source), &parameters).unwrap();
    let answers = Answers::start();
    let account = cloud.account(TARGET);
    let role = |stack: &str, name: &str| account.physical_id(stack, name).unwrap();
    let name_of_warehouse = if kind == "serverless" { "WorkgroupName" } else { "ClusterIdentifier" };
    let with_warehouse = |mut properties: Value| {
        properties[name_of_warehouse] = warehouse[name_of_warehouse].as_str().into();
        properties
    };

    let job = |auto: &str| {
        with_warehouse(
            json!({"Database": warehouse["Database"], "WarehouseSecretArn": target["LoaderSecretArn"],
            "JobName": "direct", "TableName": "measurements", "Format": "CSV", "SourceBucket": source["BucketName"],
            "SourcePrefix": "direct/", "CopyRoleArn": target["CopyRoleArn"], "Auto": auto, "AllowOverlap": "true"}),
        )
    };
    check(
        &Case {
            function: Function::unrestricted(&cloud, TARGET, "sluice-job", "CopyJobFunction", &answers),
            role: role("sluice-job", "CopyJobRole"),
            properties: vec![(job("true"), Some(job("false")))],
        },
        TARGET,
        &cloud,
    );
    if kind == "provisioned" {
        // The same with temporary credentials of a database user in place of the secret.
        let by_user = [
            ("JobName", "by_user"),
            ("WarehouseSecretArn", ""),
            ("DbUser", "sluice_admin"),
            ("AllowOverlap", "true"),
        ];
        let given = |name: &str| by_user.iter().any(|(other, _)| *other == name);
        parameters.retain(|(name, _)| !given(name));
        parameters.extend(by_user);
        kit::job(&cloud, "by-user", (&warehouse, &target, &source), &parameters).unwrap();
        let job = |auto: &str| {
            let mut job = job(auto);
            job.as_object_mut().unwrap().remove("WarehouseSecretArn");
            job["DbUser"] = "sluice_admin".into();
            job
        };
        check(
            &Case {
                function: Function::unrestricted(&cloud, TARGET, "by-user", "CopyJobFunction", &answers),
                role: role("by-user", "CopyJobRole"),
                properties: vec![(job("true"), Some(job("false")))],
            },
            TARGET,
            &cloud,
        );
        account.delete_stack("by-user").unwrap();
    }
    // Before the endpoint is taken out of the secret, without which the job could not be dropped.
    account.delete_stack("sluice-job").unwrap();
    // Two names in turn, so that every run writes the secret anew.
    let user = |name: &str| {
        let properties = with_warehouse(
            json!({"Database": warehouse["Database"], "AdminSecretArn": warehouse["SecretArn"],
            "SecretArn": target["LoaderSecretArn"], "UserName": name, "Purpose": "loader", "Schemas": ["public"],
            "CopyRoleArn": target["CopyRoleArn"], "RestrictRoles": "true"}),
        );
        (properties, None)
    };
    check(
        &Case {
            function: Function::unrestricted(
                &cloud,
                TARGET,
                "sluice-target",
                "WarehouseUserFunction",
                &answers,
            ),
            role: role("sluice-target", "WarehouseUserRole"),
            properties: vec![user("one"), user("two")],
        },
        TARGET,
        &cloud,
    );
    let endpoint =
        with_warehouse(json!({"SecretArn": warehouse["SecretArn"], "Database": warehouse["Database"]}));
    check(
        &Case {
            function: Function::unrestricted(
                &cloud,
                TARGET,
                "sluice-warehouse",
                "SecretEndpointFunction",
                &answers,
            ),
            role: role("sluice-warehouse", "SecretEndpointRole"),
            properties: vec![(endpoint, None)],
        },
        TARGET,
        &cloud,
    );
    account
        .query("redshift", "DeleteResourcePolicy", &[("ResourceArn", &warehouse["NamespaceArn"])])
        .unwrap();
    let sources = |buckets: Value| {
        with_warehouse(json!({"SourceAccounts": ["333333333333"], "SourceBuckets": buckets}))
    };
    check(
        &Case {
            function: Function::unrestricted(
                &cloud,
                TARGET,
                "sluice-target",
                "ResourcePolicyFunction",
                &answers,
            ),
            role: role("sluice-target", "ResourcePolicyRole"),
            properties: vec![(sources(json!(["bucket-a"])), Some(sources(json!(["bucket-a", "bucket-b"]))))],
        },
        TARGET,
        &cloud,
    );
    // The stack's own attachment of the role is replaced by one of the test.
    let id = account.physical_id("sluice-target", "CopyRoleAttachment").unwrap_or_default();
    assert!(id.starts_with("sluice-warehouse-role:"), "{id}");
    let tag = format!("sluice:copy-role:{}", id.split(':').nth(1).unwrap());
    if kind == "serverless" {
        detach_from_namespace(&account, &warehouse, &tag);
    } else {
        detach_from_cluster(&account, &warehouse, &target["CopyRoleArn"], &tag);
    }
    check(
        &Case {
            function: Function::unrestricted(
                &cloud,
                TARGET,
                "sluice-target",
                "WarehouseRoleFunction",
                &answers,
            ),
            role: role("sluice-target", "WarehouseRoleRole"),
            properties: vec![(with_warehouse(json!({"RoleArn": target["CopyRoleArn"]})), None)],
        },
        TARGET,
        &cloud,
    );
}

fn detach_from_cluster(account: &Account, warehouse: &Outputs, role: &str, tag: &str) {
    let cluster = warehouse["ClusterIdentifier"].as_str();
    let words = [("ClusterIdentifier", cluster), ("RemoveIamRoles.IamRoleArn.1", role)];
    account.query("redshift", "ModifyClusterIamRoles", &words).unwrap();
    let prefix = warehouse["NamespaceArn"].split(":namespace").next().unwrap();
    let arn = format!("{prefix}:cluster:{cluster}");
    account.query("redshift", "DeleteTags", &[("ResourceName", &arn), ("TagKeys.TagKey.1", tag)]).unwrap();
    wait::until("the role gone", PATIENCE, || {
        let left = account.query("redshift", "DescribeClusters", &[])?;
        Ok(if left.all("IamRoleArn").is_empty() { Seen::Yes(()) } else { Seen::NotYet("attached".into()) })
    })
    .unwrap();
}

fn detach_from_namespace(account: &Account, warehouse: &Outputs, tag: &str) {
    let call = |action: &str, words: Value| account.json("redshift-serverless", action, words);
    let words = json!({"workgroupName": warehouse["WorkgroupName"]});
    let name = call("GetWorkgroup", words).unwrap()["workgroup"]["namespaceName"].clone();
    let none = json!({"namespaceName": name, "iamRoles": [], "defaultIamRoleArn": ""});
    call("UpdateNamespace", none).unwrap();
    call("UntagResource", json!({"resourceArn": warehouse["NamespaceArn"], "tagKeys": [tag]})).unwrap();
    wait::until("the role gone", PATIENCE, || {
        let found = call("GetNamespace", json!({"namespaceName": name}))?;
        let roles = &found["namespace"]["iamRoles"];
        let gone = roles.as_array().is_none_or(Vec::is_empty);
        Ok(if gone { Seen::Yes(()) } else { Seen::NotYet(roles.to_string()) })
    })
    .unwrap();
}
