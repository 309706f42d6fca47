//! The permissions of the hub's functions and of the publishers of database events: every single
//! action is needed.

#![allow(clippy::unwrap_used)]

use cloud::aws::Account;
use cloud::wait::{self, Seen};
use cloud::{SOURCE, TARGET};
use end_to_end::alerts::{AlertWorld, HUB, SPOKE_STACK};
use end_to_end::{Grants, PATIENCE, Secret, log_of};
use serde_json::{Value, json};

/// A function of the hub and the event that it processes in this test.
struct Work {
    function: &'static str,
    event: &'static str,
}

#[test]
fn every_grant_of_every_function_is_needed() {
    let world = AlertWorld::new(&[], &[("MaxReceiveCount", "1000")]);
    world.retry_after(1);
    let all = [
        Work {
            function: "Rotation",
            event: include_str!("../../events/secretsmanager/put-secret-value-by-hand.json"),
        },
        Work {
            function: "Failure",
            event: include_str!("../../events/cloudformation/stack-create-rollback.json"),
        },
        Work {
            function: "Access",
            event: include_str!("../../events/secretsmanager/get-secret-value-denied.json"),
        },
        Work { function: "DeadLetter", event: "{}" },
        Work { function: "Secrets", event: "{}" },
    ];
    let taken: Vec<usize> = all.iter().map(|work| every_grant_of(&world, work)).collect();
    assert_eq!(taken, [9, 10, 8, 8, 9]);
}

/// Returns a document without some of its statements.
fn without(document: &Value, sids: &[&str]) -> Value {
    let mut document = document.clone();
    let statements = document["Statement"].as_array_mut().unwrap();
    let before = statements.len();
    statements.retain(|one| !sids.iter().any(|sid| one["Sid"] == *sid));
    assert_eq!(statements.len() + sids.len(), before, "{sids:?} of {document}");
    document
}

