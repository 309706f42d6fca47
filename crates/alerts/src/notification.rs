//! A notification: an incident together with its status.

use serde::{Deserialize, Serialize};

use crate::incident::Incident;
use crate::moment::Moment;

/// The status of an incident in a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The incident started.
    Opened,
    /// The incident is still open.
    Repeated,
    /// The incident ended.
    Resolved,
    /// The incident had ended before its first event arrived: events arrive in any order.
    Transient,
    /// A summary of suppressed notifications.
    Summary,
}

impl Status {
    /// Returns the name in messages and in the attribute `status`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Repeated => "repeated",
            Self::Resolved => "resolved",
            Self::Transient => "transient",
            Self::Summary => "summary",
        }
    }
}

/// The end of an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolution {
    /// The time of the event or check that ended it.
    pub at: Moment,
    /// A phrase that says how it ended.
    pub how: String,
}

/// A notification about an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notification {
    /// The id, which is the same however often the notification is sent. A reader that must not act
    /// twice remembers it.
    pub id: String,
    /// The thread, which is the same for all notifications of one incident from its start to its
    /// end.
    pub thread: String,
    /// The status.
    pub status: Status,
    /// The incident.
    pub incident: Incident,
    /// The number of occurrences.
    pub count: u64,
    /// The time of the first occurrence.
    pub first: Moment,
    /// The time of the last occurrence.
    pub last: Moment,
    /// The end, for [`Status::Resolved`] and [`Status::Transient`].
    pub resolution: Option<Resolution>,
}
