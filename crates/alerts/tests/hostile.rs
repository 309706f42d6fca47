//! Every text of every sample event is replaced by a hostile one. Messages stay readable and mention
//! nobody, and commands do nothing but call the AWS CLI.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use alerts::event::{Detail, Receiver};
use alerts::incident::AccountRegion;
use alerts::message::{MAX_BYTES, Message};
use alerts::moment::Moment;
use alerts::notification::{Notification, Status};
use alerts::rules::{
    AccessRules, ReadHistory, RotationRules, RotationStatus, SecretRead, SecretRotation, evaluate,
    secret_call, unrecognized_event,
};
use alerts::state::{Observation, Transition};
use alerts::text::is_hidden;
use serde_json::{Value, json};

const HOSTILE: [&str; 4] = [
    "$(touch executed)`touch executed`;touch executed;'\"\\\n touch executed",
    "@here <!channel> <@U1> [x](https://evil.example) ```out```",
    "\u{202e}gpj.exe\u{2066}\u{200b}\u{0}\u{1b}[2J\u{feff}",
    "https://b.s3.amazonaws.com/k?X-Amz-Signature=hunter2 password=hunter2",
];

fn samples() -> Vec<Value> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events");
    let mut samples = Vec::new();
    for folder in
        std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir())
    {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            samples.push(serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap());
        }
    }
    samples
}

/// The places of all texts in a value.
fn texts(value: &Value, at: String, found: &mut Vec<String>) {
    match value {
        Value::String(_) => found.push(at),
        Value::Object(members) => {
            for (name, member) in members {
                texts(member, format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")), found);
            }
        }
        Value::Array(members) => {
            for (number, member) in members.iter().enumerate() {
                texts(member, format!("{at}/{number}"), found);
            }
        }
        _ => {}
    }
}

fn receiver() -> Receiver<'static> {
    Receiver { account: "111111111111", now: Moment::parse("2026-03-01T03:00:00Z").unwrap() }
}

fn observations(value: &Value) -> Vec<Observation> {
    let here = AccountRegion::new("333333333333", "us-east-1");
    let mut all = Vec::new();
    for item in receiver().deliveries(value).items {
        match &item.parsed {
            Ok(event) => match &event.detail {
                Detail::SecretCall(record) => {
                    all.extend(secret_call(
                        event,
                        record,
                        &RotationRules::default(),
                        &SecretRotation { status: RotationStatus::Unknown, function: None, is_guessed: true },
                    ));
                    let reading = SecretRead::of(event, record);
                    all.extend(ReadHistory::default().add(reading.as_slice(), &AccessRules::default()));
                }
                _ => all.extend(evaluate(event)),
            },
            Err(unknown) => all.push(unrecognized_event(unknown, &here, "f", "t", Moment::from_millis(0))),
        }
    }
    all
}

#[test]
fn hostile_event_makes_readable_messages_and_harmless_commands() {
    let mut commands = BTreeSet::new();
    // Most texts of an event get into no message.
    let mut incidents = BTreeSet::new();
    for sample in samples() {
        let mut places = Vec::new();
        texts(&sample, String::new(), &mut places);
        for location in places {
            for hostile in HOSTILE {
                let mut event = sample.clone();
                let text = event.pointer_mut(&location).unwrap();
                // As the whole, and as the end of an ARN or a name.
                for changed in [json!(hostile), json!(format!("{}{hostile}", text.as_str().unwrap()))] {
                    *event.pointer_mut(&location).unwrap() = changed;
                    for observation in observations(&event) {
                        let Transition::Firing(incident) = observation.transition else { continue };
                        if !incidents.insert(serde_json::to_string(&incident).unwrap()) {
                            continue;
                        }
                        commands.extend(incident.command.clone());
                        let notification = Notification {
                            id: "i".into(),
                            thread: "t".into(),
                            status: Status::Opened,
                            incident: *incident,
                            count: 1,
                            first: observation.at,
                            last: observation.at,
                            resolution: None,
                        };
                        check(&Message::of(&notification), &location);
                    }
                }
            }
        }
    }
    assert!(
        incidents.len() > 1000 && commands.len() > 250,
        "{} incidents, {} commands",
        incidents.len(),
        commands.len()
    );
    run(&commands);
}

fn check(message: &Message, location: &str) {
    assert!(message.bytes() <= MAX_BYTES, "{location}");
    assert!(
        message.subject.len() < 100 && message.subject.bytes().all(|byte| (0x20..0x7f).contains(&byte)),
        "{location}"
    );
    let body: Value = serde_json::from_str(&message.body).unwrap();
    for protocol in ["default", "email", "sms"] {
        let text = body[protocol].as_str().unwrap();
        assert!(
            !text.chars().any(|character| is_hidden(character) && character != '\n'),
            "{location}: {text}"
        );
        assert!(
            !text.contains("<!") && !text.contains("<@") && !text.contains("@here") && !text.contains("]("),
            "{location}: {text}"
        );
    }
    let chat: Value = serde_json::from_str(body["https"].as_str().unwrap()).unwrap();
    for text in [&chat["content"]["title"], &chat["content"]["description"], &chat["metadata"]["summary"]] {
        let text = text.as_str().unwrap();
        assert!(!text.contains('<') && !text.contains('`') && !text.contains("@here"), "{location}: {text}");
    }
    let data = body["sqs"].as_str().unwrap();
    assert!(!data.chars().any(is_hidden) && serde_json::from_str::<Value>(data).is_ok(), "{location}");
    assert!(
        !message.body.contains("hunter2") || data.contains("\\x") || in_command_only(data),
        "{location}: {data}"
    );
}

/// A command holds names exactly as they are, also one that somebody made look like a credential; nothing else does.
fn in_command_only(data: &str) -> bool {
    let mut value: Value = serde_json::from_str(data).unwrap();
    value["command"] = Value::Null;
    !value.to_string().contains("hunter2")
}

/// Runs all commands with an AWS CLI that does nothing, where nothing else may happen.
fn run(commands: &BTreeSet<String>) {
    let folder = std::env::temp_dir().join(format!("sluice-hostile-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let mut script = String::from("set -u\nALERTS_TABLE=t\naws() { calls=$((calls + 1)); }\ncalls=0\n");
    for command in commands {
        assert!(!command.contains('\n'), "{command}");
        script.push_str(command);
        script.push('\n');
    }
    script.push_str("printf %s \"$calls\"\n");
    let path = folder.join("commands.sh");
    std::fs::write(&path, script).unwrap();
    let output = Command::new("bash").arg("--norc").arg(&path).current_dir(&folder).output().unwrap();
    let files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(String::from_utf8_lossy(&output.stdout), commands.len().to_string());
    assert_eq!(files, ["commands.sh"], "a command did something else than calling the AWS CLI");
}
