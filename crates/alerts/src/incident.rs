//! An incident: what on-call people need to know about one thing that is wrong.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::command::Command;
use crate::kind::{Kind, Severity};
use crate::moment::Moment;
use crate::text::kept;

/// Most characters of a name or a heading.
const LINE: usize = 300;
/// Most characters of an explanation.
const PARAGRAPH: usize = 1500;
/// Most characters of an ARN or a key: S3 allows 1024 bytes, ARNs 2048.
const NAME: usize = 2048;
/// Most characters of a command.
const COMMAND: usize = 6000;

/// An account and a Region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Twelve digits.
    pub account: String,
    /// Such as `us-east-1`.
    pub region: String,
}

impl Place {
    /// A place; what comes from outside is bounded.
    pub fn new(account: &str, region: &str) -> Self {
        Self { account: kept(account, 20), region: kept(region, 40) }
    }
}

/// Something that is wrong, or was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// What is wrong.
    pub kind: Kind,
    /// How soon somebody has to act.
    pub severity: Severity,
    /// Where.
    pub place: Place,
    /// ARN of what it is about, or its name where it has no ARN.
    pub subject: String,
    /// What people call it: `secret app`, `stack sluice-target`.
    pub name: String,
    /// What happened, in a sentence or two.
    pub what: String,
    /// Since when: the event's time.
    pub since: Moment,
    /// What it means for those who use the thing.
    pub impact: String,
    /// Why, in the words of whoever knows.
    pub cause: Option<String>,
    /// What to do, in a sentence.
    pub remedy: String,
    /// The command that does it, or that shows what there is to decide.
    pub command: Option<String>,
    /// What else tells two incidents of one kind about one subject apart.
    pub detail: Option<String>,
    /// What its subject is one of many of, as people call that: what is told about all of them has one limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

impl Incident {
    /// The incident's beginning; the rest is added by the methods below.
    pub fn new(
        kind: Kind,
        severity: Severity,
        place: Place,
        subject: &str,
        name: &str,
        since: Moment,
    ) -> Self {
        Self {
            kind,
            severity,
            place,
            subject: kept(subject, NAME),
            name: kept(name, LINE),
            what: String::new(),
            since,
            impact: String::new(),
            cause: None,
            remedy: String::new(),
            command: None,
            detail: None,
            group: None,
        }
    }

    /// What happened.
    #[must_use]
    pub fn what(mut self, what: &str) -> Self {
        self.what = kept(what, PARAGRAPH);
        self
    }

    /// What it means.
    #[must_use]
    pub fn impact(mut self, impact: &str) -> Self {
        self.impact = kept(impact, PARAGRAPH);
        self
    }

    /// Why, if somebody said.
    #[must_use]
    pub fn cause(mut self, cause: Option<&str>) -> Self {
        self.cause = cause.map(|cause| kept(cause.trim(), PARAGRAPH)).filter(|cause| !cause.is_empty());
        self
    }

    /// What to do and with which command. A command that is too long or that no quoting makes safe is left out.
    #[must_use]
    pub fn remedy(mut self, remedy: &str, command: Command) -> Self {
        self.remedy = kept(remedy, PARAGRAPH);
        self.command = command.text().filter(|command| command.chars().count() <= COMMAND);
        self
    }

    /// What else tells it apart from others of its kind about the same subject.
    #[must_use]
    pub fn told_apart_by(mut self, detail: &str) -> Self {
        self.detail = Some(kept(detail, NAME));
        self
    }

    /// What its subject is one of many of, such as the files of a job: a hundred of them at once are told as a few and a summary.
    #[must_use]
    pub fn one_of(mut self, group: &str) -> Self {
        self.group = Some(kept(group, LINE));
        self
    }

    /// What has one limit for how much is told about it: the group, or the subject.
    pub fn limited_by(&self) -> &str {
        self.group.as_deref().unwrap_or(&self.subject)
    }

    /// Under which it is de-duplicated.
    pub fn key(&self) -> Key {
        Key::of(self.kind, &self.place, &self.subject, self.detail.as_deref())
    }
}

/// Under which incidents count as the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(String);

impl Key {
    /// Most bytes that stay readable: DynamoDB takes 2048 as a partition key.
    const READABLE: usize = 512;

    /// The key of a kind, at a place, about a subject: the same as that of an [`Incident`] that was made of these.
    pub fn new(kind: Kind, place: &Place, subject: &str, detail: Option<&str>) -> Self {
        Self::of(kind, place, &kept(subject, NAME), detail.map(|detail| kept(detail, NAME)).as_deref())
    }

    fn of(kind: Kind, place: &Place, subject: &str, detail: Option<&str>) -> Self {
        let parts = [kind.name(), &place.account, &place.region, subject, detail.unwrap_or_default()];
        let text = format!("incident|{}", parts.join("|").trim_end_matches('|'));
        // Parts may hold the separator, so the hash of their lengths and contents decides, not the text.
        let hash = digest(&parts);
        let end =
            (0..=text.len().min(Self::READABLE)).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        Self(format!("{}|{hash}", &text[..end]))
    }

    /// A key as it stands in the store.
    pub(crate) fn stored(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// As it stands in the store.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Sixteen hexadecimal digits of a hash over parts, such that other parts have another hash.
pub fn digest(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hex::encode(&hash.finalize()[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_parts_make_another_key_also_where_the_text_would_be_the_same() {
        let place = Place::new("111111111111", "us-east-1");
        let key = |subject: &str, detail: Option<&str>| Key::new(Kind::Alarm, &place, subject, detail);
        assert_ne!(key("a|b", None), key("a", Some("b")));
        assert_eq!(key("a", Some("b")), key("a", Some("b")));
        let long = "ü".repeat(2000);
        assert_ne!(key(&long, None), key(&format!("{long}x"), None));
        assert!(key(&long, None).as_str().len() < 1024);
    }

    #[test]
    fn the_end_of_an_incident_has_the_same_key_as_the_incident() {
        let place = Place::new("111111111111", "us-east-1");
        for text in ["arn:s", "https://x/y?password=hunter2", &"ü".repeat(5000)] {
            let incident =
                Incident::new(Kind::Alarm, Severity::Error, place.clone(), text, "n", Moment::from_millis(0));
            assert_eq!(incident.told_apart_by(text).key(), Key::new(Kind::Alarm, &place, text, Some(text)));
        }
    }

    #[test]
    fn nothing_secret_gets_into_an_incident_and_everything_is_bounded() {
        let place = Place::new("111111111111", "us-east-1");
        let url = "https://b.s3.amazonaws.com/k?X-Amz-Signature=hunter2";
        let incident = Incident::new(Kind::Alarm, Severity::Error, place, url, url, Moment::from_millis(0))
            .what(url)
            .impact("password=hunter2")
            .cause(Some(&format!("{url} {}", "x".repeat(10_000))))
            .remedy(url, Command::aws("s3", "ls").option("x", &"y".repeat(10_000)))
            .told_apart_by(url);
        let text = serde_json::to_string(&incident).unwrap();
        assert!(!text.contains("hunter2"), "{text}");
        assert!(text.len() < 8000 && incident.command.is_none());
    }
}
