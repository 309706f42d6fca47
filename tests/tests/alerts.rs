//! The stacks of `templates/alerts-hub.yaml` and `templates/alerts-spoke.yaml`: the hub sends one
//! alert for each failure in any account.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::stage::Target;
use cloud::wait::{self, Seen};
use cloud::{Cloud, Error, Options, Profile, SOURCE, TARGET, deploy};
use end_to_end::alerts::{AlertWorld, HUB, HUB_STACK, QUIET, SPOKE_STACK, summary};
use end_to_end::{Grants, PATIENCE, Secret};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

/// The longest time from a failure to its alert. Usually it is one to three seconds; the rest is
/// for a busy machine.
const SECONDS: Duration = Duration::from_secs(30);

/// Creates a state machine whose role has no permissions and returns its ARN.
fn machine(world: &AlertWorld, profile: Profile, name: &str, definition: &Value) -> String {
    let account = world.cloud.account(profile);
    let trust = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "states.amazonaws.com"}, "Action": "sts:AssumeRole"}]});
    let words = [("RoleName", name), ("AssumeRolePolicyDocument", &trust.to_string())];
    let role = account.query("iam", "CreateRole", &words).unwrap().text("Arn").unwrap();
    let words = json!({"name": name, "roleArn": role, "definition": definition.to_string()});
    let made = account.json("states", "CreateStateMachine", words).unwrap();
    made["stateMachineArn"].as_str().unwrap().to_owned()
}

fn start(world: &AlertWorld, profile: Profile, machine: &str) {
    let words = json!({"stateMachineArn": machine});
    world.cloud.account(profile).json("states", "StartExecution", words).unwrap();
}

/// Returns the definition of a state machine that times out.
fn slow() -> Value {
    json!({"StartAt": "Wait", "TimeoutSeconds": 1, "States": {"Wait": {"Type": "Wait", "Seconds": 600, "End": true}}})
}

/// Returns the definition of a state machine that succeeds.
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

/// Waits for the clock's next second. The events of stacks have whole seconds, and no deployment on
/// AWS ends in the second in which it started.
fn wait_for_next_second() {
    let second = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let now = second();
    wait::until("the next second", PATIENCE, || {
        Ok(if second() > now { Seen::Yes(()) } else { Seen::NotYet(now.to_string()) })
    })
    .unwrap();
}

/// Returns the number of messages with each summary.
fn counted(messages: &[Value]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for message in messages {
        *counts.entry(summary(message)).or_default() += 1;
    }
    counts
}

