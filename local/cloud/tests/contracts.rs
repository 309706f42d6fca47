//! A wrong request of a deployed function fails the test that caused it.

#![allow(clippy::unwrap_used)]

use std::panic::{AssertUnwindSafe, catch_unwind};

use cloud::{Cloud, OnBreach, Options, TARGET};
use serde_json::json;

/// A function that changes a namespace's password without its user, and an item of DynamoDB with an
/// attribute of two types.
const TEMPLATE: &str = r#"
Resources:
  Role:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Statement:
          - { Effect: Allow, Principal: { Service: lambda.amazonaws.com }, Action: "sts:AssumeRole" }
      Policies:
        - PolicyName: all
          PolicyDocument:
            Statement: [{ Effect: Allow, Action: "*", Resource: "*" }]
  Function:
    Type: AWS::Lambda::Function
    Properties:
      FunctionName: planted
      Handler: index.handler
      Runtime: python3.11
      Role: !GetAtt Role.Arn
      Code:
        ZipFile: |
          import boto3

          def handler(event, context):
              try:
                  if event["service"] == "dynamodb":
                      boto3.client("dynamodb").get_item(TableName="none", Key={"pk": {"S": "a", "N": "1"}})
                  else:
                      boto3.client("redshift-serverless").update_namespace(namespaceName="sluice", adminUserPassword="not-shown")
              except Exception as error:
                  return str(error)
"#;

/// Starts a cloud in which the function has sent its wrong requests to these services.
fn cloud_with_wrong_requests(on_breach: OnBreach, services: &[&str]) -> Cloud {
    let cloud = Cloud::start(&Options { on_breach, ..Options::default() }, &|_| {}).unwrap();
    let account = cloud.account(TARGET);
    account.deploy_text("planted", TEMPLATE, &[]).unwrap();
    for service in services {
        let answer = account.invoke("planted", &json!({"service": service})).unwrap();
        assert!(answer.text().contains("ValidationException"), "{}", answer.text());
    }
    cloud
}

#[test]
fn wrong_request_of_function_fails_the_test_with_its_name() {
    let cloud = cloud_with_wrong_requests(OnBreach::Panic, &["redshift-serverless", "dynamodb"]);
    let panic = catch_unwind(AssertUnwindSafe(|| drop(cloud))).unwrap_err();
    let message = panic.downcast_ref::<String>().unwrap();
    for sentence in [
        "request of function planted to redshift-serverless UpdateNamespace: adminUserPassword: found it without \
         adminUsername, expected adminUsername and adminUserPassword together, or none of them",
        "request of function planted to dynamodb GetItem: Key.pk: found 2 members of a union (S, N), expected exactly one",
    ] {
        assert!(message.contains(sentence), "no `{sentence}` in: {message}");
    }
    assert!(!message.contains("not-shown"), "{message}");
}

#[test]
fn breaches_that_a_test_takes_do_not_fail_it() {
    let cloud = cloud_with_wrong_requests(OnBreach::Panic, &["dynamodb"]);
    let breaches = cloud.take_breaches().unwrap();
    assert_eq!(breaches.len(), 1, "{breaches:?}");
    assert!(cloud.take_breaches().unwrap().is_empty());
    drop(cloud);
}
