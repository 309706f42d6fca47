//! Events of the services of a monitored account: the hub sends one alert for each.

#![allow(clippy::unwrap_used)]

use cloud::wait::{self, Seen};
use cloud::{SOURCE, TARGET};
use end_to_end::alerts::{AlertWorld, SPOKE_STACK};
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
      LoggingConfig: { LogFormat: Text, LogGroup: !Ref Logs }
      Code:
        ZipFile: |
          def handler(event, context):
              raise ValueError("the ledger is locked")
  Logs:
    Type: AWS::Logs::LogGroup
  OnFailure:
    Type: AWS::Lambda::EventInvokeConfig
    Properties:
      FunctionName: !Ref Function
      Qualifier: $LATEST
      DestinationConfig:
        OnFailure: { Destination: !Sub "arn:aws:events:${AWS::Region}:${AWS::AccountId}:event-bus/default" }
"#;

#[test]
fn failed_function_raises_one_alert_without_its_payload() {
    let world = AlertWorld::new(&[], &[]);
    world.retry_after(2);
    let source = world.cloud.account(SOURCE);
    source.deploy_text("ledger", FAILING, &[]).unwrap();
    let payload = json!({"order": "NEVERSHOWN", "ResponseURL": "https://example.com/answer?X-Amz-Signature=NEVERSHOWN"});
    let headers = [("content-type", "application/json"), ("x-amz-invocation-type", "Event")];
    let path = "/2015-03-31/functions/ledger/invocations";
    source.rest("lambda", "POST", path, &headers, payload.to_string().as_bytes()).unwrap();

    let alert = world.alert("function-failed", "opened", SOURCE);
    // MiniStack calls every exception of Python a Runtime.HandlerError.
    assert!(alert["cause"].as_str().unwrap().ends_with(": the ledger is locked"), "{alert}");
    assert!(alert["what"].as_str().unwrap().contains("after 3 attempts"), "{alert}");
    assert!(alert["subject"].as_str().unwrap().ends_with(":function:ledger"), "{alert}");
    // The command prints the log group, which has the function's lines.
    let command = alert["command"].as_str().unwrap();
    let output =
        world.cloud.command("bash").args(["-c", command]).env("AWS_PROFILE", SOURCE.name).output().unwrap();
    let group = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    assert_eq!(group, source.physical_id("ledger", "Logs").unwrap(), "{command}: {:?}", output.stderr);
    let lines = source.json("logs", "FilterLogEvents", json!({"logGroupName": group})).unwrap().to_string();
    assert!(lines.contains("the ledger is locked"), "{lines}");
    world.wait_until_processed();
    assert_eq!(world.messages().len(), 1, "{:?}", world.messages());
    let all =
        world.messages().iter().chain(&world.endpoint.messages()).map(Value::to_string).collect::<String>();
    assert!(!all.contains("NEVERSHOWN"), "{all}");
}

#[test]
fn database_subscription_events_arrive_once() {
    let world = AlertWorld::new(&[], &[]);
    world.retry_after(2);
    world.subscribe_databases(SOURCE, "both");

    // A pending error matches both subscriptions, and a cluster's maintenance matches neither.
    assert_eq!(
        world.database_event("redshift", SOURCE, "ERROR", "pending", "The cluster is not reachable."),
        2
    );
    assert_eq!(world.database_event("redshift", SOURCE, "INFO", "management", "Maintenance is over."), 0);
    let alert = world.alert("database-event", "opened", SOURCE);
    assert_eq!(
        (&alert["cause"], &alert["severity"]),
        (&json!("The cluster is not reachable."), &json!("error"))
    );
    assert_eq!((&alert["subject"], &alert["count"]), (&json!("main"), &json!(1)), "{alert}");
    assert!(alert["what"].as_str().unwrap().contains("REDSHIFT-EVENT-3519"), "{alert}");

    // With a subscription, events of RDS no longer arrive by EventBridge. A spoke without
    // subscriptions still sends them by EventBridge.
    assert_eq!(world.database_event("rds", SOURCE, "ERROR", "failure", "The instance failed."), 1);
    assert_eq!(world.database_event("rds", SOURCE, "ERROR", "backup", "The backup is done."), 0);
    world.emit("rds/instance-failure", SOURCE);
    world.emit("rds/instance-failure", TARGET);
    let both = world.wait_for("database-event", "opened", SOURCE, 2);
    assert_eq!(both[1]["cause"], "The instance failed.", "{both:?}");
    world.alert("database-event", "opened", TARGET);
    world.wait_until_processed();
    assert_eq!(world.messages().len(), 3, "{:?}", world.messages());
}