#[test]
fn failure_in_any_account_raises_and_resolves_one_alert() {
    let world = AlertWorld::new(&[], &[]);
    world.retry_after(2);
    let (source, target) = (world.cloud.account(SOURCE), world.cloud.account(TARGET));

    // A state machine in the source account times out; its next execution succeeds.
    let began = Instant::now();
    let nightly = machine(&world, SOURCE, "nightly", &slow());
    start(&world, SOURCE, &nightly);
    let alert = world.alert("execution-failed", "opened", SOURCE);
    assert!(began.elapsed() < SECONDS, "alert after {:?}", began.elapsed());
    assert_eq!((&alert["subject"], &alert["severity"]), (&json!(nightly), &json!("error")), "{alert}");
    source
        .json(
            "states",
            "UpdateStateMachine",
            json!({"stateMachineArn": nightly, "definition": good().to_string()}),
        )
        .unwrap();
    start(&world, SOURCE, &nightly);
    let end = world.alert("execution-failed", "resolved", SOURCE);
    assert_eq!(end["thread"], alert["thread"]);

    // A stack in the target account is rolled back. The hub reads the cause there, with the role
    // that only its functions may assume.
    let began = Instant::now();
    let failed = target.deploy_text("bad", BAD_STACK, &[]).unwrap_err();
    assert!(matches!(failed, Error::Stack { .. }), "{failed}");
    let alert = world.alert("stack-failed", "opened", TARGET);
    assert!(began.elapsed() < SECONDS, "alert after {:?}", began.elapsed());
    assert!(alert["cause"].as_str().unwrap().contains("RedrivePolicy"), "{alert}");
    target.delete_stack("bad").unwrap();
    world.alert("stack-failed", "resolved", TARGET);

    // Two deployments fail, with a successful one between them. The second failure raises an alert
    // as the first did, although neither deployment has a client request token.
    target.deploy_text("app", GOOD_STACK, &[]).unwrap();
    for number in [2, 3] {
        wait_for_next_second();
        let both = format!("{GOOD_STACK}{}", BAD_STACK.replace("\nResources:", ""));
        target.deploy_text("app", &both, &[]).unwrap_err();
        let alert = world.wait_for("stack-failed", "opened", TARGET, number).pop().unwrap();
        assert!(alert["cause"].as_str().unwrap().contains("RedrivePolicy"), "{alert}");
        target.deploy_text("app", &GOOD_STACK.replace("Good", &format!("Good{number}")), &[]).unwrap();
        world.wait_for("stack-failed", "resolved", TARGET, number);
    }

    // A rotation in the source account cannot reach its server until the secret is fixed by hand.
    let server = Target::new();
    let mut unreachable = server.value();
    unreachable["host"] = "localhost.invalid".into();
    let secret = Secret::create(world.cloud.account(SOURCE), "app", &unreachable);
    let began = Instant::now();
    secret.deploy_rotation("postgres", &[("CaCertificates", &server.ca)]);
    let alert = world.alert("rotation-failed", "opened", SOURCE);
    assert!(began.elapsed() < SECONDS, "alert after {:?}", began.elapsed());
    assert_eq!(alert["subject"], secret.arn, "{alert}");
    secret.wait_until_it_stopped(0);
    // The function has stored a value under AWSPENDING, which is nobody else's.
    let by_hand = world.messages().iter().filter(|one| one["kind"] == "secret-changed-by-hand").count();
    assert_eq!(by_hand, 0);
    secret.put(&server.value());
    world.alert("secret-changed-by-hand", "opened", SOURCE);
    secret.unstick();
    world.alert("rotation-disabled", "opened", SOURCE);
    secret.rotate();
    secret.wait_for_another_password_than(crate::stage::FIRST);
    world.alert("rotation-failed", "resolved", SOURCE);

    // A role without permissions requests a secret of the target account.
    let denied = Secret::create(world.cloud.account(TARGET), "payroll", &json!({"password": "p"}));
    let unprivileged = world.unprivileged(TARGET);
    unprivileged.json("secretsmanager", "GetSecretValue", json!({"SecretId": denied.arn})).unwrap_err();
    let alert = world.alert("secret-access-denied", "opened", TARGET);
    assert!(alert["what"].as_str().unwrap().contains("nobody"), "{alert}");

    // Both subscribers have each alert once, and no other alert.
    world.wait_until_processed();
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
    assert_eq!(counted(&world.messages()), expected);
    assert_eq!(counted(&world.endpoint.messages()), expected);
    // No alert contains a password.
    let all = world.messages().iter().map(Value::to_string).collect::<String>();
    assert!(!all.contains(crate::stage::FIRST) && !all.contains(&secret.password()), "{all}");
}

#[test]
fn sns_outage_drops_no_event_and_one_command_redelivers() {
    // An alarm's minute is 1.2 s here.
    let world = AlertWorld::new(&[("SLUICE_METRIC_PERIOD_SCALE", "0.02")], &[("MaxReceiveCount", "2")]);
    // Longer than an invocation on a slow machine: a second delivery during the processing would
    // count as an attempt.
    world.retry_after(5);
    let until = |what: &str, check: &dyn Fn() -> (bool, String)| {
        wait::until(what, QUIET, || {
            let (done, text) = check();
            Ok(if done { Seen::Yes(()) } else { Seen::NotYet(text) })
        })
        .unwrap();
    };
    until("every alarm is OK", &|| {
        world.run_schedules();
        (world.alarm("AlertingUnhealthyAlarm") == "OK", world.alarms())
    });
    let known = world.fallback_messages().len();

    let topic = world.outputs["TopicArn"].clone();
    world.control("fault", &json!({"action": "sns:Publish", "resource": topic, "times": 1_000_000}));
    let nightly = machine(&world, SOURCE, "nightly", &slow());
    start(&world, SOURCE, &nightly);
    let dead_letters = world.resource("FailureEventsDeadLetterQueue");
    until("the event in the dead-letter queue, and a message on the fallback topic", &|| {
        world.control("tick", &json!({}));
        let (number, failures) =
            (world.attribute(&dead_letters, "ApproximateNumberOfMessages"), world.fallback_messages());
        let notified = failures.iter().skip(known).any(|one| one["NewStateValue"] == "ALARM");
        (number == "1" && notified, format!("{number} dead letters, {failures:?}"))
    });
    assert!(world.messages().is_empty(), "{:?}", world.messages());

    // SNS works again. The alert about the dead letter has the command that sends it again.
    world.hub.rest("s3", "DELETE", "/_sluice/faults", &[], &[]).unwrap();
    until("an alert about the dead letter", &|| {
        world.run_schedules();
        let messages = world.messages();
        (messages.iter().any(|one| one["kind"] == "dead-letter"), format!("{messages:?}"))
    });
    let alert = world.alert("dead-letter", "opened", HUB);
    let command = alert["command"].as_str().unwrap();
    assert!(command.contains(&world.queue_arn(&dead_letters)), "{command}");
    until("no message of the dead-letter queue is in flight", &|| {
        let in_flight = world.attribute(&dead_letters, "ApproximateNumberOfMessagesNotVisible");
        (in_flight == "0", in_flight)
    });
    // The command runs unchanged, except that version 1 of the AWS CLI ignores the configured
    // endpoint for SQS.
    let local = format!("{command} --endpoint-url {}", world.cloud.endpoint());
    let output =
        world.cloud.command("bash").args(["-c", &local]).env("AWS_PROFILE", HUB.name).output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    until("the alert of the event, an empty dead-letter queue and OK", &|| {
        world.run_schedules();
        let all = counted(&world.messages());
        let resolved = all.contains_key(&format!("dead-letter resolved {}", HUB.account));
        let alerted = all.contains_key(&format!("execution-failed opened {}", SOURCE.account));
        (
            resolved && alerted && world.alarm("AlertingUnhealthyAlarm") == "OK",
            format!("{all:?}, {}", world.alarms()),
        )
    });
    world.wait_until_processed();
    let count = |kind: &str| world.messages().iter().filter(|one| one["kind"] == kind).count();
    assert_eq!((count("execution-failed"), count("dead-letter")), (1, 2), "{:?}", world.messages());
    let ok = |one: &Value| one["NewStateValue"] == "OK";
    assert!(world.fallback_messages().last().is_some_and(ok), "{:?}", world.fallback_messages());

    // The scheduled rules no longer start the functions, which raises an alarm as well.
    let before = world.fallback_messages().len();
    until("the alarm about the missing runs", &|| {
        world.control("tick", &json!({}));
        let failures = world.fallback_messages();
        let notified = failures.iter().skip(before).any(|one| one["NewStateValue"] == "ALARM");
        // Both schedules stopped, and either alarm may be the first.
        let notified = notified && world.alarm("SweepNotRunningAlarm") == "ALARM";
        (notified, format!("{failures:?}, {}", world.alarms()))
    });
}