#[test]
fn every_statement_for_database_events_is_needed() {
    let world = AlertWorld::new(&[], &[]);
    world.retry_after(2);
    let spoke = world.cloud.account(SOURCE);
    let topic = world.deploy_spoke(SOURCE, &[("DatabaseEvents", "both")])["DatabaseTopicArn"].clone();
    let attributes = spoke.query("sns", "GetTopicAttributes", &[("TopicArn", &topic)]).unwrap();
    let found = attributes.all("key").into_iter().zip(attributes.all("value"));
    let policy = found
        .map(|(key, value)| (key.value.as_str(), value.value.as_str()))
        .find(|(key, _)| *key == "Policy");
    let policy: Value = serde_json::from_str(policy.unwrap().1).unwrap();
    let put = |document: &Value| {
        let document = document.to_string();
        let words =
            [("TopicArn", topic.as_str()), ("AttributeName", "Policy"), ("AttributeValue", &document)];
        spoke.query("sns", "SetTopicAttributes", &words).unwrap();
    };

    // The hub may subscribe its queue and nothing else, and no other account may subscribe.
    let queue = world.outputs["CustomEventsQueueArn"].clone();
    let subscribe = |account: &Account, protocol: &str, endpoint: &str| {
        let words = [("TopicArn", topic.as_str()), ("Protocol", protocol), ("Endpoint", endpoint)];
        account.query("sns", "Subscribe", &words).map(|_| ()).map_err(|error| error.code)
    };
    let elsewhere = format!("arn:aws:sqs:{}:{}:elsewhere", world.cloud.region(), TARGET.account);
    let refused = Err("AuthorizationError".to_owned());
    assert_eq!(subscribe(&world.hub, "https", "https://example.com/"), refused);
    assert_eq!(subscribe(&world.hub, "sqs", &elsewhere), refused);
    assert_eq!(subscribe(&world.cloud.account(TARGET), "sqs", &elsewhere), refused);
    put(&without(&policy, &["HubSubscribesItsQueue"]));
    assert_eq!(subscribe(&world.hub, "sqs", &queue), refused);
    put(&policy);
    world.subscribe_databases(SOURCE, "both");

    let redshift = || world.database_event("redshift", SOURCE, "ERROR", "monitoring", &fresh());
    let rds = || world.database_event("rds", SOURCE, "ERROR", "failure", &fresh());

    // The hub's queue accepts messages of its spokes' topics. Messages that it rejects go to the
    // dead-letter queue.
    let url = world.resource("CustomEventsQueue");
    let dead_letter_url = world.resource("CustomEventsDeadLetterQueue");
    let document: Value = serde_json::from_str(&world.attribute(&url, "Policy")).unwrap();
    let put_on = |url: &str, document: &Value| {
        let words = json!({"QueueUrl": url, "Attributes": {"Policy": document.to_string()}});
        world.hub.json("sqs", "SetQueueAttributes", words).unwrap();
    };
    let dead_letters = || world.attribute(&dead_letter_url, "ApproximateNumberOfMessages");
    put_on(&url, &without(&document, &["DatabaseTopicsSend"]));
    assert_eq!((redshift(), dead_letters().as_str()), (1, "1"));
    put_on(&dead_letter_url, &without(&document, &["DatabaseTopicsSend"]));
    assert_eq!((redshift(), dead_letters().as_str()), (1, "1"));
    put_on(&url, &document);
    put_on(&dead_letter_url, &document);
    assert_eq!((redshift(), dead_letters().as_str()), (1, "1"));
    let alert = world.alert("database-event", "opened", SOURCE);
    assert_eq!(alert["count"], 1, "{alert}");

    // One of the two statements for Redshift is enough. Without both, Redshift publishes nothing,
    // and neither does RDS without its own.
    let publishers = ["RedshiftPublishes", "RedshiftPublishesAsOwner"];
    for (taken, left) in [(&publishers[..1], 1), (&publishers[1..], 1), (&publishers[..], 0)] {
        put(&without(&policy, taken));
        assert_eq!((redshift(), rds()), (left, 1), "{taken:?}");
    }
    put(&without(&policy, &["RdsPublishes"]));
    assert_eq!((redshift(), rds()), (1, 0));
    put(&policy);

    // Both services need both actions of the topic's key.
    let key = spoke.physical_id(SPOKE_STACK, "DatabaseKey").unwrap();
    let found = spoke.json("kms", "GetKeyPolicy", json!({"KeyId": key, "PolicyName": "default"})).unwrap();
    let whole: Value = serde_json::from_str(found["Policy"].as_str().unwrap()).unwrap();
    let put = |document: &Value| {
        let words = json!({"KeyId": key, "PolicyName": "default", "Policy": document.to_string()});
        spoke.json("kms", "PutKeyPolicy", words).unwrap();
    };
    for action in ["kms:Decrypt", "kms:GenerateDataKey"] {
        let mut less = whole.clone();
        let statements = less["Statement"].as_array_mut().unwrap();
        let statement = statements.iter_mut().find(|one| one["Sid"] == "DatabasesPublish").unwrap();
        statement["Action"].as_array_mut().unwrap().retain(|one| *one != action);
        put(&less);
        assert_eq!((redshift(), rds()), (0, 0), "without {action}");
    }
    put(&whole);
    assert_eq!((redshift(), rds()), (1, 1));

    // Both queues have the same policy, which names only the spokes and the hub's account.
    let statement =
        document["Statement"].as_array().unwrap().iter().find(|one| one["Sid"] == "DatabaseTopicsSend");
    let expected = [HUB, SOURCE, TARGET].map(|one| format!("arn:*:sns:*:{}:*", one.account));
    assert_eq!(statement.unwrap()["Condition"]["ArnLike"]["aws:SourceArn"], json!(expected));
}

/// Returns a text that occurs nowhere else.
fn fresh() -> String {
    format!("{:016x}", fastrand::u64(..))
}

/// Removes each action of each statement of the function's role in turn, waits until the function
/// logs the denied action, restores it and waits until the event is processed. Returns the number
/// of removed actions.
fn every_grant_of(world: &AlertWorld, work: &Work) -> usize {
    let role = world.resource(&format!("{}Role", work.function));
    let grants = Grants::of(&world.hub, &role);
    let logs = world.resource(&format!("{}Logs", work.function));
    let log = || log_of(&world.hub, &logs);
    let mut pairs = grants.pairs();
    // First, while the function has no credentials of the other role yet.
    pairs.sort_by_key(|(sid, _)| sid != "AssumeReadRoles");
    let mut changes = 0;
    for (sid, action) in &pairs {
        grants.put(&grants.without_in(sid, action));
        let seen = denials(&log(), action);
        if sid == "ReceiveEvents" {
            // Lambda calls these itself, when the event source mapping is created.
            let refused = map_again(world, work);
            assert!(refused.contains(action.trim_start_matches("sqs:")), "{sid} {action}: {refused}");
        } else {
            begin(world, work, sid, changes);
            wait::until(&format!("{} names {action} of {sid}", work.function), PATIENCE, || {
                // A message that was received before is hidden for a while: one check may miss it.
                if work.function == "DeadLetter" {
                    world.fire("DeadLetterFunctionCheck");
                }
                let log = log();
                let named = denials(&log, action) > seen;
                Ok(if named { Seen::Yes(()) } else { Seen::NotYet(log) })
            })
            .unwrap();
        }
        grants.put(&grants.document);
        world.wait_until_processed();
        if work.function == "DeadLetter" {
            changes += 1;
            wait_for_alerts(world, changes);
        }
    }
    pairs.len()
}