#[test]
fn spoke_events_of_every_source_raise_and_resolve_one_alert() {
    let world = AlertWorld::new(&[], &[]);
    world.retry_after(2);
    world.emit("backup/job-failed", SOURCE);
    let alert = world.alert("backup-failed", "opened", SOURCE);
    assert!(alert["cause"].as_str().unwrap().contains("Insufficient privileges"), "{alert}");
    world.emit("backup/job-completed", SOURCE);
    let end = world.alert("backup-failed", "resolved", SOURCE);
    assert_eq!(end["thread"], alert["thread"]);

    world.emit("redshift/integration-error", TARGET);
    let alert = world.alert("integration-failed", "opened", TARGET);
    assert!(alert["cause"].as_str().unwrap().contains("permissions were revoked"), "{alert}");
    world.emit("redshift/integration-active", TARGET);
    let end = world.alert("integration-failed", "resolved", TARGET);
    assert_eq!(end["thread"], alert["thread"]);

    world.emit("ec2/authorize-ingress-open", TARGET);
    let alert = world.alert("security-group-changed", "opened", TARGET);
    assert!(alert["title"].as_str().unwrap().contains("opened to every address"), "{alert}");
    assert_eq!(alert["severity"], "error", "{alert}");

    // Failed statements of others arrive only if the spoke forwards all of them.
    world.emit("redshift-data/statement-failed-without-name", SOURCE);
    world.wait_until_processed();
    assert_eq!(world.messages().len(), 5, "{:?}", world.messages());
    world.deploy_spoke(SOURCE, &[("SqlStatements", "all")]);
    world.emit("redshift-data/statement-failed-without-name", SOURCE);
    world.alert("statement-failed", "opened", SOURCE);

    let source = world.cloud.account(SOURCE);
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
    let set_state = |state: &str| {
        let words = [("AlarmName", "orders-late"), ("StateValue", state), ("StateReason", "as a test says")];
        source.query("monitoring", "SetAlarmState", &words).unwrap();
    };
    set_state("ALARM");
    let alert = world.alert("alarm", "opened", SOURCE);
    assert_eq!(alert["impact"], "Orders wait longer than an hour.", "{alert}");
    set_state("OK");
    let end = world.alert("alarm", "resolved", SOURCE);
    assert_eq!(end["thread"], alert["thread"]);

    world.wait_until_processed();
    assert_eq!((world.messages().len(), world.endpoint.messages().len()), (8, 8), "{:?}", world.messages());
}

/// A trail that writes to a log group of its own.
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

/// Repeats `act` until an alarm of the source account raises an alert of this status, and returns
/// the alert.
fn repeat_until_alert(world: &AlertWorld, alarm: &str, status: &str, act: &dyn Fn()) -> Value {
    wait::until(&format!("{alarm} {status}"), PATIENCE, || {
        act();
        world.control("tick", &json!({}));
        let messages = world.messages();
        let is = |one: &&Value| {
            let name = one["name"].as_str().unwrap();
            name.contains(alarm) && one["status"] == status && one["account"] == SOURCE.account
        };
        Ok(messages.iter().find(is).cloned().map_or_else(|| Seen::NotYet(format!("{messages:?}")), Seen::Yes))
    })
    .unwrap()
}

#[test]
fn denied_and_frequent_secret_calls_raise_trail_alarms() {
    // The alarms' five minutes are 6 s here.
    let world = AlertWorld::new(&[("SLUICE_METRIC_PERIOD_SCALE", "0.02")], &[]);
    world.retry_after(2);
    let source = world.cloud.account(SOURCE);
    source.deploy_text("trail", TRAIL, &[]).unwrap();
    let counted = [("TrailLogGroupName", "trail"), ("MaxDeniedSecretCalls", "2"), ("MaxSecretReads", "5")];
    world.deploy_spoke(SOURCE, &counted);
    let secrets: Vec<Secret> = (0..6)
        .map(|number| Secret::create(source.clone(), &format!("app-{number}"), &json!({"password": "p"})))
        .collect();
    let state = |alarm: &str| {
        let words = [("AlarmNames.member.1", source.physical_id(SPOKE_STACK, alarm).unwrap())];
        let words = words.each_ref().map(|(name, value)| (*name, value.as_str()));
        source.query("monitoring", "DescribeAlarms", &words).unwrap().text("StateValue").unwrap()
    };
    let unprivileged = world.unprivileged(SOURCE);

    // As many calls as the parameters allow raise no alert.
    for secret in &secrets[..2] {
        unprivileged.json("secretsmanager", "DescribeSecret", json!({"SecretId": secret.arn})).unwrap_err();
        secret.value();
    }
    world.control("tick", &json!({}));
    assert_eq!(
        (state("DeniedSecretCallsAlarm"), state("SecretReadsAlarm")),
        ("OK".to_owned(), "OK".to_owned())
    );

    // Denied calls that do not read a value are reported by this alarm only.
    let denied = || {
        for secret in &secrets[..3] {
            unprivileged
                .json("secretsmanager", "DescribeSecret", json!({"SecretId": secret.arn}))
                .unwrap_err();
        }
    };
    let alert = repeat_until_alert(&world, "DeniedSecretCallsAlarm", "opened", &denied);
    assert!(alert["impact"].as_str().unwrap().contains("docs/runbooks/secret-access-denied.md"), "{alert}");
    repeat_until_alert(&world, "DeniedSecretCallsAlarm", "resolved", &|| {});

    // One read of each of many secrets, which is not unusual for a single secret.
    let reads = || secrets.iter().for_each(|secret| drop(secret.value()));
    let alert = repeat_until_alert(&world, "SecretReadsAlarm", "opened", &reads);
    assert!(alert["impact"].as_str().unwrap().contains("docs/runbooks/secret-access-unusual.md"), "{alert}");
    repeat_until_alert(&world, "SecretReadsAlarm", "resolved", &|| {});
    world.wait_until_processed();
    assert_eq!(world.messages().len(), 4, "{:?}", world.messages());
}
