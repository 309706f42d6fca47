//! The e-mail about every sample event: one file for each event in tests/golden.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::{Path, PathBuf};

use alerts::event::{Detail, Event, Receiver};
use alerts::incident::AccountRegion;
use alerts::message::Message;
use alerts::moment::Moment;
use alerts::notification::{Notification, Resolution, Status};
use alerts::rules::{
    AccessRules, ReadHistory, RotationRules, RotationStatus, SecretRead, SecretRotation, evaluate,
    secret_call, unrecognized_event,
};
use alerts::state::{Observation, Transition};
use test_support::alerts::{mail, mail_about};
use test_support::golden::Golden;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events")
}

/// Samples of requests that functions of other crates get.
fn is_for_others(value: &serde_json::Value) -> bool {
    value.get("RequestType").is_some() || value.get("Step").is_some()
}

/// Every sample event: its name and content.
fn samples() -> Vec<(String, serde_json::Value)> {
    let mut samples = Vec::new();
    for folder in
        std::fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir())
    {
        for path in std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            let text = std::fs::read_to_string(&path).unwrap();
            let value =
                serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let name = path.with_extension("");
            let name = name.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
            if !is_for_others(&value) {
                samples.push((name, value));
            }
        }
    }
    samples.sort_by(|one, other| one.0.cmp(&other.0));
    samples
}

fn receiver() -> Receiver<'static> {
    Receiver { account: "111111111111", now: Moment::parse("2026-03-01T03:00:00Z").unwrap() }
}

fn observations(event: &Event) -> Vec<Observation> {
    match &event.detail {
        Detail::SecretCall(record) => {
            let rules = RotationRules::default();
            let function = "arn:aws:lambda:us-east-1:111111111111:function:sluice-rotation-RotationFunction";
            let (status, function) = (RotationStatus::Enabled, Some(function.to_owned()));
            let rotation = SecretRotation { status, function, is_guessed: false };
            let reading = SecretRead::of(event, record);
            let read = ReadHistory::default().add(reading.as_slice(), &AccessRules::default());
            secret_call(event, record, &rules, &rotation).into_iter().chain(read).collect()
        }
        _ => evaluate(event),
    }
}

fn rendered(value: &serde_json::Value) -> String {
    let here = AccountRegion::new("333333333333", "us-east-1");
    let now = Moment::parse("2026-03-01T03:00:00Z").unwrap();
    let mut out = Vec::new();
    for item in receiver().deliveries(value).items {
        let observations = match &item.parsed {
            Ok(event) => observations(event),
            Err(unknown) => {
                vec![unrecognized_event(unknown, &here, "sluice-hub-OnFailure", "sluice-hub-Alerts", now)]
            }
        };
        if observations.is_empty() {
            out.push("(no alert)\n".to_owned());
        }
        for observation in observations {
            out.push(match observation.transition {
                Transition::Resolved(how) => {
                    format!("(resolves {}: {how})\n", observation.key.as_str().split('|').nth(1).unwrap())
                }
                Transition::Firing(incident) => mail_about(*incident, None),
            });
        }
    }
    out.join("\n--------\n\n")
}

#[test]
fn alert_of_every_sample_event_is_its_golden_file() {
    let mut golden = Golden::of_crate(env!("CARGO_MANIFEST_DIR"));
    let samples = samples();
    assert!(samples.len() > 60, "{}", samples.len());
    for (name, value) in samples {
        golden.check(&format!("{}.txt", name.replace('/', "-")), &rendered(&value));
    }
    golden.check("of-statuses.txt", &statuses());
    golden.check("of-protocols.json", &protocols());
    golden.end();
}

/// A rotation that failed, at each point of its life.
fn notification(status: Status) -> Notification {
    let text = std::fs::read_to_string(root().join("secretsmanager/rotation-failed.json")).unwrap();
    let item = receiver().deliveries(&serde_json::from_str(&text).unwrap()).items.remove(0);
    let Transition::Firing(incident) = observations(&item.parsed.unwrap()).remove(0).transition else {
        panic!("a failed rotation is an incident")
    };
    let over = matches!(status, Status::Resolved | Status::Transient);
    let resolution = over.then(|| Resolution {
        at: Moment::parse("2026-03-01T05:00:00Z").unwrap(),
        how: "a rotation succeeded".into(),
    });
    Notification {
        last: Moment::parse("2026-03-01T04:10:00Z").unwrap(),
        count: if status == Status::Opened { 1 } else { 14 },
        ..test_support::alerts::notification(*incident, status, resolution)
    }
}

fn statuses() -> String {
    let mut out = Vec::new();
    for status in [Status::Opened, Status::Repeated, Status::Resolved, Status::Transient] {
        out.push(mail(&notification(status)));
    }
    out.join("\n--------\n\n")
}

/// The message of each protocol, JSON within JSON unfolded.
fn protocols() -> String {
    let message = Message::of(&notification(Status::Repeated));
    let mut body: serde_json::Value = serde_json::from_str(&message.body).unwrap();
    for (_, text) in body.as_object_mut().unwrap() {
        if let Ok(unfolded) = serde_json::from_str(text.as_str().unwrap()) {
            *text = unfolded;
        }
    }
    let attributes: std::collections::BTreeMap<_, _> = message.attributes.into_iter().collect();
    let all =
        serde_json::json!({"Subject": message.subject, "Message": body, "MessageAttributes": attributes});
    format!("{}\n", serde_json::to_string_pretty(&all).unwrap())
}

#[test]
fn every_alert_has_a_first_line_an_impact_and_a_command() {
    for (name, value) in samples() {
        for alert in rendered(&value).split("--------\n").filter(|alert| alert.contains("Subject: ")) {
            let first = alert.lines().find(|line| line.starts_with('[')).unwrap();
            assert!(first.contains("us-east-1)") && first.contains(": "), "{name}: {first}");
            assert!(first.len() < 140, "{name}: {first}");
            for label in ["What:", "Since:", "Impact:", "Action:", "Command:", "Runbook:"] {
                assert!(alert.lines().any(|line| line.starts_with(label)), "{name} without {label}: {alert}");
            }
            assert!(!alert.contains("unknown "), "{name}: {alert}");
        }
    }
}
