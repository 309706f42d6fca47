//! What the services of a watched account report, each in its own way: told once at the hub.

#![allow(clippy::unwrap_used)]

use cloud::wait::{self, Seen};
use cloud::{SOURCE, TARGET};
use end_to_end::alerts::{Night, SPOKE_STACK};
use end_to_end::{PATIENCE, Secret};
use serde_json::{Value, json};

/// A function that fails, with the default bus as its OnFailure destination.
const FAILING: &str = r#"
Resources:
  Role:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Version: "2012-10-17"
        Statement: [{ Effect: Allow, Principal: { Service: lambda.amazonaws.com }, Action: sts:AssumeRole }]
      Policies:
        - PolicyName: destination
          PolicyDocument:
            Version: "2012-10-17"
            Statement:
              - { Effect: Allow, Action: events:PutEvents, Resource: !Sub "arn:aws:events:${AWS::Region}:${AWS::AccountId}:event-bus/default" }
  Function:
    Type: AWS::Lambda::Function
    Properties:
      FunctionName: ledger
      Runtime: python3.11
      Handler: index.handler
      Role: !GetAtt Role.Arn
      Code:
        ZipFile: |
          def handler(event, context):
              raise ValueError("the ledger is locked")
  OnFailure:
    Type: AWS::Lambda::EventInvokeConfig
    Properties:
      FunctionName: !Ref Function
      Qualifier: $LATEST
      DestinationConfig:
        OnFailure: { Destination: !Sub "arn:aws:events:${AWS::Region}:${AWS::AccountId}:event-bus/default" }
"#;

#[test]
fn a_function_that_lambda_gave_up_is_told_once_with_its_error_and_without_what_it_was_invoked_with() {
    let night = Night::new(&[], &[]);
    night.retry_after(2);
    let source = night.cloud.account(SOURCE);
    source.deploy_text("ledger", FAILING, &[]).unwrap();
    let payload = json!({"order": "NEVERSHOWN", "ResponseURL": "https://example.com/answer?X-Amz-Signature=NEVERSHOWN"});
    let headers = [("content-type", "application/json"), ("x-amz-invocation-type", "Event")];
    let path = "/2015-03-31/functions/ledger/invocations";
    source.rest("lambda", "POST", path, &headers, payload.to_string().as_bytes()).unwrap();

    let told = night.told("function-failed", "opened", SOURCE);
    // MiniStack calls every exception of Python a Runtime.HandlerError.
    assert!(told["cause"].as_str().unwrap().ends_with(": the ledger is locked"), "{told}");
    assert!(told["what"].as_str().unwrap().contains("after 3 attempts"), "{told}");
    assert!(told["subject"].as_str().unwrap().ends_with(":function:ledger"), "{told}");
    night.wait_until_worked_off();
    assert_eq!(night.messages().len(), 1, "{:?}", night.messages());
    let all =
        night.messages().iter().chain(&night.endpoint.messages()).map(Value::to_string).collect::<String>();
    assert!(!all.contains("NEVERSHOWN"), "{all}");
}

#[test]
fn what_databases_tell_by_event_subscriptions_arrives_once() {
    let night = Night::new(&[], &[]);
    night.retry_after(2);
    night.subscribe_databases(SOURCE, "both");

    // An error that is pending as well is of both subscriptions; a cluster's maintenance is of neither.
    assert_eq!(
        night.database_event("redshift", SOURCE, "ERROR", "pending", "The cluster is not reachable."),
        2
    );
    assert_eq!(night.database_event("redshift", SOURCE, "INFO", "management", "Maintenance is over."), 0);
    let told = night.told("database-event", "opened", SOURCE);
    assert_eq!(
        (&told["cause"], &told["severity"]),
        (&json!("The cluster is not reachable."), &json!("error"))
    );
    assert_eq!((&told["subject"], &told["count"]), (&json!("main"), &json!(1)), "{told}");
    assert!(told["what"].as_str().unwrap().contains("REDSHIFT-EVENT-3519"), "{told}");

    // RDS comes by its subscription, and by EventBridge no more; a spoke without subscriptions has it from EventBridge.
    assert_eq!(night.database_event("rds", SOURCE, "ERROR", "failure", "The instance failed."), 1);
    assert_eq!(night.database_event("rds", SOURCE, "ERROR", "backup", "The backup is done."), 0);
    night.happens("rds/instance-failure", SOURCE);
    night.happens("rds/instance-failure", TARGET);
    let both = night.wait_for("database-event", "opened", SOURCE, 2);
    assert_eq!(both[1]["cause"], "The instance failed.", "{both:?}");
    night.told("database-event", "opened", TARGET);
    night.wait_until_worked_off();
    assert_eq!(night.messages().len(), 3, "{:?}", night.messages());
}

