//! An incident: what the on-call engineer needs to know about one problem.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::command::Command;
use crate::kind::{Kind, Severity};
use crate::moment::Moment;
use crate::text::sanitize;

/// The largest number of characters of a name or a heading.
const LINE: usize = 300;
/// The largest number of characters of an explanation.
const PARAGRAPH: usize = 1500;
/// The largest number of characters of an ARN or a key: S3 allows 1024 bytes, ARNs 2048.
const NAME: usize = 2048;
/// The largest number of characters of a command.
const COMMAND: usize = 6000;

/// An account and a Region.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AccountRegion {
    /// The account id: twelve digits.
    pub account: String,
    /// The Region, such as `us-east-1`.
    pub region: String,
}

impl AccountRegion {
    /// Creates the pair. Values from outside are cut to a safe length.
    pub fn new(account: &str, region: &str) -> Self {
        Self { account: sanitize(account, 20), region: sanitize(region, 40) }
    }
}

/// A problem that exists, or existed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// The kind of problem.
    pub kind: Kind,
    /// The severity.
    pub severity: Severity,
    /// The account and Region.
    pub location: AccountRegion,
    /// The ARN of the affected resource, or its name if it has no ARN.
    pub subject: String,
    /// The name for people: `secret app`, `stack sluice-target`.
    pub name: String,
    /// The problem, in a sentence or two.
    pub what: String,
    /// The time of the event, or the time since which a check knows of the problem.
    pub since: Moment,
    /// The consequence for those who use the resource.
    pub impact: String,
    /// The cause, in the words of the service that reports it.
    pub cause: Option<String>,
    /// The action to take, in a sentence.
    pub action: String,
    /// The command that performs the action, or that shows what there is to decide.
    pub command: Option<String>,
    /// A value that distinguishes two incidents of one kind about one subject.
    pub dedup_key: Option<String>,
    /// The group that the subject belongs to. The notifications about a group share one rate limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The time for which the problem must persist before [`crate::Notifier::reconcile`] reports it.
    #[serde(skip)]
    pub grace: Duration,
}

impl Incident {
    /// Creates an incident. The methods below add the rest.
    pub fn new(
        kind: Kind,
        severity: Severity,
        location: AccountRegion,
        subject: &str,
        name: &str,
        since: Moment,
    ) -> Self {
        Self {
            kind,
            severity,
            location,
            subject: sanitize(subject, NAME),
            name: sanitize(name, LINE),
            what: String::new(),
            since,
            impact: String::new(),
            cause: None,
            action: String::new(),
            command: None,
            dedup_key: None,
            group: None,
            grace: Duration::ZERO,
        }
    }

    /// Sets what happened.
    #[must_use]
    pub fn what(mut self, what: &str) -> Self {
        self.what = sanitize(what, PARAGRAPH);
        self
    }

    /// Sets the consequence.
    #[must_use]
    pub fn impact(mut self, impact: &str) -> Self {
        self.impact = sanitize(impact, PARAGRAPH);
        self
    }

    /// Sets the cause, if it is known.
    #[must_use]
    pub fn cause(mut self, cause: Option<&str>) -> Self {
        self.cause = cause.map(|cause| sanitize(cause.trim(), PARAGRAPH)).filter(|cause| !cause.is_empty());
        self
    }

    /// Sets the action and its command. A command that is too long, or that no quoting makes safe,
    /// is omitted.
    #[must_use]
    pub fn action(mut self, action: &str, command: Command) -> Self {
        self.action = sanitize(action, PARAGRAPH);
        self.command = command.text().filter(|command| command.chars().count() <= COMMAND);
        self
    }

    /// Sets the value that distinguishes it from others of its kind about the same subject.
    #[must_use]
    pub fn dedup_key(mut self, dedup_key: &str) -> Self {
        self.dedup_key = Some(sanitize(dedup_key, NAME));
        self
    }

    /// Sets the group that the subject belongs to, such as the files of a job. Of a hundred incidents
    /// of one group, a few are notified one by one and the rest in a summary.
    #[must_use]
    pub fn group(mut self, group: &str) -> Self {
        self.group = Some(sanitize(group, LINE));
        self
    }

