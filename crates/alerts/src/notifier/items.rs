//! The items of the state that have an outbox.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::incident::IncidentKey;
use crate::moment::Moment;
use crate::notification::Notification;
use crate::state::{EventId, IncidentState, OutboxEntry, Policy, RateLimiter};
use crate::store::{ItemKey, Put, StoredItem, decode};

/// The sort key of an incident's state.
pub(super) const INCIDENT: &str = "incident";
/// The sort key of a rate limiter.
pub(super) const LIMIT: &str = "limit";

/// A value with the revision at which it was read.
#[derive(Debug, Clone)]
pub(super) struct Versioned<T> {
    pub(super) value: T,
    pub(super) revision: Option<u64>,
}

/// A state with an outbox.
pub(super) trait Item: Serialize + DeserializeOwned + Default + Send {
    fn outbox(&mut self) -> &mut Vec<OutboxEntry>;
    /// Returns when it may be deleted, and when there is work to do.
    fn times(&self, now: Moment, policy: &Policy) -> (Moment, Option<Moment>);
}

impl Item for IncidentState {
    fn outbox(&mut self) -> &mut Vec<OutboxEntry> {
        &mut self.outbox
    }

    fn times(&self, now: Moment, _: &Policy) -> (Moment, Option<Moment>) {
        (self.expires(now), self.due())
    }
}

impl Item for RateLimiter {
    fn outbox(&mut self) -> &mut Vec<OutboxEntry> {
        &mut self.outbox
    }

    fn times(&self, now: Moment, policy: &Policy) -> (Moment, Option<Moment>) {
        (self.expires(now, policy), self.due(policy))
    }
}

impl<T: Item> Versioned<T> {
    /// Decodes an item. State that is unreadable is reset.
    pub(super) fn decode(key: &ItemKey, stored: Option<&StoredItem>, now: Moment) -> Self {
        let value = stored.and_then(|stored| decode(key, &stored.body, now)).unwrap_or_default();
        Self { value, revision: stored.map(|stored| stored.revision) }
    }

    /// Returns the write that stores it if nobody else wrote since it was read.
    pub(super) fn put(&self, key: &ItemKey, now: Moment, policy: &Policy) -> Put {
        let (expires, due) = self.value.times(now, policy);
        // Maps with strings and numbers only, which serde_json always writes.
        let body = serde_json::to_string(&self.value).unwrap_or_default();
        Put { key: key.clone(), expected: self.revision, body, expires, due }
    }

    /// Counts a write.
    pub(super) fn written(&mut self) {
        self.revision = Some(self.revision.unwrap_or(0) + 1);
    }

    /// Claims the notifications that no other invocation publishes. Returns them, and whether another
    /// invocation is publishing others.
    pub(super) fn claim(&mut self, now: Moment, deadline: Moment) -> (Vec<Notification>, bool) {
        let mut busy = false;
        let mut claimed = Vec::new();
        for entry in self.value.outbox() {
            if entry.claimed_until <= now {
                entry.claimed_until = deadline;
                claimed.push(entry.notification.clone());
            } else {
                busy = true;
            }
        }
        (claimed, busy)
    }
}

/// Returns the size of an outbox in its item.
pub(super) fn bytes(outbox: &[OutboxEntry]) -> usize {
    // Maps with strings and numbers only, which serde_json always writes.
    outbox.iter().map(|entry| serde_json::to_string(entry).map_or(0, |body| body.len() + 1)).sum()
}

pub(super) fn incident_item(key: &IncidentKey) -> ItemKey {
    ItemKey::new(key.as_str(), INCIDENT)
}

pub(super) fn event_item(key: &IncidentKey, event: &EventId) -> ItemKey {
    ItemKey::new(key.as_str(), format!("event|{}", event.as_str()))
}
