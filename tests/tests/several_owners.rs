//! Several owners of one policy: stacks of Sluice that write at the same time, and foreign writers
//! in between.

#![allow(clippy::unwrap_used)]

use cloud::aws::Account;
use cloud::{Cloud, Options, SOURCE, TARGET, kit};
use end_to_end::{Answers, Function, Hold};
use serde_json::{Value, json};

/// Returns a statement that does not belong to Sluice.
fn foreign(sid: &str, resource: &str, action: &str) -> Value {
    json!({"Sid": sid, "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::444444444444:root"}, "Action": action,
        "Resource": resource, "Condition": {"StringEquals": {"aws:PrincipalTag/team": ["b", "a"]}}})
}

fn statements(policy: &Value) -> Vec<Value> {
    policy["Statement"].as_array().unwrap().clone()
}

fn with_sid(policy: &Value, sid: &str) -> Option<Value> {
    statements(policy).into_iter().find(|statement| statement["Sid"] == sid)
}

/// Runs `meanwhile` after the first call of an action by `caller` was served and before it receives
/// the response.
fn between(account: &Account, action: &str, meanwhile: impl FnOnce() + Send, caller: impl FnOnce() + Send) {
    // The hold starts before the caller, because a later call of the same action may be its last
    // read, which would miss the foreign write.
    let hold = Hold::order(account, &json!({"action": action, "phase": "after"}));
    at_once(vec![
        Box::new(|| {
            hold.caught();
            meanwhile();
            hold.release();
        }),
        Box::new(caller),
    ]);
}

/// Runs several calls at the same time and fails if one of them does.
fn at_once<'a>(calls: Vec<Box<dyn FnOnce() + Send + 'a>>) {
    std::thread::scope(|scope| {
        for call in calls.into_iter().map(|call| scope.spawn(call)).collect::<Vec<_>>() {
            call.join().unwrap();
        }
    });
}

#[test]
fn everything_that_others_wrote_into_a_shared_policy_stays() {
    let cloud = Cloud::start(&Options::default(), &|_| {}).unwrap();
    let warehouse = kit::warehouse(&cloud, &[]).unwrap();
    let target = kit::target(&cloud, &warehouse, &[SOURCE], &[]).unwrap();
    let source = kit::source(&cloud, SOURCE, &target, &[]).unwrap();
    let answers = Answers::start();
    bucket_policy(&cloud, &source["BucketName"], &answers);
    namespace_policy(&cloud, &warehouse, &answers);
}

fn bucket_policy(cloud: &Cloud, bucket: &str, answers: &Answers) {
    let account = cloud.account(SOURCE);
    let arn = format!("arn:aws:s3:::{bucket}");
    let first = foreign("FirstForeign", &arn, "s3:ListBucket");
    let stack_owned = account.bucket_policy(bucket).unwrap().unwrap();
    let mut before = stack_owned.clone();
    before["Statement"].as_array_mut().unwrap().insert(0, first.clone());
    account.put_bucket_policy(bucket, &before).unwrap();

    let owners: Vec<Function<'_>> = (0..4)
        .map(|_| Function::unrestricted(cloud, SOURCE, "sluice-source", "BucketPolicyFunction", answers))
        .collect();
    let ours = |number: usize| {
        json!({"BucketName": bucket, "Statements": [
            {"Sid": format!("Owner{number}"), "Effect": "Allow", "Principal": {"AWS": "222222222222"}, "Action": "s3:ListBucket", "Resource": arn},
        ]})
    };
    // Four owners write at the same time.
    let ids: Vec<std::sync::Mutex<String>> = owners.iter().map(|_| Default::default()).collect();
    at_once(
        owners
            .iter()
            .enumerate()
            .map(|(number, owner)| -> Box<dyn FnOnce() + Send> {
                let (ids, ours) = (&ids, ours(number));
                Box::new(move || *ids[number].lock().unwrap() = owner.create(&ours))
            })
            .collect(),
    );
    let after = account.bucket_policy(bucket).unwrap().unwrap();
    assert_eq!(statements(&after).len(), statements(&before).len() + 4, "{after:#}");
    assert_eq!(with_sid(&after, "FirstForeign"), Some(first.clone()));

    // A foreign write between our read and our write: both statements stay.
    let second = foreign("SecondForeign", &arn, "s3:ListBucketVersions");
    let change = json!({"BucketName": bucket, "Statements": [
        {"Sid": "Owner0", "Effect": "Allow", "Principal": {"AWS": "222222222222"}, "Action": "s3:GetBucketLocation", "Resource": arn},
    ]});
    let foreign_write = || {
        let mut policy = account.bucket_policy(bucket).unwrap().unwrap();
        policy["Statement"].as_array_mut().unwrap().push(second.clone());
        account.put_bucket_policy(bucket, &policy).unwrap();
    };
    between(&account, "s3:GetBucketPolicy", foreign_write, || {
        let id = ids[0].lock().unwrap().clone();
        let answer = owners[0].call("Update", &change, Some(&id));
        assert_eq!(answer["Status"], "SUCCESS", "{answer}");
    });
    let after = account.bucket_policy(bucket).unwrap().unwrap();
    assert_eq!(with_sid(&after, "SecondForeign"), Some(second.clone()));
    assert!(statements(&after).iter().any(|one| one["Action"] == "s3:GetBucketLocation"), "{after:#}");

    // All owners delete their statements at the same time. The other statements stay.
    at_once(
        owners
            .iter()
            .enumerate()
            .map(|(number, owner)| -> Box<dyn FnOnce() + Send> {
                let (id, ours) = (ids[number].lock().unwrap().clone(), ours(number));
                Box::new(move || assert_eq!(owner.call("Delete", &ours, Some(&id))["Status"], "SUCCESS"))
            })
            .collect(),
    );
    let mut expected = before;
    expected["Statement"].as_array_mut().unwrap().push(second);
    let sorted = |policy: &Value| {
        let mut all = statements(policy);
        all.sort_by_key(|statement| statement["Sid"].to_string());
        all
    };
    assert_eq!(sorted(&account.bucket_policy(bucket).unwrap().unwrap()), sorted(&expected));
}

