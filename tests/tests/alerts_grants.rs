//! The roles of the hub's functions, and who may bring what databases tell: every single action is needed.

#![allow(clippy::unwrap_used)]

use cloud::aws::Account;
use cloud::wait::{self, Seen};
use cloud::{SOURCE, TARGET};
use end_to_end::alerts::{HUB, Night, SPOKE_STACK};
use end_to_end::{Grants, PATIENCE, Secret, log_of};
use serde_json::{Value, json};

/// What a function of the hub is given to work off, fresh each time, and what it is told by.
struct Work {
    function: &'static str,
    event: &'static str,
}

#[test]
fn every_grant_of_every_function_is_needed() {
    let night = Night::new(&[], &[("MaxReceiveCount", "1000")]);
    night.retry_after(1);
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
    let taken: Vec<usize> = all.iter().map(|work| every_grant_of(&night, work)).collect();
    assert_eq!(taken, [9, 10, 8, 8, 9]);
}

/// A document without some of its statements.
fn without(document: &Value, sids: &[&str]) -> Value {
    let mut document = document.clone();
    let statements = document["Statement"].as_array_mut().unwrap();
    let before = statements.len();
    statements.retain(|one| !sids.iter().any(|sid| one["Sid"] == *sid));
    assert_eq!(statements.len() + sids.len(), before, "{sids:?} of {document}");
    document
}

#[test]
fn every_statement_that_lets_databases_tell_something_is_needed() {
    let night = Night::new(&[], &[]);
    night.retry_after(2);
    let spoke = night.cloud.account(SOURCE);
    let topic = night.deploy_spoke(SOURCE, &[("DatabaseEvents", "both")])["DatabaseTopicArn"].clone();
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

    // The hub subscribes its queue, nothing else, and nobody else subscribes anything.
    let queue = night.outputs["FailureEventsQueueArn"].clone();
    let subscribe = |account: &Account, protocol: &str, endpoint: &str| {
        let words = [("TopicArn", topic.as_str()), ("Protocol", protocol), ("Endpoint", endpoint)];
        account.query("sns", "Subscribe", &words).map(|_| ()).map_err(|error| error.code)
    };
    let elsewhere = format!("arn:aws:sqs:{}:{}:elsewhere", night.cloud.region(), TARGET.account);
    let refused = Err("AuthorizationError".to_owned());
    assert_eq!(subscribe(&night.hub, "https", "https://example.com/"), refused);
    assert_eq!(subscribe(&night.hub, "sqs", &elsewhere), refused);
    assert_eq!(subscribe(&night.cloud.account(TARGET), "sqs", &elsewhere), refused);
    put(&without(&policy, &["HubSubscribesItsQueue"]));
    assert_eq!(subscribe(&night.hub, "sqs", &queue), refused);
    put(&policy);
    night.subscribe_databases(SOURCE, "both");

    let redshift = || night.database_event("redshift", SOURCE, "ERROR", "monitoring", &fresh());
    let rds = || night.database_event("rds", SOURCE, "ERROR", "failure", &fresh());

    // The hub's queue takes it from topics of its spokes; what the queue does not take is in the failure queue.
    let url = night.resource("FailureEventsQueue");
    let held = night.resource("FailureEventsDeadLetterQueue");
    let document: Value = serde_json::from_str(&night.attribute(&url, "Policy")).unwrap();
    let put_on = |url: &str, document: &Value| {
        let words = json!({"QueueUrl": url, "Attributes": {"Policy": document.to_string()}});
        night.hub.json("sqs", "SetQueueAttributes", words).unwrap();
    };
    let lies = || night.attribute(&held, "ApproximateNumberOfMessages");
    put_on(&url, &without(&document, &["DatabaseTopicsSend"]));
    assert_eq!((redshift(), lies().as_str()), (1, "1"));
    put_on(&held, &without(&document, &["DatabaseTopicsSend"]));
    assert_eq!((redshift(), lies().as_str()), (1, "1"));
    put_on(&url, &document);
    put_on(&held, &document);
    assert_eq!((redshift(), lies().as_str()), (1, "1"));
    let told = night.told("database-event", "opened", SOURCE);
    assert_eq!(told["count"], 1, "{told}");

    // Either of Redshift's two statements does; without both it is silent, and so is RDS without its own.
    let publishers = ["RedshiftPublishes", "RedshiftPublishesAsOwner"];
    for (taken, left) in [(&publishers[..1], 1), (&publishers[1..], 1), (&publishers[..], 0)] {
        put(&without(&policy, taken));
        assert_eq!((redshift(), rds()), (left, 1), "{taken:?}");
    }
    put(&without(&policy, &["RdsPublishes"]));
    assert_eq!((redshift(), rds()), (1, 0));
    put(&policy);

    // Both need the topic's key, for both of its actions.
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

    // Both queues have the same policy, and it names the spokes and the hub's account and no other.
    let statement =
        document["Statement"].as_array().unwrap().iter().find(|one| one["Sid"] == "DatabaseTopicsSend");
    let expected = [HUB, SOURCE, TARGET].map(|one| format!("arn:*:sns:*:{}:*", one.account));
    assert_eq!(statement.unwrap()["Condition"]["ArnLike"]["aws:SourceArn"], json!(expected));
}

/// Words that nothing else says.
fn fresh() -> String {
    format!("{:016x}", fastrand::u64(..))
}

