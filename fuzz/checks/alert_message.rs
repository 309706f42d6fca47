//! A message about an incident whose texts come from outside: within the limits of SNS, readable for people, exact for programs, and its
//! command does what it says.
//!
//! Used by the fuzz targets `alert_message` and `alert_event` and by the replay of their corpora. The crate that uses it has the modules of
//! crates/alerts at its root, and `shell`.

use serde_json::Value;

use crate::command::Command;
use crate::incident::{AccountRegion, Incident, IncidentKey};
use crate::kind::{Kind, Severity};
use crate::message::Message;
use crate::moment::Moment;
use crate::notification::{Notification, Resolution, Status};
use crate::shell;
use crate::state::{EventId, IncidentState, Observation, OutboxEntry, Policy, Transition};

/// Limits of SNS, of its documentation and not of the code under test. Source: "Publish" of the API reference, "Amazon SNS endpoints and quotas".
const MAX_BYTES: usize = 256 * 1024;
const SUBJECT_LESS_THAN: usize = 100;
/// Limit of DynamoDB. Source: "Quotas in Amazon DynamoDB".
const MAX_KEY: usize = 2048;
/// The size that crates/alerts/src/notifier/batch.rs relies on: five of these fit into an item of 400 KB.
const MAX_OUTBOX_ENTRY: usize = 75_000;

const STATUSES: [Status; 5] =
    [Status::Opened, Status::Repeated, Status::Resolved, Status::Transient, Status::Summary];
const SEVERITIES: [Severity; 4] = [Severity::Info, Severity::Warning, Severity::Error, Severity::Critical];

/// The texts that the bytes hold: account, Region, subject, name, what happened, its cause, the detail, the group, how it ended, then values of
/// the command. They are split by the byte FF, which no text in UTF-8 has; what is missing is empty.
pub fn fields(data: &[u8]) -> Vec<String> {
    data.split(|byte| *byte == 0xff).map(|field| String::from_utf8_lossy(field).into_owned()).collect()
}

/// The first byte chooses kind, severity and status.
pub fn check_bytes(data: &[u8]) {
    let Some((choice, rest)) = data.split_first() else { return };
    let choice = usize::from(*choice);
    let texts = fields(rest);
    let text = |number: usize| texts.get(number).map(String::as_str).unwrap_or_default();
    let values = texts.get(9..).unwrap_or_default();
    let at = Moment::from_millis(1_772_334_000_000);
    let begin = || {
        let kind = Kind::ALL[choice % Kind::ALL.len()];
        let severity = SEVERITIES[choice % SEVERITIES.len()];
        let name = format!("thing {}", text(3));
        let incident =
            Incident::new(kind, severity, AccountRegion::new(text(0), text(1)), text(2), &name, at)
                .what(&format!("{} did it.", text(4)))
                .impact(text(4))
                .cause(Some(text(5)))
                .dedup_key(text(6));
        if text(7).is_empty() { incident } else { incident.group(text(7)) }
    };
    let mut by_option = Command::aws("s3api", "head-object");
    for value in values {
        by_option = by_option.option("key", value).flag("--no-paginate");
    }
    let expected = ["aws", "s3api", "head-object"].iter().map(|word| word.as_bytes().to_vec());
    let expected: Vec<Vec<u8>> = expected
        .chain(values.iter().flat_map(|value| {
            let option = match value.starts_with('-') {
                // A word of its own would be another option.
                true => vec![format!("--key={value}").into_bytes()],
                false => vec![b"--key".to_vec(), value.clone().into_bytes()],
            };
            option.into_iter().chain([b"--no-paginate".to_vec()])
        }))
        .collect();
    reads_back(&begin().action("Do this:", by_option.clone()), values, &expected);
    let words: Vec<Vec<u8>> = values.iter().map(|value| value.clone().into_bytes()).collect();
    reads_back(&begin().action("Do this:", Command::from_words(values)), values, &words);

    let incident = begin().action("Do this:", by_option);
    let end = Resolution { at, how: ended(text(8), &incident) };
    for status in STATUSES {
        holds(&notification(incident.clone(), status, Some(end.clone())));
    }
    is_remembered(&incident);
    // Whoever ends it has the texts only, and comes to the same key.
    assert_eq!(incident.key(), IncidentKey::new(incident.kind, &incident.location, text(2), Some(text(6))));
}