#[test]
fn undeliverable_event_stays_at_the_spoke_and_raises_alarm() {
    let world = AlertWorld::new(&[("SLUICE_METRIC_PERIOD_SCALE", "0.02")], &[]);
    let bus = world.outputs["BusArn"].rsplit('/').next().unwrap().to_owned();
    let words = json!({"EventBusName": bus, "RemoveAllPermissions": true});
    world.hub.json("events", "RemovePermission", words).unwrap();
    start(&world, SOURCE, &machine(&world, SOURCE, "nightly", &slow()));
    let source = world.cloud.account(SOURCE);
    let url = source.physical_id(SPOKE_STACK, "UndeliveredEventsQueue").unwrap();
    let alarm = wait::until("the event at the spoke, and a message on the fallback topic", PATIENCE, || {
        world.control("tick", &json!({}));
        let failures = world.fallback_messages();
        let alarm = failures
            .iter()
            .find(|one| one["AWSAccountId"] == SOURCE.account && one["NewStateValue"] == "ALARM")
            .cloned();
        Ok(alarm.map_or_else(|| Seen::NotYet(format!("{failures:?}")), Seen::Yes))
    })
    .unwrap();
    assert!(alarm["AlarmName"].as_str().unwrap().contains("UndeliveredEventsAlarm"), "{alarm}");
    // The same queue has the events of the alarms.
    let event = wait::until("the event in the spoke's queue", PATIENCE, || {
        let words = json!({"QueueUrl": url, "MaxNumberOfMessages": 10});
        let received = source.json("sqs", "ReceiveMessage", words)?;
        let mut bodies =
            received["Messages"].as_array().into_iter().flatten().filter_map(|one| one["Body"].as_str());
        let found = bodies.find(|body| body.contains("TIMED_OUT"));
        Ok(found.map_or_else(|| Seen::NotYet(received.to_string()), |body| Seen::Yes(body.to_owned())))
    })
    .unwrap();
    // The event is sent twice by hand, as docs/alerts.md describes, and raises one alert.
    let event: Value = serde_json::from_str(&event).unwrap();
    for _ in 0..2 {
        world.hub.invoke(&world.resource("FailureFunction"), &event).unwrap();
    }
    world.alert("execution-failed", "opened", SOURCE);
    assert_eq!(world.messages().len(), 1);
    // The empty queue is reported as well.
    source.json("sqs", "PurgeQueue", json!({"QueueUrl": url})).unwrap();
    wait::until("the OK on the fallback topic", PATIENCE, || {
        world.control("tick", &json!({}));
        let failures = world.fallback_messages();
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
fn read_role_is_for_hub_functions_only_and_reads_no_values() {
    let world = AlertWorld::new(&[], &[]);
    let arn = format!("arn:aws:iam::{}:role/{}", TARGET.account, world.outputs["ReadRoleName"]);
    for principal in [world.hub.clone(), world.cloud.account(SOURCE), world.unprivileged(TARGET)] {
        let refused = principal.assume(&arn).unwrap_err();
        assert!(refused.code.contains("AccessDenied"), "{refused}");
    }
    let grants = Grants::of(&world.cloud.account(TARGET), &world.outputs["ReadRoleName"]).called();
    let expected = [
        "cloudformation:DescribeStackEvents",
        "secretsmanager:DescribeSecret",
        "secretsmanager:ListSecretVersionIds",
        "secretsmanager:ListSecrets",
    ];
    assert_eq!(grants.into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn secret_check_covers_all_accounts_and_reports_unreadable() {
    let world = AlertWorld::new(&[], &[]);
    let tag = |secret: &Secret, value: &str| {
        secret.call("TagResource", json!({"Tags": [{"Key": "sluice:rotation", "Value": value}]})).unwrap();
    };
    // A secret that should rotate and does not, in the hub's account and in a spoke account.
    let secrets = [HUB, SOURCE].map(|profile| {
        let secret = Secret::create(world.cloud.account(profile), "app", &json!({"password": "p"}));
        tag(&secret, "on");
        secret
    });
    // The target's role trusts no account. The other accounts are checked nevertheless.
    let target = world.cloud.account(TARGET);
    let role = world.outputs["ReadRoleName"].as_str();
    let name = [("RoleName", role)];
    let trust = target.query("iam", "GetRole", &name).unwrap().text("AssumeRolePolicyDocument").unwrap();
    let put = |document: &str| {
        let words = [("RoleName", role), ("PolicyDocument", document)];
        target.query("iam", "UpdateAssumeRolePolicy", &words).unwrap();
    };
    put(r#"{"Version": "2012-10-17", "Statement": []}"#);
    world.fire("SecretsFunctionCheck");
    for (secret, profile) in secrets.iter().zip([HUB, SOURCE]) {
        let alert = world.alert("rotation-disabled", "opened", profile);
        assert_eq!(alert["subject"], secret.arn, "{alert}");
    }
    let alert = world.alert("secret-check-failed", "opened", TARGET);
    assert!(alert["cause"].as_str().unwrap().contains("sts:AssumeRole"), "{alert}");
    assert!(alert["command"].as_str().unwrap().contains(role), "{alert}");

    // An unchanged problem raises no further alert, and a fixed one is reported as resolved.
    put(&percent_decode_str(&trust).decode_utf8().unwrap());
    tag(&secrets[1], "off");
    world.fire("SecretsFunctionCheck");
    world.alert("rotation-disabled", "resolved", SOURCE);
    world.alert("secret-check-failed", "resolved", TARGET);
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
    assert_eq!(counted(&world.messages()), expected);
}

#[test]
fn hub_and_spoke_deploy_with_sam_and_outputs_are_passed_on() {
    let cloud = Cloud::start(&Options::default(), &|_| {}).unwrap();
    let log = cloud.logs().join("deploy.log");
    // The defaults of scripts/deploy: the hub is in the target's account, which needs no permission
    // for its own bus.
    deploy::with_sam(&cloud, "hub", TARGET, &[], &log).unwrap();
    deploy::with_sam(&cloud, "spoke", SOURCE, &[], &log).unwrap();
    let hub = cloud.account(TARGET).stack_outputs(HUB_STACK).unwrap();
    let spoke = cloud.account(SOURCE).stack_outputs(SPOKE_STACK).unwrap();
    assert_eq!(spoke["HubBusArn"], hub["BusArn"]);
    let bus =
        cloud.account(TARGET).json("events", "DescribeEventBus", json!({"Name": "sluice-alerts"})).unwrap();
    let policy = bus["Policy"].as_str().unwrap();
    assert!(policy.contains(SOURCE.account), "{policy}");
    // With database events, the hub's queue is subscribed to their topic. A second deployment
    // without a change keeps the subscription.
    for _ in 0..2 {
        deploy::with_sam(&cloud, "spoke", SOURCE, &[("DatabaseEvents", "redshift")], &log).unwrap();
    }
    let source = cloud.account(SOURCE);
    let topic = source.stack_outputs(SPOKE_STACK).unwrap()["DatabaseTopicArn"].clone();
    let found = source.query("sns", "ListSubscriptionsByTopic", &[("TopicArn", &topic)]).unwrap();
    let endpoints: Vec<&str> = found.all("Endpoint").iter().map(|one| one.value.as_str()).collect();
    assert_eq!(endpoints, [hub["CustomEventsQueueArn"].as_str()]);
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
    assert!(attributes["RedrivePolicy"].contains(&hub["CustomEventsDeadLetterQueueArn"]), "{attributes:?}");
}