/// Takes every single action out of every statement of the function's role, sees it name the action, gives it back, and sees the event told.
fn every_grant_of(night: &Night, work: &Work) -> usize {
    let role = night.resource(&format!("{}Role", work.function));
    let grants = Grants::of(&night.hub, &role);
    let logs = night.resource(&format!("{}Logs", work.function));
    let log = || log_of(&night.hub, &logs);
    let mut pairs = grants.pairs();
    // First, while the function has no credentials of the other role yet.
    pairs.sort_by_key(|(sid, _)| sid != "AssumeReadRoles");
    let mut looks = 0;
    for (sid, action) in &pairs {
        grants.put(&grants.without_in(sid, action));
        let seen = denials(&log(), action);
        if sid == "ReceiveEvents" {
            // Lambda asks for these itself, when it is told to read the queue.
            let refused = map_again(night, work);
            assert!(refused.contains(action.trim_start_matches("sqs:")), "{sid} {action}: {refused}");
        } else {
            begin(night, work, sid);
            wait::until(&format!("{} names {action} of {sid}", work.function), PATIENCE, || {
                let log = log();
                let named = denials(&log, action) > seen;
                Ok(if named { Seen::Yes(()) } else { Seen::NotYet(log) })
            })
            .unwrap();
        }
        grants.put(&grants.document);
        night.wait_until_worked_off();
        if work.function == "DeadLetter" {
            looks += 1;
            until_told(night, looks);
        }
    }
    pairs.len()
}

/// Lines that say that an action was refused.
fn denials(log: &str, action: &str) -> usize {
    let refused = |line: &&str| {
        line.contains(action) && (line.contains("not authorized") || line.contains("AccessDenied"))
    };
    log.lines().filter(refused).count()
}

/// What Lambda says to another mapping of the function's queue.
fn map_again(night: &Night, work: &Work) -> String {
    let body = json!({
        "FunctionName": night.resource(&format!("{}Function", work.function)),
        "EventSourceArn": night.queue_arn(&night.resource(&format!("{}EventsQueue", work.function))),
    });
    let path = "/2015-03-31/event-source-mappings/";
    let answer = night.hub.rest("lambda", "POST", path, &[], body.to_string().as_bytes());
    answer.err().map(|error| error.message).unwrap_or_default()
}

/// Gives the function something new to do.
fn begin(night: &Night, work: &Work, sid: &str) {
    if sid == "QueryDueItems" && work.function == "Failure" {
        night.fire("SweepRule");
        return;
    }
    if work.function == "DeadLetter" {
        toggle(night);
        night.fire("DeadLetterRule");
        return;
    }
    if work.function == "Secrets" {
        trouble(night);
        night.fire("SecretsRule");
        return;
    }
    let fresh = format!("{:012x}", fastrand::u64(..) >> 16);
    let mut event: Value = serde_json::from_str(work.event).unwrap();
    event["id"] = fresh.as_str().into();
    if event["detail"]["eventID"].is_string() {
        event["detail"]["eventID"] = fresh.as_str().into();
    }
    // Another subject each time, or the second is only counted.
    let text = event.to_string().replace("app-AbCdEf", &format!("app{fresh}-AbCdEf"));
    let text = text
        .replace("sluice-target", &format!("sluice-{fresh}"))
        .replace("\"app\"", &format!("\"app{fresh}\""));
    let url = night.resource(&format!("{}EventsQueue", work.function));
    night.hub.json("sqs", "SendMessage", json!({"QueueUrl": url, "MessageBody": text})).unwrap();
}

/// Three secrets: one that should rotate and does not, one with a pending version, one that will be deleted. For each the check calls something else.
fn trouble(night: &Night) {
    for kind in ["off", "pending", "deleted"] {
        let name = format!("{kind}-{:016x}", fastrand::u64(..));
        let secret = Secret::create(night.hub.clone(), &name, &json!({"password": "p"}));
        let (action, words) = match kind {
            "off" => ("TagResource", json!({"Tags": [{"Key": "sluice:rotation", "Value": "on"}]})),
            "pending" => ("PutSecretValue", json!({"SecretString": "{}", "VersionStages": ["AWSPENDING"]})),
            _ => ("DeleteSecret", json!({"RecoveryWindowInDays": 7})),
        };
        secret.call(action, words).unwrap();
    }
}

/// Puts something into a failure queue that is empty, and empties one that is not: either is told.
fn toggle(night: &Night) {
    let url = night.resource("AccessEventsDeadLetterQueue");
    let names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"];
    if names.iter().all(|name| night.attribute(&url, name) == "0") {
        night.hub.json("sqs", "SendMessage", json!({"QueueUrl": url, "MessageBody": "{}"})).unwrap();
    } else {
        night.hub.json("sqs", "PurgeQueue", json!({"QueueUrl": url})).unwrap();
    }
}

/// Waits until so many changes of the failure queue were told. A message that was looked at is hidden for a while, so one look may not do.
fn until_told(night: &Night, changes: usize) {
    wait::until(&format!("{changes} changes of the failure queue are told"), PATIENCE, || {
        night.fire("DeadLetterRule");
        let told = night.messages().iter().filter(|one| one["kind"] == "dead-letter").count();
        Ok(if told == changes { Seen::Yes(()) } else { Seen::NotYet(format!("{told} told")) })
    })
    .unwrap();
}