/// The words are these, or there is no command, and then for a reason.
fn reads_back(incident: &Incident, values: &[String], expected: &[Vec<u8>]) {
    match &incident.command {
        Some(command) => {
            assert!(!values.iter().any(|value| is_refused(value)), "{values:?} stands in {command}");
            assert_eq!(shell::words(command).as_deref(), Ok(expected), "{command}");
        }
        None => {
            let length: usize = values.iter().map(|value| value.len() * 4 + 40).sum();
            assert!(
                values.is_empty() || length > 5500 || values.iter().any(|value| is_refused(value)),
                "no command for {values:?}"
            );
        }
    }
}

/// Returns true for a value that the AWS CLI reads as the name of a file, or that no shell can contain.
fn is_refused(value: &str) -> bool {
    value.starts_with("file://") || value.starts_with("fileb://") || value.contains('\0')
}

/// Returns the text of a resolution, with the limits of an observation.
pub(crate) fn ended(how: &str, incident: &Incident) -> String {
    let observation = Observation::resolved(incident.key(), how, EventId::of(&["end"]), incident.since);
    let Transition::Resolved(how) = observation.transition else { unreachable!("it was made as an end") };
    how
}

/// Returns the notification of an incident with a status.
pub(crate) fn notification(incident: Incident, status: Status, end: Option<Resolution>) -> Notification {
    let over = matches!(status, Status::Resolved | Status::Transient);
    Notification {
        id: "0123456789abcdef".into(),
        thread: "fedcba9876543210".into(),
        status,
        first: incident.since,
        last: incident.since,
        incident,
        count: u64::from(status == Status::Repeated) * 13 + 1,
        resolution: end.filter(|_| over),
    }
}

/// Checks the properties that every message has, whatever its texts are.
pub(crate) fn holds(notification: &Notification) {
    let message = Message::of(notification);
    assert_eq!(message, Message::of(notification), "one notification is rendered in two ways");
    let attributes = message.attributes.iter().map(|(name, value)| name.len() + "String".len() + value.len());
    let bytes = message.body.len() + message.subject.len() + attributes.sum::<usize>();
    assert!(bytes <= MAX_BYTES, "{bytes} bytes");
    let printable = |text: &str| text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    assert!(
        !message.subject.is_empty()
            && message.subject.len() < SUBJECT_LESS_THAN
            && printable(&message.subject),
        "{:?}",
        message.subject
    );
    calls_nobody(&message.subject);
    for (name, value) in &message.attributes {
        // SNS refuses a message with an empty attribute.
        assert!(!value.is_empty() && value.len() <= 256 && printable(value), "{name}: {value:?}");
    }
    let body: Value = serde_json::from_str(&message.body).expect("the message is JSON");
    let protocol = |name: &str| {
        let text = body[name].as_str().filter(|text| !text.trim().is_empty());
        text.unwrap_or_else(|| panic!("nothing for {name}"))
    };
    for name in ["default", "email", "sms"] {
        let text = protocol(name);
        is_readable(text);
        calls_nobody(text);
    }
    let lines = protocol("email").lines().count();
    assert!(lines < 16, "a text from outside made lines of its own: {}", protocol("email"));
    assert!(protocol("sms").chars().count() <= 140);
    for name in ["sqs", "lambda", "http", "email-json"] {
        data_holds(protocol(name), notification, &body);
    }
    chat_holds(protocol("https"));
}

/// Checks the text for programs.
fn data_holds(text: &str, notification: &Notification, body: &Value) {
    assert!(!text.chars().any(hides), "{text}");
    let data: Value = serde_json::from_str(text).expect("programs get JSON");
    let incident = &notification.incident;
    assert_eq!(
        (data["kind"].as_str(), data["status"].as_str()),
        (Some(incident.kind.name()), Some(notification.status.name()))
    );
    let email = body["email"].as_str().unwrap_or_default();
    if let Some(command) = data["command"].as_str() {
        assert_eq!(Some(command), incident.command.as_deref(), "half a command");
        let shown = email.lines().find_map(|line| line.strip_prefix("Command:  "));
        // What is over needs none.
        assert!(shown == Some(command) || notification.resolution.is_some(), "{email}");
    }
    // Values are as they were taken in, where nothing had to be cut for SNS.
    if !email.contains("more characters]") {
        assert_eq!(data["subject"].as_str(), Some(incident.subject.as_str()));
        assert_eq!(data["cause"].as_str(), incident.cause.as_deref());
    }
}

