//! The state of incidents and rate limits, and its transitions. Pure: no clock and no calls.

mod incident_state;
mod policy;
mod rate_limiter;

pub use incident_state::IncidentState;
pub use policy::Policy;
pub use rate_limiter::{LimitScope, RateLimiter};

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::incident::{Incident, IncidentKey, digest};
use crate::moment::Moment;
use crate::notification::Notification;

/// The time for which the id of an event is remembered unless [`Observation::remembered_for`] says otherwise:
/// longer than any queue keeps a message (14 days).
pub const EVENT_MEMORY: Duration = Duration::from_secs(15 * 86_400);

/// A change of an incident that an event or a check observed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// The incident's key.
    pub key: IncidentKey,
    /// The change.
    pub transition: Transition,
    /// The event's id, which is the same for every delivery of the event and for no other event.
    pub event: EventId,
    /// The event's own time, not the time of its delivery.
    pub at: Moment,
    /// The event itself, if it was not recognized.
    pub raw: Option<String>,
    /// The time for which the event's id is remembered.
    pub memory: Duration,
}

/// A change of an incident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transition {
    /// The problem occurred, for the first time or again.
    Firing(Box<Incident>),
    /// The problem ended; the phrase says how.
    Resolved(String),
}

impl Observation {
    /// Creates the observation that an incident occurred at the time `incident.since`.
    pub fn firing(incident: Incident, event: EventId) -> Self {
        let (key, at) = (incident.key(), incident.since);
        let transition = Transition::Firing(Box::new(incident));
        Self { key, transition, event, at, raw: None, memory: EVENT_MEMORY }
    }

    /// Creates the observation that an incident ended. `how` is a phrase that says how.
    pub fn resolved(key: IncidentKey, how: &str, event: EventId, at: Moment) -> Self {
        let transition = Transition::Resolved(crate::text::sanitize(how, 300));
        Self { key, transition, event, at, raw: None, memory: EVENT_MEMORY }
    }

    /// Sets how long the event's id is remembered: an event that is delivered again within this time
    /// is a duplicate.
    #[must_use]
    pub fn remembered_for(mut self, memory: Duration) -> Self {
        self.memory = memory;
        self
    }

    /// Returns the incident, if this is an occurrence.
    pub fn incident(&self) -> Option<&Incident> {
        match &self.transition {
            Transition::Firing(incident) => Some(incident),
            Transition::Resolved(_) => None,
        }
    }
}

/// The identity of an event.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EventId(String);

impl EventId {
    /// Returns the id of the event with these parts: its source, and the id within that source.
    pub fn of(parts: &[&str]) -> Self {
        Self(digest(parts))
    }

    /// Returns sixteen hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A notification in the outbox: stored before it is published, removed afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboxEntry {
    /// The notification.
    pub notification: Notification,
    /// The end of the claim of the invocation that wrote this. Afterwards, any invocation that reads
    /// the entry publishes it.
    pub claimed_until: Moment,
}