    /// Sets how long the problem must persist before [`crate::Notifier::reconcile`] reports it.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Returns the name under which notifications are counted for the rate limit: the group, or the
    /// subject.
    pub fn rate_limit_key(&self) -> &str {
        self.group.as_deref().unwrap_or(&self.subject)
    }

    /// Returns the key under which it is de-duplicated.
    pub fn key(&self) -> IncidentKey {
        IncidentKey::of(self.kind, &self.location, &self.subject, self.dedup_key.as_deref())
    }
}

/// The key under which incidents count as the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IncidentKey(String);

impl IncidentKey {
    /// The largest number of bytes that stay readable: DynamoDB accepts 2048 in a partition key.
    const READABLE: usize = 512;

    /// Returns the key of the [`Incident`] that has these parts.
    pub fn new(kind: Kind, location: &AccountRegion, subject: &str, dedup_key: Option<&str>) -> Self {
        let dedup_key = dedup_key.map(|dedup_key| sanitize(dedup_key, NAME));
        Self::of(kind, location, &sanitize(subject, NAME), dedup_key.as_deref())
    }

    fn of(kind: Kind, location: &AccountRegion, subject: &str, dedup_key: Option<&str>) -> Self {
        let parts =
            [kind.name(), &location.account, &location.region, subject, dedup_key.unwrap_or_default()];
        let text = format!("incident|{}", parts.join("|").trim_end_matches('|'));
        // Parts may contain the separator, so a hash of their lengths and contents is part of the key.
        let hash = digest(&parts);
        let end =
            (0..=text.len().min(Self::READABLE)).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        Self(format!("{}|{hash}", &text[..end]))
    }

    /// Returns the text that the keys of all incidents of a kind in an account begin with.
    pub fn prefix(kind: Kind, account: &str) -> String {
        format!("incident|{}|{account}|", kind.name())
    }

    /// Returns the key with this text in the store.
    pub(crate) fn stored(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Returns the text in the store.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Returns sixteen hexadecimal digits of a hash over parts. Different parts have different hashes.
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
    fn different_parts_make_different_keys() {
        let location = AccountRegion::new("111111111111", "us-east-1");
        let key = |subject: &str, dedup_key: Option<&str>| {
            IncidentKey::new(Kind::Alarm, &location, subject, dedup_key)
        };
        assert_ne!(key("a|b", None), key("a", Some("b")));
        assert_eq!(key("a", Some("b")), key("a", Some("b")));
        let long = "ü".repeat(2000);
        assert_ne!(key(&long, None), key(&format!("{long}x"), None));
        assert!(key(&long, None).as_str().len() < 1024);
    }

    #[test]
    fn key_of_parts_is_the_key_of_the_incident() {
        let location = AccountRegion::new("111111111111", "us-east-1");
        for text in ["arn:s", "https://x/y?password=hunter2", &"ü".repeat(5000)] {
            let incident = Incident::new(
                Kind::Alarm,
                Severity::Error,
                location.clone(),
                text,
                "n",
                Moment::from_millis(0),
            );
            assert_eq!(
                incident.dedup_key(text).key(),
                IncidentKey::new(Kind::Alarm, &location, text, Some(text))
            );
        }
    }

    #[test]
    fn incident_has_no_secret_and_bounded_texts() {
        let location = AccountRegion::new("111111111111", "us-east-1");
        let url = "https://b.s3.amazonaws.com/k?X-Amz-Signature=hunter2";
        let incident =
            Incident::new(Kind::Alarm, Severity::Error, location, url, url, Moment::from_millis(0))
                .what(url)
                .impact("password=hunter2")
                .cause(Some(&format!("{url} {}", "x".repeat(10_000))))
                .action(url, Command::aws("s3", "ls").option("x", &"y".repeat(10_000)))
                .dedup_key(url);
        let text = serde_json::to_string(&incident).unwrap();
        assert!(!text.contains("hunter2"), "{text}");
        assert!(text.len() < 8000 && incident.command.is_none());
    }
}