/// Returns the number of log lines that report a denial of an action.
fn denials(log: &str, action: &str) -> usize {
    let refused = |line: &&str| {
        line.contains(action) && (line.contains("not authorized") || line.contains("AccessDenied"))
    };
    log.lines().filter(refused).count()
}

/// Maps the function's queue a second time and returns Lambda's error message.
fn map_again(world: &AlertWorld, work: &Work) -> String {
    let body = json!({
        "FunctionName": world.resource(&format!("{}Function", work.function)),
        "EventSourceArn": world.queue_arn(&world.resource(&format!("{}EventsQueue", work.function))),
    });
    let path = "/2015-03-31/event-source-mappings/";
    let answer = world.hub.rest("lambda", "POST", path, &[], body.to_string().as_bytes());
    answer.err().map(|error| error.message).unwrap_or_default()
}

/// Sends the function a new event, or starts its schedule with something new to find. `changes` is
/// the number of changes of the dead-letter queue until now.
fn begin(world: &AlertWorld, work: &Work, sid: &str, changes: usize) {
    if sid == "QueryDueItems" && work.function == "Failure" {
        world.fire("FailureFunctionSweep");
        return;
    }
    if work.function == "DeadLetter" {
        change_dead_letters(world, changes);
        world.fire("DeadLetterFunctionCheck");
        return;
    }
    if work.function == "Secrets" {
        create_problems(world);
        world.fire("SecretsFunctionCheck");
        return;
    }
    let fresh = format!("{:012x}", fastrand::u64(..) >> 16);
    let mut event: Value = serde_json::from_str(work.event).unwrap();
    event["id"] = fresh.as_str().into();
    if event["detail"]["eventID"].is_string() {
        event["detail"]["eventID"] = fresh.as_str().into();
    }
    // A new subject each time, because a further event of the same subject is only counted.
    let text = event.to_string().replace("app-AbCdEf", &format!("app{fresh}-AbCdEf"));
    let text = text
        .replace("sluice-target", &format!("sluice-{fresh}"))
        .replace("\"app\"", &format!("\"app{fresh}\""));
    let url = world.resource(&format!("{}EventsQueue", work.function));
    world.hub.json("sqs", "SendMessage", json!({"QueueUrl": url, "MessageBody": text})).unwrap();
}

/// Creates a secret that should rotate and does not, one with a pending version and one that is
/// scheduled for deletion. The check calls a different action for each.
fn create_problems(world: &AlertWorld) {
    for kind in ["off", "pending", "deleted"] {
        let name = format!("{kind}-{:016x}", fastrand::u64(..));
        let secret = Secret::create(world.hub.clone(), &name, &json!({"password": "p"}));
        let (action, words) = match kind {
            "off" => ("TagResource", json!({"Tags": [{"Key": "sluice:rotation", "Value": "on"}]})),
            "pending" => ("PutSecretValue", json!({"SecretString": "{}", "VersionStages": ["AWSPENDING"]})),
            _ => ("DeleteSecret", json!({"RecoveryWindowInDays": 7})),
        };
        secret.call(action, words).unwrap();
    }
}

/// Sends a message to the dead-letter queue, and purges it the next time. Both raise an alert. The
/// queue is not asked whether it is empty: a message that a check has received becomes visible again
/// between two such questions.
fn change_dead_letters(world: &AlertWorld, changes: usize) {
    let url = world.resource("AccessEventsDeadLetterQueue");
    if changes.is_multiple_of(2) {
        world.hub.json("sqs", "SendMessage", json!({"QueueUrl": url, "MessageBody": "{}"})).unwrap();
    } else {
        world.hub.json("sqs", "PurgeQueue", json!({"QueueUrl": url})).unwrap();
    }
}

/// Waits for an alert about each change of the dead-letter queue. A message that was received is
/// not visible for some time, so one check may not be enough.
fn wait_for_alerts(world: &AlertWorld, changes: usize) {
    wait::until(&format!("{changes} alerts about the dead-letter queue"), PATIENCE, || {
        world.fire("DeadLetterFunctionCheck");
        let alerts = world.messages().iter().filter(|one| one["kind"] == "dead-letter").count();
        Ok(if alerts == changes { Seen::Yes(()) } else { Seen::NotYet(format!("{alerts} alerts")) })
    })
    .unwrap();
}