/// Checks the text for chats.
fn chat_holds(text: &str) {
    let chat: Value = serde_json::from_str(text).expect("the chat gets JSON");
    let content = &chat["content"];
    let steps = content["nextSteps"].as_array().expect("next steps").iter();
    let keywords = content["keywords"].as_array().expect("keywords").iter();
    let resources = chat["metadata"]["relatedResources"].as_array().expect("resources").iter();
    let fixed = [&content["title"], &content["description"], &chat["metadata"]["summary"]];
    let more = chat["metadata"]["additionalContext"].as_object().expect("context").values();
    for text in fixed.into_iter().chain(steps).chain(keywords).chain(resources).chain(more) {
        let text = text.as_str().expect("a text");
        is_readable(text);
        // A command stands as code, in which nothing else does.
        calls_nobody(text.strip_prefix("```").and_then(|text| text.strip_suffix("```")).unwrap_or(text));
    }
}

/// Nothing in it is hidden or turns the text around it.
fn is_readable(text: &str) {
    let found = text.chars().find(|character| *character != '\n' && hides(*character));
    assert_eq!(found.map(|character| format!("U+{:04X}", u32::from(character))), None, "{text:?}");
}

/// Nobody is called by it, it ends no code, and it is no link that leads elsewhere.
fn calls_nobody(text: &str) {
    assert!(!text.contains(['<', '>', '`']) && !text.contains("]("), "{text:?}");
    let mut before = ' ';
    for (at, character) in text.char_indices() {
        let rest = &text[at + character.len_utf8()..];
        if character == '@' {
            let calls_all = ["here", "channel", "everyone", "all"].iter().any(|name| {
                rest.get(..name.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(name))
                    // Part of an address: a@here.com.
                    && !rest[name.len()..].starts_with(|next: char| next.is_alphanumeric() || ".-".contains(next))
            });
            let next = rest.chars().next().unwrap_or(' ');
            assert!(!calls_all && (before.is_alphanumeric() || !next.is_alphanumeric()), "{text:?}");
        }
        before = character;
    }
}

/// Returns true if a character is invisible, or changes how others are shown: controls, format characters, line and paragraph separators, and
/// everything that may be ignored by default. Source: Unicode 16.0, DerivedGeneralCategory.txt (Cc, Cf, Zl, Zp) and
/// DerivedCoreProperties.txt (Default_Ignorable_Code_Point). The signs of Cf that stand before digits of Arabic and other scripts are seen.
fn hides(character: char) -> bool {
    character.is_control()
        || matches!(u32::from(character),
            0xad | 0x34f | 0x61c | 0x115f..=0x1160 | 0x17b4..=0x17b5 | 0x180b..=0x180f | 0x200b..=0x200f
            | 0x2028..=0x202e | 0x2060..=0x206f | 0x3164 | 0xfe00..=0xfe0f | 0xfeff | 0xffa0 | 0xfff0..=0xfffb
            | 0x13430..=0x1343f | 0x1bca0..=0x1bca3 | 0x1d173..=0x1d17a | 0xe0000..=0xe0fff)
}

/// Its key fits; its state is small enough, and reads back as it was written.
pub(crate) fn is_remembered(incident: &Incident) {
    assert!(incident.key().as_str().len() <= MAX_KEY);
    let mut state = IncidentState::default();
    let observation = Observation::firing(incident.clone(), EventId::of(&["event"]));
    let policy = Policy::default();
    let opened =
        state.apply(&observation, incident.since, &policy).expect("the first occurrence is notified");
    let over = Observation::resolved(incident.key(), &incident.what, EventId::of(&["over"]), incident.since);
    let ended =
        state.clone().apply(&over, incident.since, &policy).expect("an end after its beginning is notified");
    for notification in [opened, ended] {
        let waiting = OutboxEntry { notification, claimed_until: incident.since };
        let bytes = serde_json::to_string(&waiting).expect("what waits is JSON").len();
        assert!(bytes <= MAX_OUTBOX_ENTRY, "{bytes} bytes");
        state.outbox.push(waiting);
    }
    let stored = serde_json::to_string(&state).expect("a state is JSON");
    assert!(stored.len() <= 3 * MAX_OUTBOX_ENTRY, "{} bytes", stored.len());
    assert_eq!(serde_json::from_str::<IncidentState>(&stored).ok(), Some(state), "{stored}");
}
