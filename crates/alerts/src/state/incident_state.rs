//! The state of one incident.
//!
//! Events arrive more than once and in any order. The state orders occurrences by their own time: an
//! incident lasts from its first occurrence to the first resolution after its last occurrence. Of the
//! past, the state keeps only the latest resolution and whether the occurrences before it were
//! notified.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Observation, OutboxEntry, Policy, Transition};
use crate::incident::{Incident, IncidentKey, digest};
use crate::kind::Severity;
use crate::moment::Moment;
use crate::notification::{Notification, Resolution, Status};

/// The time for which a resolution is remembered, for earlier occurrences that arrive late. EventBridge retries
/// for one day.
const RESOLUTION_MEMORY: Duration = Duration::from_secs(3 * 86_400);
/// The time for which an unpublished notification is kept.
const UNSENT_MEMORY: Duration = Duration::from_secs(60 * 86_400);

/// The state of one incident.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentState {
    /// The open incident.
    open: Option<Episode>,
    /// The latest resolution.
    resolved: Option<Resolved>,
    /// Notifications that are not published yet.
    pub outbox: Vec<OutboxEntry>,
}

/// An open incident, from its first occurrence on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Episode {
    first: Moment,
    last: Moment,
    count: u64,
    /// The count in the last notification.
    notified_count: u64,
    /// The number of notifications.
    notifications: u32,
    /// The time before which it is not repeated.
    next: Moment,
    /// The highest severity that was notified.
    notified_severity: Severity,
    /// The incident as of its last occurrence.
    incident: Incident,
    /// The thread of the notifications.
    thread: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Resolved {
    resolution: Resolution,
    /// All occurrences up to this time were notified: a late one is only counted.
    notified_until: Option<Moment>,
    /// The number of occurrences that it ended.
    count: u64,
}

impl IncidentState {
    /// Returns true if the incident is open.
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Returns the number of occurrences of the open incident, or of the last one.
    pub fn count(&self) -> u64 {
        match (&self.open, &self.resolved) {
            (Some(episode), _) => episode.count,
            (None, Some(resolved)) => resolved.count,
            (None, None) => 0,
        }
    }

    /// Returns the open incident, as of its last occurrence.
    pub fn incident(&self) -> Option<&Incident> {
        self.open.as_ref().map(|episode| &episode.incident)
    }

    /// Returns true if an occurrence of this incident now would change what people know: it is not
    /// open, it is due to be repeated, it became more severe, nothing was recorded for a day, or a
    /// notification is not published yet.
    pub(crate) fn needs(&self, incident: &Incident, now: Moment) -> bool {
        const REFRESH: Duration = Duration::from_secs(86_400);
        self.open.as_ref().is_none_or(|episode| {
            episode.next <= now
                || incident.severity > episode.notified_severity
                || now.since(episode.last) >= REFRESH
                || !self.outbox.is_empty()
        })
    }

    /// Returns the time at which the state may be deleted: never before everything was notified.
    pub fn expires(&self, now: Moment) -> Moment {
        if !self.outbox.is_empty() {
            return now.plus(UNSENT_MEMORY);
        }
        let Some(episode) = &self.open else { return now.plus(RESOLUTION_MEMORY) };
        let unnotified =
            if episode.count > episode.notified_count { episode.next.plus(RESOLUTION_MEMORY) } else { now };
        now.plus(episode.incident.kind.memory()).max(unnotified)
    }

    /// Applies an observation that was not applied before. Returns the notification that results.
    pub fn apply(&mut self, observation: &Observation, now: Moment, policy: &Policy) -> Option<Notification> {
        match &observation.transition {
            Transition::Firing(incident) => self.fire(observation, incident, now, policy),
            Transition::Resolved(how) => self.resolve(observation, how),
        }
    }

    /// Returns the notification that is due because time has passed: occurrences that were not
    /// notified yet.
    pub fn repeat_if_due(&mut self, key: &IncidentKey, now: Moment, policy: &Policy) -> Option<Notification> {
        let episode = self
            .open
            .as_mut()
            .filter(|episode| episode.count > episode.notified_count && episode.next <= now)?;
        // At one time an incident has one count, and it is repeated once.
        let moment = format!("{} {}", now.millis(), episode.count);
        Some(repeat(episode, id(key, Status::Repeated, &moment), now, policy))
    }