fn namespace_policy(cloud: &Cloud, warehouse: &cloud::stacks::Outputs, answers: &Answers) {
    let account = cloud.account(TARGET);
    let arn = warehouse["NamespaceArn"].as_str();
    let read = || -> Value {
        let answer = account.query("redshift", "GetResourcePolicy", &[("ResourceArn", arn)]).unwrap();
        serde_json::from_str(&answer.text("Policy").unwrap()).unwrap()
    };
    let write = |policy: &Value| {
        let words = [("ResourceArn", arn), ("Policy", &policy.to_string())];
        account.query("redshift", "PutResourcePolicy", &words).unwrap();
    };
    let first = foreign("FirstForeign", arn, "redshift:CreateInboundIntegration");
    let mut before = read();
    before["Statement"].as_array_mut().unwrap().insert(0, first);
    write(&before);
    // The service serialises the policy again, and this form must stay.
    let before = read();

    let owners: Vec<Function<'_>> = (0..2)
        .map(|_| Function::unrestricted(cloud, TARGET, "sluice-target", "ResourcePolicyFunction", answers))
        .collect();
    let ours = |bucket: &str| json!({"ClusterIdentifier": warehouse["ClusterIdentifier"], "SourceAccounts": ["333333333333"], "SourceBuckets": [bucket]});
    let ids: Vec<std::sync::Mutex<String>> = owners.iter().map(|_| Default::default()).collect();
    at_once(
        owners
            .iter()
            .enumerate()
            .map(|(number, owner)| -> Box<dyn FnOnce() + Send> {
                let (ids, ours) = (&ids, ours(&format!("bucket-{number}")));
                Box::new(move || *ids[number].lock().unwrap() = owner.create(&ours))
            })
            .collect(),
    );
    let after = read();
    assert_eq!(statements(&after).len(), statements(&before).len() + 4, "{after:#}");
    assert_eq!(with_sid(&after, "FirstForeign"), with_sid(&before, "FirstForeign"));

    let second = foreign("SecondForeign", arn, "redshift:CreateInboundIntegration");
    let foreign_write = || {
        let mut policy = read();
        policy["Statement"].as_array_mut().unwrap().push(second.clone());
        write(&policy);
    };
    between(&account, "redshift:GetResourcePolicy", foreign_write, || {
        let id = ids[0].lock().unwrap().clone();
        let answer = owners[0].call("Update", &ours("bucket-changed"), Some(&id));
        assert_eq!(answer["Status"], "SUCCESS", "{answer}");
    });
    let after = read();
    assert!(with_sid(&after, "SecondForeign").is_some(), "{after:#}");
    assert!(after.to_string().contains("bucket-changed"), "{after:#}");
    for (number, owner) in owners.iter().enumerate() {
        let id = ids[number].lock().unwrap().clone();
        assert_eq!(owner.call("Delete", &ours("bucket-changed"), Some(&id))["Status"], "SUCCESS");
    }
    let left = read();
    assert_eq!(statements(&left).len(), statements(&before).len() + 1, "{left:#}");
    for statement in statements(&before) {
        assert!(statements(&left).contains(&statement), "{statement} is not in {left:#}");
    }
}

#[test]
fn two_target_stacks_write_one_policy_concurrently() {
    let cloud = Cloud::start(&Options::default(), &|_| {}).unwrap();
    let warehouse = kit::warehouse(&cloud, &[]).unwrap();
    let deploy = |stack: &str, bucket: &str| {
        let parameters = [
            ("ClusterIdentifier", warehouse["ClusterIdentifier"].as_str()),
            ("NamespaceArn", &warehouse["NamespaceArn"]),
            ("SourceAccounts", SOURCE.account),
            ("SourceBuckets", bucket),
        ];
        cloud.account(TARGET).deploy(stack, "copy-target", &parameters).unwrap();
    };
    at_once(vec![Box::new(|| deploy("target-a", "bucket-a")), Box::new(|| deploy("target-b", "bucket-b"))]);
    let account = cloud.account(TARGET);
    let words = [("ResourceArn", warehouse["NamespaceArn"].as_str())];
    let policy = account.query("redshift", "GetResourcePolicy", &words).unwrap().text("Policy").unwrap();
    assert_eq!(statements(&serde_json::from_str(&policy).unwrap()).len(), 4, "{policy}");
    let roles = account.query("redshift", "DescribeClusters", &[]).unwrap().all("IamRoleArn").len();
    assert_eq!(roles, 2);
    account.delete_stack("target-a").unwrap();
    let policy = account.query("redshift", "GetResourcePolicy", &words).unwrap().text("Policy").unwrap();
    assert!(policy.contains("bucket-b") && !policy.contains("bucket-a"), "{policy}");
    account.delete_stack("target-b").unwrap();
    let roles = account.query("redshift", "DescribeClusters", &[]).unwrap().all("IamRoleArn").len();
    assert_eq!(roles, 0);
}
