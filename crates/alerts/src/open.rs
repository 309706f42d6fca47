//! What a check found the last time that it saw everything: what is missing the next time is over.
//!
//! A check finds what is wrong, never what is well. Its memory is the smallest that says what ended: kind, subject and detail of each incident that it raised and has not
//! ended yet, in a few items of the alerts' own table. It is written before an incident is raised and shortened after its end was told, so that a death in
//! between leaves too much in it, never too little; what is too much is ended once more by the next check, which says nothing new.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::incident::{Incident, Key, Place, digest};
use crate::kind::Kind;
use crate::moment::Moment;
use crate::store::{ItemKey, Put, Store, StoreError};

/// Items over which the memory is spread: DynamoDB takes 400 KB an item. Entries with an ARN have about 180 bytes, so that 30,000 fit.
const SHARDS: usize = 16;
/// How long the memory outlives its last writing.
const MEMORY: Duration = Duration::from_secs(90 * 86_400);
/// Written anew after this long, though nothing changed.
const FRESH: Duration = Duration::from_secs(86_400);

/// An incident that a check raised.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Entry {
    /// What is wrong.
    pub kind: Kind,
    /// With what.
    pub subject: String,
    /// What else tells it apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl Entry {
    /// The entry of an incident.
    pub fn of(incident: &Incident) -> Self {
        Self { kind: incident.kind, subject: incident.subject.clone(), detail: incident.detail.clone() }
    }

    /// The key of its incident.
    pub fn key(&self, place: &Place) -> Key {
        Key::new(self.kind, place, &self.subject, self.detail.as_deref())
    }

    fn shard(&self) -> usize {
        let hash = digest(&[self.kind.name(), &self.subject, self.detail.as_deref().unwrap_or_default()]);
        usize::from_str_radix(&hash[..1], 16).unwrap_or(0) % SHARDS
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Body {
    written: Option<Moment>,
    entries: BTreeSet<Entry>,
}

/// The memory of one check at one place.
#[derive(Debug)]
pub struct Open {
    partition: String,
    /// With the revision that each was read at.
    shards: Vec<(Option<u64>, Body)>,
}

impl Open {
    /// Reads the memory of a check: one call.
    ///
    /// # Errors
    /// The table cannot be read, or holds what no version wrote.
    pub async fn read<S: Store>(
        store: &S,
        check: &str,
        place: &Place,
        now: Moment,
    ) -> Result<Self, StoreError> {
        let partition = format!("open|{check}|{}|{}", place.account, place.region);
        let keys: Vec<ItemKey> = (0..SHARDS).map(|shard| item(&partition, shard)).collect();
        let mut shards = Vec::with_capacity(SHARDS);
        for (key, stored) in keys.iter().zip(store.read(&keys, now).await?) {
            shards.push(match stored {
                None => (None, Body::default()),
                Some(stored) => {
                    let unreadable = || StoreError::Unreadable(format!("{} {}", key.partition, key.sort));
                    let body = serde_json::from_str(&stored.body).map_err(|_| unreadable())?;
                    (Some(stored.revision), body)
                }
            });
        }
        Ok(Self { partition, shards })
    }

    /// What is in it.
    pub fn entries(&self) -> BTreeSet<Entry> {
        self.shards.iter().flat_map(|(_, body)| body.entries.iter().cloned()).collect()
    }

    /// Makes it hold exactly these entries: one call for each item that changes.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where another check wrote since it was read.
    pub async fn write<S: Store>(
        &mut self,
        store: &S,
        entries: &BTreeSet<Entry>,
        now: Moment,
    ) -> Result<(), StoreError> {
        let mut wanted: Vec<BTreeSet<Entry>> = vec![BTreeSet::new(); SHARDS];
        for entry in entries {
            wanted[entry.shard()].insert(entry.clone());
        }
        for (shard, wanted) in wanted.into_iter().enumerate() {
            let (revision, body) = &mut self.shards[shard];
            let old = body.written.is_none_or(|written| written.plus(FRESH) <= now);
            let is_there = !wanted.is_empty() && old;
            if body.entries == wanted && !is_there {
                continue;
            }
            *body = Body { written: Some(now), entries: wanted };
            let put = Put {
                key: item(&self.partition, shard),
                expected: *revision,
                // Kinds, strings and numbers only: serde_json writes them all.
                body: serde_json::to_string(body).unwrap_or_default(),
                expires: now.plus(MEMORY),
                due: None,
            };
            store.write(&[put], now).await?;
            *revision = Some(revision.unwrap_or(0) + 1);
        }
        Ok(())
    }
}

fn item(partition: &str, shard: usize) -> ItemKey {
    ItemKey::new(partition, format!("{shard:02}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Memory;

    fn entry(number: u32) -> Entry {
        Entry { kind: Kind::RotationOverdue, subject: format!("arn:s{number}"), detail: None }
    }

    fn at(seconds: i64) -> Moment {
        Moment::from_millis(seconds * 1000)
    }

    #[tokio::test]
    async fn what_was_written_is_read_by_the_same_check_at_the_same_place_only() {
        let (store, place) = (Memory::default(), Place::new("111111111111", "us-east-1"));
        let entries: BTreeSet<Entry> = (0..1000).map(entry).collect();
        let mut open = Open::read(&store, "c", &place, at(0)).await.unwrap();
        assert!(open.entries().is_empty());
        open.write(&store, &entries, at(0)).await.unwrap();
        assert_eq!(store.all().len(), SHARDS);
        assert_eq!(Open::read(&store, "c", &place, at(1)).await.unwrap().entries(), entries);
        for (check, region) in [("d", "us-east-1"), ("c", "eu-west-1")] {
            let place = Place::new("111111111111", region);
            assert!(Open::read(&store, check, &place, at(1)).await.unwrap().entries().is_empty());
        }
        let fewer: BTreeSet<Entry> = (1..1000).map(entry).collect();
        open.write(&store, &fewer, at(2)).await.unwrap();
        assert_eq!(Open::read(&store, "c", &place, at(3)).await.unwrap().entries(), fewer);
    }

    #[tokio::test]
    async fn a_memory_that_does_not_change_is_kept_and_two_checks_do_not_overwrite_each_other() {
        let (store, place) = (Memory::default(), Place::new("111111111111", "us-east-1"));
        let entries = BTreeSet::from([entry(1)]);
        let day = 86_400;
        for days in 0..200 {
            let mut open = Open::read(&store, "c", &place, at(days * day)).await.unwrap();
            assert_eq!(open.entries().len(), usize::from(days > 0), "day {days}");
            open.write(&store, &entries, at(days * day)).await.unwrap();
        }
        let mut one = Open::read(&store, "c", &place, at(200 * day)).await.unwrap();
        let mut other = Open::read(&store, "c", &place, at(200 * day)).await.unwrap();
        one.write(&store, &BTreeSet::new(), at(200 * day)).await.unwrap();
        let lost = other.write(&store, &BTreeSet::new(), at(200 * day)).await;
        assert!(matches!(lost, Err(StoreError::Conflict)), "{lost:?}");
    }

    #[test]
    fn an_entry_has_the_key_of_its_incident() {
        let place = Place::new("111111111111", "us-east-1");
        let incident = Incident::new(
            Kind::RotationStuck,
            crate::kind::Severity::Error,
            place.clone(),
            "arn:s",
            "secret s",
            at(0),
        )
        .told_apart_by("v1");
        assert_eq!(Entry::of(&incident).key(&place), incident.key());
    }
}