    fn fire(
        &mut self,
        observation: &Observation,
        incident: &Incident,
        now: Moment,
        policy: &Policy,
    ) -> Option<Notification> {
        let (key, at, event) = (&observation.key, observation.at, observation.event.as_str());
        if let Some(resolved) = self.resolved.as_mut().filter(|resolved| at <= resolved.resolution.at) {
            resolved.count += 1;
            if resolved.notified_until.is_some_and(|until| at <= until) {
                return None;
            }
            // It ended before its first event arrived. It is notified once all the same.
            resolved.notified_until = Some(resolved.resolution.at);
            let resolution = resolved.resolution.clone();
            return Some(Notification {
                id: id(key, Status::Transient, event),
                thread: digest(&[key.as_str(), "transient", &resolution.at.millis().to_string()]),
                status: Status::Transient,
                incident: incident.clone(),
                count: 1,
                first: at,
                last: at,
                resolution: Some(resolution),
            });
        }
        if let Some(episode) = &mut self.open {
            episode.count += 1;
            episode.first = episode.first.min(at);
            if at >= episode.last {
                episode.last = at;
                episode.incident = incident.clone();
            }
            // A higher severity does not wait.
            return (episode.next <= now || incident.severity > episode.notified_severity)
                .then(|| repeat(episode, id(key, Status::Repeated, event), now, policy));
        }
        let episode = Episode {
            first: at,
            last: at,
            count: 1,
            notified_count: 1,
            notifications: 1,
            next: now.plus(policy.interval(incident.kind, 1)),
            notified_severity: incident.severity,
            incident: incident.clone(),
            thread: digest(&[key.as_str(), event]),
        };
        let notification = notification(&episode, id(key, Status::Opened, event), Status::Opened, None);
        self.open = Some(episode);
        Some(notification)
    }

    fn resolve(&mut self, observation: &Observation, how: &str) -> Option<Notification> {
        let at = observation.at;
        if self.resolved.as_ref().is_some_and(|resolved| at <= resolved.resolution.at) {
            return None;
        }
        let resolution = Resolution { at, how: how.to_owned() };
        match self.open.take_if(|episode| episode.last <= at) {
            Some(episode) => {
                self.resolved = Some(Resolved {
                    resolution: resolution.clone(),
                    notified_until: Some(at),
                    count: episode.count,
                });
                let id = id(&observation.key, Status::Resolved, observation.event.as_str());
                Some(notification(&episode, id, Status::Resolved, Some(resolution)))
            }
            None => {
                // Between two occurrences of the same episode it changes nothing. Before the first
                // occurrence it is the end of an earlier episode.
                if self.open.as_ref().is_none_or(|episode| at < episode.first) {
                    let (notified_until, count) = self
                        .resolved
                        .take()
                        .map_or((None, 0), |before| (before.notified_until, before.count));
                    self.resolved = Some(Resolved { resolution, notified_until, count });
                }
                None
            }
        }
    }

    /// Returns the time at which there is work to do even if no event arrives.
    pub fn due(&self) -> Option<Moment> {
        let repeat = self
            .open
            .as_ref()
            .filter(|episode| episode.count > episode.notified_count)
            .map(|episode| episode.next);
        let unsent = self.outbox.iter().map(|entry| entry.claimed_until).min();
        repeat.into_iter().chain(unsent).min()
    }
}

fn repeat(episode: &mut Episode, id: String, now: Moment, policy: &Policy) -> Notification {
    episode.notifications += 1;
    episode.notified_count = episode.count;
    episode.notified_severity = episode.notified_severity.max(episode.incident.severity);
    episode.next = now.plus(policy.interval(episode.incident.kind, episode.notifications));
    notification(episode, id, Status::Repeated, None)
}

fn notification(
    episode: &Episode,
    id: String,
    status: Status,
    resolution: Option<Resolution>,
) -> Notification {
    Notification {
        id,
        thread: episode.thread.clone(),
        status,
        incident: episode.incident.clone(),
        count: episode.count,
        first: episode.first,
        last: episode.last,
        resolution,
    }
}

/// Returns an id that no other notification has, even after the state was forgotten: an event leads to
/// at most one notification of each status.
fn id(key: &IncidentKey, status: Status, event: &str) -> String {
    digest(&[key.as_str(), status.name(), event])
}

#[cfg(test)]
mod tests;