#[test]
fn backups_integrations_security_groups_and_alarms_of_a_spoke_are_told_once_and_so_is_their_end() {
    let night = Night::new(&[], &[]);
    night.retry_after(2);
    night.happens("backup/job-failed", SOURCE);
    let told = night.told("backup-failed", "opened", SOURCE);
    assert!(told["cause"].as_str().unwrap().contains("Insufficient privileges"), "{told}");
    night.happens("backup/job-completed", SOURCE);
    let end = night.told("backup-failed", "resolved", SOURCE);
    assert_eq!(end["thread"], told["thread"]);

    night.happens("redshift/integration-error", TARGET);
    let told = night.told("integration-failed", "opened", TARGET);
    assert!(told["cause"].as_str().unwrap().contains("permissions were revoked"), "{told}");
    night.happens("redshift/integration-active", TARGET);
    let end = night.told("integration-failed", "resolved", TARGET);
    assert_eq!(end["thread"], told["thread"]);

    night.happens("ec2/authorize-ingress-open", TARGET);
    let told = night.told("security-group-changed", "opened", TARGET);
    assert!(told["title"].as_str().unwrap().contains("opened to every address"), "{told}");
    assert_eq!(told["severity"], "error", "{told}");

    let source = night.cloud.account(SOURCE);
    let words = [
        ("AlarmName", "orders-late"),
        ("AlarmDescription", "Orders wait longer than an hour."),
        ("Namespace", "Shop"),
        ("MetricName", "Waiting"),
        ("Statistic", "Maximum"),
        ("Period", "60"),
        ("EvaluationPeriods", "1"),
        ("Threshold", "0"),
        ("ComparisonOperator", "GreaterThanThreshold"),
    ];
    source.query("monitoring", "PutMetricAlarm", &words).unwrap();
    let turn = |state: &str| {
        let words = [("AlarmName", "orders-late"), ("StateValue", state), ("StateReason", "as a test says")];
        source.query("monitoring", "SetAlarmState", &words).unwrap();
    };
    turn("ALARM");
    let told = night.told("alarm", "opened", SOURCE);
    assert_eq!(told["impact"], "Orders wait longer than an hour.", "{told}");
    turn("OK");
    let end = night.told("alarm", "resolved", SOURCE);
    assert_eq!(end["thread"], told["thread"]);

    night.wait_until_worked_off();
    assert_eq!((night.messages().len(), night.endpoint.messages().len()), (7, 7), "{:?}", night.messages());
}

/// A trail that writes to a log group of its own, as an account may have one.
const TRAIL: &str = r#"
Resources:
  Logs:
    Type: AWS::Logs::LogGroup
    Properties: { LogGroupName: trail }
  Role:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Version: "2012-10-17"
        Statement: [{ Effect: Allow, Principal: { Service: cloudtrail.amazonaws.com }, Action: sts:AssumeRole }]
      Policies:
        - PolicyName: write
          PolicyDocument:
            Version: "2012-10-17"
            Statement: [{ Effect: Allow, Action: ["logs:CreateLogStream", "logs:PutLogEvents"], Resource: !GetAtt Logs.Arn }]
  Bucket:
    Type: AWS::S3::Bucket
    Properties: { BucketName: everything-that-was-called }
  Policy:
    Type: AWS::S3::BucketPolicy
    Properties:
      Bucket: !Ref Bucket
      PolicyDocument:
        Version: "2012-10-17"
        Statement:
          - Effect: Allow
            Principal: { Service: cloudtrail.amazonaws.com }
            Action: [s3:GetBucketAcl, s3:PutObject]
            Resource: [!GetAtt Bucket.Arn, !Sub "${Bucket.Arn}/*"]
  Trail:
    Type: AWS::CloudTrail::Trail
    DependsOn: Policy
    Properties:
      S3BucketName: !Ref Bucket
      IsLogging: true
      CloudWatchLogsLogGroupArn: !GetAtt Logs.Arn
      CloudWatchLogsRoleArn: !GetAtt Role.Arn
