//! The roles of the hub's functions: every single action is needed.

#![allow(clippy::unwrap_used)]

use cloud::wait::{self, Seen};
use end_to_end::alerts::Night;
use end_to_end::{Grants, PATIENCE, Secret, log_of};
use serde_json::{Value, json};

/// What a function of the hub is given to work off, fresh each time, and what it is told by.
struct Work {
    function: &'static str,
    event: &'static str,
}

#[test]
fn every_grant_of_every_function_is_needed() {
    let night = Night::new(&[], &[("MostTries", "1000")]);
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
    assert_eq!(taken, [9, 10, 8, 8, 10]);
}

/// Takes every single action out of every statement of the function's role, sees it name the action, gives it back, and sees the event told.
fn every_grant_of(night: &Night, work: &Work) -> usize {
    let role = night.resource(&format!("{}Role", work.function));
    let grants = Grants::of(&night.hub, &role);
    let logs = night.resource(&format!("{}Logs", work.function));
    let log = || log_of(&night.hub, &logs);
    let mut pairs = grants.pairs();
    // First, while the function has no credentials of the other role yet.
    pairs.sort_by_key(|(sid, _)| sid != "ReadWhereItHappened" && sid != "ReadElsewhere");
    let mut looks = 0;
    for (sid, action) in &pairs {
        grants.put(&grants.without_in(sid, action));
        let seen = denials(&log(), action);
        if sid == "WorkOffQueue" {
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
        "EventSourceArn": night.queue_arn(&night.resource(&format!("{}Queue", work.function))),
    });
    let path = "/2015-03-31/event-source-mappings/";
    let answer = night.hub.rest("lambda", "POST", path, &[], body.to_string().as_bytes());
    answer.err().map(|error| error.message).unwrap_or_default()
}

/// Gives the function something new to do.
fn begin(night: &Night, work: &Work, sid: &str) {
    if sid == "LookForWhatIsDue" && work.function == "Failure" {
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
    let url = night.resource(&format!("{}Queue", work.function));
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
    let url = night.resource("AccessFailedEvents");
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
