//! What the announcer reads and writes, and what it is about to do.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Told, Turn};
use crate::announcement::Announcement;
use crate::moment::Moment;
use crate::state::{Gate, Outgoing, Policy, Record};
use crate::store::{ItemKey, Put, Stored};

/// An item and the revision that it was read at.
pub(super) struct Read<T> {
    pub(super) value: T,
    pub(super) revision: Option<u64>,
}

/// What is known of an incident.
pub(super) struct Loaded {
    pub(super) record: Read<Record>,
    /// Of its subject, if that is known.
    pub(super) gate: Option<(ItemKey, Read<Gate>)>,
    /// Of each signal, whether its event was taken in before.
    pub(super) known: Vec<bool>,
}

/// What is to be done.
pub(super) struct Plan {
    pub(super) puts: Vec<Put>,
    /// What this invocation publishes.
    pub(super) mine: Vec<Announcement>,
    pub(super) told: Told,
    /// Whether any event was not taken in before.
    pub(super) fresh: bool,
    /// Whether another invocation is about to publish something.
    pub(super) busy: bool,
}

/// What has an outbox.
pub(super) trait Item: Serialize + DeserializeOwned + Default + Send {
    fn outbox(&mut self) -> &mut Vec<Outgoing>;
    /// When it may be forgotten, and when there is something to do.
    fn times(&self, now: Moment, policy: &Policy) -> (Moment, Option<Moment>);
}

impl Item for Record {
    fn outbox(&mut self) -> &mut Vec<Outgoing> {
        &mut self.outbox
    }

    fn times(&self, now: Moment, _: &Policy) -> (Moment, Option<Moment>) {
        (self.expires(now), self.due())
    }
}

impl Item for Gate {
    fn outbox(&mut self) -> &mut Vec<Outgoing> {
        &mut self.outbox
    }

    fn times(&self, now: Moment, policy: &Policy) -> (Moment, Option<Moment>) {
        (self.expires(now, policy), self.due(policy))
    }
}

/// Takes over what nobody publishes any more. The second is whether somebody is about to publish something.
pub(super) fn claim(outbox: &mut [Outgoing], turn: Turn) -> (Vec<Announcement>, bool) {
    let mut busy = false;
    let mut mine = Vec::new();
    for outgoing in outbox {
        if outgoing.claimed <= turn.now {
            outgoing.claimed = turn.until;
            mine.push(outgoing.announcement.clone());
        } else {
            busy = true;
        }
    }
    (mine, busy)
}

/// How much room what waits takes in an item.
pub(super) fn bytes(outbox: &[Outgoing]) -> usize {
    // Maps of strings and numbers only: serde_json writes them all.
    outbox.iter().map(|outgoing| serde_json::to_string(outgoing).map_or(0, |body| body.len() + 1)).sum()
}

/// The content of an item.
pub(super) fn parsed<T: DeserializeOwned + Default>(key: &ItemKey, stored: Option<Stored>) -> Read<T> {
    let revision = stored.as_ref().map(|stored| stored.revision);
    let value = stored.and_then(|stored| match serde_json::from_str(&stored.body) {
        Ok(value) => Some(value),
        Err(error) => {
            // An event that could never be taken in again would be worse than a state that begins anew.
            tracing::error!(partition = key.partition, %error, "an item of the state is not readable and begins anew");
            None
        }
    });
    Read { value: value.unwrap_or_default(), revision }
}