"#;

/// Does something again and again until an alarm of the source tells a state at the hub.
fn until_told(night: &Night, alarm: &str, status: &str, act: &dyn Fn()) -> Value {
    wait::until(&format!("{alarm} {status}"), PATIENCE, || {
        act();
        night.ask("tick", &json!({}));
        let messages = night.messages();
        let is = |one: &&Value| {
            let name = one["name"].as_str().unwrap();
            name.contains(alarm) && one["status"] == status && one["account"] == SOURCE.account
        };
        Ok(messages.iter().find(is).cloned().map_or_else(|| Seen::NotYet(format!("{messages:?}")), Seen::Yes))
    })
    .unwrap()
}

#[test]
fn refused_calls_and_many_reads_of_secrets_are_counted_in_a_trails_log_group() {
    // The alarms' five minutes are 6 s here.
    let night = Night::new(&[("SLUICE_METRIC_PERIOD_SCALE", "0.02")], &[]);
    night.retry_after(2);
    let source = night.cloud.account(SOURCE);
    source.deploy_text("trail", TRAIL, &[]).unwrap();
    let counted = [("TrailLogGroupName", "trail"), ("MaxDeniedSecretCalls", "2"), ("MaxSecretReads", "5")];
    night.deploy_spoke(SOURCE, &counted);
    let secrets: Vec<Secret> = (0..6)
        .map(|number| Secret::create(source.clone(), &format!("app-{number}"), &json!({"password": "p"})))
        .collect();
    let state = |alarm: &str| {
        let words = [("AlarmNames.member.1", source.physical_id(SPOKE_STACK, alarm).unwrap())];
        let words = words.each_ref().map(|(name, value)| (*name, value.as_str()));
        source.query("monitoring", "DescribeAlarms", &words).unwrap().text("StateValue").unwrap()
    };
    let nobody = night.nobody(SOURCE);

    // As many as may be are nothing to tell.
    for secret in &secrets[..2] {
        nobody.json("secretsmanager", "DescribeSecret", json!({"SecretId": secret.arn})).unwrap_err();
        secret.value();
    }
    night.ask("tick", &json!({}));
    assert_eq!(
        (state("DeniedSecretCallsAlarm"), state("SecretReadsAlarm")),
        ("OK".to_owned(), "OK".to_owned())
    );

    // Refused calls that are no reads of a value: nothing else tells of them.
    let denied = || {
        for secret in &secrets[..3] {
            nobody.json("secretsmanager", "DescribeSecret", json!({"SecretId": secret.arn})).unwrap_err();
        }
    };
    let told = until_told(&night, "DeniedSecretCallsAlarm", "opened", &denied);
    assert!(told["impact"].as_str().unwrap().contains("docs/runbooks/secret-access-denied.md"), "{told}");
    until_told(&night, "DeniedSecretCallsAlarm", "resolved", &|| {});

    // One read of each of many secrets: unusual for none of them.
    let reads = || secrets.iter().for_each(|secret| drop(secret.value()));
    let told = until_told(&night, "SecretReadsAlarm", "opened", &reads);
    assert!(told["impact"].as_str().unwrap().contains("docs/runbooks/secret-access-unusual.md"), "{told}");
    until_told(&night, "SecretReadsAlarm", "resolved", &|| {});
    night.wait_until_worked_off();
    assert_eq!(night.messages().len(), 4, "{:?}", night.messages());
}
