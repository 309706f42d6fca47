//! What is remembered, and what follows from another event. Pure: no clock, no call.

mod gate;
mod policy;
mod record;

pub use gate::Gate;
pub use policy::Policy;
pub use record::Record;

use serde::{Deserialize, Serialize};

use crate::announcement::Announcement;
use crate::incident::{Incident, Key, digest};
use crate::moment::Moment;

/// What an event says about an incident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signal {
    /// About which.
    pub key: Key,
    /// It occurs, or it is over.
    pub edge: Edge,
    /// The event's id: the same for every delivery of it, and for no other event.
    pub event: EventId,
    /// The event's time, not that of its arrival.
    pub at: Moment,
    /// What is to be kept of the event itself, where nobody understood it.
    pub raw: Option<String>,
}

/// Which way it went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edge {
    /// It occurred, once more or for the first time.
    Raised(Box<Incident>),
    /// It is over, in these words.
    Cleared(String),
}

impl Signal {
    /// It occurred.
    pub fn raised(incident: Incident, event: EventId) -> Self {
        let (key, at) = (incident.key(), incident.since);
        Self { key, edge: Edge::Raised(Box::new(incident)), event, at, raw: None }
    }

    /// It is over.
    pub fn cleared(key: Key, how: &str, event: EventId, at: Moment) -> Self {
        Self { key, edge: Edge::Cleared(crate::text::kept(how, 300)), event, at, raw: None }
    }
}

/// Identifies an event.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EventId(String);

impl EventId {
    /// The id of what has these parts: its source and the id that the source gave it.
    pub fn of(parts: &[&str]) -> Self {
        Self(digest(parts))
    }

    /// Sixteen hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An announcement on its way: written before it is published, taken away afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outgoing {
    /// What is to tell.
    pub announcement: Announcement,
    /// Until when the invocation that wrote this publishes it. After that, whoever sees it does.
    pub claimed: Moment,
}
