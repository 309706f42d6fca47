//! The stacks of `templates/alerts-hub.yaml` and `templates/alerts-spoke.yaml`: what fails in any account is told once, at the hub.

#![allow(clippy::unwrap_used)]

mod stage;

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use cloud::wait::{self, Seen};
use cloud::{Cloud, Error, Options, Profile, SOURCE, TARGET, deploy};
use end_to_end::alerts::{HUB, HUB_STACK, Night, QUIET, SPOKE_STACK, summary};
use end_to_end::{Grants, PATIENCE, Secret};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use stage::Target;

/// "Within seconds": measured are one to three; the rest is for a machine with other work.
const SECONDS: Duration = Duration::from_secs(30);

/// A state machine that ends as its definition says; its role may do nothing.
fn machine(night: &Night, profile: Profile, name: &str, definition: &Value) -> String {
    let account = night.cloud.account(profile);
    let trust = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "states.amazonaws.com"}, "Action": "sts:AssumeRole"}]});
    let words = [("RoleName", name), ("AssumeRolePolicyDocument", &trust.to_string())];
    let role = account.query("iam", "CreateRole", &words).unwrap().text("Arn").unwrap();
    let words = json!({"name": name, "roleArn": role, "definition": definition.to_string()});
    let made = account.json("states", "CreateStateMachine", words).unwrap();
    made["stateMachineArn"].as_str().unwrap().to_owned()
}

fn start(night: &Night, profile: Profile, machine: &str) {
    let words = json!({"stateMachineArn": machine});
    night.cloud.account(profile).json("states", "StartExecution", words).unwrap();
}

/// Waits longer than it may.
fn slow() -> Value {
    json!({"StartAt": "Wait", "TimeoutSeconds": 1, "States": {"Wait": {"Type": "Wait", "Seconds": 600, "End": true}}})
}

