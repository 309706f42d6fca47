//! One thing to tell: an incident, and where in its life it is.

use serde::{Deserialize, Serialize};

use crate::incident::Incident;
use crate::moment::Moment;

/// What there is to say about an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It began.
    Opened,
    /// It goes on.
    Repeated,
    /// It is over.
    Recovered,
    /// It was over before anything was heard of it: events come in any order.
    Passed,
    /// What was held back about one subject.
    Summary,
}

impl Status {
    /// As it stands in messages and in the attribute `status`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Repeated => "repeated",
            Self::Recovered => "recovered",
            Self::Passed => "passed",
            Self::Summary => "summary",
        }
    }
}

/// The end of an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// Time of the event that ended it.
    pub at: Moment,
    /// What that event said.
    pub how: String,
}

/// One thing to tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcement {
    /// The same however often it is sent: readers that must not act twice remember it.
    pub id: String,
    /// The same for everything that is told about one incident, from its beginning to its end.
    pub thread: String,
    /// What there is to say.
    pub status: Status,
    /// About what.
    pub incident: Incident,
    /// How often it occurred.
    pub count: u64,
    /// Time of the first occurrence.
    pub first: Moment,
    /// Time of the last occurrence.
    pub last: Moment,
    /// Its end, for [`Status::Recovered`] and [`Status::Passed`].
    pub end: Option<End>,
}
