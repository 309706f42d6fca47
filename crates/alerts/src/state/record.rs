//! One incident's state.
//!
//! Events come more than once and in any order. Occurrences are put in order by their time: an incident lasts from its first occurrence
//! to the first recovery after its last one. What is known of the past is one recovery, the newest, and whether what it ended was told.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Edge, Outgoing, Policy, Signal};
use crate::announcement::{Announcement, End, Status};
use crate::incident::{Incident, Key, digest};
use crate::kind::Severity;
use crate::moment::Moment;

/// How long a recovery is remembered, for occurrences before it that come late. EventBridge tries for a day.
const RECOVERY_MEMORY: Duration = Duration::from_secs(3 * 86_400);
/// How long an announcement that cannot be published is kept.
const UNSENT_MEMORY: Duration = Duration::from_secs(60 * 86_400);

/// What is known of one incident.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The incident that goes on.
    episode: Option<Episode>,
    /// The newest recovery.
    recovery: Option<Recovery>,
    /// What is on its way.
    pub outbox: Vec<Outgoing>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Episode {
    first: Moment,
    last: Moment,
    count: u64,
    /// The count that was told last.
    told_count: u64,
    /// How often it was told.
    told: u32,
    /// Not told again before.
    next: Moment,
    /// The worst severity that was told.
    told_severity: Severity,
    /// As it was at its last occurrence.
    incident: Incident,
    /// Tells this episode from others of the same incident.
    thread: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Recovery {
    end: End,
    /// Up to here everything was told: an occurrence that comes late belongs to that, and is only counted.
    told_until: Option<Moment>,
    /// Occurrences that it ended.
    count: u64,
}

impl Record {
    /// Whether the incident goes on.
    pub fn is_open(&self) -> bool {
        self.episode.is_some()
    }

    /// Occurrences of the incident that goes on, or of the last one.
    pub fn count(&self) -> u64 {
        match (&self.episode, &self.recovery) {
            (Some(episode), _) => episode.count,
            (None, Some(recovery)) => recovery.count,
            (None, None) => 0,
        }
    }

    /// Account of the incident that goes on, and what limits how much is told about it.
    pub fn limited_by(&self) -> Option<(&str, &str)> {
        let episode = self.episode.as_ref()?;
        Some((&episode.incident.place.account, episode.incident.limited_by()))
    }

    /// When it may be forgotten: never before everything was told.
    pub fn expires(&self, now: Moment) -> Moment {
        if !self.outbox.is_empty() {
            return now.plus(UNSENT_MEMORY);
        }
        let Some(episode) = &self.episode else { return now.plus(RECOVERY_MEMORY) };
        let untold =
            if episode.count > episode.told_count { episode.next.plus(RECOVERY_MEMORY) } else { now };
        now.plus(episode.incident.kind.memory()).max(untold)
    }

    /// Takes in a signal that was not taken in before; returns what is to be told.
    pub fn apply(&mut self, signal: &Signal, now: Moment, policy: &Policy) -> Option<Announcement> {
        match &signal.edge {
            Edge::Raised(incident) => self.raised(signal, incident, now, policy),
            Edge::Cleared(how) => self.cleared(signal, how),
        }
    }

    /// What is to be told because time has passed: occurrences that nobody heard of yet.
    pub fn tick(&mut self, key: &Key, now: Moment, policy: &Policy) -> Option<Announcement> {
        let episode = self
            .episode
            .as_mut()
            .filter(|episode| episode.count > episode.told_count && episode.next <= now)?;
        // At one time an incident has one count, and is looked after once.
        let moment = format!("{} {}", now.millis(), episode.count);
        Some(Self::again(episode, id(key, Status::Repeated, &moment), now, policy))
    }

    fn raised(
        &mut self,
        signal: &Signal,
        incident: &Incident,
        now: Moment,
        policy: &Policy,
    ) -> Option<Announcement> {
        let (key, at, event) = (&signal.key, signal.at, signal.event.as_str());
        if let Some(recovery) = self.recovery.as_mut().filter(|recovery| at <= recovery.end.at) {
            recovery.count += 1;
            if recovery.told_until.is_some_and(|until| at <= until) {
                return None;
            }
            // It was over before anything was heard of it. It is told all the same, once.
            recovery.told_until = Some(recovery.end.at);
            let end = recovery.end.clone();
            return Some(Announcement {
                id: id(key, Status::Passed, event),
                thread: digest(&[key.as_str(), "passed", &end.at.millis().to_string()]),
                status: Status::Passed,
                incident: incident.clone(),
                count: 1,
                first: at,
                last: at,
                end: Some(end),
            });
        }
        if let Some(episode) = &mut self.episode {
            episode.count += 1;
            episode.first = episode.first.min(at);
            if at >= episode.last {
                episode.last = at;
                episode.incident = incident.clone();
            }
            // What gets worse does not wait.
            return (episode.next <= now || incident.severity > episode.told_severity)
                .then(|| Self::again(episode, id(key, Status::Repeated, event), now, policy));
        }
        let episode = Episode {
            first: at,
            last: at,
            count: 1,
            told_count: 1,
            told: 1,
            next: now.plus(policy.pause(incident.kind, 1)),
            told_severity: incident.severity,
            incident: incident.clone(),
            thread: digest(&[key.as_str(), event]),
        };
        let told = told(&episode, id(key, Status::Opened, event), Status::Opened, None);
        self.episode = Some(episode);
        Some(told)
    }

    fn cleared(&mut self, signal: &Signal, how: &str) -> Option<Announcement> {
        let at = signal.at;
        if self.recovery.as_ref().is_some_and(|recovery| at <= recovery.end.at) {
            return None;
        }
        let end = End { at, how: how.to_owned() };
        match self.episode.take_if(|episode| episode.last <= at) {
            Some(episode) => {
                self.recovery =
                    Some(Recovery { end: end.clone(), told_until: Some(at), count: episode.count });
                let id = id(&signal.key, Status::Recovered, signal.event.as_str());
                Some(told(&episode, id, Status::Recovered, Some(end)))
            }
            None => {
                // Between two occurrences of the same episode it says nothing new; before the first it is the end of another one.
                if self.episode.as_ref().is_none_or(|episode| at < episode.first) {
                    let (told_until, count) =
                        self.recovery.take().map_or((None, 0), |before| (before.told_until, before.count));
                    self.recovery = Some(Recovery { end, told_until, count });
                }
                None
            }
        }
    }

    fn again(episode: &mut Episode, id: String, now: Moment, policy: &Policy) -> Announcement {
        episode.told += 1;
        episode.told_count = episode.count;
        episode.told_severity = episode.told_severity.max(episode.incident.severity);
        episode.next = now.plus(policy.pause(episode.incident.kind, episode.told));
        told(episode, id, Status::Repeated, None)
    }

    /// When there is something to do although no event comes.
    pub fn due(&self) -> Option<Moment> {
        let untold = self
            .episode
            .as_ref()
            .filter(|episode| episode.count > episode.told_count)
            .map(|episode| episode.next);
        let unsent = self.outbox.iter().map(|outgoing| outgoing.claimed).min();
        untold.into_iter().chain(unsent).min()
    }
}

fn told(episode: &Episode, id: String, status: Status, end: Option<End>) -> Announcement {
    Announcement {
        id,
        thread: episode.thread.clone(),
        status,
        incident: episode.incident.clone(),
        count: episode.count,
        first: episode.first,
        last: episode.last,
        end,
    }
}

/// No other announcement has the same id, also after everything before it was forgotten: an event leads to one of each status at most.
fn id(key: &Key, status: Status, event: &str) -> String {
    digest(&[key.as_str(), status.name(), event])
}

#[cfg(test)]
mod tests;