fn good() -> Value {
    json!({"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}})
}

const BAD_STACK: &str = r#"
Resources:
  Bad:
    Type: AWS::SQS::Queue
    Properties: { RedrivePolicy: nothing }
"#;

const GOOD_STACK: &str = r#"
Resources:
  Good:
    Type: AWS::SQS::Queue
"#;

/// Waits for the clock's next second: no real deployment ends in the one in which it began, and events of stacks have whole seconds.
fn another_second() {
    let second = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let now = second();
    wait::until("another second", PATIENCE, || {
        Ok(if second() > now { Seen::Yes(()) } else { Seen::NotYet(now.to_string()) })
    })
    .unwrap();
}

/// What came, counted.
fn counted(messages: &[Value]) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for message in messages {
        *found.entry(summary(message)).or_default() += 1;
    }
    found
}

#[test]
fn what_fails_in_any_account_is_told_once_and_so_is_its_end() {
    let night = Night::new(&[], &[]);
    night.retry_after(2);
    let (source, target) = (night.cloud.account(SOURCE), night.cloud.account(TARGET));

    // A state machine of the source takes too long; later it does not.
    let began = Instant::now();
    let nightly = machine(&night, SOURCE, "nightly", &slow());
    start(&night, SOURCE, &nightly);
    let told = night.told("execution-failed", "opened", SOURCE);
    assert!(began.elapsed() < SECONDS, "told after {:?}", began.elapsed());
    assert_eq!((&told["subject"], &told["severity"]), (&json!(nightly), &json!("error")), "{told}");
    source
        .json(
            "states",
            "UpdateStateMachine",
            json!({"stateMachineArn": nightly, "definition": good().to_string()}),
        )
        .unwrap();
    start(&night, SOURCE, &nightly);
    let end = night.told("execution-failed", "resolved", SOURCE);
    assert_eq!(end["thread"], told["thread"]);

    // A stack of the target is rolled back. The cause is read there, under the role that only the hub's functions may assume.
    let began = Instant::now();
    let failed = target.deploy_text("bad", BAD_STACK, &[]).unwrap_err();
    assert!(matches!(failed, Error::Stack { .. }), "{failed}");
    let told = night.told("stack-failed", "opened", TARGET);
    assert!(began.elapsed() < SECONDS, "told after {:?}", began.elapsed());
    assert!(told["cause"].as_str().unwrap().contains("RedrivePolicy"), "{told}");
    target.delete_stack("bad").unwrap();
    night.told("stack-failed", "resolved", TARGET);

    // Two deployments fail, a good one between them: the second is told as the first was, though neither has a token.
    target.deploy_text("app", GOOD_STACK, &[]).unwrap();
    for number in [2, 3] {
        another_second();
        let both = format!("{GOOD_STACK}{}", BAD_STACK.replace("\nResources:", ""));
        target.deploy_text("app", &both, &[]).unwrap_err();
        let told = night.wait_for("stack-failed", "opened", TARGET, number).pop().unwrap();
        assert!(told["cause"].as_str().unwrap().contains("RedrivePolicy"), "{told}");
        target.deploy_text("app", &GOOD_STACK.replace("Good", &format!("Good{number}")), &[]).unwrap();
        night.wait_for("stack-failed", "resolved", TARGET, number);
    }

    // A rotation of the source cannot reach its server, until somebody mends the secret by hand.
    let server = Target::new();
    let mut unreachable = server.value();
    unreachable["host"] = "localhost.invalid".into();
    let secret = Secret::create(night.cloud.account(SOURCE), "app", &unreachable);
    let began = Instant::now();
    secret.deploy_rotation("postgres", &[("CaCertificates", &server.ca)]);
    let told = night.told("rotation-failed", "opened", SOURCE);
    assert!(began.elapsed() < SECONDS, "told after {:?}", began.elapsed());
    assert_eq!(told["subject"], secret.arn, "{told}");
    secret.wait_until_it_stopped(0);
    secret.put(&server.value());
    night.told("secret-changed-by-hand", "opened", SOURCE);
    secret.unstick();
    night.told("rotation-disabled", "opened", SOURCE);
    secret.rotate();
    secret.wait_for_another_password_than(stage::FIRST);
    night.told("rotation-failed", "resolved", SOURCE);

    // Somebody without a permission asks for a secret of the target.
    let denied = Secret::create(night.cloud.account(TARGET), "payroll", &json!({"password": "p"}));
    let nobody = night.nobody(TARGET);
    nobody.json("secretsmanager", "GetSecretValue", json!({"SecretId": denied.arn})).unwrap_err();
    let told = night.told("secret-access-denied", "opened", TARGET);
    assert!(told["what"].as_str().unwrap().contains("nobody"), "{told}");

    // Each of them once, at both subscribers, and nothing else.
    night.wait_until_worked_off();
    let expected = [
        ("execution-failed", "opened", SOURCE, 1),
        ("execution-failed", "resolved", SOURCE, 1),
        ("stack-failed", "opened", TARGET, 3),
        ("stack-failed", "resolved", TARGET, 3),
        ("rotation-failed", "opened", SOURCE, 1),
        ("rotation-failed", "resolved", SOURCE, 1),
        ("secret-changed-by-hand", "opened", SOURCE, 1),
        ("rotation-disabled", "opened", SOURCE, 1),
        ("rotation-disabled", "resolved", SOURCE, 1),
        ("secret-access-denied", "opened", TARGET, 1),
    ];
    let expected: BTreeMap<String, usize> = expected
        .iter()
        .map(|(kind, status, profile, number)| (format!("{kind} {status} {}", profile.account), *number))
        .collect();
    assert_eq!(counted(&night.messages()), expected);
    assert_eq!(counted(&night.endpoint.messages()), expected);
    // Nothing that is secret, or nobody's business, is in any of them.
    let all = night.messages().iter().map(Value::to_string).collect::<String>();
    assert!(!all.contains(stage::FIRST) && !all.contains(&secret.password()), "{all}");
}

#[test]
fn nothing_is_dropped_while_sns_fails_the_second_topic_says_so_and_one_command_sends_it_again() {
    // An alarm's minute is 1.2 s here.
    let night = Night::new(&[("SLUICE_METRIC_PERIOD_SCALE", "0.02")], &[("MaxReceiveCount", "2")]);
    // Longer than an invocation takes on a slow machine: what is received a second time while it is worked off would count as a try.
    night.retry_after(5);
    let until = |what: &str, seen: &dyn Fn() -> (bool, String)| {
        wait::until(what, QUIET, || {
            let (done, text) = seen();
            Ok(if done { Seen::Yes(()) } else { Seen::NotYet(text) })
        })
        .unwrap();
    };
    until("a quiet night", &|| {
        night.pulse();
        (night.alarm("AlertingUnhealthyAlarm") == "OK", night.alarms())
    });
    let quiet = night.failures().len();

    let topic = night.outputs["TopicArn"].clone();
    night.ask("fault", &json!({"action": "sns:Publish", "resource": topic, "times": 1_000_000}));
    let nightly = machine(&night, SOURCE, "nightly", &slow());
    start(&night, SOURCE, &nightly);
    let held = night.resource("FailureEventsDeadLetterQueue");
    until("the event in the failure queue, and the second topic told", &|| {
        night.ask("tick", &json!({}));
        let (number, failures) = (night.attribute(&held, "ApproximateNumberOfMessages"), night.failures());
        let said = failures.iter().skip(quiet).any(|one| one["NewStateValue"] == "ALARM");
        (number == "1" && said, format!("{number} held, {failures:?}"))
    });
    assert!(night.messages().is_empty(), "{:?}", night.messages());

    // SNS works again. What the failure queue holds is told with the command that sends it again.
    night.hub.rest("s3", "DELETE", "/_sluice/faults", &[], &[]).unwrap();
    until("what the failure queue holds is told", &|| {
        night.pulse();
        let messages = night.messages();
        (messages.iter().any(|one| one["kind"] == "dead-letter"), format!("{messages:?}"))
    });
    let told = night.told("dead-letter", "opened", HUB);
    let command = told["command"].as_str().unwrap();
    assert!(command.contains(&night.queue_arn(&held)), "{command}");
    until("the message in the failure queue is not being looked at", &|| {
        let seen = night.attribute(&held, "ApproximateNumberOfMessagesNotVisible");
        (seen == "0", seen)
    });
    // As it is; but version 1 of the AWS CLI takes no endpoint for SQS from its configuration.
    let here = format!("{command} --endpoint-url {}", night.cloud.endpoint());
    let output =
        night.cloud.command("bash").args(["-c", &here]).env("AWS_PROFILE", HUB.name).output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    until("the event is told, the failure queue empty, all well", &|| {
        night.pulse();
        let all = counted(&night.messages());
        let ended = all.contains_key(&format!("dead-letter recovered {}", HUB.account));
        let told = all.contains_key(&format!("execution-failed opened {}", SOURCE.account));
        (
            ended && told && night.alarm("AlertingUnhealthyAlarm") == "OK",
            format!("{all:?}, {}", night.alarms()),
        )
    });
    night.wait_until_worked_off();
    let count = |kind: &str| night.messages().iter().filter(|one| one["kind"] == kind).count();
    assert_eq!((count("execution-failed"), count("dead-letter")), (1, 2), "{:?}", night.messages());
    let ok = |one: &Value| one["NewStateValue"] == "OK";
    assert!(night.failures().last().is_some_and(ok), "{:?}", night.failures());

    // Nobody looks any more: silence is told as well.
    let before = night.failures().len();
    until("silence is told", &|| {
        night.ask("tick", &json!({}));
        let failures = night.failures();
        let said = failures.iter().skip(before).any(|one| one["NewStateValue"] == "ALARM");
        // Both schedules stand still, and either alarm may be the first.
        let said = said && night.alarm("SweepNotRunningAlarm") == "ALARM";
        (said, format!("{failures:?}, {}", night.alarms()))
    });
}

#[test]
fn what_the_hub_does_not_take_is_kept_at_the_spoke_and_told_on_the_second_topic() {
    let night = Night::new(&[("SLUICE_METRIC_PERIOD_SCALE", "0.02")], &[]);
    let bus = night.outputs["BusArn"].rsplit('/').next().unwrap().to_owned();
    let words = json!({"EventBusName": bus, "RemoveAllPermissions": true});
    night.hub.json("events", "RemovePermission", words).unwrap();
    start(&night, SOURCE, &machine(&night, SOURCE, "nightly", &slow()));
    let source = night.cloud.account(SOURCE);
    let url = source.physical_id(SPOKE_STACK, "UndeliveredEventsQueue").unwrap();
    let told = wait::until("the event at the spoke, and the second topic told", PATIENCE, || {
        night.ask("tick", &json!({}));
        let failures = night.failures();
        let told = failures
            .iter()
            .find(|one| one["AWSAccountId"] == SOURCE.account && one["NewStateValue"] == "ALARM")
            .cloned();
        Ok(told.map_or_else(|| Seen::NotYet(format!("{failures:?}")), Seen::Yes))
    })
    .unwrap();
    assert!(told["AlarmName"].as_str().unwrap().contains("UndeliveredEventsAlarm"), "{told}");
    // The alarms' own events went the same way.
    let event = wait::until("the event in the spoke's queue", PATIENCE, || {
        let words = json!({"QueueUrl": url, "MaxNumberOfMessages": 10});
        let received = source.json("sqs", "ReceiveMessage", words)?;
        let mut bodies =
            received["Messages"].as_array().into_iter().flatten().filter_map(|one| one["Body"].as_str());
        let found = bodies.find(|body| body.contains("TIMED_OUT"));
        Ok(found.map_or_else(|| Seen::NotYet(received.to_string()), |body| Seen::Yes(body.to_owned())))
    })
    .unwrap();
    // Sent again by hand, as docs/alerts.md says, twice: told once.
    let event: Value = serde_json::from_str(&event).unwrap();
    for _ in 0..2 {
        night.hub.invoke(&night.resource("FailureFunction"), &event).unwrap();
    }
    night.told("execution-failed", "opened", SOURCE);
    assert_eq!(night.messages().len(), 1);
    // Nothing lies there any more: that is told as well.
    source.json("sqs", "PurgeQueue", json!({"QueueUrl": url})).unwrap();
    wait::until("the second topic told of the end", PATIENCE, || {
        night.ask("tick", &json!({}));
        let failures = night.failures();
        let mut of_the_spoke = failures.iter().filter(|one| one["AWSAccountId"] == SOURCE.account);
        let last = of_the_spoke.next_back().is_some_and(|one| {
            one["NewStateValue"] == "OK"
                && one["AlarmName"].as_str().unwrap().contains("UndeliveredEventsAlarm")
        });
        Ok(if last { Seen::Yes(()) } else { Seen::NotYet(format!("{failures:?}")) })
    })
    .unwrap();
}

#[test]
fn the_read_role_is_for_the_hubs_functions_and_shows_no_values() {
    let night = Night::new(&[], &[]);
    let arn = format!("arn:aws:iam::{}:role/{}", TARGET.account, night.outputs["ReadRoleName"]);
    for who in [night.hub.clone(), night.cloud.account(SOURCE), night.nobody(TARGET)] {
        let refused = who.assume(&arn).unwrap_err();
        assert!(refused.code.contains("AccessDenied"), "{refused}");
    }
    let grants = Grants::of(&night.cloud.account(TARGET), &night.outputs["ReadRoleName"]).called();
    let expected = [
        "cloudformation:DescribeStackEvents",
        "secretsmanager:DescribeSecret",
        "secretsmanager:ListSecretVersionIds",
        "secretsmanager:ListSecrets",
    ];
    assert_eq!(grants.into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn secrets_of_every_account_are_checked_and_an_account_that_cannot_be_read_is_told() {
    let night = Night::new(&[], &[]);
    let tag = |secret: &Secret, value: &str| {
        secret.call("TagResource", json!({"Tags": [{"Key": "sluice:rotation", "Value": value}]})).unwrap();
    };
    // One that should rotate and does not, in the hub's own account and in a spoke's.
    let secrets = [HUB, SOURCE].map(|profile| {
        let secret = Secret::create(night.cloud.account(profile), "app", &json!({"password": "p"}));
        tag(&secret, "on");
        secret
    });
    // The target's role trusts nobody: the others are checked all the same.
    let target = night.cloud.account(TARGET);
    let role = night.outputs["ReadRoleName"].as_str();
    let name = [("RoleName", role)];
    let trust = target.query("iam", "GetRole", &name).unwrap().text("AssumeRolePolicyDocument").unwrap();
    let put = |document: &str| {
        let words = [("RoleName", role), ("PolicyDocument", document)];
        target.query("iam", "UpdateAssumeRolePolicy", &words).unwrap();
    };
    put(r#"{"Version": "2012-10-17", "Statement": []}"#);
    night.fire("SecretsFunctionCheck");
    for (secret, profile) in secrets.iter().zip([HUB, SOURCE]) {
        let told = night.told("rotation-disabled", "opened", profile);
        assert_eq!(told["subject"], secret.arn, "{told}");
    }
    let told = night.told("secret-check-failed", "opened", TARGET);
    assert!(told["cause"].as_str().unwrap().contains("sts:AssumeRole"), "{told}");
    assert!(told["command"].as_str().unwrap().contains(role), "{told}");

    // The same again is no news; what is well again is.
    put(&percent_decode_str(&trust).decode_utf8().unwrap());
    tag(&secrets[1], "off");
    night.fire("SecretsFunctionCheck");
    night.told("rotation-disabled", "resolved", SOURCE);
    night.told("secret-check-failed", "resolved", TARGET);
    let expected = [
        ("rotation-disabled", "opened", HUB),
        ("rotation-disabled", "opened", SOURCE),
        ("rotation-disabled", "resolved", SOURCE),
        ("secret-check-failed", "opened", TARGET),
        ("secret-check-failed", "resolved", TARGET),
    ];
    let expected: BTreeMap<String, usize> = expected
        .iter()
        .map(|(kind, status, profile)| (format!("{kind} {status} {}", profile.account), 1))
        .collect();
    assert_eq!(counted(&night.messages()), expected);
}

#[test]
fn hub_and_spoke_deploy_with_sam_and_the_spoke_is_told_of_the_hub() {
    let cloud = Cloud::start(&Options::default(), &|_| {}).unwrap();
    let log = cloud.logs().join("deploy.log");
    // The defaults of scripts/deploy: the hub in the target's account, which needs no leave to use its own bus.
    deploy::with_sam(&cloud, "hub", TARGET, &[], &log).unwrap();
    deploy::with_sam(&cloud, "spoke", SOURCE, &[], &log).unwrap();
    let hub = cloud.account(TARGET).stack_outputs(HUB_STACK).unwrap();
    let spoke = cloud.account(SOURCE).stack_outputs(SPOKE_STACK).unwrap();
    assert_eq!(spoke["HubBusArn"], hub["BusArn"]);
    let bus =
        cloud.account(TARGET).json("events", "DescribeEventBus", json!({"Name": "sluice-alerts"})).unwrap();
    let policy = bus["Policy"].as_str().unwrap();
    assert!(policy.contains(SOURCE.account), "{policy}");
    // Once databases tell something, the hub's queue is subscribed to it. What is deployed again without a change stays as it is.
    for _ in 0..2 {
        deploy::with_sam(&cloud, "spoke", SOURCE, &[("DatabaseEvents", "redshift")], &log).unwrap();
    }
    let source = cloud.account(SOURCE);
    let topic = source.stack_outputs(SPOKE_STACK).unwrap()["DatabaseTopicArn"].clone();
    let found = source.query("sns", "ListSubscriptionsByTopic", &[("TopicArn", &topic)]).unwrap();
    let endpoints: Vec<&str> = found.all("Endpoint").iter().map(|one| one.value.as_str()).collect();
    assert_eq!(endpoints, [hub["FailureEventsQueueArn"].as_str()]);
    let words = [("SubscriptionArn", found.text("SubscriptionArn").unwrap())];
    let words = words.each_ref().map(|(name, value)| (*name, value.as_str()));
    let attributes = cloud.account(TARGET).query("sns", "GetSubscriptionAttributes", &words).unwrap();
    let attributes: BTreeMap<&str, &str> = attributes
        .all("key")
        .into_iter()
        .zip(attributes.all("value"))
        .map(|(key, value)| (key.value.as_str(), value.value.as_str()))
        .collect();
    assert_eq!(attributes["PendingConfirmation"], "false", "{attributes:?}");
    assert!(attributes["RedrivePolicy"].contains(&hub["FailureEventsDeadLetterQueueArn"]), "{attributes:?}");
}
