//! The published alerts.

use alerts::message::Message;
use lambda_kit::moment::Moment;
use serde_json::Value;

/// A published message, as a program reads it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Alert {
    data: Value,
    /// The time at which it was published.
    pub(crate) published: Moment,
}

impl Alert {
    pub(crate) fn new(message: &Message, published: Moment) -> Self {
        let body: Value = serde_json::from_str(&message.body).unwrap();
        Self { data: serde_json::from_str(body["sqs"].as_str().unwrap()).unwrap(), published }
    }

    /// Returns a member of the alert's JSON; empty if it is null.
    pub(crate) fn text(&self, member: &str) -> &str {
        self.data[member].as_str().unwrap_or_default()
    }

    pub(crate) fn id(&self) -> &str {
        self.text("id")
    }

    pub(crate) fn thread(&self) -> &str {
        self.text("thread")
    }

    pub(crate) fn status(&self) -> &str {
        self.text("status")
    }

    /// Returns the time since which the problem exists.
    pub(crate) fn since(&self) -> Moment {
        Moment::parse(self.text("since")).unwrap()
    }

    /// Returns the time of the resolution.
    pub(crate) fn resolved_at(&self) -> Option<Moment> {
        self.data["resolution"]["at"].as_str().map(|at| Moment::parse(at).unwrap())
    }

    /// Returns the key of the object that it is about.
    pub(crate) fn object_key(&self) -> &str {
        let url = self.text("subject").strip_prefix("s3://").unwrap();
        url.split_once('/').unwrap().1
    }

    /// Returns true if it starts an incident.
    pub(crate) fn is_start(&self) -> bool {
        matches!(self.status(), "opened" | "transient")
    }

    /// Returns the problem that it is about: finer than the alert's kind.
    pub(crate) fn problem(&self) -> &'static str {
        let what = self.text("what");
        let is = |part: &str| what.contains(part);
        match self.text("kind") {
            "file-rejected" => "rejected",
            "file-never-loaded" => "never loaded",
            "object-overwritten" => "overwritten",
            "copy-job-inactive" if is("AUTO is off") => "AUTO off",
            "copy-job-inactive" if is("No established integration") => "integration missing",
            "copy-job-gone" if is("no longer shows") => "gone",
            "copy-job-inactive" if is("shows the integration of") => "integration inactive",
            "copy-delayed" if is("the oldest since") => "files waiting",
            "copy-delayed" if is("longer than the limit") => "stale",
            "copy-history-unknown" if is("It is the first such object") => "object unknown",
            "copy-history-unknown" => "history unknown",
            "copy-monitor-failed" if is("may not see the rows") => "access restricted",
            "copy-monitor-failed" if is("could not read") => "views unreadable",
            "copy-monitor-failed" if is("may not list") => "listing denied",
            "copy-monitor-failed" => "location unknown",
            "alerts-suppressed" => "suppressed",
            kind => panic!("{kind}: {what}"),
        }
    }
}
